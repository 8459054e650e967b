//! Twilio's error replies.

use serde_json::json;

use crate::providers::Verdict;
use crate::reply::Reply;

pub struct Refusal {
    pub status: u16,
    pub code: u32,
    pub message: String,
}

pub fn refuse(status: u16, code: u32, message: impl Into<String>) -> Refusal {
    Refusal {
        status,
        code,
        message: message.into(),
    }
}

impl Refusal {
    pub fn into_verdict(self) -> Verdict {
        Verdict::rejected(
            error(self.status, self.code, &self.message),
            format!("{}: {}", self.code, self.message),
        )
    }
}

pub fn error(status: u16, code: u32, message: &str) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let reply = Reply::json(
        status,
        &json!({ "code": code, "message": message, "more_info": more_info, "status": status }),
    );
    if status == 401 {
        reply.with("www-authenticate", "Basic realm=\"Twilio API\"")
    } else {
        reply
    }
}
