//! The `Authorization` header and other headers of parameters.

use http::HeaderValue;

use super::parameters::{BASIC_AUTH, BEARER_TOKEN};
use crate::channels::shared::endpoint::basic_auth;
use crate::channels::{Fields, Parameter};
use crate::model::problem::Problem;

/// Returns `bearer_token` or `basic_auth` as a header value.
pub fn authorization(fields: &Fields<'_>) -> Result<Option<HeaderValue>, Problem> {
    let bearer = fields.optional(&BEARER_TOKEN)?;
    let basic = fields.table(&BASIC_AUTH)?;
    match (bearer, basic) {
        (Some(_), Some(_)) => Err(fields.error(
            &BASIC_AUTH,
            "give basic_auth or bearer_token: there is one Authorization header",
        )),
        (Some(token), None) => {
            let mut value =
                header_value(fields, &BEARER_TOKEN, &format!("Bearer {}", token.trim()))?;
            value.set_sensitive(true);
            Ok(Some(value))
        }
        (None, Some(members)) => {
            let get = |name| {
                members
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, text)| text)
            };
            let known = members
                .iter()
                .all(|(key, _)| matches!(key.as_str(), "username" | "password"));
            match (get("username"), get("password"), known) {
                (Some(username), Some(password), true) => {
                    Ok(basic_auth(format!("{username}:{password}").as_bytes()))
                }
                _ => Err(fields.error(&BASIC_AUTH, "basic_auth must be { username, password }")),
            }
        }
        (None, None) => Ok(None),
    }
}

pub fn header_value(
    fields: &Fields<'_>,
    field: &Parameter,
    text: &str,
) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text.trim()).map_err(|_| {
        let name = field.name;
        fields.error(
            field,
            format!("{name} holds a character that no header may have"),
        )
    })
}
