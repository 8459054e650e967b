//! Messages about invalid requests.

use crate::json::Json;
use crate::model::problem::{Location, Problem};
use crate::text::{nearest, shown};

/// Messages that users of the Python plugin know.
pub const NO_BODY: &str = "No request body provided.";
pub const INVALID_JSON: &str = "Invalid JSON in request body.";
const MISSING_FIELDS: &str = "Missing required fields: 'senders_config' or 'notification_text'.";

/// The forms of a body.
pub const FORMS: &str = "POST a JSON object with notification_text and senders_config; or alerts: an array of objects \
    with labels as Prometheus posts it, or an object with version and alerts as the webhooks of Alertmanager and Grafana.";

/// Reports a missing required field. Suggests the unknown field with the most similar name.
pub fn missing(field: &str, unknown: &[String]) -> Problem {
    let meant = unknown.iter().find(|name| nearest(name, [field]).is_some());
    let hint = match meant {
        Some(name) => format!("{field} is missing; is `{}` meant to be it?", shown(name)),
        None if field == "senders_config" => {
            "Add senders_config, or receivers where the trigger has a configuration file."
                .to_owned()
        }
        None if field == "notification_text" => format!("Add {field}. {FORMS}"),
        None => format!("Add {field}."),
    };
    Problem {
        location: Location::path(field),
        ..error("missing_field", MISSING_FIELDS, &hint)
    }
}

pub fn wrong_type(path: &str, expected: &str, found: &Json) -> Problem {
    Problem {
        location: Location::path(path),
        ..error(
            "invalid_field",
            &format!(
                "The field {path} must be {expected}, found {}.",
                found.kind()
            ),
            &format!("Give {path} as {expected}."),
        )
    }
}

pub fn error(code: &'static str, message: &str, hint: &str) -> Problem {
    Problem {
        code,
        message: message.to_owned(),
        location: Location::default(),
        hint: hint.to_owned(),
    }
}
