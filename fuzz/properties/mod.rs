//! What must hold for any bytes at all: one function for each fuzz target. `make fuzz` feeds them what libFuzzer makes up;
//! `tests/rust/tests/all/seeds.rs` feeds them the files in `seeds`, so that whatever was found once is tried at every `make test`.

// Each target is a program that needs one of the functions.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

mod inputs;
mod replies;
mod texts;

use http::HeaderMap;
use notifier_core::model::outcome::{Detail, Failure};
use notifier_core::text::is_invisible;

pub use self::inputs::{arguments, config_file, request, template};
pub use self::replies::{headers, judge, reply_body, reply_head, retry_after, url_guard};
pub use self::texts::{redaction, split};

/// A target's name and what must hold.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("request", request),
    ("arguments", arguments),
    ("headers", headers),
    ("judge", judge),
    ("split", split),
    ("retry_after", retry_after),
    ("url_guard", url_guard),
    ("redaction", redaction),
    ("config_file", config_file),
    ("template", template),
    ("reply_body", reply_body),
    ("reply_head", reply_head),
];

#[track_caller]
fn is_of_few_words(failure: &Failure) {
    if let Some(detail) = &failure.detail {
        is_fit_to_show(detail.as_str(), Detail::MAX_CHARACTERS);
    }
}

#[track_caller]
fn is_fit_to_show(text: &str, characters: usize) {
    assert!(text.chars().count() <= characters, "{text:?}");
    let odd = text.chars().find(|c| is_invisible(*c));
    assert_eq!(odd, None, "{text:?}");
}

/// Nothing that frames the message but what the client adds, and no name that stands twice.
#[track_caller]
fn are_sound(headers: &HeaderMap) {
    for name in headers.keys() {
        assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
        let framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "te",
            "trailer",
            "expect",
        ];
        assert!(
            !framing.contains(&name.as_str()) && !name.as_str().starts_with("proxy-"),
            "{name}"
        );
    }
}
