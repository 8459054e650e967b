//! Mail by SMTP <https://www.rfc-editor.org/rfc/rfc5321>. Each recipient is a destination of its own, with a transaction of its
//! own: a refused one is no other's failure, and a retry sends to no one who has the mail.

mod html;
mod replies;
mod server;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use self::replies::{NO_SMTP, meaning, queued_as};
use super::shared::rich::{self, Cuts, Look};
use super::shared::{body, classify, lines, texts};
use super::spec::mailboxes::masked;
use super::{
    Attachments, Capabilities, Channel, ChannelSpec, ComposeContext, ConfigError, Fields,
    FollowUps, Kind, Length, Limits, Messages, Operator, Parameter, Protocol, Threads,
};
use crate::model::channel::Lookup;
use crate::model::notification::Notification;
use crate::model::outcome::{AttemptResult, Classification, Detail, Failure, Reason, Scope};
use crate::model::wire::{
    Destination, Mail, MailServer, Mailbox, Outbound, Reply, ResendEffect, SmtpReply, SmtpStage,
};
use crate::secret::{Redactor, Secret, digest};
use crate::text::{Limit, one_line, shorten, without_controls};

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
            TO,
            "oncall@example.com",
            "The recipients: a list, or one string with commas between them. Each gets a mail of its own.",
        )
        .of(Kind::Destinations)
        .required()
        .secret(),
        Parameter::new(
            CC,
            "team@example.com",
            "Further recipients, in the same forms. With them everybody sees all of email_to and email_cc.",
        )
        .of(Kind::Destinations)
        .secret(),
        Parameter::new(
            BCC,
            "archive@example.com",
            "Further recipients whom nobody sees.",
        )
        .of(Kind::Destinations)
        .secret(),
        Parameter::new(
            REPLY_TO,
            "db-team@example.com",
            "Where answers go, if not to email_from.",
        )
        .of(Kind::Texts),
        Parameter::new(
            "email_port",
            "587",
            "587 if absent; 465 with email_tls tls, 25 with none.",
        )
        .of(Kind::Port),
        Parameter::new(
            server::TLS,
            "starttls",
            "starttls (if absent), or tls from the first byte. The configuration file may say none, for a relay at a private address.",
        ),
        Parameter::new(
            server::HELLO,
            "db1.example.com",
            "This host's name for EHLO: a domain, or an address in brackets. Its address if absent.",
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
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Email::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Smtp,
    // A server that has taken a mail and lost its answer would send it again: many do not compare Message-IDs.
    resend: ResendEffect::Forbidden,
    follow_ups: FollowUps::threads(Threads::ByKey),
    attachments: Attachments::None,
    limits: Limits::text(Length::Any),
};

/// Ours: headers are shown in lists. What is in brackets before the title is no part of a conversation's name for mail
/// programs that go by the subject besides, as Gmail does: a `resolved` of the same title stays in it.
const SUBJECT: Limit = Limit::utf16(200);
/// Of all fields together, in UTF-16 code units. Ours as well; a mail has room for more, and its reader has not.
const FIELDS: usize = 50_000;

const TO: &str = "email_to";
const CC: &str = "email_cc";
const BCC: &str = "email_bcc";
const REPLY_TO: &str = "email_reply_to";

/// Recipients whom the headers of one mail show together. Ours: the headers grow by each, and so does each copy.
const TOGETHER: usize = 100;

struct Email {
    server: MailServer,
    from: Mailbox,
    recipient: Secret,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    /// Who else has the same mail, by which its copies have one name; none where it is this recipient's alone.
    shared: Option<String>,
    destination: Destination,
    /// Made when there is a reply to look at.
    redactor: OnceLock<Redactor>,
}

