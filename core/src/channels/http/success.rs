//! The required body of a success, if the configuration specifies one.

use regex::Regex;

use crate::model::outcome::{AttemptResult, Classification, Failure, Reason};
use crate::model::wire::HttpReply;
use crate::text::bounded_regex;

#[derive(Debug)]
pub enum Success {
    /// Compares with the whole body without surrounding white space.
    Equal(String),
    /// Searches the whole body.
    Regex(Regex),
}

/// Parses the parameter. The error continues a sentence after the parameter's name.
pub fn read(text: &str) -> Result<Success, &'static str> {
    match text.strip_prefix('~') {
        None => Ok(Success::Equal(text.trim().to_owned())),
        Some(expression) => bounded_regex(expression)
            .map(Success::Regex)
            .ok_or("has a regular expression after ~ that cannot be read, or is too large"),
    }
}

impl Success {
    /// Checks the body of a 2xx reply.
    pub fn classify(
        &self,
        reply: &HttpReply,
        by_status: Classification,
        failure: Failure,
    ) -> Classification {
        if !matches!(by_status.result, AttemptResult::Delivered { .. }) {
            return by_status;
        }
        let failure = failure.with_hint(HINT);
        match (self.matches(&reply.text()), reply.complete) {
            // The body may look like a web page, but the operator expects it.
            (true, _) => Classification {
                result: AttemptResult::Delivered {
                    message: None,
                    warning: None,
                },
                ..by_status
            },
            (false, true) => AttemptResult::Reject(failure).into(),
            // The unread rest of the body may contain the expected text.
            (false, false) => {
                let reason = Reason::LostReply;
                AttemptResult::Ambiguous(Failure { reason, ..failure }).into()
            }
        }
    }

    fn matches(&self, body: &str) -> bool {
        match self {
            Success::Equal(text) => body.trim() == text,
            Success::Regex(regex) => regex.is_match(body),
        }
    }
}

const HINT: &str = "The body is not what `success` in the configuration file asks for: check the URL, or correct `success`.";
