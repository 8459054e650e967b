//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};
use crate::text::Limit;

const API: &str = "https://events.pagerduty.com";

pub const ROUTING_KEY: Parameter = Parameter::new(
    "pagerduty_routing_key",
    "R0151XYZ0151XYZ0151XYZ0151XYZ015",
    "The integration key of the service's Events API v2 integration.",
)
.form("32 letters and digits", is_key)
.required()
.secret();
pub const SOURCE: Parameter = Parameter::new(
    "pagerduty_source",
    "db1.example.com",
    "The affected system; the field source or host if absent.",
)
.form(LINE, is_name);
pub const COMPONENT: Parameter = Parameter::new(
    "pagerduty_component",
    "mysql",
    "The affected part; the field component if absent.",
)
.form(LINE, is_name);
pub const GROUP: Parameter = Parameter::new(
    "pagerduty_group",
    "app-stack",
    "What the system belongs to; the field group if absent.",
)
.form(LINE, is_name);
pub const CLASS: Parameter = Parameter::new(
    "pagerduty_class",
    "cpu load",
    "The kind of event; the field class if absent.",
)
.form(LINE, is_name);
pub const LINKS: Parameter = Parameter::new(
    "pagerduty_links",
    r#"{ Runbook = "https://wiki.example.com/cpu" }"#,
    "Further links of every incident, by their texts.",
)
.of(ParameterKind::Table);
pub const IMAGES: Parameter = Parameter::new(
    "pagerduty_images",
    "https://grafana.example.com/render/cpu.png",
    "An image's https address, or a list of them.",
)
.of(ParameterKind::Texts);
pub const BASE_URL: Parameter = Parameter::base_url(API);

pub const PARAMETERS: &[Parameter] = &[
    ROUTING_KEY,
    SOURCE,
    COMPONENT,
    GROUP,
    CLASS,
    LINKS,
    IMAGES,
    BASE_URL,
];

const LINE: &str = "one line of at most 255 characters";

fn is_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A limit of this crate, because PagerDuty documents none. The details contain a field's whole value.
pub const NAME_LIMIT: Limit = Limit::utf16(255);

pub fn is_name(text: &str) -> bool {
    NAME_LIMIT.unit.of(text) <= NAME_LIMIT.length && !text.chars().any(char::is_control)
}
