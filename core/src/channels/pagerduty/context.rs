//! An event's fields besides the notification: the affected system, links and images
//! <https://developer.pagerduty.com/docs/send-alert-event>.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use url::Url;

use super::parameters::{self, IMAGES, LINKS, NAME_LIMIT, is_name};
use crate::channels::shared::rich;
use crate::channels::{Fields, Parameter, invalid, parse_url};
use crate::model::notification::Notification;
use crate::model::problem::Problem;
use crate::text::{Unit, cut, one_line};

/// A limit of this crate in bytes of JSON. With it, an event with all its links and images fits its limit.
const MAX_LINK_BYTES: usize = 4_000;
/// A limit of this crate for the number of links and of images.
const MAX_ITEMS: usize = 20;
const SOURCE: &str = "InfluxDB 3";

#[derive(Debug)]
pub struct Context {
    source: Option<String>,
    component: Option<String>,
    group: Option<String>,
    class: Option<String>,
    links: Vec<(String, String)>,
    pub images: Vec<Image>,
}

#[derive(Serialize)]
pub struct Link<'a> {
    href: &'a str,
    text: Cow<'a, str>,
}

#[derive(Debug)]
pub struct Image {
    src: Url,
}

impl Context {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        let name = |field| fields.formed_or_none(field);
        Ok(Self {
            source: name(&parameters::SOURCE)?,
            component: name(&parameters::COMPONENT)?,
            group: name(&parameters::GROUP)?,
            class: name(&parameters::CLASS)?,
            links: links(fields)?,
            images: images(fields)?,
        })
    }

    /// Returns "the unique location of the affected system, preferably a hostname or FQDN", which PagerDuty requires.
    pub fn source<'a>(&'a self, notification: &'a Notification) -> Cow<'a, str> {
        let source = given(self.source.as_deref(), notification, &["source", "host"]);
        source.unwrap_or(Cow::Borrowed(SOURCE))
    }

    pub fn component<'a>(&'a self, notification: &'a Notification) -> Option<Cow<'a, str>> {
        given(self.component.as_deref(), notification, &["component"])
    }

    pub fn group<'a>(&'a self, notification: &'a Notification) -> Option<Cow<'a, str>> {
        given(self.group.as_deref(), notification, &["group"])
    }

    pub fn class<'a>(&'a self, notification: &'a Notification) -> Option<Cow<'a, str>> {
        given(self.class.as_deref(), notification, &["class"])
    }

    /// Returns the notification's own link and the links of every incident.
    pub fn links<'a>(&'a self, own: Option<&'a str>) -> Vec<Link<'a>> {
        let own = own.map(|href| Link {
            href,
            text: rich::link_words(href).into(),
        });
        let further = self.links.iter().map(|(text, href)| Link {
            href,
            text: text.into(),
        });
        own.into_iter().chain(further).collect()
    }
}

/// Returns the parameter, or the first field with one of these names.
fn given<'a>(
    parameter: Option<&'a str>,
    notification: &'a Notification,
    names: &[&str],
) -> Option<Cow<'a, str>> {
    let field = || {
        rich::field(notification, names)
            .map(|value| cut(&value, NAME_LIMIT, "…").into_owned().into())
    };
    parameter.map(Cow::Borrowed).or_else(field)
}

fn links(fields: &Fields<'_>) -> Result<Vec<(String, String)>, Problem> {
    let name = LINKS.name;
    let links = fields.table(&LINKS)?.unwrap_or_default();
    check_count(fields, &LINKS, links.len())?;
    let links = links.into_iter().map(|(text, href)| {
        let url = parse_url(&href)
            .ok()
            .filter(|url| fits_as_link(url.as_str()));
        let text = one_line(&text).into_owned();
        match url {
            Some(url) if !text.is_empty() && is_name(&text) => Ok((text, url.into())),
            _ => {
                let message = format!(
                    "{name} must be web addresses by their texts, such as {}",
                    r#"{ Runbook = "https://wiki.example.com/cpu" }"#
                );
                Err(fields.error(&LINKS, message))
            }
        }
    });
    links.collect()
}

/// Reads the images of the configuration: "This image must be served via HTTPS."
fn images(fields: &Fields<'_>) -> Result<Vec<Image>, Problem> {
    let name = IMAGES.name;
    let images = fields.several(&IMAGES)?;
    check_count(fields, &IMAGES, images.len())?;
    let images = images.into_iter().map(|(path, text)| {
        let url = parse_url(text).ok();
        let url = url.filter(|url| url.scheme() == "https" && fits_as_link(url.as_str()));
        let message = format!("{name} must be web addresses that begin with https://");
        url.map(|src| Image { src })
            .ok_or_else(|| invalid(&path, message))
    });
    images.collect()
}

fn check_count(fields: &Fields<'_>, field: &Parameter, count: usize) -> Result<(), Problem> {
    let name = field.name;
    match count {
        0..=MAX_ITEMS => Ok(()),
        _ => Err(fields.error(
            field,
            format!("{name} may be at most {MAX_ITEMS}, found {count}"),
        )),
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("src", self.src.as_str())])
    }
}

pub fn fits_as_link(url: &str) -> bool {
    Unit::JsonBytes.of(url) <= MAX_LINK_BYTES
}
