use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use unicode_segmentation::UnicodeSegmentation;

use super::*;
use crate::text::{Fences, Unit};

const FAMILY: &str = "👨\u{200d}👩\u{200d}👧\u{200d}👦";

fn without_prefixes(parts: &[String]) -> String {
    parts
        .iter()
        .map(|part| part.split_once(") ").map_or("", |(_, rest)| rest))
        .collect()
}

#[test]
fn a_text_at_the_limit_stays_whole_and_one_beyond_it_is_split() {
    for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes] {
        for (length, parts) in [(19, 1), (20, 1), (21, 2)] {
            let text = "x".repeat(length);
            assert_eq!(
                split(&text, Limit::new(20, unit), Markup::NONE).parts.len(),
                parts,
                "{unit:?} {length}"
            );
        }
    }
}

#[test]
fn parts_end_at_a_line_end_else_at_a_space() {
    let split = split(
        "one two\nthree four 56",
        Limit::new(20, Unit::Utf16),
        Markup::NONE,
    );
    assert_eq!(
        split.parts,
        ["(1/2) one two\n", "(2/2) three four 56"].map(str::to_owned)
    );
}

#[test]
fn ten_parts_lose_nothing_and_more_count_missing_characters() {
    let ten = "x".repeat(9 * 13 + 12);
    let whole = split(&ten, Limit::new(20, Unit::Utf16), Markup::NONE);
    assert_eq!(whole.missing, 0);
    let long = "x".repeat(1_000);
    let cut = split(&long, Limit::new(60, Unit::Utf16), Markup::NONE);
    assert_eq!(cut.parts.len(), MAX_PARTS);
    let said = format!("… {} characters missing", cut.missing);
    assert!(cut.parts.last().unwrap().ends_with(&said));
    let kept: usize = without_prefixes(&cut.parts).matches('x').count();
    assert_eq!(kept + cut.missing, 1_000);
}

#[test]
fn clusters_stay_whole_and_one_that_is_longer_than_the_limit_is_broken_between_code_points() {
    let families = FAMILY.repeat(8);
    for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes] {
        let split = split(&families, Limit::new(60, unit), Markup::NONE);
        for part in &split.parts {
            let piece = part
                .split_once(") ")
                .map_or(part.as_str(), |(_, rest)| rest);
            assert_eq!(piece.replace(FAMILY, ""), "", "{unit:?}");
        }
    }
    let zalgo = format!("e{}", "\u{301}".repeat(100));
    let split = split(&zalgo, Limit::new(40, Unit::CodePoints), Markup::NONE);
    assert_eq!(without_prefixes(&split.parts), zalgo);
}

#[test]
fn a_first_part_with_a_limit_of_its_own_leaves_the_rest_to_the_others() {
    let text = "x".repeat(100);
    for (first, lengths) in [
        (100, vec![100]),
        (99, vec![99, 13]),
        (60, vec![60, 52]),
        (48, vec![48, 64]),
    ] {
        let split = split_after(&text, first, Limit::new(70, Unit::Utf16), Markup::NONE);
        let found: Vec<_> = split.parts.iter().map(String::len).collect();
        assert_eq!(found, lengths, "{first}");
    }
}

#[test]
fn a_cut_text_ends_with_an_ellipsis_within_the_limit() {
    for (text, limit, unit, ending, cut_to) in [
        ("abcdef", 6, Unit::Utf16, "…", "abcdef"),
        ("abcdefg", 6, Unit::Utf16, "…", "abcde…"),
        ("abcdefg", 6, Unit::Bytes, "…", "abc…"),
        ("abcdefg", 6, Unit::CodePoints, "...", "abc..."),
        ("abc    efg", 6, Unit::CodePoints, "…", "abc…"),
        ("&&&", 11, Unit::Utf16Escaped, "…", "&&…"),
        ("a😀😀", 4, Unit::Utf16, "…", "a😀…"),
        (
            "a👨\u{200d}👩\u{200d}👧\u{200d}👦",
            7,
            Unit::Utf16,
            "…",
            "a…",
        ),
    ] {
        assert_eq!(cut(text, Limit::new(limit, unit), ending), cut_to, "{text}");
    }
}

