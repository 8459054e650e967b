//! Reads a body in any of its forms.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::alert_list::{AlertBody, AlertList};
use super::request::{self, Request};
use crate::model::problem::Problem;
use crate::model::read_options::ReadOptions;
use crate::warnings::Warnings;

/// The content of a body.
#[derive(Debug)]
pub enum RequestBody {
    Request(Box<Request>),
    Alerts(AlertList),
}

/// Reads a body and its headers (names in lower case). The shape of the body decides its form.
pub fn read_body(
    bytes: &[u8],
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
    now: Timestamp,
) -> Result<RequestBody, Problem> {
    let mut warnings = Warnings::default();
    let body = request::parse(bytes, &mut warnings)?;
    match AlertBody::of(body) {
        Ok(alerts) => Ok(RequestBody::Alerts(alerts.read(options, now, warnings)?)),
        Err(body) => {
            let request = request::of_json(body, headers, options, warnings)?;
            Ok(RequestBody::Request(Box::new(request)))
        }
    }
}
