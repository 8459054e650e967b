//! What its configuration may hold.

use crate::channels::{Kind, Parameter};

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
    Parameter::new("method", "PUT", "POST, PUT or PATCH; POST if absent.").operator_only(),
    Parameter::new(
        "body_template",
        r#"{"alert": {{ notification.text | tojson }}}"#,
        "A template for the body, in place of the usual JSON.",
    )
    .of(Kind::Template)
    .operator_only(),
    Parameter::new(
        "content_type",
        "text/plain; charset=utf-8",
        "The body's type; application/json if absent.",
    )
    .operator_only(),
    Parameter::new(
        "basic_auth",
        r#"{ username = "notifier", password = { env = "HOOK_PASSWORD" } }"#,
        "User name and password.",
    )
    .of(Kind::Table)
    .secret()
    .operator_only(),
    Parameter::new(
        "bearer_token",
        "eyJhbGciOiJIUzI1NiJ9",
        "A token for the Authorization header.",
    )
    .secret()
    .operator_only(),
    Parameter::ca_file(),
    Parameter::client_certificate(),
    Parameter::new(
        "signing_secret",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "Signs each message by Standard Webhooks; several keys while they change.",
    )
    .of(Kind::Texts)
    .secret()
    .operator_only(),
    Parameter::new(
        "success",
        r#"~"ok": ?true"#,
        "What the body of a 2xx must be to count as delivered; behind ~ a regular expression that is found in it.",
    )
    .operator_only(),
];
