//! Checks a configuration file.

use jiff::Timestamp;
use serde::Serialize;

use super::tree::{RouteSummary, StateSummary, tree};
use super::{LoadedConfig, sample, unreachable};
use crate::config::report::{self, ProblemReport};
use crate::config::{FromFile, Settings, SettingsError};
use crate::model::problem::{Location, Problem};

/// Returns the problems of an unusable file, or of unusable arguments.
pub(super) fn problems(of_file: &ProblemReport, error: &SettingsError) -> ProblemReport {
    let mut all = of_file.clone();
    match error {
        SettingsError::File(report) => {
            all.errors.extend_from_slice(&report.errors);
            all.warnings.extend_from_slice(&report.warnings);
        }
        SettingsError::Arguments(error) => all.errors.push(error.clone()),
    }
    all
}

/// The report of a check.
#[derive(Debug, Default, Serialize)]
pub struct Check {
    /// The plugin does not use a file with an error.
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The receivers of a usable file.
    pub receivers: Vec<CheckedReceiver>,
    pub default_receivers: Vec<String>,
    pub routes: usize,
    /// Each route after its parent, with inherited settings.
    pub tree: Vec<RouteSummary>,
    /// `None`: alert state is off.
    pub state: Option<StateSummary>,
    pub templates: Vec<String>,
    pub silences: Vec<String>,
    /// External sources that the file needs: environment variables, and files.
    pub variables: Vec<String>,
    pub files: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct CheckedReceiver {
    pub name: String,
    /// The channel of each destination.
    pub channels: Vec<&'static str>,
}

impl Check {
    pub(super) fn of(opened: &LoadedConfig, loaded: &FromFile) -> Self {
        let mut check = Self {
            variables: opened.variables.iter().cloned().collect(),
            files: loaded
                .files
                .keys()
                .map(|path| path.display().to_string())
                .collect(),
            ..Self::default()
        };
        match &loaded.settings {
            Ok(settings) => {
                check.warnings.clone_from(&loaded.warnings.warnings);
                check.has(settings);
            }
            Err(error) => {
                let ProblemReport { errors, warnings } = problems(&loaded.warnings, error);
                (check.errors, check.warnings) = (errors, warnings);
            }
        }
        check
    }

    fn has(&mut self, settings: &Settings) {
        let config = &settings.config;
        let name = |index: &usize| {
            let receiver = config.receivers.get(*index);
            receiver.map(|receiver| receiver.name.clone())
        };
        let receivers = config.receivers.iter().map(|receiver| CheckedReceiver {
            name: receiver.name.clone(),
            channels: receiver
                .destinations
                .iter()
                .map(|destination| destination.sender)
                .collect(),
        });
        self.receivers = receivers.collect();
        self.default_receivers = settings.default_receivers.iter().filter_map(name).collect();
        self.routes = config.routes.len();
        self.tree = tree(config);
        self.state = StateSummary::of(&config.alerts);
        self.warnings.extend(unreachable::warnings(config));
        let templates = config.named_templates.iter();
        self.templates = templates.map(|(name, _)| name.clone()).collect();
        let silences = config.silences.iter();
        self.silences = silences.map(|silence| silence.name.clone()).collect();
        if self.default_receivers.is_empty()
            && let Some(first) = config.routes.first()
            && !config.routes.iter().any(|route| route.matcher.is_for_all())
        {
            self.warnings.push(report::problem(
                Location::in_file(first.position, "routes"),
                "a notification that no route matches is refused: set default_receivers, or end with a route that has no \
                 match",
            ));
        }
        // Only the warnings of arguments: the file's warnings are already in the report with their positions.
        let of_arguments = settings.warnings.iter().cloned();
        let of_templates = sample::warnings(settings, Timestamp::now()).into_iter();
        let of_templates = of_templates
            .map(|message| format!("with quotes and line breaks in the values, {message}"));
        let without_place = of_arguments.chain(of_templates);
        self.warnings
            .extend(without_place.map(|message| report::problem(Location::default(), message)));
    }
}
