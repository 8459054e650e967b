//! Mail by SMTP <https://www.rfc-editor.org/rfc/rfc5321>. Each recipient is a destination of its own, with a transaction of its
//! own: a refused one is no other's failure.

mod address;
mod html;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use self::address::{masked, server_name};
use super::shared::rich::{self, Cuts, Look};
use super::shared::{lines, texts, verdict};
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Kind, Length, Operator,
    Parameter, Resolved,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Judgement, Reason, Scope, Verdict};
use crate::model::secret::{Redactor, Secret, digest};
use crate::model::text::{Limit, one_line, without_controls};
use crate::model::wire::{
    Credentials, Destination, Mail, MailServer, MailTls, Outbound, Repeat, SmtpReply, SmtpStage,
};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "email",
    about: "a mailbox, by SMTP",
    parameters: &[
        Parameter::new(
            "email_host",
            "smtp.example.com",
            "The mail server that takes mails for everybody.",
        )
        .required(),
        Parameter::new(
            "email_from",
            "InfluxDB <alerts@example.com>",
            "The sender: an address, with a name before it or without.",
        )
        .required(),
        Parameter::new(
            "email_to",
            "oncall@example.com",
            "The recipient, or a list: each gets a mail of its own.",
        )
        .of(Kind::Destinations)
        .required()
        .secret(),
        Parameter::new(
            "email_port",
            "587",
            "587 if absent, or 465 with email_tls tls.",
        )
        .of(Kind::Port),
        Parameter::new(
            "email_tls",
            "starttls",
            "starttls (if absent), or tls from the first byte; in clear nothing is sent.",
        ),
        Parameter::new(
            "email_username",
            "alerts@example.com",
            "The account to send with.",
        )
        .secret(),
        Parameter::new("email_password", "app-password", "Its password.").secret(),
        Parameter::ca_file(),
        Parameter::client_certificate(),
    ],
    length: Length::Any,
    // A server that has taken a mail and lost its answer would send it again: many do not compare Message-IDs.
    repeat: Repeat::Never,
    resolved: Resolved::Threads,
    parse: |fields, operator| Ok(Arc::new(Email::new(fields, operator)?)),
};

/// Ours: headers are shown in lists. What is in brackets before the title is no part of a conversation's name for mail
/// programs that go by the subject besides, as Gmail does: a `resolved` of the same title stays in it.
const SUBJECT: Limit = Limit::utf16(200);
/// Of all fields together, in UTF-16 code units. Ours as well; a mail has room for more, and its reader has not.
const FIELDS: usize = 50_000;

struct Email {
    server: MailServer,
    from: String,
    to: Secret,
    /// Of ids that are made here.
    domain: String,
    destination: Destination,
    /// Made when there is a reply to look at.
    redactor: OnceLock<Redactor>,
}

impl Email {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let server = server(fields)?;
        let from = address::field(fields, "email_from")?;
        let to = address::field(fields, "email_to")?;
        let account = format!("email {}:{}", server.host, server.port);
        let recipient = to.email.to_string();
        Ok(Self {
            destination: Destination {
                label: format!("email {}", masked(&recipient)),
                key: digest(&format!("{account} {} {recipient}", from.email)),
                host: Some(server.host.clone()),
                host_header: None,
                account: Some(digest(&account)),
                at_once: None,
            },
            domain: from.email.domain().to_owned(),
            from: from.to_string(),
            to: Secret::new(to.to_string()),
            server,
            redactor: OnceLock::new(),
        })
    }

    /// Takes address and credentials out of what the server says.
    fn redactor(&self) -> &Redactor {
        self.redactor.get_or_init(|| {
            let credentials = self.server.credentials.iter();
            let credentials = credentials.flat_map(|both| [&both.username, &both.password]);
            let to = self.to.expose();
            let address = to
                .rsplit('<')
                .next()
                .map(|address| address.trim_end_matches('>'));
            let own = [to].into_iter().chain(address);
            Redactor::new(own.chain(credentials.map(Secret::expose)))
        })
    }

    fn detail(&self, reply: &SmtpReply) -> Option<Detail> {
        verdict::words(
            &format!("SMTP {}", reply.code),
            &reply.text,
            self.redactor(),
        )
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.destination.label)
    }
}

const HOST_FORM: &str = "the name or the address of a mail server, without scheme and port";

fn server(fields: &Fields<'_>) -> Result<MailServer, ConfigError> {
    let host = fields.formed("email_host", HOST_FORM, |text| server_name(text).is_some())?;
    let tls = match fields.optional("email_tls")?.as_deref().map(str::trim) {
        None | Some("starttls") => MailTls::StartTls,
        Some("tls") => MailTls::Implicit,
        Some(_) => {
            let what = "email_tls must be starttls or tls; in clear nothing is sent";
            return Err(fields.error("email_tls", what));
        }
    };
    let port = fields.port("email_port")?.unwrap_or(match tls {
        MailTls::StartTls => 587,
        MailTls::Implicit => 465,
    });
    let username = fields.optional("email_username")?;
    let password = fields.optional("email_password")?;
    let credentials = match (username, password) {
        (None, None) => None,
        (Some(username), Some(password)) => Some(Credentials {
            username: Secret::new(username.trim()),
            password: Secret::new(password),
        }),
        (Some(_), None) => {
            return Err(fields.error(
                "email_password",
                "email_password is required with email_username",
            ));
        }
        (None, Some(_)) => {
            return Err(fields.error(
                "email_username",
                "email_username is required with email_password",
            ));
        }
    };
    Ok(MailServer {
        // It has the form already.
        host: server_name(&host).unwrap_or_default(),
        port,
        tls,
        credentials,
    })
}

