//! Mail addresses in the forms that people write, and the names of mail servers.

#[cfg(test)]
mod tests;

use lettre::Address;
use url::Host;

use crate::model::wire::Mailbox;
use crate::secret::MASK;
use crate::text::is_invisible;

/// The maximum length of a name in bytes. A longer name does not fit into a mail's line (RFC 5322, 2.1.1).
const MAX_NAME_BYTES: usize = 300;

/// Splits a string into its mailboxes at commas (RFC 5322, 3.4). A comma inside quotes or parentheses does not
/// separate. Nor does a comma in an unquoted name, because no `@` precedes it.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let mailboxes = std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_mailbox(text);
        let (mailbox, after) = end.and_then(|end| text.split_at_checked(end)).unzip();
        rest = after.and_then(|after| after.strip_prefix(','));
        Some(mailbox.unwrap_or(text).trim())
    });
    // A list may have empty entries (RFC 5322, 4.4).
    mailboxes.filter(|mailbox| !mailbox.is_empty())
}

/// Returns the index of the comma after the first mailbox, or `None` if it is the last one.
fn end_of_mailbox(text: &str) -> Option<usize> {
    let (mut scan, mut has_address, mut is_empty) = (Scan::default(), false, true);
    for (place, character) in text.char_indices() {
        match (scan.is_plain(character), character) {
            (true, '@') => has_address = true,
            (true, ',') if has_address || is_empty => return Some(place),
            _ => {}
        }
        is_empty &= character.is_whitespace();
    }
    None
}

/// Tracks quotes and parentheses.
#[derive(Default)]
struct Scan {
    is_quoted: bool,
    is_escaped: bool,
    depth: usize,
}

impl Scan {
    /// Whether the next character is outside of quotes and parentheses and is not one itself.
    fn is_plain(&mut self, character: char) -> bool {
        if std::mem::take(&mut self.is_escaped) {
            return false;
        }
        match character {
            '\\' if self.is_quoted => self.is_escaped = true,
            '"' => self.is_quoted = !self.is_quoted,
            _ if self.is_quoted => {}
            '(' => self.depth += 1,
            ')' => self.depth = self.depth.saturating_sub(1),
            _ => return self.depth == 0,
        }
        false
    }
}

/// Parses one mailbox. The error continues a sentence after the field's name. It contains at most a masked address.
pub fn parse(text: &str) -> Result<Mailbox, String> {
    let text = text.trim();
    let parsed = check_characters(text).and_then(|()| {
        let (name, address) = split_name(text)?;
        Ok(Mailbox {
            name: name.map(unquoted).filter(|name| !name.is_empty()),
            address: checked(address)?,
        })
    });
    parsed.map_err(|message| match last_address(text) {
        Some(address) => format!("({address}) {message}"),
        None => message.to_owned(),
    })
}

const CONTROL: &str = "holds a control character; remove it (a line break, perhaps?)";
const QUOTE: &str = r#"has a quote or a parenthesis that does not end; write "Name" <user@example.com>, with \" for a quote in the name"#;
const SEVERAL: &str = "holds several addresses; separate them by commas, or give a list";
const LONG: &str = "has a name longer than 300 bytes";
const NO_BRACKET: &str = r#"lacks a < or a >; write "Name" <user@example.com>"#;
const NO_AT: &str =
    r#"has no @ in its address; write user@example.com, or "Name" <user@example.com>"#;
const AMBIGUOUS: &str = r#"is ambiguous: the text before the address may be a name or an address of its own; write "Doe, Jane" <user@example.com>, or remove it"#;
const BLANK: &str = r#"has a blank or an invisible character in its address; if there is a name, write "Name" <user@example.com>"#;
const DOMAIN: &str = "has no valid domain behind its @; write user@example.com";
const LOCAL_PART: &str =
    "has characters before its @, or too many of them, that no mail address has";

