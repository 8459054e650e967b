//! Discord's error replies.

use serde_json::{Value, json};

pub struct Refusal {
    pub status: u16,
    pub body: Value,
    pub problem: String,
}

pub fn refuse(status: u16, code: u32, message: &str, problem: impl Into<String>) -> Refusal {
    Refusal {
        status,
        body: json!({ "message": message, "code": code }),
        problem: problem.into(),
    }
}
