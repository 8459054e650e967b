//! SMS and WhatsApp through Twilio <https://www.twilio.com/docs/messaging/api/message-resource>.

mod account;
mod address;
mod content;
mod lookup;
mod parameters;
mod replies;
mod rich;
mod segments;

use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION};
use jiff::Timestamp;

use self::account::{account, messages_url};
use self::address::{Medium, MessageSender, bare_number, masked_address, number};
use self::content::Content;
use self::parameters::{PARAMETERS, SID, SMART_ENCODING, TO_NUMBER, TOKEN};
use self::segments::segments;
use super::shared::endpoint::{Endpoint, basic_auth};
use super::shared::rich::Truncations;
use super::shared::{body, classify, texts};
use super::{
    Attachments, Capabilities, Channel, ChannelSpec, ComposeContext, Fields, FollowUps, Length,
    Limits, Messages, OperatorSettings, Protocol,
};
use crate::model::channel::Lookup;
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{Destination, Outbound, Reply, ResendEffect};
use crate::secret::{Secret, digest, mask_number};
use crate::text::{Fences, Limit, Markup, split};

pub const SMS: ChannelSpec = ChannelSpec {
    key: "sms",
    about: "a phone, by Twilio SMS",
    parameters: PARAMETERS,
    capabilities: &SMS_CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Twilio::new(fields, operator, Medium::Sms)?)),
};

pub const WHATSAPP: ChannelSpec = ChannelSpec {
    key: "whatsapp",
    about: "a phone, by Twilio WhatsApp",
    parameters: PARAMETERS,
    capabilities: &WHATSAPP_CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Twilio::new(fields, operator, Medium::WhatsApp)?)),
};

const SMS_CAPABILITIES: Capabilities = capabilities(Markup::NONE);
const WHATSAPP_CAPABILITIES: Capabilities = capabilities(WHATSAPP_MARKUP);

const fn capabilities(markup: Markup) -> Capabilities {
    Capabilities {
        protocol: Protocol::Http,
        // Each message costs money and may wake the recipient.
        resend: ResendEffect::Forbidden,
        follow_ups: FollowUps::MESSAGES,
        attachments: Attachments::None,
        limits: Limits::text(Length::Split(TEXT_LIMIT, markup)),
    }
}

/// "Body: up to 1,600 characters" (Message resource), without a unit.
const TEXT_LIMIT: Limit = Limit::utf16(1_600);
/// WhatsApp's markup <https://faq.whatsapp.com/539178204879377>. An SMS has none.
const WHATSAPP_MARKUP: Markup = Markup {
    fences: Fences::Plain,
    ..Markup::NONE
};

struct Twilio {
    /// The endpoint `…/2010-04-01/Accounts/{AC…}/Messages.json`.
    endpoint: Endpoint,
    from: MessageSender,
    to: Secret,
    /// Whether Twilio may change the text. A lookup by text then fails.
    smart_encoding: bool,
    /// The content template that replaces the text.
    content: Option<Content>,
}

