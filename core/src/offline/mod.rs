//! The command line's functions for a configuration file: checking it, explaining the receivers of a notification, and
//! rendering messages. They send nothing, and they read secrets only on request.

mod check;
mod render;
mod routes;
mod sample;
mod templates;
mod tree;
mod unreachable;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use self::check::Check;
pub use self::render::RenderReport;
pub use self::routes::RoutingTrace;
pub use self::templates::TemplateCheck;
use crate::api::request::{self, Request};
use crate::config::report::{self, ProblemReport};
use crate::config::{
    self, Environment, FromFile, Named, OutboxLocation, Settings, file, from_file, read_bytes,
};
use crate::model::problem::{Location, Problem};
use crate::model::read_options::ReadOptions;
use jiff::Timestamp;

/// The input of a command.
#[derive(Debug, Default)]
pub struct CommandInput {
    /// The configuration file. `None`: only the arguments apply.
    pub path: Option<PathBuf>,
    /// The arguments of the trigger.
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    /// Whether to read secrets. Without lookup, every secret counts as valid.
    pub look_up: bool,
}

/// The configuration file's content, if any, with the other input.
#[derive(Debug)]
pub struct LoadedConfig {
    input: CommandInput,
    bytes: Vec<u8>,
    /// The environment variables that the file names.
    pub variables: BTreeSet<String>,
    /// The values of these variables. A caller that may read the environment sets them.
    pub named: Named,
}

impl LoadedConfig {
    pub fn open(mut input: CommandInput) -> Result<Self, ProblemReport> {
        // The plugin directory usually contains the file, and this command follows no path inside it.
        if let (None, Some(path)) = (&input.environment.plugin_dir, &input.path) {
            input.environment.plugin_dir = path.parent().map(PathBuf::from);
        }
        let bytes = match &input.path {
            Some(path) => read_bytes(path).map_err(|message| {
                report::problem(Location::default(), format!("the file {message}"))
            })?,
            None => Vec::new(),
        };
        let variables = match input.path {
            Some(_) => file::variables(&bytes),
            None => BTreeSet::new(),
        };
        Ok(Self {
            input,
            bytes,
            variables,
            named: Named::new(),
        })
    }

    /// Returns the complete report on the file.
    pub fn check(&self) -> Check {
        let loaded = self.make();
        Check::of(self, &loaded)
    }

    /// Explains which receivers would get the notification of a request, and why.
    pub fn routes(&self, request: &[u8], now: Timestamp) -> Result<RoutingTrace, ProblemReport> {
        let settings = self.settings()?;
        let request = read(request, &settings.config.read_options)?;
        Ok(RoutingTrace::of(
            &settings,
            &request,
            now,
            self.input.look_up,
        ))
    }

    /// Renders the messages for each channel.
    pub fn render(&self, request: &[u8], now: Timestamp) -> Result<RenderReport, ProblemReport> {
        let settings = self.settings()?;
        let has_file = self.input.path.is_some();
        let request = read(request, &settings.config.read_options)?;
        let labels = self.input.look_up;
        Ok(RenderReport::of(&settings, request, has_file, now, labels)?)
    }

    /// Returns every template of the file, and its result for a request's notification if there is one.
    pub fn templates(
        &self,
        request: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Vec<TemplateCheck>, ProblemReport> {
        let loaded = self.make();
        if let (true, Err(error)) = (loaded.templates.is_empty(), &loaded.settings) {
            return Err(check::problems(&loaded.warnings, error));
        }
        let settings = loaded.settings.as_ref();
        let options = settings.map(|settings| settings.config.read_options.clone());
        let options = options.unwrap_or_default();
        let read = |bytes| read(bytes, &options);
        let request = request.map(read).transpose()?;
        Ok(templates::checks(&loaded, request.as_ref(), now))
    }

    /// Returns whether a word is a level, including words of the file's `level_map`.
    pub fn is_level(&self, word: &str) -> Result<bool, ProblemReport> {
        let settings = self.settings()?;
        Ok(settings.config.read_options.levels.parse(word).is_some())
    }

    /// Returns the location of an outbox and the settings for the connection.
    pub fn outbox(&self, location: &str) -> Result<Result<OutboxLocation, Problem>, ProblemReport> {
        let settings = self.settings()?;
        let environment = &self.input.environment;
        Ok(OutboxLocation::parse(
            location,
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
        } = &self.input;
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

    fn settings(&self) -> Result<Settings, ProblemReport> {
        let FromFile {
            settings, warnings, ..
        } = self.make();
        settings.map_err(|error| check::problems(&warnings, &error))
    }
}

/// Parses an RFC 3339 time. Returns the present time without an argument.
pub fn moment(text: Option<&str>) -> Result<Timestamp, Problem> {
    let Some(text) = text else {
        return Ok(Timestamp::now());
    };
    text.trim().parse().map_err(|_| Problem {
        code: "invalid_option",
        message: "must be a time of RFC 3339, such as 2026-01-31T12:00:00Z".to_owned(),
        location: Location::path("--at"),
        hint: String::new(),
    })
}

/// Reads a request like the endpoint, without headers.
fn read(bytes: &[u8], options: &ReadOptions) -> Result<Request, Problem> {
    request::read(bytes, &BTreeMap::new(), options)
}
