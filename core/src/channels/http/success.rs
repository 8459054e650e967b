//! The configured condition on the body of a success.

use regex::Regex;

use crate::model::outcome::{AttemptResult, Classification, Failure, Reason};
use crate::model::wire::HttpReply;
use crate::text::bounded_regex;

#[derive(Debug)]
pub enum Success {
    /// The whole body, without blanks around it.
    Equal(String),
    /// Found anywhere in the body.
    Regex(Regex),
}

/// The error follows the parameter's name.
pub fn read(text: &str) -> Result<Success, &'static str> {
    match text.strip_prefix('~') {
        None => Ok(Success::Equal(text.trim().to_owned())),
        Some(expression) => bounded_regex(expression)
            .map(Success::Regex)
            .ok_or("has a regular expression after ~ that cannot be read, or is too large"),
    }
}

impl Success {
    /// Classifies a 2xx by its body.
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
            // The body may look like a web page, and the operator knows better.
            (true, _) => Classification {
                result: AttemptResult::Delivered {
                    message: None,
                    warning: None,
                },
                ..by_status
            },
            (false, true) => AttemptResult::Reject(failure).into(),
            // The unread rest may hold the expected text.
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
