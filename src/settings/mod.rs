//! Settings: a trigger's arguments and the environment, resolved once and kept until one of them changes.

pub mod arguments;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use self::arguments::{ArgumentError, Arguments};
use crate::channels::Operator;
use crate::model::plan::DeliveryPolicy;
use crate::model::policy::{AddressPolicy, ProxySettings};
use crate::model::secret::{Secret, digest};

/// What one trigger is set to.
#[derive(Debug)]
pub struct Settings {
    pub response_timeout: Duration,
    /// The HTTP status when nothing was delivered: 200 or 502.
    pub failure_status: u16,
    pub dry_run: bool,
    pub allow_mentions: bool,
    /// Judges the destinations that a request brings.
    pub addresses: AddressPolicy,
    pub operator: Operator,
    pub policy: Arc<DeliveryPolicy>,
    pub warnings: Vec<String>,
    /// Stands for these arguments, also after a restart.
    pub scope: Arc<str>,
}

/// The variables of the environment that settings depend on. Read with the interpreter held, since Python's own writes
/// to the environment hold it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
    pub twilio_edge: Option<String>,
    pub twilio_region: Option<String>,
    pub proxy: ProxySettings,
}

impl Environment {
    pub fn read() -> Self {
        // What is no UTF-8 is no usable value either, but must not count as absent: a proxy is never gone around.
        let text = |name: &str| {
            std::env::var_os(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.trim().is_empty())
        };
        // Without the line break that a file or a shell has left at its end, as in a request.
        let secret = |name: &str| text(name).map(|value| Secret::new(value.trim()));
        // The lower-case names are the older ones, and win as in curl.
        let either = |name: &str| text(&name.to_lowercase()).or_else(|| text(name));
        let all = || either("ALL_PROXY");
        Self {
            twilio_sid: secret("TWILIO_SID"),
            twilio_token: secret("TWILIO_TOKEN"),
            twilio_edge: text("TWILIO_EDGE"),
            twilio_region: text("TWILIO_REGION"),
            proxy: ProxySettings {
                http: either("HTTP_PROXY").or_else(all).map(Secret::new),
                https: either("HTTPS_PROXY").or_else(all).map(Secret::new),
                no_proxy: either("NO_PROXY").unwrap_or_default(),
            },
        }
    }

    /// Twilio's API at the edge and region that are set: `api.{edge}.{region}.twilio.com`
    /// (docs: global infrastructure, using the REST API with edge locations).
    fn twilio_url(&self) -> Option<Url> {
        let label = |name: &Option<String>| {
            let name = name.as_deref()?.trim();
            let valid = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            valid.then(|| name.to_owned())
        };
        let host = match (label(&self.twilio_edge), label(&self.twilio_region)) {
            (None, None) => return None,
            (Some(edge), region) => {
                format!("{edge}.{}", region.as_deref().unwrap_or("us1"))
            }
            (None, Some(region)) => region,
        };
        Url::parse(&format!("https://api.{host}.twilio.com/")).ok()
    }
}

/// The settings of the last triggers that called.
#[derive(Default)]
pub struct SettingsCache {
    /// The most recently used last.
    entries: Mutex<Vec<(Key, Arc<Settings>)>>,
}

type Key = (BTreeMap<String, String>, Environment);

/// More triggers than anybody has for one plugin.
const MAX_ENTRIES: usize = 64;

impl SettingsCache {
    pub fn resolve(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Result<Arc<Settings>, ArgumentError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries
            .iter()
            .rposition(|((known, env), _)| known == arguments && env == environment);
        if let Some(place) = known {
            let entry = entries.remove(place);
            let settings = Arc::clone(&entry.1);
            entries.push(entry);
            return Ok(settings);
        }
        let settings = Arc::new(resolve(arguments, environment)?);
        if entries.len() >= MAX_ENTRIES {
            entries.remove(0);
        }
        let key = (arguments.clone(), environment.clone());
        entries.push((key, Arc::clone(&settings)));
        Ok(settings)
    }
}

fn resolve(
    given: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<Settings, ArgumentError> {
    let mut arguments = Arguments::new(given)?;
    let addresses = AddressPolicy {
        private_addresses: arguments.private_addresses()?,
        allowed_hosts: arguments.allowed_hosts()?,
    };
    let policy = DeliveryPolicy {
        delivery_timeout: arguments.duration("delivery_timeout")?,
        max_attempts: arguments.count("max_attempts")?,
        initial_backoff: arguments.duration("initial_backoff")?,
        max_backoff: arguments.duration("max_backoff")?,
        attempt_timeout: arguments.duration("attempt_timeout")?,
        max_in_flight: arguments.size("max_in_flight")?,
        max_connections: arguments.max_connections()?,
        rate_limit: arguments.rate("rate_limit")?,
        dedup_window: arguments.duration("dedup_window")?,
        on_ambiguous: arguments.on_ambiguous()?,
        connect_timeout: arguments.duration("connect_timeout")?,
        proxy: Arc::new(environment.proxy.clone()),
    };
    let operator = Operator {
        twilio_base_url: arguments
            .url("twilio_base_url")?
            .or_else(|| environment.twilio_url()),
        twilio_sid: environment.twilio_sid.clone(),
        twilio_token: environment.twilio_token.clone(),
    };
    Ok(Settings {
        response_timeout: arguments.duration("response_timeout")?,
        failure_status: arguments.failure_status()?,
        dry_run: arguments.boolean("dry_run")?,
        allow_mentions: arguments.boolean("allow_mentions")?,
        addresses,
        operator,
        policy: Arc::new(policy),
        warnings: arguments.warnings(),
        scope: scope(given),
    })
}

/// The same for the same arguments. Their lengths stand before them, so that no two sets look alike.
fn scope(given: &BTreeMap<String, String>) -> Arc<str> {
    let parts = given.iter().flat_map(|(name, value)| [name, value]);
    let text: String = parts.map(|part| format!("{}:{part}", part.len())).collect();
    digest(&text).into()
}

#[cfg(test)]
mod tests {
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
            // What is no label of a host name is as if it were not there.
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
            let given = set(argument).map(|url| ("twilio_base_url".to_owned(), url));
            let settings = resolve(&given.into_iter().collect(), &environment).unwrap();
            let url = settings.operator.twilio_base_url.as_ref().map(Url::as_str);
            assert_eq!(url, expected, "{edge:?} {region:?} {argument:?}");
        }
    }
}
