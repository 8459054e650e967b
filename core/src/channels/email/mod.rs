//! Mail by SMTP <https://www.rfc-editor.org/rfc/rfc5321>. Each recipient is its own destination with its own
//! transaction. A refused recipient does not fail the others, and a retry sends to no recipient twice.

mod html;
mod parameters;
mod replies;
mod server;
mod style;
mod table;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use self::parameters::{BCC, CC, FROM, PARAMETERS, REPLY_TO, TO};
use super::shared::rich::{self, LevelStyle, Truncations};
use super::shared::{body, classify, lines, texts};
use super::spec::mailboxes::masked;
use super::{
    Attachments, Capabilities, Channel, ChannelSpec, ComposeContext, Fields, FollowUps, Length,
    Limits, Messages, OperatorSettings, Protocol, Threading,
};
use crate::model::channel::Lookup;
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{Destination, Mail, MailServer, Mailbox, Outbound, Reply, ResendEffect};
use crate::secret::{Redactor, Secret, digest};
use crate::text::{Limit, one_line, shorten, without_controls};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "email",
    about: "a mailbox, by SMTP",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Email::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Smtp,
    // If a server accepted a mail and its reply is lost, a retry sends the mail twice: many servers do not compare
    // Message-IDs.
    resend: ResendEffect::Forbidden,
    follow_ups: FollowUps::threads(Threading::ByKey),
    attachments: Attachments::None,
    limits: Limits::text(Length::Any),
};

/// A limit of this crate, because readers see headers in lists. Some mail programs, such as Gmail, also group mails by
/// subject. They ignore brackets before the title, so a `resolved` with the same title joins the conversation.
const SUBJECT_LIMIT: Limit = Limit::utf16(200);
/// The limit of all fields together, in UTF-16 code units. A limit of this crate for the reader; a mail could contain
/// more.
const MAX_FIELDS_CODE_UNITS: usize = 50_000;

/// The maximum number of recipients in the headers of one mail. A limit of this crate: each recipient enlarges the
/// headers of every copy.
const MAX_RECIPIENTS_PER_MAIL: usize = 100;

struct Email {
    server: MailServer,
    from: Mailbox,
    recipient: Secret,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    /// The identity of the mail's recipients, which gives its copies one Message-ID. `None` if only this recipient
    /// gets the mail.
    shared: Option<String>,
    destination: Destination,
    /// Built when the first reply arrives.
    redactor: OnceLock<Redactor>,
}

impl Email {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let server = server::read(fields)?;
        let from = fields.mailbox(&FROM)?;
        let reply_to = fields.mailboxes(&REPLY_TO)?;
        let (list, recipient) = fields.recipient()?;
        let recipient = recipient.clone();
        let account = format!("email {}:{}", server.host, server.port);
        let (mut to, mut cc, mut shared) = (vec![recipient.clone()], Vec::new(), None);
        if fields.has_several_lists() {
            check_together(fields)?;
            cc.extend(fields.listed(&CC).cloned());
            if !cc.is_empty() || list == BCC.name {
                to = fields.listed(&TO).cloned().collect();
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

    /// Returns an id for a mail or for the head of its thread.
    fn id(&self, name: &str) -> String {
        let domain = self.from.address.rsplit_once('@');
        format!("{name}@{}", domain.map_or("", |(_, domain)| domain))
    }

    /// Returns the same id on every attempt. Copies of one mail have the same id, so that replies to any copy join one
    /// conversation.
    fn message_id(&self, cx: &ComposeContext, subject: &str, text: &str) -> String {
        match &self.shared {
            None => self.id(&cx.message_key(0)),
            Some(shared) => {
                let parts = [cx.key.as_ref(), shared.as_str(), subject, text];
                self.id(&digest(&parts.join("\0")))
            }
        }
    }

    /// Returns the id of the mail to which all mails of a key reply. No such mail exists; Alertmanager does the same.
    fn thread(&self, dedup_key: &str) -> String {
        let of = self.shared.as_ref().unwrap_or(&self.destination.key);
        self.id(&digest(&format!("{of} {dedup_key}")))
    }

    /// Returns the redactor that removes addresses and credentials from the server's replies.
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
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.destination.label)
    }
}

fn check_together(fields: &Fields<'_>) -> Result<(), Problem> {
    let found = fields.destinations();
    if found <= MAX_RECIPIENTS_PER_MAIL {
        return Ok(());
    }
    let message = format!(
        "email_cc and email_bcc are for at most {MAX_RECIPIENTS_PER_MAIL} recipients together, found {found}; use the address of a mailing list"
    );
    Err(fields.error(&TO, message))
}

impl Channel for Email {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let mut cuts = Truncations::default();
        let is_rich = n.is_rich();
        let subject = |line: &str| match is_rich {
            true => format!("[{}] {line}", LevelStyle::of(n).word),
            false => line.to_owned(),
        };
        let subject = match rich::title(n) {
            Some(title) => cuts.title(&subject(&title), SUBJECT_LIMIT, "…"),
            None => shorten(&subject(&one_line(&text)), SUBJECT_LIMIT, "…", &mut false),
        };
        let mut body = text.clone().into_owned();
        if is_rich {
            body.push_str(&lines::below(
                n,
                MAX_FIELDS_CODE_UNITS,
                SUBJECT_LIMIT.unit,
                &mut cuts,
            ));
            let link = n.link.as_deref().map(without_controls);
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
            html: is_rich.then(|| html::page(n, &text, &cuts)),
            text: body,
            thread: n.dedup_key.as_deref().map(|key| self.thread(key)),
            date: None,
            resend: CAPABILITIES.resend,
        };
        Ok(Messages::new(
            vec![Outbound::Mail(Box::new(mail))],
            cuts.warnings(),
        ))
    }

    fn sign(&self, out: &mut Outbound, now: Timestamp) {
        if let Outbound::Mail(mail) = out {
            mail.date = Some(now);
        }
    }

    fn classify(&self, _: &Outbound, reply: &Reply) -> Classification {
        match reply {
            Reply::Smtp(reply) => replies::classify(reply, self.redactor()),
            Reply::Http(_) => classify::unexpected(),
        }
    }

    fn preview(&self, out: &Outbound) -> String {
        body::preview(out, &[])
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        None
    }
}
