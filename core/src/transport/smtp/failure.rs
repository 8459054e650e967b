//! The failures of mail transport.

use std::io;

use crate::model::outcome::{Detail, Failure, Reason};
use crate::transport::{SendError, Sent};

pub fn permanent(reason: Reason, sentence: &'static str) -> SendError {
    SendError {
        failure: Failure::new(reason).with_detail(Some(Detail::from(sentence))),
        sent: Sent::No,
        permanent: true,
    }
}

/// The connection is lost. Before the final dot, the server accepted nothing.
pub fn broken(error: &io::Error) -> SendError {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::ConnectionLost,
    };
    let detail = Detail::from("the mail server closed the connection, or it broke");
    SendError {
        failure: Failure::new(reason).with_detail(Some(detail)),
        sent: Sent::No,
        permanent: false,
    }
}

pub fn malformed() -> SendError {
    let detail = Detail::from("what came back is no SMTP reply");
    SendError {
        failure: Failure::new(Reason::MalformedReply)
            .with_detail(Some(detail))
            .with_hint("Check that email_host and email_port lead to a mail server's submission port, and email_tls to how it speaks there."),
        sent: Sent::No,
        permanent: false,
    }
}
