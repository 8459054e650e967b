//! SMS and WhatsApp by Twilio <https://www.twilio.com/docs/messaging/api/message-resource>.

mod lookup;
mod rich;
mod segments;

use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use self::segments::segments;
use super::rich::Cuts;
use super::webhook::basic_auth;
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Operator, Parameter, verdict,
};
use crate::model::channel::{Found, Unanswered};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Judgement, Reason, Verdict};
use crate::model::secret::{Redactor, Secret, digest, mask_number};
use crate::model::text::{Limits, Unit, split};
use crate::model::wire::{Destination, HttpReply, HttpRequest, Outbound, Repeat, Reply};

pub const SMS: ChannelSpec = ChannelSpec {
    key: "sms",
    parameters: PARAMETERS,
    limits: Some(LIMITS),
    repeat: REPEAT,
    parse: |fields, operator| Ok(Arc::new(Twilio::new(fields, operator, Kind::Sms)?)),
};

pub const WHATSAPP: ChannelSpec = ChannelSpec {
    key: "whatsapp",
    parameters: PARAMETERS,
    limits: Some(LIMITS),
    repeat: REPEAT,
    parse: |fields, operator| Ok(Arc::new(Twilio::new(fields, operator, Kind::WhatsApp)?)),
};

/// Each has a price, and wakes somebody: never twice by guess.
const REPEAT: Repeat = Repeat::Never;

/// "Body: up to 1,600 characters" (Message resource); the unit is not said.
const LIMITS: Limits = Limits {
    text: 1_600,
    unit: Unit::Utf16,
};

pub const SID_VARIABLE: &str = "TWILIO_SID";
pub const TOKEN_VARIABLE: &str = "TWILIO_TOKEN";

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "twilio_sid",
        required: true,
        secret: true,
        environment: Some(SID_VARIABLE),
        example: "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        description: "The account's SID (AC…), or an API key's (SK…).",
    },
    Parameter {
        name: "twilio_token",
        required: true,
        secret: true,
        environment: Some(TOKEN_VARIABLE),
        example: "your_auth_token",
        description: "The account's auth token, or the API key's secret.",
    },
    Parameter {
        name: "twilio_from_number",
        required: true,
        secret: true,
        environment: None,
        example: "+15005550001",
        description: "The number or sender to send from; one that begins with MG is a messaging service.",
    },
    Parameter {
        name: "twilio_to_number",
        required: true,
        secret: true,
        environment: None,
        example: "+15005550006",
        description: "The number to send to, in E.164 form.",
    },
    Parameter {
        name: "twilio_account_sid",
        required: false,
        secret: true,
        environment: None,
        example: "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        description: "The account's SID where twilio_sid is an API key's (SK…).",
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sms,
    WhatsApp,
}

#[derive(Debug)]
struct Twilio {
    /// `…/2010-04-01/Accounts/{AC…}/Messages.json`
    url: Url,
    headers: HeaderMap,
    from: Secret,
    to: Secret,
    redactor: Redactor,
    destination: Destination,
}

