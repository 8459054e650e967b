//! The parameters of the channel's configuration.

use crate::channels::spec::mailboxes::{hello_name, server_name};
use crate::channels::{Parameter, ParameterKind};

pub const HOST: Parameter = Parameter::new(
    "email_host",
    "smtp.example.com",
    "The mail server for submission.",
)
.form(
    "the name or the address of a mail server, without scheme and port",
    |text| server_name(text).is_some(),
)
.required();
pub const FROM: Parameter = Parameter::new(
    "email_from",
    "InfluxDB <alerts@example.com>",
    "The sender's address, with or without a name.",
)
.required();
pub const TO: Parameter = Parameter::new(
    "email_to",
    "oncall@example.com",
    "The recipients: a list, or one string with commas. Each gets its own mail.",
)
.of(ParameterKind::Destinations)
.required()
.secret();
pub const CC: Parameter = Parameter::new(
    "email_cc",
    "team@example.com",
    "Further recipients. Everybody then sees email_to and email_cc.",
)
.of(ParameterKind::Destinations)
.secret();
pub const BCC: Parameter = Parameter::new(
    "email_bcc",
    "archive@example.com",
    "Further recipients that nobody sees.",
)
.of(ParameterKind::Destinations)
.secret();
pub const REPLY_TO: Parameter = Parameter::new(
    "email_reply_to",
    "db-team@example.com",
    "Where answers go, if not to email_from.",
)
.of(ParameterKind::Texts);
pub const PORT: Parameter = Parameter::new(
    "email_port",
    "587",
    "587 if absent; 465 with email_tls tls, 25 with none.",
)
.of(ParameterKind::Number);
pub const TLS: Parameter = Parameter::new(
    "email_tls",
    "starttls",
    "starttls (if absent), or tls from the first byte; in the configuration file also none.",
);
pub const HELLO: Parameter = Parameter::new(
    "email_hello",
    "db1.example.com",
    "This host's name for EHLO: a domain, or an address in brackets. Its address if absent.",
)
.form("a domain, or an address in brackets", |text| {
    hello_name(text).is_some()
});
pub const USERNAME: Parameter = Parameter::new(
    "email_username",
    "alerts@example.com",
    "The account to send with.",
)
.secret();
pub const PASSWORD: Parameter =
    Parameter::new("email_password", "app-password", "Its password.").secret();

pub const PARAMETERS: &[Parameter] = &[
    HOST,
    FROM,
    TO,
    CC,
    BCC,
    REPLY_TO,
    PORT,
    TLS,
    HELLO,
    USERNAME,
    PASSWORD,
    Parameter::ca_file(),
    Parameter::client_certificate(),
];
