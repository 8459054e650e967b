//! Settings from a trigger's arguments, its configuration file and the environment. The plugin resolves them once and
//! caches them until one of these changes.

pub mod alerts;
pub mod arguments;
mod big_stack;
mod cache;
mod environment;
pub mod file;
pub mod inhibition;
mod load;
pub mod matcher;
mod outbox;
pub mod report;
mod rows;
pub mod silence;
pub mod template;
pub mod time_interval;
mod weekly_window;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::arguments::{Arguments, RequestDestinations, unknown_name};
pub use self::cache::{ConfigReload, Resolution, SettingsCache, SettingsResult};
pub use self::environment::{Environment, Named};
use self::file::secrets::Files;
use self::file::{Checked, Config};
pub use self::load::read_bytes;
pub use self::outbox::{OutboxLocation, OutboxSettings};
use self::report::ProblemReport;
pub use self::rows::RowSettings;
use crate::channels::OperatorSettings;
use crate::model::plan::DeliveryPolicy;
use crate::model::policy::AddressPolicy;
use crate::model::problem::Problem;
use crate::secret::digest;

/// The settings of one trigger.
#[derive(Debug)]
pub struct Settings {
    pub response_timeout: Duration,
    /// The HTTP status of a response without any successful delivery: 200 or 502.
    pub failure_status: u16,
    pub dry_run: bool,
    pub allow_mentions: bool,
    /// Checks the addresses of destinations in a request.
    pub addresses: AddressPolicy,
    pub request_destinations: RequestDestinations,
    /// The receivers of a request without receivers and without a matching route, as indexes of the file's receivers.
    pub default_receivers: Vec<usize>,
    pub operator: OperatorSettings,
    pub policy: Arc<DeliveryPolicy>,
    /// `None`: deliveries in flight end with the process.
    pub outbox: Option<OutboxSettings>,
    /// The settings for making notifications from rows.
    pub rows: RowSettings,
    /// The table that gets one row for each delivery.
    pub history_table: Option<Arc<str>>,
    /// The configuration file's content. Empty without a file.
    pub config: Config,
    pub warnings: Vec<String>,
    /// Identifies these arguments and this file, also after a restart.
    pub scope: Arc<str>,
}

/// The default of `delivery_timeout` if pending deliveries outlive the process.
const KEPT_DELIVERY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The settings from a configuration file's bytes, arguments and the environment.
pub struct FromFile {
    pub settings: Result<Settings, SettingsError>,
    /// The warnings of a usable file.
    pub warnings: ProblemReport,
    /// The files that the configuration depends on. A change of one counts as a change of the configuration.
    pub files: Files,
    /// Whether one of these files did not respond in time.
    pub no_answer: bool,
    pub templates: Vec<Checked>,
}

impl FromFile {
    /// Returns settings that depend on no file.
    pub fn without(settings: Result<Settings, Problem>) -> Self {
        Self {
            settings: settings.map_err(SettingsError::Arguments),
            warnings: ProblemReport::default(),
            files: Files::new(),
            no_answer: false,
            templates: Vec::new(),
        }
    }
}