impl Twilio {
    fn new(fields: &mut Fields<'_>, operator: &Operator, kind: Kind) -> Result<Self, ConfigError> {
        let sid = fields.or_environment("twilio_sid", operator.twilio_sid.as_ref())?;
        let token = fields.or_environment("twilio_token", operator.twilio_token.as_ref())?;
        let account = account(fields, &sid)?;
        let from = number(fields, "twilio_from_number", kind)?;
        let to = number(fields, "twilio_to_number", kind)?;

        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        let pair = format!("{}:{}", sid.expose(), token.expose());
        let authorization = basic_auth(pair.as_bytes());
        let encoded = authorization
            .as_ref()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));

        let encoded = encoded.as_deref().unwrap_or_default();
        let secrets = [
            sid.expose(),
            token.expose(),
            account.expose(),
            from.expose(),
            to.expose(),
            encoded,
        ];
        let bare = [&from, &to].map(|number| bare_number(number.expose()).to_owned());
        let redactor = Redactor::new(
            secrets
                .iter()
                .map(|secret| (*secret).to_owned())
                .chain(
                    encoded
                        .split_once(' ')
                        .map(|(_, credential)| credential.to_owned()),
                )
                .chain(bare),
        );
        let sender = fields.sender();
        Ok(Self {
            url: messages_url(operator, &account),
            headers,
            redactor,
            destination: Destination {
                label: format!("{sender} {}", mask_number(to.expose())),
                key: digest(&format!("{sender} {} {}", account.expose(), to.expose())),
                host: None,
                account: Some(digest(&format!("twilio {}", account.expose()))),
            },
            from,
            to,
        })
    }

    fn form(&self, body: &str) -> Outbound {
        let from = match self.from.expose() {
            service if service.starts_with("MG") => "MessagingServiceSid",
            _ => "From",
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("To", self.to.expose())
            .append_pair(from, self.from.expose())
            .append_pair("Body", body)
            .finish();
        Outbound::Http(HttpRequest {
            method: Method::POST,
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: form.into(),
        })
    }

    /// `sms` may send to a WhatsApp address as well.
    fn is_whatsapp(&self) -> bool {
        self.to.expose().starts_with("whatsapp:")
    }

    fn judge_http(&self, reply: &HttpReply) -> Judgement {
        let json = reply.json().unwrap_or(Value::Null);
        let code = json.get("code").and_then(Value::as_u64);
        let detail = self.detail(reply, &json, code);
        let failure = |reason| Failure::new(reason).with_detail(detail.clone());
        match (reply.status, code) {
            (200..=299, _) => taken(&json, &self.redactor).into(),
            // Never processed, both of them (docs: errors 20429, 20503).
            (429, _) => verdict::by_status(reply, detail),
            (503, Some(20503)) => Verdict::Retry {
                failure: failure(Reason::ServerError),
                after: verdict::reply_retry_after(reply),
            }
            .into(),
            // Refused for the moment, whatever the status: a full queue, maintenance (docs: errors 21611, 21730).
            (400..=599, Some(21611 | 21730)) => Verdict::Retry {
                failure: failure(Reason::TryLater),
                after: verdict::reply_retry_after(reply),
            }
            .into(),
            // "Retrying may send the message again" (docs: error 20500).
            (500..=599, _) => Verdict::Ambiguous(failure(Reason::LostReply)).into(),
            // No reply of Twilio's.
            (600.., _) | (..=199, _) => Verdict::Ambiguous(failure(Reason::MalformedReply)).into(),
            (400..=499, Some(code)) => match meaning(code) {
                Some(reason) => Verdict::Reject(failure(reason)).into(),
                None => verdict::by_status(reply, detail),
            },
            _ => verdict::by_status(reply, detail),
        }
    }

    fn detail(&self, reply: &HttpReply, json: &Value, code: Option<u64>) -> Option<Detail> {
        let message = json.get("message").and_then(Value::as_str);
        match (code, message) {
            (Some(code), Some(message)) => {
                verdict::words(&format!("Twilio {code}"), message, &self.redactor)
            }
            (Some(code), None) => verdict::words("Twilio", &code.to_string(), &self.redactor),
            (None, Some(message)) => verdict::words("Twilio", message, &self.redactor),
            (None, None) => verdict::words("Twilio", &reply.text(), &self.redactor),
        }
    }
}

impl Channel for Twilio {
    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn repeat(&self) -> Repeat {
        REPEAT
    }

    fn compose(
        &self,
        notification: &Notification,
        _: &Composing<'_>,
    ) -> Result<Composition, Failure> {
        let text = notification
            .as_text()
            .ok_or(Failure::new(Reason::InvalidText))?;
        let (split, cuts) = if notification.is_rich() {
            rich::compose(notification, &text, self.is_whatsapp())
        } else {
            (split(&text, LIMITS), Cuts::default())
        };
        let mut warnings = cuts.warnings();
        warnings.extend(super::missing_warning(split.missing));
        Ok(Composition {
            segments: Some(split.parts.iter().map(|part| segments(part)).sum()),
            messages: split.parts.iter().map(|part| self.form(part)).collect(),
            warnings,
        })
    }

    /// Who may see a dry run may not know the numbers by it: a receiver's are the operator's.
    fn preview(&self, body: &[u8]) -> String {
        let masked = form_urlencoded::parse(body).map(|(name, value)| match name.as_ref() {
            "Body" => (name, value.into_owned()),
            _ => (name, masked_address(&value)),
        });
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(masked)
            .finish()
    }

    fn judge(&self, reply: &Reply) -> Judgement {
        let Reply::Http(reply) = reply;
        self.judge_http(reply)
    }

    fn lookup(&self, _: &Unanswered<'_>) -> Option<Outbound> {
        Some(self.question())
    }

    fn find(&self, sent: &Unanswered<'_>, reply: &Reply) -> Vec<Found> {
        let Reply::Http(reply) = reply;
        self.matches(sent, reply)
    }
}

/// `whatsapp:+15005550006` as `whatsapp:+1***06`.
fn masked_address(address: &str) -> String {
    let masked = mask_number(address);
    match address.rsplit_once(':') {
        Some((prefix @ ("whatsapp" | "messenger" | "rcs"), _)) => format!("{prefix}:{masked}"),
        _ => masked,
    }
}

