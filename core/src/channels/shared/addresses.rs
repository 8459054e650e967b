//! Web addresses that a configuration adds to every message: links with texts, and images.

use url::Url;

use crate::channels::{Fields, Parameter, invalid, parse_url};
use crate::model::problem::Problem;
use crate::text::{Limit, Unit, one_line};

/// The limits of the links in one message.
pub struct LinkLimits {
    pub count: usize,
    pub text: Limit,
    /// In bytes of JSON.
    pub address: usize,
}

/// A link with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLink {
    pub text: String,
    pub address: String,
}

/// Reads a table of web addresses by their texts.
pub fn links(
    fields: &Fields<'_>,
    field: &Parameter,
    limits: &LinkLimits,
) -> Result<Vec<NamedLink>, Problem> {
    let name = field.name;
    let links = fields.table(field)?.unwrap_or_default();
    fields.check_count(field, links.len(), limits.count)?;
    let links = links.into_iter().map(|(text, address)| {
        let text = one_line(&text).into_owned();
        let is_text = !text.is_empty() && limits.text.unit.of(&text) <= limits.text.length;
        match short_url(&address, limits.address).filter(|_| is_text) {
            Some(address) => Ok(NamedLink {
                text,
                address: address.into(),
            }),
            None => {
                let example = r#"{ Runbook = "https://wiki.example.com/cpu" }"#;
                let message =
                    format!("{name} must be web addresses by their texts, such as {example}");
                Err(fields.error(field, message))
            }
        }
    });
    links.collect()
}

/// Reads an optional web address of at most `length` bytes of JSON.
pub fn address(
    fields: &Fields<'_>,
    field: &Parameter,
    length: usize,
) -> Result<Option<String>, Problem> {
    let Some(text) = fields.optional(field)? else {
        return Ok(None);
    };
    match short_url(&text, length) {
        Some(url) => Ok(Some(url.into())),
        None => {
            let Parameter { name, example, .. } = field;
            let message = format!(
                "{name} must be a web address of at most {length} bytes, such as {example}"
            );
            Err(fields.error(field, message))
        }
    }
}

/// Reads an optional address of an image. Providers load images over HTTPS only.
pub fn image(
    fields: &Fields<'_>,
    field: &Parameter,
    length: usize,
) -> Result<Option<String>, Problem> {
    let image = address(fields, field, length)?;
    match image {
        Some(address) if !address.starts_with("https://") => {
            let name = field.name;
            Err(fields.error(
                field,
                format!("{name} must be a web address that begins with https://"),
            ))
        }
        image => Ok(image),
    }
}

/// Reads a list of images' addresses.
pub fn images(
    fields: &Fields<'_>,
    field: &Parameter,
    count: usize,
    length: usize,
) -> Result<Vec<Url>, Problem> {
    let name = field.name;
    let images = fields.several(field)?;
    fields.check_count(field, images.len(), count)?;
    let images = images.into_iter().map(|(path, text)| {
        let url = short_url(text, length).filter(|url| url.scheme() == "https");
        let message = format!("{name} must be web addresses that begin with https://");
        url.ok_or_else(|| invalid(&path, message))
    });
    images.collect()
}

fn short_url(text: &str, length: usize) -> Option<Url> {
    let url = parse_url(text).ok()?;
    (Unit::JsonBytes.of(url.as_str()) <= length).then_some(url)
}