impl Channel for Email {
    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn repeat(&self) -> Repeat {
        SPEC.repeat
    }

    fn is_http(&self) -> bool {
        false
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<Composition, Failure> {
        let text = texts::of(notification)?;
        let mut cuts = Cuts::default();
        let is_rich = notification.is_rich();
        let subject = |line: &str| match is_rich {
            true => format!("[{}] {line}", Look::of(notification).word),
            false => line.to_owned(),
        };
        let subject = match rich::title(notification) {
            Some(title) => cuts.title(&subject(&title), SUBJECT, "…"),
            None => rich::shorten(&subject(&one_line(&text)), SUBJECT, "…", &mut false),
        };
        let mut body = text.clone().into_owned();
        if is_rich {
            body.push_str(&lines::below(notification, FIELDS, SUBJECT.unit, &mut cuts));
            let link = notification.link.as_deref().map(without_controls);
            body.extend(link.iter().flat_map(|link| ["\n", link]));
        }
        let id = |name: String| format!("{name}@{}", self.domain);
        let thread = notification.dedup_key.as_deref();
        let mail = Mail {
            server: self.server.clone(),
            from: self.from.clone(),
            to: self.to.expose().to_owned(),
            subject,
            html: is_rich.then(|| html::page(notification, &text, &cuts)),
            text: body,
            message_id: id(cx.message_key(0)),
            // One made-up mail is what all of a key answer, as Alertmanager does it.
            thread: thread.map(|key| id(digest(&format!("{} {key}", self.destination.key)))),
            date: None,
        };
        Ok(Composition {
            messages: vec![Outbound::Mail(Box::new(mail))],
            segments: None,
            warnings: cuts.warnings(),
        })
    }

    fn sign(&self, out: &mut Outbound, now: Timestamp) {
        if let Outbound::Mail(mail) = out {
            mail.date = Some(now);
        }
    }

    fn judge_smtp(&self, reply: &SmtpReply) -> Judgement {
        let failure = |reason| Failure::new(reason).with_detail(self.detail(reply));
        let reject = |(reason, hint): (Reason, Option<&'static str>)| {
            let failure = failure(reason);
            Verdict::Reject(match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })
            .into()
        };
        match (reply.stage, reply.code) {
            (SmtpStage::Message, 200..=299) => {
                verdict::delivered(queued_as(&reply.text), self.redactor()).into()
            }
            // The server is about to close, or has too much to do: so it is for all that it serves.
            (_, 421) => verdict::paused(failure(Reason::TryLater), None, Scope::Account),
            // "Too many recipients" was once said so (RFC 5321, 4.5.3.1.10).
            (SmtpStage::Recipient, 552) | (_, 400..=499) => Verdict::Retry {
                failure: failure(Reason::TryLater),
                after: None,
            }
            .into(),
            (stage, 500..=599) => reject(meaning(stage, reply)),
            // It has the mail, and says nothing that tells whether it takes it.
            (SmtpStage::Message, _) => Verdict::Ambiguous(failure(Reason::LostReply)).into(),
            _ => Verdict::Retry {
                failure: failure(Reason::MalformedReply).with_hint(NO_SMTP),
                after: None,
            }
            .into(),
        }
    }
}

/// `2.0.0 Ok: queued as 4F1A2B3C`: the server's own name for the mail, where it tells it.
fn queued_as(text: &str) -> Option<&str> {
    let (_, name) = text.split_once("queued as ")?;
    name.split_whitespace().next()
}

const NO_SMTP: &str = "Check that email_host and email_port lead to a mail server's submission port, and email_tls to how it speaks there.";
const LOGIN: &str = "Check email_username and email_password; many providers want an app password, made for this purpose alone.";
const SENDER: &str = "Give an email_from that the account may send for.";
const RECIPIENT: &str = "Check email_to: the server knows no such mailbox.";
const RELAY: &str = "Give email_username and email_password, or ask who runs the mail server to take mails from this one.";

/// Permanent refusals, by where they came and their enhanced codes (RFC 3463).
fn meaning(stage: SmtpStage, reply: &SmtpReply) -> (Reason, Option<&'static str>) {
    let enhanced = |class: &str| reply.text.trim_start().starts_with(class);
    match (stage, reply.code) {
        // Wrong credentials, a mechanism that is too weak, none at all, or encryption that lacks (RFC 4954, 6).
        (SmtpStage::Auth, _) | (_, 530 | 534 | 535 | 538) => (Reason::Unauthorized, Some(LOGIN)),
        (_, 552) => (Reason::TooLarge, None),
        (_, 554) if enhanced("5.3.4") => (Reason::TooLarge, None),
        (SmtpStage::Recipient, _) if enhanced("5.7.") => (Reason::Forbidden, Some(RELAY)),
        (SmtpStage::Recipient, 554) => (Reason::Forbidden, Some(RELAY)),
        (SmtpStage::Recipient, 550 | 551 | 553) => (Reason::UnknownDestination, Some(RECIPIENT)),
        (SmtpStage::Sender, _) => (Reason::Forbidden, Some(SENDER)),
        (SmtpStage::Data | SmtpStage::Message, _) if enhanced("5.7.") => (Reason::Forbidden, None),
        (SmtpStage::Greeting | SmtpStage::Hello, _) => (Reason::Forbidden, None),
        _ => (Reason::Rejected, None),
    }
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