impl Twilio {
    fn new(
        fields: &mut Fields<'_>,
        operator: &OperatorSettings,
        medium: Medium,
    ) -> Result<Self, Problem> {
        let sid = fields.or_environment(&SID, operator.twilio_sid.as_ref())?;
        let token = fields.or_environment(&TOKEN, operator.twilio_token.as_ref())?;
        let account = account(fields, &sid)?;
        let from = MessageSender::read(fields, medium)?;
        let to = number(fields, &TO_NUMBER, medium)?;
        // `sms` may also send to a WhatsApp address.
        let capabilities = match is_whatsapp(&to) {
            true => &WHATSAPP_CAPABILITIES,
            false => &SMS_CAPABILITIES,
        };
        let sender = fields.sender();
        let url = messages_url(operator, &account);
        let mut endpoint = Endpoint::new(sender, url, capabilities).with_public_url();
        let pair = format!("{}:{}", sid.expose(), token.expose());
        if let Some(credentials) = basic_auth(pair.as_bytes()) {
            endpoint.default_header(AUTHORIZATION, credentials);
        }
        endpoint.default_header(ACCEPT, HeaderValue::from_static("application/json"));
        endpoint.destination = Destination {
            label: format!("{sender} {}", mask_number(to.expose())),
            key: digest(&format!("{sender} {} {}", account.expose(), to.expose())),
            host: None,
            host_header: None,
            account: Some(digest(&format!("twilio {}", account.expose()))),
            at_once: None,
        };
        let senders = from.fields().map(|(_, sender)| sender);
        let addresses = senders.chain([to.expose()]);
        let bare = addresses.clone().map(bare_number);
        let own = addresses.chain(bare).chain([account.expose()]);
        endpoint.hide(own.map(Secret::new));
        Ok(Self {
            smart_encoding: fields.flag(&SMART_ENCODING)?.unwrap_or(false),
            content: Content::read(fields)?,
            endpoint,
            from,
            to,
        })
    }

    /// Returns a message with these fields of Twilio's form.
    fn form<'a>(&'a self, says: impl IntoIterator<Item = (&'a str, &'a str)>) -> Outbound {
        let smart = self.smart_encoding.then_some(("SmartEncoded", "true"));
        let to = [("To", self.to.expose())].into_iter();
        let fields = to.chain(self.from.fields()).chain(says).chain(smart);
        Outbound::Http(self.endpoint.form(fields))
    }

    fn is_whatsapp(&self) -> bool {
        is_whatsapp(&self.to)
    }
}

fn is_whatsapp(to: &Secret) -> bool {
    to.expose().starts_with("whatsapp:")
}

impl std::fmt::Debug for Twilio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.endpoint.destination.label)
    }
}

impl Channel for Twilio {
    fn capabilities(&self) -> &'static Capabilities {
        self.endpoint.capabilities
    }

    fn destination(&self) -> &Destination {
        &self.endpoint.destination
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        if let Some(content) = &self.content {
            let (variables, warnings) = content.variables(cx, self.is_whatsapp());
            let variables = variables
                .iter()
                .map(|json| ("ContentVariables", json.as_str()));
            let says = [("ContentSid", content.sid.as_str())].into_iter();
            return Ok(Messages::new(
                vec![self.form(says.chain(variables))],
                warnings,
            ));
        }
        let text = texts::of(n)?;
        let (split, cuts) = if n.is_rich() {
            rich::compose(n, &text, self.is_whatsapp(), self.capabilities().markup())
        } else {
            (
                split(&text, TEXT_LIMIT, self.capabilities().markup()),
                Truncations::default(),
            )
        };
        let mut warnings = cuts.warnings();
        warnings.extend(texts::missing_warning(split.missing));
        Ok(Messages {
            segments: Some(split.parts.iter().map(|part| segments(part)).sum()),
            parts: split
                .parts
                .iter()
                .map(|part| self.form([("Body", part.as_str())]))
                .collect(),
            warnings,
        })
    }

    /// Masks the numbers: a receiver's numbers belong to the operator, and a dry run's reader may not know them.
    fn preview(&self, out: &Outbound) -> String {
        body::masked_form(&out.body(), |name, value| {
            let is_address = matches!(name, "To" | "From" | "MessagingServiceSid");
            is_address.then(|| masked_address(value))
        })
    }

    fn sign(&self, _: &mut Outbound, _: Timestamp) {}

    fn classify(&self, sent: &Outbound, reply: &Reply) -> Classification {
        classify::http(sent, reply, |_, reply| {
            replies::classify(reply, self.content.is_some(), self.endpoint.redactor())
        })
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        // A lookup compares the text, so Twilio must store the same text.
        let has_text = self.content.is_none() && !self.smart_encoding;
        has_text.then_some(self as &dyn Lookup)
    }
}
