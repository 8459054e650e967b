//! The documentation's tables equal the code's tables. `UPDATE_DOCS=1 cargo test --package rust-tests docs::` rewrites
//! them between `<!-- table: NAME -->` and `<!-- end of table -->`. Without the variable, a difference fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use notifier_core::channels::CHANNELS;
use notifier_core::model::outcome::Reason;

mod tables;

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

/// The tables that one of the files has; each must be somewhere. Besides, each channel has one of its parameters; channels with the same parameters share one.
const TABLES: &[&str] = &[
    "arguments",
    "arguments with bounds",
    "channels",
    "levels",
    "file fields",
    "file options",
    "template sample",
    "template members",
    "filters",
    "filters of MiniJinja",
    "functions",
];

#[test]
fn every_table_in_the_documentation_is_the_codes() {
    let mut found = BTreeSet::new();
    for path in documents() {
        let text = read(&path);
        let current = with_current_tables(&path, &text, &mut found);
        if current == text {
            continue;
        }
        assert!(
            std::env::var_os("UPDATE_DOCS").is_some(),
            "{} differs from the code. It should have:\n{}\nWrite it by: UPDATE_DOCS=1 cargo test --package rust-tests docs::",
            path.display(),
            first_difference(&text, &current),
        );
        // At once, since other tests read it meanwhile.
        let new = path.with_extension("md.new");
        fs::write(&new, current).unwrap();
        fs::rename(&new, &path).unwrap();
    }
    let parameters = tables::with_parameters().map(|sender| format!("parameters of {sender}"));
    let tables = TABLES
        .iter()
        .map(|name| (*name).to_owned())
        .chain(parameters);
    let missing: Vec<_> = tables.filter(|name| !found.contains(name)).collect();
    assert!(
        missing.is_empty(),
        "no document has the tables {missing:?}. Put `{BEGIN}NAME -->` and `{END}` where each belongs (that of a channel into its \
         section of docs/channels.md), then: UPDATE_DOCS=1 cargo test --package rust-tests docs::"
    );
}

#[test]
fn every_channel_has_a_section_in_the_order_of_the_registry() {
    let sections = headings(&read(&root().join("docs/channels.md")), "## ");
    let found: Vec<_> = sections
        .iter()
        .filter(|name| name.as_str() != "Rich notifications")
        .collect();
    let keys: Vec<_> = CHANNELS.iter().map(|spec| spec.key).collect();
    assert_eq!(
        found, keys,
        "docs/channels.md has a section `## NAME` for each channel, in the order of CHANNELS; docs/adding-a-channel.md says what is in it"
    );
}

#[test]
fn the_readme_begins_by_naming_every_channel() {
    let letters = |text: &str| -> String {
        let text = text.to_lowercase();
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let readme = read(&root().join("README.md"));
    let description = sections(&readme, "## ").swap_remove(0).1;
    let first_sentence = letters(description.split_once(". ").unwrap().0);
    for spec in CHANNELS {
        assert!(
            first_sentence.contains(&letters(spec.key)),
            "README.md: the first sentence of its description names all channels, but not {}",
            spec.key
        );
    }
}

#[test]
fn every_reason_has_a_section_and_every_section_a_reason() {
    let text = read(&root().join("docs/reasons.md"));
    let sections: Vec<(String, String)> = sections(&text, "### ");
    for reason in Reason::ALL {
        let code = reason.code();
        let found = sections.iter().find(|(heading, _)| heading == code);
        let Some((_, section)) = found else {
            panic!(
                "docs/reasons.md has no section `### {code}` for Reason::{reason:?}. Add:\n\n### {code}\n\n{}\n",
                quote(*reason)
            );
        };
        assert!(
            section.contains(&quote(*reason)),
            "docs/reasons.md, `### {code}`: sentence and hint are\n\n{}",
            quote(*reason)
        );
        let own_words = section.replace(&quote(*reason), "").trim().len();
        assert!(
            own_words > 10,
            "docs/reasons.md, `### {code}`: say when it happens and what to do"
        );
    }
    for (heading, _) in &sections {
        assert!(
            Reason::ALL.iter().any(|reason| reason.code() == heading),
            "docs/reasons.md has a section `### {heading}`, which is no reason"
        );
    }
}

/// A reason's sentence and hint, as its section quotes them.
fn quote(reason: Reason) -> String {
    format!("*{}* {}", reason.sentence(), reason.hint())
}

// The files

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documents() -> Vec<PathBuf> {
    let mut documents = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    documents.sort();
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn with_current_tables(path: &Path, text: &str, found: &mut BTreeSet<String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let place = || path.display().to_string();
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after
            .split_once(END)
            .unwrap_or_else(|| panic!("{}: `{name}` has no end", place()));
        let table = tables::table(name)
            .unwrap_or_else(|| panic!("{}: there is no table `{name}`", place()));
        let _ = write!(result, "{before}{BEGIN}{name} -->\n{table}{END}");
        found.insert(name.to_owned());
        rest = after;
    }
    result.push_str(rest);
    result
}

fn first_difference(old: &str, new: &str) -> String {
    let old: BTreeSet<_> = old.lines().collect();
    let lines = new.lines().filter(|line| !old.contains(line));
    let lines: Vec<_> = lines.take(10).collect();
    if lines.is_empty() {
        "(fewer lines, or another order)".to_owned()
    } else {
        lines.join("\n")
    }
}

fn headings(text: &str, level: &str) -> Vec<String> {
    sections(text, level)
        .into_iter()
        .map(|(heading, _)| heading)
        .collect()
}

/// Returns the headings of this level, without backticks, each with its section.
fn sections(text: &str, level: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        if let Some(heading) = line.strip_prefix(level) {
            sections.push((heading.trim().replace('`', ""), String::new()));
            within = true;
        } else if hashes > 0 && hashes < level.trim().len() {
            within = false;
        } else if within && let Some((_, section)) = sections.last_mut() {
            let _ = writeln!(section, "{line}");
        }
    }
    sections
}
