//! Names of mail servers, and mail addresses.

use lettre::message::Mailbox;
use url::Host;

use crate::channels::{ConfigError, Fields};
use crate::model::secret::MASK;

/// In ASCII and lower case, an IPv6 address without brackets.
pub fn server_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 253 && !text.contains(['/', '@']);
    let text = text.strip_suffix('.').unwrap_or(text);
    let host = match text.parse::<std::net::Ipv6Addr>() {
        Ok(address) => return Some(address.to_string()),
        Err(_) => Host::parse(text).ok().filter(|_| fits)?,
    };
    Some(match host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

/// A mail address, with a name before it or without, whose domain is written in ASCII. What is before the `@` must be that
/// anyway: few servers take anything else.
pub fn field(fields: &Fields<'_>, name: &str) -> Result<Mailbox, ConfigError> {
    let is = |text: &str| address(text).is_some();
    let text = fields.formed(name, "one mail address", is)?;
    // It has the form already.
    address(&text).ok_or_else(|| fields.error(name, format!("{name} must be one mail address")))
}

fn address(text: &str) -> Option<Mailbox> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let mailbox: Mailbox = text.parse().ok()?;
    let domain = server_name(mailbox.email.domain())?;
    let user = mailbox.email.user();
    let email = lettre::Address::new(user, domain)
        .ok()
        .filter(|_| user.is_ascii())?;
    let mailbox = Mailbox::new(mailbox.name, email);
    // It is read once more when the mail is put together.
    let again = mailbox.to_string().parse().ok()?;
    (mailbox == again).then_some(again)
}

/// `o***@example.com`
pub fn masked(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}{MASK}@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_else() {
        for (given, host_of_it) in [
            ("smtp.example.com", Some("smtp.example.com")),
            ("SMTP.Example.com.", Some("smtp.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("0x7f.1", Some("127.0.0.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("smtp.example.com:587", None),
            ("smtp://smtp.example.com", None),
            ("user@smtp.example.com", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(server_name(given).as_deref(), host_of_it, "{given}");
        }
    }

    #[test]
    fn addresses_are_single_and_their_domains_in_ascii() {
        for (given, kept) in [
            ("oncall@example.com", Some("oncall@example.com")),
            (
                "DB team <oncall@example.com>",
                Some("\"DB team\" <oncall@example.com>"),
            ),
            ("<oncall@example.com>", Some("oncall@example.com")),
            (
                "\"DB, \\\"ops\\\"\" <oncall@example.com>",
                Some("DB, \\ops\\ <oncall@example.com>"),
            ),
            (
                "Größe <oncall@example.com>",
                Some("Größe <oncall@example.com>"),
            ),
            ("a@bücher.example", Some("a@xn--bcher-kva.example")),
            ("größe@example.com", None),
            ("a@b@example.com", None),
            ("a@example.com, b@example.com", None),
            ("a@example.com\r\nBcc: b@example.com", None),
            ("example.com", None),
            ("a@", None),
            ("", None),
        ] {
            let found = address(given).map(|mailbox| mailbox.to_string());
            let expected = kept.map(str::to_owned);
            assert_eq!(
                found.map(|text| text.replace('"', "")),
                expected.map(|text| text.replace('"', "")),
                "{given}"
            );
        }
        assert_eq!(masked("oncall@example.com"), "o***@example.com");
    }
}