impl Email {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let server = server::read(fields)?;
        let from = fields.mailbox("email_from")?;
        let reply_to = fields.mailboxes(REPLY_TO)?;
        let (list, recipient) = fields.recipient()?;
        let recipient = recipient.clone();
        let account = format!("email {}:{}", server.host, server.port);
        let (mut to, mut cc, mut shared) = (vec![recipient.clone()], Vec::new(), None);
        if fields.has_several_lists() {
            check_together(fields)?;
            cc.extend(fields.listed(CC).cloned());
            if !cc.is_empty() || list == BCC {
                to = fields.listed(TO).cloned().collect();
                let shown = to.iter().chain(&cc).map(|mailbox| &mailbox.address);
                let names = [&account, &from.address].into_iter().chain(shown);
                shared = Some(names.cloned().collect::<Vec<_>>().join(" "));
            }
        }
        Ok(Self {
            destination: Destination {
                label: format!("email {}", masked(&recipient.address)),
                key: digest(&format!("{account} {} {}", from.address, recipient.address)),
                host: Some(server.host.clone()),
                host_header: None,
                account: Some(digest(&account)),
                at_once: None,
            },
            server,
            from,
            recipient: Secret::new(recipient.address),
            to,
            cc,
            reply_to,
            shared,
            redactor: OnceLock::new(),
        })
    }

    /// A name for a mail, or for the head of its thread.
    fn id(&self, name: &str) -> String {
        let domain = self.from.address.rsplit_once('@');
        format!("{name}@{}", domain.map_or("", |(_, domain)| domain))
    }

    /// The same on every attempt. Copies of one mail have one, so that answers to any of them are in one conversation.
    fn message_id(&self, cx: &ComposeContext<'_>, subject: &str, text: &str) -> String {
        match &self.shared {
            None => self.id(&cx.message_key(0)),
            Some(shared) => {
                let parts = [cx.key, shared.as_str(), subject, text];
                self.id(&digest(&parts.join("\0")))
            }
        }
    }

    /// One made-up mail is what all of a key answer, as Alertmanager does it.
    fn thread(&self, dedup_key: &str) -> String {
        let of = self.shared.as_ref().unwrap_or(&self.destination.key);
        self.id(&digest(&format!("{of} {dedup_key}")))
    }

    /// Takes addresses and credentials out of what the server says.
    fn redactor(&self) -> &Redactor {
        self.redactor.get_or_init(|| {
            let credentials = self.server.credentials.iter();
            let credentials = credentials.flat_map(|both| [&both.username, &both.password]);
            let mailboxes = self.to.iter().chain(&self.cc);
            let names = mailboxes
                .clone()
                .filter_map(|mailbox| mailbox.name.as_deref());
            let addresses = mailboxes.map(|mailbox| mailbox.address.as_str());
            let own = names.chain(addresses).chain([self.recipient.expose()]);
            Redactor::new(own.chain(credentials.map(Secret::expose)))
        })
    }

    fn detail(&self, reply: &SmtpReply) -> Option<Detail> {
        classify::words(
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

fn check_together(fields: &Fields<'_>) -> Result<(), ConfigError> {
    let found = fields.destinations();
    if found <= TOGETHER {
        return Ok(());
    }
    let what = format!(
        "email_cc and email_bcc are for at most {TOGETHER} recipients together, found {found}; use the address of a mailing list"
    );
    Err(fields.error(TO, what))
}

impl Channel for Email {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        let mut cuts = Cuts::default();
        let is_rich = notification.is_rich();
        let subject = |line: &str| match is_rich {
            true => format!("[{}] {line}", Look::of(notification).word),
            false => line.to_owned(),
        };
        let subject = match rich::title(notification) {
            Some(title) => cuts.title(&subject(&title), SUBJECT, "…"),
            None => shorten(&subject(&one_line(&text)), SUBJECT, "…", &mut false),
        };
        let mut body = text.clone().into_owned();
        if is_rich {
            body.push_str(&lines::below(notification, FIELDS, SUBJECT.unit, &mut cuts));
            let link = notification.link.as_deref().map(without_controls);
            let end = if body.len() == text.len() {
                "\n\n"
            } else {
                "\n"
            };
            body.extend(link.iter().flat_map(|link| [end, link]));
        }
        let mail = Mail {
            server: self.server.clone(),
            from: self.from.clone(),
            recipient: self.recipient.expose().to_owned(),
            to: self.to.clone(),
            cc: self.cc.clone(),
            reply_to: self.reply_to.clone(),
            message_id: self.message_id(cx, &subject, &body),
            subject,
            html: is_rich.then(|| html::page(notification, &text, &cuts)),
            text: body,
            thread: notification
                .dedup_key
                .as_deref()
                .map(|key| self.thread(key)),
            date: None,
            resend: CAPABILITIES.resend,
        };
        Ok(Messages {
            parts: vec![Outbound::Mail(Box::new(mail))],
            segments: None,
            warnings: cuts.warnings(),
        })
    }

    fn sign(&self, out: &mut Outbound, now: Timestamp) {
        if let Outbound::Mail(mail) = out {
            mail.date = Some(now);
        }
    }

    fn classify(&self, _: &Outbound, reply: &Reply) -> Classification {
        let Reply::Smtp(reply) = reply else {
            return classify::unexpected();
        };
        let failure = |reason| Failure::new(reason).with_detail(self.detail(reply));
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
                classify::delivered(queued_as(&reply.text), self.redactor()).into()
            }
            // The server is about to close, or has too much to do: so it is for all that it serves.
            (_, 421) => classify::paused(failure(Reason::TryLater), None, Scope::Account),
            // "Too many recipients" was once said so (RFC 5321, 4.5.3.1.10).
            (SmtpStage::Recipient, 552) | (_, 400..=499) => AttemptResult::Retry {
                failure: failure(Reason::TryLater),
                after: None,
            }
            .into(),
            (stage, 500..=599) => reject(meaning(stage, reply)),
            // It has the mail, and says nothing that tells whether it takes it.
            (SmtpStage::Message, _) => AttemptResult::Ambiguous(failure(Reason::LostReply)).into(),
            _ => AttemptResult::Retry {
                failure: failure(Reason::MalformedReply).with_hint(NO_SMTP),
                after: None,
            }
            .into(),
        }
    }

    fn preview(&self, out: &Outbound) -> String {
        body::preview(out, &[])
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        None
    }
}
