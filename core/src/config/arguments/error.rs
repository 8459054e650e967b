//! Errors of argument values.

use super::{Argument, ArgumentKind};
use crate::model::problem::{Location, Problem};
use crate::text::{nearest, shown, shown_value};

/// Reports a name that the configuration file does not define, such as a receiver or a template.
pub fn unknown_name<'a>(
    argument: &'static str,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> Problem {
    let meant = nearest(name, known.map(String::as_str));
    let shown = shown(name);
    Problem {
        location: Location::path(argument),
        code: "invalid_argument",
        message: format!(
            "The trigger argument {argument} names '{shown}', which is no {kind} of the configuration file."
        ),
        hint: match meant {
            Some(meant) => format!(
                "Did you mean {meant}? Create the trigger again, or add the {kind} to the file."
            ),
            None => "Add it to the file that config_file_path names, or create the trigger again."
                .to_owned(),
        },
    }
}

pub(super) fn unparsable(argument: &'static Argument, value: &str, expected: &str) -> Problem {
    let found = match argument.kind {
        // A URL may hold a secret, so the error does not quote it.
        ArgumentKind::Url => String::new(),
        _ => format!(", found '{}'", shown_value(value)),
    };
    Problem {
        location: Location::path(argument.name),
        code: "invalid_argument",
        message: format!(
            "The trigger argument {} must be {expected}{found}.",
            argument.name
        ),
        hint: format!(
            "Give for example {}={}, and create the trigger again.",
            argument.name, argument.example
        ),
    }
}
