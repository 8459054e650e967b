//! Loads a configuration file into settings, or into the reason for a failure.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::file;
use super::report::ProblemReport;
use super::{Settings, SettingsError};
use crate::model::problem::{Location, Problem};
use crate::text::{printable, truncate};
use crate::time_limit::files::{self, FileError};

/// Returns the settings with the file's warnings added.
pub(super) fn usable(
    settings: Result<Settings, SettingsError>,
    warnings: &ProblemReport,
    file_path: &str,
) -> Result<Settings, Problem> {
    match settings {
        Ok(mut settings) => {
            let name = shown(file_path);
            let warnings = warnings.warnings.iter();
            let warnings = warnings.map(|warning| format!("{name}: {warning}"));
            settings.warnings.extend(warnings);
            Ok(settings)
        }
        Err(SettingsError::Arguments(error)) => Err(error),
        Err(SettingsError::File(report)) => Err(unusable(file_path, &report)),
    }
}

pub(super) fn absolute(file_path: &str, environment: &Environment) -> Result<PathBuf, Problem> {
    environment.absolute(file_path).ok_or_else(|| Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!(
            "The configuration file {} has a relative path, and the directory that it starts from is unknown.",
            shown(file_path)
        ),
        hint: "Give an absolute path, or set PLUGIN_DIR where the server runs.".to_owned(),
    })
}

/// Returns the bytes of a configuration file. The error text follows the file's name.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, &'static str> {
    files::read(path, file::MAX_FILE_BYTES, files::LIMIT)
        .bytes
        .map_err(sentence)
}

const fn sentence(error: FileError) -> &'static str {
    match error {
        FileError::TooLong => "is longer than 64 MiB",
        error => error.sentence(),
    }
}

/// Describes a failed read. `subject` names the file and alternatives.
pub(super) fn cannot_read(subject: &str, error: FileError) -> Problem {
    let hint = match error {
        FileError::TimeLimit => {
            "Look at the file system, or move the file to another one. The next requests try again."
        }
        _ => "Correct the file, or create the trigger with another config_file_path.",
    };
    Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!("The configuration file {subject} {}.", sentence(error)),
        hint: hint.to_owned(),
    }
}

/// Describes the first problem and counts the others.
fn unusable(file_path: &str, report: &ProblemReport) -> Problem {
    let first = report.errors.first();
    let source = first.and_then(|problem| Some((problem, problem.location.source.as_ref()?)));
    let name = shown(file_path);
    let (first, check) = match source {
        Some((problem, source)) => (of_source(source, problem, &name), "check --resolve"),
        None => {
            let first = first.map(ToString::to_string).unwrap_or_default();
            let first = format!("The configuration file {name} cannot be used: {first}");
            (first, "check")
        }
    };
    let stop = if first.ends_with(['.', '?']) { "" } else { "." };
    let more = match report.errors.len().saturating_sub(1) {
        0 => String::new(),
        1 => " There is 1 more error.".to_owned(),
        more => format!(" There are {more} more errors."),
    };
    Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!("{first}{stop}{more}"),
        hint: format!("Correct it; `influxdb3-notifier {check} {name}` shows everything."),
    }
}

/// Describes a problem of a value that the configuration file `name` reads from another source.
fn of_source(source: &str, problem: &Problem, name: &str) -> String {
    let Location { path, position, .. } = &problem.location;
    let (path, position) = (
        path.as_deref().unwrap_or_default(),
        position.unwrap_or_default(),
    );
    let source = source.trim_start_matches("the ");
    format!(
        "The {source}, which {name} names (line {}, column {}: {path}), cannot be used: {}",
        position.line, position.column, problem.message
    )
}

pub(super) fn shown(path: &str) -> String {
    truncate(&printable(path), 256)
}