fn check_characters(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err(CONTROL);
    }
    let mut scan = Scan::default();
    for character in text.chars() {
        scan.is_plain(character);
    }
    match scan.is_quoted || scan.depth > 0 {
        true => Err(QUOTE),
        false => Ok(()),
    }
}

/// Splits `Name <address>`, `address (Name)`, or an address without a name.
fn split_name(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let in_brackets = text.strip_suffix('>');
    let (name, address) = match in_brackets.map(|text| text.rsplit_once('<')) {
        Some(Some((name, address))) => (Some(name.trim()), address),
        Some(None) => return Err(NO_BRACKET),
        None => match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((address, name)) if address.contains('@') => (Some(name), address),
            _ => (None, text),
        },
    };
    if name.is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(LONG);
    }
    let mut scan = Scan::default();
    let has_bracket = name
        .unwrap_or(address)
        .chars()
        .any(|character| scan.is_plain(character) && matches!(character, '<' | '>'));
    match (has_bracket, name) {
        (false, _) => Ok((name, address)),
        (true, Some(_)) => Err(SEVERAL),
        (true, None) => Err(NO_BRACKET),
    }
}

/// Returns a name without its outer quotes. Inner quotes are part of the name.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    let (mut plain, mut is_escaped) = (String::with_capacity(name.len()), false);
    for character in inner.unwrap_or_default().chars() {
        match character {
            '\\' if !is_escaped => is_escaped = true,
            // The name consists of two quoted strings.
            '"' if !is_escaped => return name.to_owned(),
            _ => {
                plain.push(character);
                is_escaped = false;
            }
        }
    }
    match inner {
        Some(_) => plain.trim().to_owned(),
        None => name.to_owned(),
    }
}

/// Returns an address with the domain in ASCII. The part before the `@` may contain other characters (RFC 6531).
fn checked(address: &str) -> Result<String, &'static str> {
    let address = address.trim();
    let (user, domain) = address.rsplit_once('@').ok_or(NO_AT)?;
    if !user.starts_with('"') {
        if user.contains('@') {
            return Err(SEVERAL);
        }
        if user.contains([',', ';']) {
            return Err(AMBIGUOUS);
        }
        if user.contains(|character: char| character.is_whitespace() || is_invisible(character)) {
            return Err(BLANK);
        }
    }
    let domain = server_name(domain).filter(|domain| Address::new("a", domain).is_ok());
    let domain = domain.ok_or(DOMAIN)?;
    match Address::new(user, &domain) {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(LOCAL_PART),
    }
}

/// Returns the text's last address, masked, so that its owner can find it.
fn last_address(text: &str) -> Option<String> {
    let (before, domain) = text.rsplit_once('@')?;
    let domain = domain.split(['>', ' ', '(', ',', ';']).next();
    let domain = domain.and_then(server_name)?;
    let user = before.rsplit(['<', ' ', ',', ';', '"']).next();
    let user = user.filter(|user| !user.is_empty())?;
    Some(masked(&format!("{user}@{domain}")))
}

/// Masks an address as `o***@example.com`.
pub fn masked(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}{MASK}@{domain}")
}

/// Returns the name in ASCII and lower case, an IPv6 address without brackets.
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

/// Returns the name that a client sends in `EHLO`: a domain, or an address in brackets (RFC 5321, 4.1.1.1 and 4.1.3).
pub fn hello_name(text: &str) -> Option<String> {
    let literal = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = literal.unwrap_or(text);
    let address = address.strip_prefix("IPv6:").unwrap_or(address);
    if let Ok(address) = address.parse::<std::net::Ipv6Addr>() {
        return Some(format!("[IPv6:{address}]"));
    }
    if let Ok(address) = address.parse::<std::net::Ipv4Addr>() {
        return Some(format!("[{address}]"));
    }
    let name = server_name(text).filter(|_| literal.is_none())?;
    let is_label = |label: &str| {
        let has_hyphen_outside = label.starts_with('-') || label.ends_with('-');
        let fits = (1..=63).contains(&label.len()) && !has_hyphen_outside;
        fits && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(is_label).then_some(name)
}
