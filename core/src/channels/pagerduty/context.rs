//! An event's fields besides the notification: the affected system, links and images
//! <https://developer.pagerduty.com/docs/send-alert-event>.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use url::Url;

use super::parameters::{self, IMAGES, LINKS, NAME_LIMIT};
use crate::channels::Fields;
use crate::channels::shared::addresses::{self, LinkLimits, NamedLink};
use crate::channels::shared::rich;
use crate::model::notification::Notification;
use crate::model::problem::Problem;
use crate::text::{Unit, cut};

/// A limit of this crate in bytes of JSON. With it, an event with all its links and images fits its limit.
const MAX_LINK_BYTES: usize = 4_000;
/// A limit of this crate for the number of links and of images.
const MAX_ITEMS: usize = 20;
const LINK_LIMITS: LinkLimits = LinkLimits {
    count: MAX_ITEMS,
    text: NAME_LIMIT,
    address: MAX_LINK_BYTES,
};
const SOURCE: &str = "InfluxDB 3";

#[derive(Debug)]
pub struct Context {
    source: Option<String>,
    component: Option<String>,
    group: Option<String>,
    class: Option<String>,
    links: Vec<NamedLink>,
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
            links: addresses::links(fields, &LINKS, &LINK_LIMITS)?,
            images: addresses::images(fields, &IMAGES, MAX_ITEMS, MAX_LINK_BYTES)?
                .into_iter()
                .map(|src| Image { src })
                .collect(),
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
        let further = self.links.iter().map(|link| Link {
            href: &link.address,
            text: Cow::Borrowed(&link.text),
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

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("src", self.src.as_str())])
    }
}

pub fn fits_as_link(url: &str) -> bool {
    Unit::JsonBytes.of(url) <= MAX_LINK_BYTES
}
