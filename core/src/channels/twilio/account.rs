//! The sending account and the URL of its messages.

use url::Url;

use super::parameters::{ACCOUNT_SID, SID};
use crate::channels::shared::endpoint::join_path;
use crate::channels::{Fields, OperatorSettings};
use crate::model::problem::Problem;
use crate::secret::Secret;

/// Returns the account in the URL's path: the SID, or the account parameter beside an API key.
pub fn account(fields: &Fields<'_>, sid: &Secret) -> Result<Secret, Problem> {
    let given = fields.optional(&ACCOUNT_SID)?;
    let field = match given {
        Some(_) => ACCOUNT_SID,
        None => SID,
    };
    let account = match given {
        Some(account) => Secret::new(account.trim()),
        None if sid.expose().starts_with("SK") => {
            return Err(fields.error(
                &ACCOUNT_SID,
                "twilio_account_sid (AC…) is required when twilio_sid is an API key (SK…)",
            ));
        }
        None => sid.clone(),
    };
    // The account becomes part of the URL's path.
    if account
        .expose()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric())
    {
        return Ok(account);
    }
    let name = field.name;
    Err(fields.error(
        &field,
        format!("{name} must be letters and digits only, such as AC and 32 hexadecimal digits"),
    ))
}

pub fn messages_url(operator: &OperatorSettings, account: &Secret) -> Url {
    let base = operator.twilio_base_url.clone().unwrap_or_else(twilio_url);
    let path = ["2010-04-01", "Accounts", account.expose(), "Messages.json"];
    join_path(&base, path)
}

#[allow(clippy::expect_used)] // The URL is a constant.
fn twilio_url() -> Url {
    Url::parse("https://api.twilio.com/").expect("a valid URL")
}
