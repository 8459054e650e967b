//! The parameters of the channel's configuration.

use crate::channels::{Parameter, ParameterKind};

pub const WEBHOOK_URL: Parameter = Parameter::new(
    "http_webhook_url",
    "https://example.com/hooks/alerts",
    "Where to POST the notification.",
)
.required()
.secret();
pub const HEADERS: Parameter = Parameter::headers(
    "http_headers",
    "eyJBdXRob3JpemF0aW9uIjogIkJlYXJlciBYWFhYIn0=",
);
pub const METHOD: Parameter =
    Parameter::new("method", "PUT", "POST (default), PUT or PATCH.").operator_only();
pub const BODY_TEMPLATE: Parameter = Parameter::new(
    "body_template",
    r#"{"alert": {{ notification.text | tojson }}}"#,
    "Template of the body, in place of the usual JSON.",
)
.of(ParameterKind::Template)
.operator_only();
pub const CONTENT_TYPE: Parameter = Parameter::new(
    "content_type",
    "text/plain; charset=utf-8",
    "Type of the body; default: application/json.",
)
.operator_only();
pub const BASIC_AUTH: Parameter = Parameter::new(
    "basic_auth",
    r#"{ username = "notifier", password = { env = "HOOK_PASSWORD" } }"#,
    "User name and password.",
)
.of(ParameterKind::Table)
.secret()
.operator_only();
pub const BEARER_TOKEN: Parameter = Parameter::new(
    "bearer_token",
    "eyJhbGciOiJIUzI1NiJ9",
    "Token of the Authorization header.",
)
.secret()
.operator_only();
pub const SIGNING_SECRET: Parameter = Parameter::new(
    "signing_secret",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "Signs each message; a list while you change keys.",
)
.of(ParameterKind::Texts)
.secret()
.operator_only();
pub const SUCCESS: Parameter = Parameter::new(
    "success",
    r#"~"ok": ?true"#,
    "Body that a 2xx needs to count as delivered; after ~, a regular expression to find in it.",
)
.operator_only();

pub const PARAMETERS: &[Parameter] = &[
    WEBHOOK_URL,
    HEADERS,
    METHOD,
    BODY_TEMPLATE,
    CONTENT_TYPE,
    BASIC_AUTH,
    BEARER_TOKEN,
    Parameter::ca_file(),
    Parameter::client_certificate(),
    SIGNING_SECRET,
    SUCCESS,
];
