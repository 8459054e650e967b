//! What its configuration may hold.

use super::server;
use crate::channels::spec::mailboxes::{hello_name, server_name};
use crate::channels::{Parameter, ParameterKind};

pub const TO: &str = "email_to";
pub const CC: &str = "email_cc";
pub const BCC: &str = "email_bcc";
pub const REPLY_TO: &str = "email_reply_to";

pub const PARAMETERS: &[Parameter] = &[
    Parameter::new(
        "email_host",
        "smtp.example.com",
        "The mail server for submission.",
    )
    .form(
        "the name or the address of a mail server, without scheme and port",
        |text| server_name(text).is_some(),
    )
    .required(),
    Parameter::new(
        "email_from",
        "InfluxDB <alerts@example.com>",
        "The sender's address, with or without a name.",
    )
    .required(),
    Parameter::new(
        TO,
        "oncall@example.com",
        "The recipients: a list, or one string with commas. Each gets its own mail.",
    )
    .of(ParameterKind::Destinations)
    .required()
    .secret(),
    Parameter::new(
        CC,
        "team@example.com",
        "Further recipients. Everybody then sees email_to and email_cc.",
    )
    .of(ParameterKind::Destinations)
    .secret(),
    Parameter::new(
        BCC,
        "archive@example.com",
        "Further recipients that nobody sees.",
    )
    .of(ParameterKind::Destinations)
    .secret(),
    Parameter::new(
        REPLY_TO,
        "db-team@example.com",
        "Where answers go, if not to email_from.",
    )
    .of(ParameterKind::Texts),
    Parameter::new(
        "email_port",
        "587",
        "587 if absent; 465 with email_tls tls, 25 with none.",
    )
    .of(ParameterKind::Port),
    Parameter::new(
        server::TLS,
        "starttls",
        "starttls (if absent), or tls from the first byte; in the configuration file also none.",
    ),
    Parameter::new(
        server::HELLO,
        "db1.example.com",
        "This host's name for EHLO: a domain, or an address in brackets. Its address if absent.",
    )
    .form("a domain, or an address in brackets", |text| {
        hello_name(text).is_some()
    }),
    Parameter::new(
        "email_username",
        "alerts@example.com",
        "The account to send with.",
    )
    .secret(),
    Parameter::new("email_password", "app-password", "Its password.").secret(),
    Parameter::ca_file(),
    Parameter::client_certificate(),
];
