//! Whom a message is from and to: numbers, and what may stand in their place.

use super::Medium;
use crate::channels::{ConfigError, Fields};
use crate::model::secret::{Secret, mask_number};

/// Who a message comes from: a number, a service that picks one, or a number of the service's.
pub struct Sender {
    number: Option<Secret>,
    service: Option<Secret>,
}

impl Sender {
    pub fn read(fields: &mut Fields<'_>, medium: Medium) -> Result<Self, ConfigError> {
        let given = fields.optional("messaging_service_sid")?;
        let given = given.map(|sid| Secret::new(sid.trim()));
        if given.is_some() && fields.optional("twilio_from_number")?.is_none() {
            return Ok(Self {
                number: None,
                service: given,
            });
        }
        let from = number(fields, "twilio_from_number", medium)?;
        // A service's SID may stand in the number's place.
        Ok(match given {
            None if from.expose().starts_with("MG") => Self {
                number: None,
                service: Some(from),
            },
            service => Self {
                number: Some(from),
                service,
            },
        })
    }

    /// As fields of Twilio's form.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        let number = self.number.iter().map(|number| ("From", number.expose()));
        let service = self.service.iter();
        number.chain(service.map(|service| ("MessagingServiceSid", service.expose())))
    }
}

/// `sms` and `whatsapp` alike: the number as given, but for the prefix that WhatsApp wants.
pub fn number(fields: &mut Fields<'_>, name: &str, medium: Medium) -> Result<Secret, ConfigError> {
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
        medium == Medium::WhatsApp && !given.starts_with("whatsapp:") && !given.starts_with("MG");
    Ok(Secret::new(if prefixed {
        format!("whatsapp:{given}")
    } else {
        given.to_owned()
    }))
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

/// Without what stands before the digits.
pub fn bare_number(address: &str) -> &str {
    let number = address.rsplit(':').next().unwrap_or(address);
    number.strip_prefix('+').unwrap_or(number)
}

/// `whatsapp:+15005550006` as `whatsapp:+1***06`.
pub fn masked_address(address: &str) -> String {
    let masked = mask_number(address);
    match address.rsplit_once(':') {
        Some((prefix @ ("whatsapp" | "messenger" | "rcs"), _)) => format!("{prefix}:{masked}"),
        _ => masked,
    }
}
