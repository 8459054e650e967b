//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};

pub const WEBHOOK_URL: Parameter = Parameter::new(
    "slack_webhook_url",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
    "The URL of the incoming webhook, or of the workflow.",
)
.required()
.secret();
pub const HEADERS: Parameter = Parameter::headers("slack_headers", "eyJYLVRlYW0iOiAib3BzIn0=");
pub const THREAD_TS: Parameter = Parameter::new(
    "slack_thread_ts",
    "1503435956.000247",
    "The ts of the message to answer in its thread.",
)
.form("the ts of a message", is_ts);
pub const UNFURL_LINKS: Parameter = Parameter::new(
    "slack_unfurl_links",
    "false",
    "Whether links have previews.",
)
.of(ParameterKind::Boolean);
pub const UNFURL_MEDIA: Parameter = Parameter::new(
    "slack_unfurl_media",
    "false",
    "Whether links to images and videos have previews.",
)
.of(ParameterKind::Boolean);
pub const MENTIONS: Parameter = Parameter::new(
    "slack_mentions",
    "U024BE7LH",
    "Whom rich notifications mention: ids of users (U…) and user groups (S…), here, channel, everyone, or a list.",
)
.of(ParameterKind::Texts)
.form("the id of a user or user group, here, channel or everyone", is_mention);
pub const IMAGE: Parameter = Parameter::new(
    "slack_image",
    "https://grafana.example.com/render/cpu.png",
    "The https address of an image in rich notifications; public.",
);
pub const USERNAME: Parameter = Parameter::new(
    "slack_username",
    "InfluxDB",
    "The author's name; only in servers other than Slack's.",
)
.form("one line of at most 80 characters", is_line);
pub const ICON_EMOJI: Parameter = Parameter::new(
    "slack_icon_emoji",
    ":chart_with_upwards_trend:",
    "The author's icon; only in servers other than Slack's.",
)
.form("an emoji's name between colons", is_emoji);
pub const ICON_URL: Parameter = Parameter::new(
    "slack_icon_url",
    "https://example.com/logo.jpg",
    "The author's picture; only in servers other than Slack's.",
);
pub const CHANNEL: Parameter = Parameter::new(
    "slack_channel",
    "#alerts",
    "The channel; only in servers other than Slack's.",
)
.form("one line of at most 80 characters", is_line);

pub const PARAMETERS: &[Parameter] = &[
    WEBHOOK_URL,
    HEADERS,
    THREAD_TS,
    UNFURL_LINKS,
    UNFURL_MEDIA,
    MENTIONS,
    IMAGE,
    USERNAME,
    ICON_EMOJI,
    ICON_URL,
    CHANNEL,
];

fn is_line(text: &str) -> bool {
    (1..=80).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_ts(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split_once('.');
    text.len() <= 20 && parts.is_some_and(|(seconds, rest)| is_number(seconds) && is_number(rest))
}

fn is_emoji(text: &str) -> bool {
    let name = text
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'));
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-:".contains(&byte);
    name.is_some_and(|name| (1..=100).contains(&name.len()) && name.bytes().all(known))
}

fn is_mention(text: &str) -> bool {
    let is_id = |id: &str| {
        let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        (2..=20).contains(&id.len()) && id.starts_with(['U', 'W', 'S']) && id.bytes().all(known)
    };
    matches!(text, "here" | "channel" | "everyone") || is_id(text)
}
