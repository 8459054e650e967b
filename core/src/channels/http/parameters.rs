//! What its configuration may hold.

use crate::channels::{Parameter, ParameterKind};

pub const PARAMETERS: &[Parameter] = &[
    Parameter::new(
        "http_webhook_url",
        "https://example.com/hooks/alerts",
        "Where to POST the notification.",
    )
    .required()
    .secret(),
    Parameter::headers(
        "http_headers",
        "eyJBdXRob3JpemF0aW9uIjogIkJlYXJlciBYWFhYIn0=",
    ),
    Parameter::new("method", "PUT", "POST (default), PUT or PATCH.").operator_only(),
    Parameter::new(
        "body_template",
        r#"{"alert": {{ notification.text | tojson }}}"#,
        "Template of the body, in place of the usual JSON.",
    )
    .of(ParameterKind::Template)
    .operator_only(),
    Parameter::new(
        "content_type",
        "text/plain; charset=utf-8",
        "Type of the body; default: application/json.",
    )
    .operator_only(),
    Parameter::new(
        "basic_auth",
        r#"{ username = "notifier", password = { env = "HOOK_PASSWORD" } }"#,
        "User name and password.",
    )
    .of(ParameterKind::Table)
    .secret()
    .operator_only(),
    Parameter::new(
        "bearer_token",
        "eyJhbGciOiJIUzI1NiJ9",
        "Token of the Authorization header.",
    )
    .secret()
    .operator_only(),
    Parameter::ca_file(),
    Parameter::client_certificate(),
    Parameter::new(
        "signing_secret",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "Signs each message; a list while you change keys.",
    )
    .of(ParameterKind::Texts)
    .secret()
    .operator_only(),
    Parameter::new(
        "success",
        r#"~"ok": ?true"#,
        "Body that a 2xx needs to count as delivered; after ~, a regular expression to find in it.",
    )
    .operator_only(),
];
