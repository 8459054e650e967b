//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};

pub const SERVER_URL: Parameter = Parameter::new(
    "ntfy_url",
    "https://ntfy.sh",
    "The server's address, without the topic.",
)
.required();
pub const TOPIC: Parameter = Parameter::new(
    "ntfy_topic",
    "db-alerts",
    "The topic; who knows it can read it.",
)
.form("1 to 64 letters, digits, hyphens and underscores", is_topic)
.required()
.secret();
pub const TOKEN: Parameter = Parameter::new(
    "ntfy_token",
    "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
    "An access token, where the topic is protected.",
)
.form(
    "an access token of letters, digits and underscores",
    is_token,
)
.secret();

pub const TAGS: Parameter = Parameter::new(
    "ntfy_tags",
    "rotating_light",
    "Tags, or a list of them; ntfy shows some words as emojis.",
)
.of(ParameterKind::Texts)
.form("1 to 50 letters, digits and the characters + - _ .", is_tag);
pub const PRIORITY: Parameter = Parameter::new(
    "ntfy_priority",
    "4",
    "1 to 5, in place of the level's priority.",
)
.of(ParameterKind::Number);
pub const BUTTONS: Parameter = Parameter::new(
    "ntfy_buttons",
    r#"{ Runbook = "https://wiki.example.com/cpu" }"#,
    "Up to three buttons that open addresses, by their texts.",
)
.of(ParameterKind::Table);
pub const MARKDOWN: Parameter =
    Parameter::new("ntfy_markdown", "true", "Whether the text is Markdown.")
        .of(ParameterKind::Boolean);
pub const ICON: Parameter = Parameter::new(
    "ntfy_icon",
    "https://example.com/logo.jpg",
    "Address of an icon beside the title, JPEG or PNG.",
);
pub const ATTACH: Parameter = Parameter::new(
    "ntfy_attach",
    "https://grafana.example.com/render/cpu.png",
    "Address of an image or another file to attach.",
);
pub const EMAIL: Parameter = Parameter::new(
    "ntfy_email",
    "oncall@example.com",
    "ntfy also sends the message to this mail address.",
)
.form("a mail address", is_mail)
.secret();
pub const CALL: Parameter = Parameter::new(
    "ntfy_call",
    "+15558675310",
    "ntfy also reads the message to this verified phone number; yes for the account's first.",
)
.form("a phone number with +, or yes", is_phone)
.secret();
pub const DELAY: Parameter = Parameter::new(
    "ntfy_delay",
    "30m",
    "When ntfy delivers the message; excludes ntfy_email and ntfy_call.",
)
.form("one line of at most 40 characters", is_delay);

pub const PARAMETERS: &[Parameter] = &[
    SERVER_URL, TOPIC, TOKEN, TAGS, PRIORITY, BUTTONS, MARKDOWN, ICON, ATTACH, EMAIL, CALL, DELAY,
];

/// Whether the server's `topicRegex` accepts the topic. The server checks message ids in the same way
/// (`sequenceIDRegex`).
pub fn is_topic(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(is_word)
}

fn is_token(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(is_word)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_tag(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte);
    (1..=50).contains(&text.len()) && text.bytes().all(known)
}

fn is_mail(text: &str) -> bool {
    let known = |c: char| !c.is_whitespace() && !c.is_control();
    text.len() <= 254
        && text.chars().all(known)
        && matches!(text.split_once('@'), Some((local, host)) if !local.is_empty() && !host.is_empty())
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    text == "yes"
        || digits.is_some_and(|digits| {
            (1..=100).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// ntfy reads durations, Unix times and English, such as `tomorrow, 10am`.
fn is_delay(text: &str) -> bool {
    (1..=40).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