const DISCORD: Markup = Markup {
    fences: Fences::WithLanguage,
    links: true,
    angles: true,
    entities: false,
};
const SLACK: Markup = Markup {
    fences: Fences::Plain,
    links: false,
    angles: true,
    entities: true,
};

#[test]
fn a_block_of_code_is_closed_and_opened_again_with_its_language() {
    let text = "see\n```rust\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nand more";
    for (markup, second) in [
        (DISCORD, "(2/2) ```rust\nlet c = 3;\n```\nand more"),
        (SLACK, "(2/2) ```\nlet c = 3;\n```\nand more"),
    ] {
        let first = "(1/2) see\n```rust\nlet a = 1;\nlet b = 2;\n```";
        let split = split(text, Limit::utf16(48), markup);
        assert_eq!(split.parts, [first, second]);
    }
}

#[test]
fn a_fence_that_nothing_closes_is_no_block_of_code() {
    let text = format!("```{}", "word ".repeat(30));
    let plain = split(&text, Limit::utf16(60), Markup::NONE);
    assert_eq!(split(&text, Limit::utf16(60), DISCORD), plain);
}

#[test]
fn no_block_of_code_is_empty_where_a_cut_is_beside_its_fence() {
    for before in 0..60 {
        let (x, y) = ("x".repeat(before), "y".repeat(60));
        let text = format!("{x}```rust\ncode\n\n```{y}");
        for part in split(&text, Limit::utf16(60), DISCORD).parts {
            for block in part.split("```").skip(1).step_by(2) {
                let code = block.trim_start_matches("rust").trim();
                assert!(!code.is_empty(), "{part:?}");
            }
        }
    }
}

#[test]
fn a_link_is_kept_whole_unless_it_alone_is_longer_than_a_part() {
    for before in 0..60 {
        for (link, markup) in [
            ("[the runbook](https://a.example/b)", DISCORD),
            ("<https://a.example/b|the runbook>", SLACK),
        ] {
            let text = format!("{}{link}{}", "x".repeat(before), "y".repeat(60));
            let split = split(&text, Limit::utf16(90), markup);
            let whole = split.parts.iter().filter(|part| part.contains(link));
            assert_eq!(whole.count(), 1, "{:?}", split.parts);
        }
    }
    let long = format!("<https://a.example/{}>", "x".repeat(100));
    let split = split(&long, Limit::utf16(60), SLACK);
    assert_eq!(without_prefixes(&split.parts), long);
}

#[test]
fn a_cut_text_closes_its_markup() {
    for (text, length, short) in [
        ("a ```code and more``` b", 14, "a ```code\n```…"),
        ("see <https://a.example|this>", 27, "see…"),
        ("a &amp; b", 7, "a…"),
    ] {
        let limit = Limit::utf16(length);
        assert_eq!(cut_markup(text, limit, "…", SLACK), short);
    }
}

#[test]
fn a_fence_behind_a_letter_that_joins_the_next_one_is_seen() {
    // DIVES AKURU INITIAL RA forms one cluster with the next character.
    let text = format!("\u{11941}```rust\n{}\n```", "x;\n".repeat(100));
    let split = split(&text, Limit::utf16(200), DISCORD);
    assert!(split.parts.len() > 1);
    for part in split.parts {
        assert_eq!(part.matches("```").count() % 2, 0, "{part:?}");
    }
}

#[test]
fn a_text_of_nothing_but_markup_takes_linear_time() {
    let begun = std::time::Instant::now();
    for piece in ["[", "](", "[a](", "<", "<a", "&", "```", "```\n", "(", "\n"] {
        let text = piece.repeat(300_000 / piece.len());
        for limit in [60, 4_000] {
            let split = split(&text, Limit::utf16(limit), DISCORD);
            assert_eq!(split.parts.len(), MAX_PARTS, "{piece:?}");
        }
    }
    // Quadratic time would take hours.
    assert!(begun.elapsed().as_secs() < 60);
}

