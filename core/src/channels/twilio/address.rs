//! The sender and the recipient of a message: numbers, or the addresses that may replace them.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::parameters::{FROM_NUMBER, MESSAGING_SERVICE_SID, is_service};
use crate::channels::{Fields, Parameter};
use crate::model::problem::Problem;
use crate::secret::{Secret, mask_number};

/// The service that reaches a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Sms,
    WhatsApp,
}

/// The sender of a message: a number, a service that selects one, or one of the service's numbers.
pub struct MessageSender {
    number: Option<Secret>,
    service: Option<Secret>,
}

impl MessageSender {
    pub fn read(fields: &mut Fields<'_>, medium: Medium) -> Result<Self, Problem> {
        let given = fields.formed_or_none(&MESSAGING_SERVICE_SID)?;
        let given = given.map(Secret::new);
        if given.is_some() && fields.optional(&FROM_NUMBER)?.is_none() {
            return Ok(Self {
                number: None,
                service: given,
            });
        }
        let from = number(fields, &FROM_NUMBER, medium)?;
        // A service's SID may replace the number.
        Ok(match given {
            None if is_service(from.expose()) => Self {
                number: None,
                service: Some(from),
            },
            service => Self {
                number: Some(from),
                service,
            },
        })
    }

    /// Returns the sender as fields of Twilio's form.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let number = self.number.iter().map(|number| ("From", number.expose()));
        let service = self.service.iter();
        number.chain(service.map(|service| ("MessagingServiceSid", service.expose())))
    }
}

/// Returns a number for `sms` or `whatsapp`: as given, plus WhatsApp's prefix.
pub fn number(
    fields: &mut Fields<'_>,
    field: &Parameter,
    medium: Medium,
) -> Result<Secret, Problem> {
    let name = field.name;
    let given = fields.required(field)?;
    if given.chars().any(char::is_control) {
        return Err(fields.error(
            field,
            format!("{name} holds a control character; remove it (a line break, perhaps?)"),
        ));
    }
    let mut given = Cow::Borrowed(given.trim());
    // TOML reads an unquoted `+15005550006` as a number and drops the sign. Short codes have no sign.
    if fields.is_number(field) && given.len() > *SHORT_CODE.end() && E164.contains(&given.len()) {
        given = Cow::Owned(format!("+{given}"));
    }
    if given.chars().count() > 64 {
        return Err(fields.error(field, format!("{name} is longer than 64 characters")));
    }
    if !is_address(&given) {
        fields.warn(
            field,
            "is neither an E.164 number such as +15005550006 nor a short code, a prefixed address, a messaging service or an alphanumeric sender; Twilio will judge",
        );
    }
    let prefixed =
        medium == Medium::WhatsApp && !given.starts_with("whatsapp:") && !is_service(&given);
    Ok(Secret::new(if prefixed {
        format!("whatsapp:{given}")
    } else {
        given.into_owned()
    }))
}

/// The lengths of short codes, and of E.164 numbers without their sign.
const SHORT_CODE: RangeInclusive<usize> = 3..=8;
const E164: RangeInclusive<usize> = 7..=15;

/// Whether Twilio documents this format for `To` and `From`.
fn is_address(given: &str) -> bool {
    if let Some((prefix, rest)) = given.split_once(':') {
        return matches!(prefix, "whatsapp" | "messenger" | "rcs") && !rest.is_empty();
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match given.strip_prefix('+') {
        // E.164: a country code does not begin with 0, and a number has at most 15 digits.
        Some(number) => digits(number) && E164.contains(&number.len()) && !number.starts_with('0'),
        None if digits(given) => SHORT_CODE.contains(&given.len()),
        // An alphanumeric sender has up to 11 characters with at least one letter. A service's SID is also valid.
        None => {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b" -_+&".contains(&byte);
            is_service(given)
                || (given.len() <= 11
                    && given.bytes().all(known)
                    && given.bytes().any(|b| b.is_ascii_alphabetic()))
        }
    }
}

/// Returns the number without its prefix and sign.
pub fn bare_number(address: &str) -> &str {
    let number = address.rsplit(':').next().unwrap_or(address);
    number.strip_prefix('+').unwrap_or(number)
}

/// Masks `whatsapp:+15005550006` as `whatsapp:+1***06`.
pub fn masked_address(address: &str) -> String {
    let masked = mask_number(address);
    match address.rsplit_once(':') {
        Some((prefix @ ("whatsapp" | "messenger" | "rcs"), _)) => format!("{prefix}:{masked}"),
        _ => masked,
    }
}
