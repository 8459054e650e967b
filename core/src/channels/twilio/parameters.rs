//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};

pub const SID: Parameter = Parameter::new(
    "twilio_sid",
    "AC00000000000000000000000000000000",
    "The account's SID (AC…), or an API key's (SK…).",
)
.required()
.secret()
.or_environment("TWILIO_SID");
pub const TOKEN: Parameter = Parameter::new(
    "twilio_token",
    "your_auth_token",
    "The account's auth token, or the API key's secret.",
)
.required()
.secret()
.or_environment("TWILIO_TOKEN");
pub const FROM_NUMBER: Parameter = Parameter::new(
    "twilio_from_number",
    "+15005550001",
    "The sender: a number, a name, or a messaging service (MG and 32 hexadecimal digits).",
)
.required()
.secret();
pub const TO_NUMBER: Parameter = Parameter::new(
    "twilio_to_number",
    "+15005550006",
    "The number to send to, in E.164 form.",
)
.required()
.secret();
pub const ACCOUNT_SID: Parameter = Parameter::new(
    "twilio_account_sid",
    "AC00000000000000000000000000000000",
    "The account's SID where twilio_sid is an API key's (SK…).",
)
.secret();
pub const MESSAGING_SERVICE_SID: Parameter = Parameter::new(
    "messaging_service_sid",
    "MG0123456789abcdef0123456789abcdef",
    "Messaging service that picks the sender; twilio_from_number may be absent.",
)
.form("MG and 32 hexadecimal digits", is_service)
.secret()
.operator_only();
pub const SMART_ENCODING: Parameter = Parameter::new(
    "smart_encoding",
    "true",
    "Twilio replaces look-alike characters, for fewer segments.",
)
.of(ParameterKind::Boolean)
.operator_only();
pub const CONTENT_SID: Parameter = Parameter::new(
    "content_sid",
    "HX0123456789abcdef0123456789abcdef",
    "The content template to send in place of a text.",
)
.form("HX and 32 hexadecimal digits", |text| is_sid(text, "HX"));
pub const CONTENT_VARIABLES: Parameter = Parameter::new(
    "content_variables",
    r#"{ 1 = "{{ notification.text }}" }"#,
    "The content template's variables by name; templates in the configuration file.",
)
.of(ParameterKind::Templates);

pub const PARAMETERS: &[Parameter] = &[
    SID,
    TOKEN,
    FROM_NUMBER,
    TO_NUMBER,
    ACCOUNT_SID,
    MESSAGING_SERVICE_SID,
    SMART_ENCODING,
    CONTENT_SID,
    CONTENT_VARIABLES,
];

/// Whether the text is a service's SID. `MessagingServiceSid` has the pattern `^MG[0-9a-fA-F]{32}$`
/// <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>. An alphanumeric sender may
/// also begin with MG.
pub fn is_service(text: &str) -> bool {
    is_sid(text, "MG")
}

/// Whether the text is `kind` and 32 hexadecimal digits.
fn is_sid(text: &str, kind: &str) -> bool {
    let digits = text.strip_prefix(kind);
    digits.is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
