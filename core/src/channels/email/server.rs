//! The mail server and its connection settings.

use super::parameters::{HELLO, HOST, PASSWORD, PORT, TLS, USERNAME};
use crate::channels::Fields;
use crate::channels::spec::mailboxes::{hello_name, server_name};
use crate::model::problem::Problem;
use crate::model::wire::{Credentials, MailServer, MailTls};
use crate::secret::Secret;

pub fn read(fields: &Fields<'_>) -> Result<MailServer, Problem> {
    let host = fields.formed(&HOST)?;
    let tls = tls(fields)?;
    let port = fields.port(&PORT)?.unwrap_or(match tls {
        MailTls::StartTls => 587,
        MailTls::Implicit => 465,
        MailTls::Clear => 25,
    });
    let hello = fields.formed_or_none(&HELLO)?;
    Ok(MailServer {
        // The parameter's format guarantees a valid name.
        host: server_name(&host).unwrap_or_default(),
        port,
        tls,
        credentials: credentials(fields, tls)?,
        hello: hello.as_deref().and_then(hello_name),
    })
}

fn tls(fields: &Fields<'_>) -> Result<MailTls, Problem> {
    match fields.optional(&TLS)?.as_deref().map(str::trim) {
        None | Some("starttls") => Ok(MailTls::StartTls),
        Some("tls") => Ok(MailTls::Implicit),
        Some("none") if fields.is_of_operator() => Ok(MailTls::Clear),
        Some("none") => {
            let message = "email_tls none is for the configuration file alone; here it must be starttls or tls";
            Err(fields.error(&TLS, message))
        }
        Some(_) => {
            let message = "email_tls must be starttls or tls, or none in the configuration file";
            Err(fields.error(&TLS, message))
        }
    }
}

fn credentials(fields: &Fields<'_>, tls: MailTls) -> Result<Option<Credentials>, Problem> {
    let username = fields.optional(&USERNAME)?;
    let password = fields.optional(&PASSWORD)?;
    match (username, password) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) if tls == MailTls::Clear => {
            let message = "email_tls none encrypts nothing: leave email_username and email_password out, or use starttls or tls";
            Err(fields.error(&TLS, message))
        }
        (Some(username), Some(password)) => Ok(Some(Credentials {
            username: Secret::new(username.trim()),
            password: Secret::new(password),
        })),
        (Some(_), None) => {
            let message = "email_password is required with email_username";
            Err(fields.error(&PASSWORD, message))
        }
        (None, Some(_)) => {
            let message = "email_username is required with email_password";
            Err(fields.error(&USERNAME, message))
        }
    }
}
