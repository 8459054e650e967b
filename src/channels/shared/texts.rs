//! Texts that one message does not hold.

use crate::model::text::{self, Limit, MAX_PARTS};

/// The text within its limit, and how many characters of it are missing: then it ends by saying so.
pub fn ending(text: &str, limit: Limit) -> (String, usize) {
    let (kept, missing) = text::with_ending(text, limit);
    (kept.into_owned(), missing)
}

/// What is said of a text of which that is missing.
pub fn cut_warning(missing: usize) -> Option<String> {
    let what = "notification_text is too long for this channel: the last";
    (missing > 0).then(|| format!("{what} {missing} characters are missing"))
}

/// What is said of a text that was longer than ten messages hold.
pub fn missing_warning(missing: usize) -> Vec<String> {
    match missing {
        0 => Vec::new(),
        missing => vec![format!(
            "notification_text is too long for {MAX_PARTS} messages: the last {missing} characters are missing"
        )],
    }
}
