//! Meanings of mail servers' refusals, with hints.

use crate::channels::shared::classify;
use crate::model::outcome::{AttemptResult, Classification, Detail, Failure, PauseScope, Reason};
use crate::model::wire::{SmtpReply, SmtpStage};
use crate::secret::Redactor;

const NO_SMTP: &str = "Check that email_host and email_port lead to a mail server's submission port, and email_tls to how it speaks there.";
const LOGIN: &str = "Check email_username and email_password; many providers want an app password, made for this purpose alone.";
const SENDER: &str = "Give an email_from that the account may send for.";
const RECIPIENT: &str = "Check the address: the server knows no such mailbox.";
const RELAY: &str = "Give email_username and email_password, or ask who runs the mail server to take mails from this one.";

pub fn classify(reply: &SmtpReply, redactor: &Redactor) -> Classification {
    let failure = |reason| Failure::new(reason).with_detail(detail(reply, redactor));
    let reject = |(reason, hint): (Reason, Option<&'static str>)| {
        let failure = failure(reason);
        AttemptResult::Reject(match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        })
        .into()
    };
    match (reply.stage, reply.code) {
        (SmtpStage::Message, 200..=299) => {
            classify::delivered(queued_as(&reply.text), redactor).into()
        }
        // The server is closing or overloaded, so the pause applies to all its destinations.
        (_, 421) => classify::paused(failure(Reason::TryLater), None, PauseScope::Account),
        // Older servers send 552 for "too many recipients" (RFC 5321, 4.5.3.1.10).
        (SmtpStage::Recipient, 552) | (_, 400..=499) => AttemptResult::Retry {
            failure: failure(Reason::TryLater),
            after: None,
        }
        .into(),
        (stage, 500..=599) => reject(meaning(stage, reply)),
        // The server has the whole mail, and the reply does not say whether it accepts the mail.
        (SmtpStage::Message, _) => AttemptResult::Ambiguous(failure(Reason::LostReply)).into(),
        _ => AttemptResult::Retry {
            failure: failure(Reason::MalformedReply).with_hint(NO_SMTP),
            after: None,
        }
        .into(),
    }
}

fn detail(reply: &SmtpReply, redactor: &Redactor) -> Option<Detail> {
    let server = format!("SMTP {}", reply.code);
    classify::with_provider_words(&server, &reply.text, redactor)
}

/// Returns the reason and hint of a permanent refusal.
fn meaning(stage: SmtpStage, reply: &SmtpReply) -> (Reason, Option<&'static str>) {
    let (reason, hint) = by_stage(stage, reply);
    match by_provider(reply) {
        Some((reason, hint)) => (reason, Some(hint)),
        None => (reason, hint),
    }
}

const NO_PASSWORDS: &str = "Microsoft 365 no longer takes a user name and a password by SMTP (basic authentication): send by a relay or a mail service that does, such as Azure Communication Services.";
const SMTP_AUTH_OFF: &str = "Check email_username and email_password. If they are right, Microsoft 365 does not let this mailbox log in by SMTP: its administrator can enable Authenticated SMTP, unless security defaults or a conditional access policy forbid it.";
const SEND_AS: &str = "Give the account's own address as email_from, or ask the administrator of Microsoft 365 to let the account send as email_from (Send As).";
const APP_PASSWORD: &str = "Give an app password as email_password (https://myaccount.google.com/apppasswords): Google does not take the account's own, and app passwords need 2-Step Verification.";

/// Returns the meaning of a reply that only one provider sends.
///
/// - Microsoft 365, 5.7.30:
///   <https://techcommunity.microsoft.com/t5/exchange-team-blog/exchange-online-to-retire-basic-auth-for-client-submission-smtp/ba-p/4114750>
/// - 5.7.139, with several texts:
///   <https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission>
/// - 5.7.60:
///   <https://learn.microsoft.com/exchange/mail-flow-best-practices/fix-issues-with-printers-scanners-and-lob-applications-that-send-email-using-off>
/// - Gmail, which ends each of its errors with `gsmtp`: <https://support.google.com/a/answer/3726730>.
///   Other servers' 5.7.8 and 5.7.9 mean a wrong password and a weak mechanism (RFC 4954, 6).
fn by_provider(reply: &SmtpReply) -> Option<(Reason, &'static str)> {
    let is_gmail = reply.text.contains("gsmtp");
    match enhanced_code(reply) {
        "5.7.30" => Some((Reason::Unauthorized, NO_PASSWORDS)),
        "5.7.139" => Some((Reason::Unauthorized, SMTP_AUTH_OFF)),
        "5.7.60" => Some((Reason::Forbidden, SEND_AS)),
        "5.7.8" | "5.7.9" if is_gmail => Some((Reason::Unauthorized, APP_PASSWORD)),
        _ => None,
    }
}

/// Returns the meaning of a refusal by its stage and enhanced code (RFC 3463).
fn by_stage(stage: SmtpStage, reply: &SmtpReply) -> (Reason, Option<&'static str>) {
    let code = enhanced_code(reply);
    let is_policy = code.starts_with("5.7.");
    match (stage, reply.code) {
        // Wrong credentials, a weak or missing mechanism, or missing encryption (RFC 4954, 6).
        (SmtpStage::Auth, _) | (_, 530 | 534 | 535 | 538) => (Reason::Unauthorized, Some(LOGIN)),
        // The address or a server on the path does not support UTF-8 (RFC 6531, 3.5).
        _ if matches!(code, "5.6.7" | "5.6.9") => (Reason::NoSmtputf8, None),
        (_, 552) => (Reason::TooLarge, None),
        (_, 554) if code == "5.3.4" => (Reason::TooLarge, None),
        (SmtpStage::Recipient, _) if is_policy => (Reason::Forbidden, Some(RELAY)),
        (SmtpStage::Recipient, 554) => (Reason::Forbidden, Some(RELAY)),
        (SmtpStage::Recipient, 550 | 551 | 553) => (Reason::UnknownDestination, Some(RECIPIENT)),
        (SmtpStage::Sender, _) => (Reason::Forbidden, Some(SENDER)),
        (SmtpStage::Data | SmtpStage::Message, _) if is_policy => (Reason::Forbidden, None),
        (SmtpStage::Greeting | SmtpStage::Hello, _) => (Reason::Forbidden, None),
        _ => (Reason::Rejected, None),
    }
}

/// Returns the enhanced code at the reply's beginning, such as `5.7.1`.
fn enhanced_code(reply: &SmtpReply) -> &str {
    reply.text.split_whitespace().next().unwrap_or_default()
}

/// Returns the server's id of the mail from `2.0.0 Ok: queued as 4F1A2B3C`.
fn queued_as(text: &str) -> Option<&str> {
    let (_, name) = text.split_once("queued as ")?;
    name.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_calls_the_mail_is_its_name() {
        for (text, name) in [
            ("2.0.0 Ok: queued as 4F1A2B3C", Some("4F1A2B3C")),
            ("OK: queued as <x@y> and more", Some("<x@y>")),
            ("2.0.0 message accepted", None),
        ] {
            assert_eq!(queued_as(text), name);
        }
    }
}
