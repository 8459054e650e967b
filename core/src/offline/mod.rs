//! What the command line asks of a configuration file: whether it is in order, who would get a notification and why, and what
//! each channel would be sent. Nothing is sent, and without being told to, no secret is looked up.

mod check;
mod render;
mod routes;
mod sample;
mod templates;
mod tree;
mod unreachable;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

pub use self::check::Check;
pub use self::render::RenderReport;
pub use self::routes::RoutingTrace;
pub use self::templates::TemplateCheck;
use crate::api::request::{self, Request};
use crate::config::{
    self, Environment, FromFile, Named, OutboxPlace, Settings, SettingsError, file, from_file,
    read_bytes,
};
use crate::model::problem::Problem;
use crate::model::read_options::ReadOptions;

/// What a command was given.
#[derive(Debug, Default)]
pub struct CommandInput {
    /// The configuration file; without one there are the arguments alone.
    pub path: Option<PathBuf>,
    /// Of the trigger.
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    /// Whether secrets are looked up; without, they count as being in order.
    pub look_up: bool,
}

/// Why there is no result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CliError {
    /// The file cannot be read. The words follow its name.
    Unreadable(String),
    /// The file, or an argument, cannot be used.
    Unusable(Box<Check>),
    Request(Problem),
    /// What should be a time is none.
    Time(String),
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        CliError::Request(problem)
    }
}

/// A configuration file that was read, or none.
#[derive(Debug)]
pub struct LoadedConfig {
    given: CommandInput,
    bytes: Vec<u8>,
    /// The variables of the environment that the file names.
    pub variables: BTreeSet<String>,
    /// Their values: to be filled in by who may read the environment.
    pub named: Named,
}

impl LoadedConfig {
    pub fn open(mut given: CommandInput) -> Result<Self, CliError> {
        // The file mostly lies there, and no path in it is followed here.
        if let (None, Some(path)) = (&given.environment.plugin_dir, &given.path) {
            given.environment.plugin_dir = path.parent().map(PathBuf::from);
        }
        let bytes = match &given.path {
            Some(path) => {
                read_bytes(path).map_err(|message| CliError::Unreadable(message.to_owned()))?
            }
            None => Vec::new(),
        };
        let variables = match given.path {
            Some(_) => file::variables(&bytes),
            None => BTreeSet::new(),
        };
        Ok(Self {
            given,
            bytes,
            variables,
            named: Named::new(),
        })
    }

    /// All that there is to say of the file.
    pub fn check(&self) -> Check {
        let made = self.make();
        Check::of(self, &made)
    }

    /// Who would get the notification of a request, and why.
    pub fn routes(&self, request: &[u8], now: Timestamp) -> Result<RoutingTrace, CliError> {
        let settings = self.settings()?;
        let request = read(request, &settings.config.read_options)?;
        Ok(RoutingTrace::of(
            &settings,
            &request,
            now,
            self.given.look_up,
        ))
    }

    /// What each channel would be sent.
    pub fn render(&self, request: &[u8], now: Timestamp) -> Result<RenderReport, CliError> {
        let settings = self.settings()?;
        let has_file = self.given.path.is_some();
        let request = read(request, &settings.config.read_options)?;
        RenderReport::of(&settings, request, has_file, now, self.given.look_up)
    }

    /// Every template of the file, and what it makes of a request's notification where there is one.
    pub fn templates(
        &self,
        request: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Vec<TemplateCheck>, CliError> {
        let made = self.make();
        if made.templates.is_empty() && made.settings.is_err() {
            return Err(CliError::Unusable(Box::new(Check::of(self, &made))));
        }
        let settings = made.settings.as_ref();
        let options = settings.map(|settings| settings.config.read_options.clone());
        let options = options.unwrap_or_default();
        let read = |bytes| read(bytes, &options);
        let request = request.map(read).transpose()?;
        Ok(templates::checks(&made, request.as_ref(), now))
    }

    /// Whether a word is a level, also by the file's `level_map`.
    pub fn is_level(&self, word: &str) -> Result<bool, CliError> {
        let settings = self.settings()?;
        Ok(settings.config.read_options.levels.parse(word).is_some())
    }

    /// Where an outbox of that name is, and how it is reached.
    pub fn outbox(&self, place: &str) -> Result<Result<OutboxPlace, Problem>, CliError> {
        let settings = self.settings()?;
        let environment = &self.given.environment;
        Ok(OutboxPlace::parse(
            place,
            environment,
            &settings.config.outbox.nats,
        ))
    }

    fn make(&self) -> FromFile {
        let CommandInput {
            path,
            arguments,
            environment,
            look_up,
        } = &self.given;
        match path {
            Some(path) => from_file(
                &self.bytes,
                path,
                arguments,
                environment,
                &self.named,
                *look_up,
            ),
            None => FromFile::without(config::without_file(arguments, environment)),
        }
    }

    fn settings(&self) -> Result<Settings, CliError> {
        let made = self.make();
        if made.settings.is_err() {
            return Err(CliError::Unusable(Box::new(Check::of(self, &made))));
        }
        made.settings
            .map_err(|_: SettingsError| CliError::Unreadable("cannot be used".to_owned()))
    }
}

/// A moment of RFC 3339; now where none is given.
pub fn moment(text: Option<&str>) -> Result<Timestamp, CliError> {
    let Some(text) = text else {
        return Ok(Timestamp::now());
    };
    text.trim().parse().map_err(|_| {
        CliError::Time("must be a time of RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())
    })
}

/// A request as the endpoint reads it, without headers.
fn read(bytes: &[u8], options: &ReadOptions) -> Result<Request, CliError> {
    Ok(request::read(bytes, &BTreeMap::new(), options)?)
}
