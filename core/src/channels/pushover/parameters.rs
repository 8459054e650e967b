//! The parameters of the channel's configuration <https://pushover.net/api#messages>.

use crate::channels::{Parameter, ParameterKind};

const API: &str = "https://api.pushover.net";

pub const TOKEN: Parameter = Parameter::new(
    "pushover_token",
    "azGDORePK8gMaC0QOYAMyEEuzJnyUi",
    "The application's API token.",
)
.form("30 letters and digits", is_key)
.required()
.secret();
pub const USER: Parameter = Parameter::new(
    "pushover_user",
    "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
    "The key of the user or group.",
)
.form("30 letters and digits", is_key)
.required()
.secret();
pub const BASE_URL: Parameter = Parameter::base_url(API);

pub const DEVICE: Parameter = Parameter::new(
    "pushover_device",
    "phone",
    "A device of the user, or several with commas; all if absent.",
)
.form(
    "names of letters, digits, hyphens and underscores",
    is_device,
);
pub const SOUND: Parameter = Parameter::new(
    "pushover_sound",
    "siren",
    "The notification's sound; the user's choice if absent.",
)
.form("1 to 20 letters, digits, hyphens and underscores", is_sound);
pub const PRIORITY: Parameter = Parameter::new(
    "pushover_priority",
    "2",
    "-2 to 2, in place of the level's priority; 2 is an emergency.",
)
.of(ParameterKind::Number);
pub const RETRY: Parameter = Parameter::new(
    "pushover_retry",
    "60",
    "Seconds between the sounds of an emergency; at least 30.",
)
.of(ParameterKind::Number);
pub const EXPIRE: Parameter = Parameter::new(
    "pushover_expire",
    "3600",
    "Seconds until an emergency ends by itself.",
)
.of(ParameterKind::Number);
pub const TTL: Parameter = Parameter::new(
    "pushover_ttl",
    "86400",
    "Seconds until the message disappears from devices; not in emergencies.",
)
.of(ParameterKind::Number);

pub const PARAMETERS: &[Parameter] = &[
    TOKEN, USER, DEVICE, SOUND, PRIORITY, RETRY, EXPIRE, TTL, BASE_URL,
];

fn is_key(text: &str) -> bool {
    text.len() == 30 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_name(text: &str, longest: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=longest).contains(&text.len()) && text.bytes().all(is_word)
}

fn is_sound(text: &str) -> bool {
    is_name(text, 20)
}

/// "Up to 25 characters long and consist of letters, numbers, and _ -" (section on identifiers).
fn is_device(text: &str) -> bool {
    text.split(',').all(|name| is_name(name, 25))
}
