//! Slack's error replies.

pub struct Refusal {
    pub status: u16,
    pub word: &'static str,
    pub problem: String,
}

pub fn refuse(status: u16, word: &'static str, problem: impl Into<String>) -> Refusal {
    Refusal {
        status,
        word,
        problem: problem.into(),
    }
}