const LINKS: [&str; 4] = [
    "[a link](https://a.example/b_(c))",
    "<https://a.example/b|a link>",
    "<@U123>",
    "&amp;",
];

/// Generates texts whose code blocks are all closed.
fn texts_with_markup() -> impl Strategy<Value = String> {
    let code = "[a-z;\n😀]{1,90}".prop_map(|code| format!("```rust\nx{code}\n```"));
    let plain_code = "[a-z;\n😀]{1,90}".prop_map(|code| format!("```x {code}```"));
    let link = select(&LINKS[..]).prop_map(str::to_owned);
    let piece = prop_oneof![code, plain_code, link, "(\\PC|[ \n&<\\[]){0,40}"];
    let piece = piece.prop_map(|piece| piece.replace('\r', ""));
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Returns a text's visible characters without white space.
fn bare(text: &str, markup: Markup) -> String {
    // Without a language, the word is code.
    let language = if markup.fences == Fences::WithLanguage {
        "rust"
    } else {
        ""
    };
    let text = text
        .replace(&format!("```{language}\n"), "")
        .replace("```", "");
    text.split_whitespace().collect()
}

proptest! {
    #[test]
    fn splitting_breaks_no_markup_and_leaves_none_open(
        text in texts_with_markup(),
        first in 100_usize..300,
        limit in 100_usize..300,
        unit in prop_oneof![Just(Unit::CodePoints), Just(Unit::Utf16Escaped), Just(Unit::JsonBytes)],
        markup in prop_oneof![Just(DISCORD), Just(SLACK)],
    ) {
        prop_assume!(text.matches("```").count() % 2 == 0);
        let split = split_after(&text, first, Limit::new(limit, unit), markup);
        for (index, part) in split.parts.iter().enumerate() {
            let limit = if index == 0 { first } else { limit };
            prop_assert!(unit.of(part) <= limit, "{part:?}");
            prop_assert!(part.matches("```").count() % 2 == 0, "{:?}", split.parts);
        }
        if split.missing == 0 {
            let pieces = if split.parts.len() == 1 { text.clone() } else { without_prefixes(&split.parts) };
            prop_assert_eq!(bare(&pieces, markup), bare(&text, markup));
            let links = if markup == DISCORD { &LINKS[..3] } else { &LINKS[1..] };
            for link in links {
                let whole: usize = split.parts.iter().map(|part| part.matches(link).count()).sum();
                prop_assert_eq!(whole, text.matches(link).count(), "{:?}", split.parts);
            }
        }
    }

    #[test]
    fn splitting_loses_nothing_keeps_the_limit_and_breaks_no_cluster(
        text in "(\\PC|[ \n]|👨\u{200d}👩\u{200d}👧|e\u{301}|🇩🇪){0,400}",
        first in 48_usize..200,
        limit in 48_usize..200,
        unit in prop_oneof![
            Just(Unit::CodePoints), Just(Unit::Utf16), Just(Unit::Utf16Escaped), Just(Unit::Bytes), Just(Unit::JsonBytes)
        ],
    ) {
        let split = split_after(&text, first, Limit::new(limit, unit), Markup::NONE);
        for (index, part) in split.parts.iter().enumerate() {
            let limit = if index == 0 { first } else { limit };
            prop_assert!(unit.of(part) <= limit, "{part:?}");
        }
        let short = cut(&text, Limit::new(limit, unit), "…");
        prop_assert!(unit.of(&short) <= limit, "{short:?}");
        if split.parts.len() > 1 && split.missing == 0 {
            prop_assert_eq!(&without_prefixes(&split.parts), &text);
            // None of these clusters is longer than a part.
            let boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
            let mut at = 0;
            for part in &split.parts {
                prop_assert!(boundaries.contains(&at), "{text:?} is cut at {at}");
                at += without_prefixes(std::slice::from_ref(part)).len();
            }
        }
    }
}