/// The account in the URL's path: the SID itself, or what stands beside an API key.
fn account(fields: &Fields<'_>, sid: &Secret) -> Result<Secret, ConfigError> {
    let given = fields.optional("twilio_account_sid")?;
    let account = match given {
        Some(account) => Secret::new(account.trim()),
        None if sid.expose().starts_with("SK") => {
            return Err(fields.error(
                "twilio_account_sid",
                "twilio_account_sid (AC…) is required when twilio_sid is an API key (SK…)",
            ));
        }
        None => sid.clone(),
    };
    // It becomes a part of the URL's path.
    if account
        .expose()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric())
    {
        return Ok(account);
    }
    let field = if given_is_blank(fields) {
        "twilio_sid"
    } else {
        "twilio_account_sid"
    };
    Err(fields.error(
        field,
        format!("{field} must be letters and digits only, such as AC and 32 hexadecimal digits"),
    ))
}

fn given_is_blank(fields: &Fields<'_>) -> bool {
    !matches!(fields.optional("twilio_account_sid"), Ok(Some(_)))
}

fn messages_url(operator: &Operator, account: &Secret) -> Url {
    let mut url = operator.twilio_base_url.clone().unwrap_or_else(twilio_url);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend(["2010-04-01", "Accounts", account.expose(), "Messages.json"]);
    }
    url
}

#[allow(clippy::expect_used)] // A constant.
fn twilio_url() -> Url {
    Url::parse("https://api.twilio.com/").expect("a valid URL")
}

/// `sms` and `whatsapp` alike: the number as given, but for the prefix that WhatsApp wants.
fn number(fields: &mut Fields<'_>, name: &str, kind: Kind) -> Result<Secret, ConfigError> {
    let given = fields.required(name)?;
    if given.chars().any(char::is_control) {
        return Err(fields.error(
            name,
            format!("{name} holds a control character; remove it (a line break, perhaps?)"),
        ));
    }
    let given = given.trim();
    if given.chars().count() > 64 {
        return Err(fields.error(name, format!("{name} is longer than 64 characters")));
    }
    if !is_address(given) {
        fields.warn(
            name,
            "is neither an E.164 number such as +15005550006 nor a short code, a prefixed address, a messaging service or an alphanumeric sender; Twilio will judge",
        );
    }
    let prefixed =
        kind == Kind::WhatsApp && !given.starts_with("whatsapp:") && !given.starts_with("MG");
    Ok(Secret::new(if prefixed {
        format!("whatsapp:{given}")
    } else {
        given.to_owned()
    }))
}

fn bare_number(address: &str) -> &str {
    let number = address.rsplit(':').next().unwrap_or(address);
    number.strip_prefix('+').unwrap_or(number)
}

/// The forms that Twilio documents for `To` and `From`.
fn is_address(given: &str) -> bool {
    if let Some((prefix, rest)) = given.split_once(':') {
        return matches!(prefix, "whatsapp" | "messenger" | "rcs") && !rest.is_empty();
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match given.strip_prefix('+') {
        // E.164: a country code does not begin with 0, 15 digits at most.
        Some(number) => {
            digits(number) && (7..=15).contains(&number.len()) && !number.starts_with('0')
        }
        None if digits(given) => (3..=8).contains(&given.len()),
        // An alphanumeric sender: up to 11 characters, at least one a letter; or a service's SID.
        None => {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b" -_+&".contains(&byte);
            (given.starts_with("MG") && given.len() == 34 && given.is_ascii())
                || (given.len() <= 11
                    && given.bytes().all(known)
                    && given.bytes().any(|b| b.is_ascii_alphabetic()))
        }
    }
}

/// What a 2xx means: Twilio has it, unless it says that it failed at once.
fn taken(json: &Value, redactor: &Redactor) -> Verdict {
    let text = |key| json.get(key).and_then(Value::as_str);
    if let Some(status @ ("failed" | "undelivered" | "canceled")) = text("status") {
        let code = json.get("error_code").and_then(Value::as_u64);
        let words = text("error_message").unwrap_or(status);
        let provider = match code {
            Some(code) => format!("Twilio {code}"),
            None => "Twilio".to_owned(),
        };
        let reason = code.and_then(meaning).unwrap_or(Reason::Rejected);
        return Verdict::Reject(
            Failure::new(reason).with_detail(verdict::words(&provider, words, redactor)),
        );
    }
    verdict::delivered(text("sid"), redactor)
}

/// Codes that refine the reason (docs: error and warning dictionary).
fn meaning(code: u64) -> Option<Reason> {
    Some(match code {
        20003 => Reason::Unauthorized,
        21211 | 21614 => Reason::InvalidNumber,
        21212 | 21603 | 21606 | 21659 | 21660 | 21703 | 63007 => Reason::InvalidSenderNumber,
        21408 | 21612 => Reason::UnreachableNumber,
        21608 => Reason::TrialAccount,
        21610 => Reason::OptedOut,
        21617 => Reason::TooLarge,
        21602 => Reason::Rejected,
        30007 | 30034 => Reason::Forbidden,
        63016 => Reason::OutsideWindow,
        _ => return None,
    })
}
