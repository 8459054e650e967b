//! Searches for a message whose reply was lost in the account's messages to that number
//! <https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources>.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method;
use http::header::CONTENT_TYPE;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Twilio;
use super::replies::taken;
use crate::model::channel::{Lookup, LostReply, ProviderMessage};
use crate::model::outcome::MessageRef;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, Reply, ResendEffect};

/// The newest messages come first, and the transport reads at most 64 KiB of a reply.
const PAGE_SIZE: &str = "50";
/// The maximum delay of Twilio's clock behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// The words that Twilio puts before the texts of trial accounts.
const TRIAL_PREFIX: &str = "Sent from your Twilio trial account - ";

impl Lookup for Twilio {
    /// Requests the newest messages to this number. A sender's number restricts the list; a messaging service selects
    /// its own.
    ///
    /// The request has no date, because `DateSent` excludes queued messages.
    fn question(&self) -> Outbound {
        let mut request = self.endpoint.request(Vec::new(), &[]);
        let from = self.from.fields().find(|(name, _)| *name == "From");
        let mut url = request.url.clone();
        url.query_pairs_mut()
            .append_pair("To", self.to.expose())
            .extend_pairs(from)
            .append_pair("PageSize", PAGE_SIZE);
        request.headers.remove(CONTENT_TYPE);
        Outbound::Http(HttpRequest {
            method: Method::GET,
            url,
            resend: ResendEffect::Deduplicated,
            ..request
        })
    }

    /// Returns the messages with the same text that Twilio created no earlier than the attempt.
    fn matches(&self, sent: &LostReply<'_>, reply: &Reply) -> Vec<ProviderMessage> {
        let (
            Outbound::Http(request),
            Reply::Http(HttpReply {
                status: 200,
                body: list,
                ..
            }),
        ) = (sent.message, reply)
        else {
            return Vec::new();
        };
        let body = form_urlencoded::parse(&request.body).find(|(name, _)| name == "Body");
        let Some((_, body)) = body else {
            return Vec::new();
        };
        let earliest = sent.at.checked_sub(CLOCK_SKEW).unwrap_or(sent.at);
        let messages = messages(list).into_iter();
        messages
            .filter(|message| is_same(message, &body) && is_outbound(message))
            .filter(|message| created(message).is_some_and(|created| created >= earliest))
            .filter_map(|message| {
                Some(ProviderMessage {
                    message: MessageRef(message.get("sid")?.as_str()?.to_owned()),
                    result: taken(&message, false, self.endpoint.redactor()),
                })
            })
            .collect()
    }
}

fn is_same(message: &Value, body: &str) -> bool {
    let theirs = message.get("body").and_then(Value::as_str);
    theirs.is_some_and(|theirs| {
        let theirs = theirs.strip_prefix(TRIAL_PREFIX).unwrap_or(theirs);
        theirs.trim() == body.trim()
    })
}

/// Whether this account sent the message. The list also contains messages from the number.
fn is_outbound(message: &Value) -> bool {
    let direction = message.get("direction").and_then(Value::as_str);
    direction.is_none_or(|direction| direction.starts_with("outbound"))
}

/// Parses `Mon, 16 Aug 2010 03:45:01 +0000`, in whole seconds.
fn created(message: &Value) -> Option<SystemTime> {
    let date = message.get("date_created")?.as_str()?;
    let created = DateTimeParser::new().parse_timestamp(date).ok()?;
    let seconds = u64::try_from(created.as_second()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Returns the complete elements of `messages`. A long list ends where the transport stopped reading.
fn messages(json: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(json);
    // An error ends the list and leaves the earlier messages.
    let _ = reader.deserialize_map(Page(&mut found));
    found
}

struct Page<'a>(&'a mut Vec<Value>);

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of messages")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "messages" => map.next_value_seed(&mut self)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(message) = list.next_element()? {
            self.0.push(message);
        }
        Ok(())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for &mut Page<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Page(self.0))
    }
}
