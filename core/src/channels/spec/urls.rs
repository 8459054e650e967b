//! Web addresses in the forms that people write.

use url::Url;

/// The maximum length of a URL. No provider has longer ones.
const MAX_URL_BYTES: usize = 8 * 1024;

/// The maximum length of a resolvable name (RFC 1035, section 2.3.4), with the root's dot.
const MAX_HOST_BYTES: usize = 254;

/// Returns the URL without its fragment. The error continues a sentence after the field's name.
pub fn parse_url(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("is longer than 8 KiB: found {} bytes", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character; remove it (a line break, perhaps?)".to_owned());
    }
    let text = text.trim();
    let scheme_end = text.find("://").unwrap_or(0);
    let scheme = text
        .get(..scheme_end)
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {}
        "" => return Err("has no scheme; it must begin with https:// or http://".to_owned()),
        _ => return Err("has a scheme other than http and https".to_owned()),
    }
    // The parser would read the path's first part of `https:///path` as the host.
    let after_scheme = text.get(scheme_end + 3..).unwrap_or_default();
    if after_scheme.starts_with(['/', '\\', '?', '#']) || after_scheme.is_empty() {
        return Err("has no host".to_owned());
    }
    let mut url = Url::parse(text).map_err(|error| match error {
        url::ParseError::EmptyHost => "has no host".to_owned(),
        url::ParseError::InvalidPort => "has a port that is no number up to 65535".to_owned(),
        _ => "has a host that is not valid".to_owned(),
    })?;
    if url
        .host_str()
        .is_some_and(|host| host.len() > MAX_HOST_BYTES)
    {
        return Err(format!(
            "has a host longer than {MAX_HOST_BYTES} characters"
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_or_refused_with_a_clear_sentence() {
        for (text, expected) in [
            (
                "https://hooks.slack.com/services/T/B/x",
                Ok("https://hooks.slack.com/services/T/B/x"),
            ),
            (
                "  http://localhost:8080/a?b=c#frag ",
                Ok("http://localhost:8080/a?b=c"),
            ),
            (
                "HTTPS://Bücher.Example/x",
                Ok("https://xn--bcher-kva.example/x"),
            ),
            ("http://0x7f.1/", Ok("http://127.0.0.1/")),
            ("hooks.slack.com/services", Err("no scheme")),
            ("localhost:8080/x", Err("no scheme")),
            ("file:///etc/passwd", Err("scheme other")),
            ("ftp://host/x", Err("scheme other")),
            ("data:text/plain,x", Err("no scheme")),
            ("https://", Err("no host")),
            ("https:///path", Err("no host")),
            ("https://?x", Err("no host")),
            ("https://host:99999/", Err("port")),
            ("https://a b/", Err("host that is not valid")),
            ("https://xn--\u{ff}/", Err("host that is not valid")),
            ("https://host/\r\nx", Err("control character")),
        ] {
            match (parse_url(text), expected) {
                (Ok(url), Ok(wanted)) => assert_eq!(url.as_str(), wanted, "{text}"),
                (Err(message), Err(wanted)) => {
                    assert!(message.contains(wanted), "{text}: {message}")
                }
                (got, wanted) => panic!("{text}: {got:?}, wanted {wanted:?}"),
            }
        }
        let long = format!("https://{}.example/", "x".repeat(250));
        assert!(parse_url(&long).unwrap_err().contains("host longer than"));
        let long = format!("https://host/{}", "x".repeat(100_000));
        assert!(parse_url(&long).unwrap_err().contains("8 KiB"));
    }
}
