//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};

pub const WEBHOOK_URL: Parameter = Parameter::new(
    "discord_webhook_url",
    "https://discord.com/api/webhooks/123456789012345678/abcdefgh",
    "The webhook's URL.",
)
.required()
.secret();
pub const HEADERS: Parameter = Parameter::headers("discord_headers", "eyJYLVRlYW0iOiAib3BzIn0=");
pub const USERNAME: Parameter = Parameter::new(
    "discord_username",
    "InfluxDB",
    "The author's name, in place of the webhook's.",
)
.form(
    "one line of at most 80 characters, without discord and clyde",
    is_username,
);
pub const AVATAR_URL: Parameter = Parameter::new(
    "discord_avatar_url",
    "https://example.com/logo.jpg",
    "The author's picture, in place of the webhook's.",
);
pub const THREAD_ID: Parameter = Parameter::new(
    "discord_thread_id",
    "1234567890123456789",
    "The thread of the channel to post in.",
)
.form("the digits of a thread's id", is_id);
pub const THREAD_NAME: Parameter = Parameter::new(
    "discord_thread_name",
    "CPU of db1",
    "In a forum: the title of the post that each message makes.",
)
.form("one line of at most 100 characters", |name| {
    is_line(name, 100)
});
pub const APPLIED_TAGS: Parameter = Parameter::new(
    "discord_applied_tags",
    "1234567890123456789",
    "In a forum: the ids of up to five tags.",
)
.of(ParameterKind::Texts)
.form("the digits of a tag's id", is_id);
pub const MENTIONS: Parameter = Parameter::new(
    "discord_mentions",
    "role:123456789012345678",
    "Whom rich notifications mention: role:ID, user:ID, everyone, here, or a list of these.",
)
.of(ParameterKind::Texts)
.form("role:ID, user:ID, everyone or here", is_mention);
pub const SILENT: Parameter = Parameter::new(
    "discord_suppress_notifications",
    "true",
    "Whether the message makes no push notification.",
)
.of(ParameterKind::Boolean);
pub const TTS: Parameter = Parameter::new(
    "discord_tts",
    "true",
    "Whether Discord reads the message aloud.",
)
.of(ParameterKind::Boolean);
pub const IMAGE: Parameter = Parameter::new(
    "discord_image",
    "https://grafana.example.com/render/cpu.png",
    "The https address of an image below rich notifications.",
);

pub const PARAMETERS: &[Parameter] = &[
    WEBHOOK_URL,
    HEADERS,
    USERNAME,
    AVATAR_URL,
    THREAD_ID,
    THREAD_NAME,
    APPLIED_TAGS,
    MENTIONS,
    SILENT,
    TTS,
    IMAGE,
];

fn is_line(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The rules for a webhook's name <https://docs.discord.com/developers/resources/webhook#create-webhook>.
fn is_username(text: &str) -> bool {
    let lower = text.to_lowercase();
    is_line(text, 80) && !["discord", "clyde"].iter().any(|word| lower.contains(word))
}

fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_mention(text: &str) -> bool {
    match text.split_once(':') {
        Some((kind, id)) => matches!(kind, "role" | "user") && is_id(id),
        None => matches!(text, "everyone" | "here"),
    }
}