/// Returns the settings of arguments without a file.
pub fn without_file(
    arguments: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<Settings, Problem> {
    resolve(arguments, environment, Config::default())
}

/// The reason why there are no settings.
#[derive(Debug)]
pub enum SettingsError {
    File(ProblemReport),
    Arguments(Problem),
}

/// Reads a configuration file's bytes. With `look_up`, also reads its secrets. Paths in the file are relative to its
/// directory.
pub fn from_file(
    bytes: &[u8],
    path: &Path,
    arguments: &BTreeMap<String, String>,
    environment: &Environment,
    named: &Named,
    look_up: bool,
) -> FromFile {
    let operator = match file_operator(arguments, environment) {
        Ok(operator) => operator,
        Err(error) => {
            return FromFile::without(Err(error));
        }
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    let loaded = file::load(bytes, directory, named, operator, look_up);
    let settings = loaded.config.map_err(SettingsError::File);
    FromFile {
        settings: settings.and_then(|config| {
            resolve(arguments, environment, config).map_err(SettingsError::Arguments)
        }),
        warnings: loaded.warnings,
        files: loaded.files,
        no_answer: loaded.no_answer,
        templates: loaded.templates,
    }
}

/// Returns the operator's settings for the channels of the file. The file may set Twilio's address, so this step comes
/// first.
fn file_operator(
    arguments: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<OperatorSettings, Problem> {
    let none = BTreeMap::new();
    operator(&Arguments::new(arguments, &none)?, environment)
}

/// Combines a trigger's arguments with its file's configuration.
fn resolve(
    trigger: &BTreeMap<String, String>,
    environment: &Environment,
    config: Config,
) -> Result<Settings, Problem> {
    let arguments = Arguments::new(trigger, &config.arguments)?;
    let addresses = AddressPolicy {
        private_addresses: arguments.private_addresses()?,
        allowed_hosts: arguments.hosts("allowed_hosts")?,
    };
    let outbox = OutboxSettings::new(&arguments, environment, &config.outbox)?;
    let policy = DeliveryPolicy {
        delivery_timeout: match outbox {
            Some(_) if !arguments.is_set("delivery_timeout") => KEPT_DELIVERY_TIMEOUT,
            _ => arguments.duration("delivery_timeout")?,
        },
        max_attempts: arguments.count("max_attempts")?,
        initial_backoff: arguments.duration("initial_backoff")?,
        max_backoff: arguments.duration("max_backoff")?,
        attempt_timeout: arguments.duration("attempt_timeout")?,
        max_in_flight: arguments.size("max_in_flight")?,
        max_connections: arguments.max_connections()?,
        rate_limit: arguments.rate("rate_limit")?,
        dedup_window: arguments.duration("dedup_window")?,
        repeat_interval: if_stateless(&config, arguments.duration_if_given("repeat_interval")?),
        max_per_batch: if_stateless(&config, arguments.count_if_given("max_per_batch")?),
        max_per_minute: arguments.count_if_given("max_per_minute")?,
        on_ambiguous: arguments.on_ambiguous()?,
        connect_timeout: arguments.duration("connect_timeout")?,
        proxy: Arc::new(environment.proxy.clone()),
    };
    let mut warnings = arguments.warnings();
    let without_effect = ["repeat_interval", "max_per_batch"];
    let without_effect = without_effect
        .into_iter()
        .filter(|name| arguments.is_set(name));
    config
        .alerts
        .check(outbox.as_ref(), without_effect, &mut warnings)?;
    Ok(Settings {
        response_timeout: arguments.duration("response_timeout")?,
        failure_status: arguments.failure_status()?,
        dry_run: arguments.boolean("dry_run")?,
        allow_mentions: arguments.boolean("allow_mentions")?,
        addresses,
        request_destinations: arguments.request_destinations()?,
        default_receivers: default_receivers(&arguments, &config)?,
        operator: operator(&arguments, environment)?,
        policy: Arc::new(policy),
        outbox,
        rows: RowSettings::new(&arguments, &config)?,
        history_table: arguments.table("history_table")?.map(Arc::from),
        warnings,
        scope: scope(trigger, &config),
        config,
    })
}

/// Returns the value only without alert state. With it, the notification log detects repeats, and groups replace a
/// batch's digests.
fn if_stateless<T>(config: &Config, value: Option<T>) -> Option<T> {
    value.filter(|_| !config.alerts.is_state_on())
}

fn operator(
    arguments: &Arguments<'_>,
    environment: &Environment,
) -> Result<OperatorSettings, Problem> {
    let url = arguments.url("twilio_base_url")?;
    Ok(OperatorSettings {
        twilio_base_url: url.or_else(|| environment.twilio_url()),
        twilio_sid: environment.twilio_sid.clone(),
        twilio_token: environment.twilio_token.clone(),
    })
}

/// Returns the file's default receivers, or the receivers that the argument names.
fn default_receivers(arguments: &Arguments<'_>, config: &Config) -> Result<Vec<usize>, Problem> {
    const NAME: &str = "default_receivers";
    if let Some(receivers) = &config.default_receivers {
        return Ok(receivers.clone());
    }
    let receivers = arguments.names(NAME).map(|name| {
        let receiver = config.by_name.get(name).copied();
        receiver.ok_or_else(|| unknown_name(NAME, "receiver", name, config.by_name.keys()))
    });
    receivers.collect()
}

/// Returns an identifier of the arguments and the file. Each value follows its length, so that two different sets never
/// get equal identifiers.
fn scope(trigger: &BTreeMap<String, String>, config: &Config) -> Arc<str> {
    let parts = trigger.iter().flat_map(|(name, value)| [name, value]);
    let parts = parts.chain([&config.digest]);
    let text: String = parts.map(|part| format!("{}:{part}", part.len())).collect();
    digest(&text).into()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn twilios_address_follows_edge_and_region_and_the_argument_wins() {
        let set = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        for (edge, region, argument, expected) in [
            ("", "", "", None),
            ("dublin", "", "", Some("https://api.dublin.us1.twilio.com/")),
            (
                "dublin",
                "ie1",
                "",
                Some("https://api.dublin.ie1.twilio.com/"),
            ),
            ("", "ie1", "", Some("https://api.ie1.twilio.com/")),
            (
                " dublin ",
                "ie1\n",
                "",
                Some("https://api.dublin.ie1.twilio.com/"),
            ),
            // A value that is not a label of a host name counts as absent.
            ("evil.example/", "", "", None),
            (
                "evil.example#",
                "ie1",
                "",
                Some("https://api.ie1.twilio.com/"),
            ),
            (
                "dublin",
                "ie1",
                "http://localhost:1",
                Some("http://localhost:1/"),
            ),
        ] {
            let environment = Environment {
                twilio_edge: set(edge),
                twilio_region: set(region),
                ..Environment::default()
            };
            let url = set(argument).map(|url| ("twilio_base_url".to_owned(), url));
            let settings =
                resolve(&url.into_iter().collect(), &environment, Config::default()).unwrap();
            let url = settings.operator.twilio_base_url.as_ref().map(Url::as_str);
            assert_eq!(url, expected, "{edge:?} {region:?} {argument:?}");
        }
    }
}
