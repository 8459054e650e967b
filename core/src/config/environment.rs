//! The server's environment, as far as it matters here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use crate::model::policy::ProxySettings;
use crate::secret::Secret;

/// The variables of the environment that settings depend on. Read with the interpreter held, since Python's own writes
/// to the environment hold it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
    pub twilio_edge: Option<String>,
    pub twilio_region: Option<String>,
    pub proxy: ProxySettings,
    /// What relative paths of arguments are relative to.
    pub plugin_dir: Option<PathBuf>,
}

/// Variables that a configuration file names, with their values; `None` where one is not set.
pub type Named = BTreeMap<String, Option<Secret>>;

impl Environment {
    pub fn read() -> Self {
        // What is no UTF-8 is no usable value either, but must not count as absent: a proxy is never gone around.
        let text = |name: &str| {
            std::env::var_os(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.trim().is_empty())
        };
        // Without the line break that a file or a shell has left at its end, as in a request.
        let secret = |name: &str| {
            let value = text(name)?;
            Some(Secret::new(value.trim().trim_start_matches('\u{feff}')))
        };
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
            plugin_dir: plugin_dir(),
        }
    }

    /// The variables of these names. Like [`Environment::read`], with the interpreter held.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Named {
        let value = |name: &String| std::env::var(name).ok().map(Secret::new);
        names
            .into_iter()
            .map(|name| (name.clone(), value(name)))
            .collect()
    }

    /// A path that an argument names; `None` where it is relative, and it is not known to what.
    pub fn absolute(&self, given: &str) -> Option<PathBuf> {
        let path = Path::new(given);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        Some(self.plugin_dir.as_ref()?.join(path))
    }

    /// Twilio's API at the edge and region that are set: `api.{edge}.{region}.twilio.com`
    /// (docs: global infrastructure, using the REST API with edge locations).
    pub fn twilio_url(&self) -> Option<Url> {
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

/// `PLUGIN_DIR`, `INFLUXDB3_PLUGIN_DIR` (the Docker image's), or the parent of the virtual environment, which the server
/// puts into its plugin directory.
fn plugin_dir() -> Option<PathBuf> {
    let path = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    path("PLUGIN_DIR")
        .or_else(|| path("INFLUXDB3_PLUGIN_DIR"))
        .or_else(|| path("VIRTUAL_ENV")?.parent().map(PathBuf::from))
}
