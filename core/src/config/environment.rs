//! The server's environment, as far as settings depend on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use crate::model::policy::ProxySettings;
use crate::secret::Secret;

/// The environment variables that settings depend on. The caller must hold the interpreter while it reads them, because
/// Python holds it while it writes to the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
    pub twilio_edge: Option<String>,
    pub twilio_region: Option<String>,
    pub proxy: ProxySettings,
    /// The directory to which relative paths in arguments refer.
    pub plugin_dir: Option<PathBuf>,
}

/// The environment variables that a configuration file names, with their values. `None`: the variable is not set.
pub type Named = BTreeMap<String, Option<Secret>>;

impl Environment {
    pub fn read() -> Self {
        // A value that is not UTF-8 is unusable, but it must not count as absent: requests must never bypass a proxy.
        let text = |name: &str| {
            std::env::var_os(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.trim().is_empty())
        };
        // Remove the line break that a file or a shell may leave at the end, as for secrets in a request.
        let secret = |name: &str| {
            let value = text(name)?;
            Some(Secret::new(value.trim().trim_start_matches('\u{feff}')))
        };
        // The lower-case names are older and take precedence, as in curl.
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

    /// Returns the variables with these names. As for [`Environment::read`], the caller must hold the interpreter.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Named {
        let value = |name: &String| std::env::var(name).ok().map(Secret::new);
        names
            .into_iter()
            .map(|name| (name.clone(), value(name)))
            .collect()
    }

    /// Returns an absolute path for a path in an argument. `None`: the path is relative and the base directory is
    /// unknown.
    pub fn absolute(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        Some(self.plugin_dir.as_ref()?.join(path))
    }

    /// Returns the address of Twilio's API at the configured edge and region: `api.{edge}.{region}.twilio.com` (docs:
    /// global infrastructure, using the REST API with edge locations).
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

/// Returns `PLUGIN_DIR`, `INFLUXDB3_PLUGIN_DIR` (the Docker image's), or the parent of the virtual environment. The
/// server creates the virtual environment in its plugin directory.
fn plugin_dir() -> Option<PathBuf> {
    let path = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    path("PLUGIN_DIR")
        .or_else(|| path("INFLUXDB3_PLUGIN_DIR"))
        .or_else(|| path("VIRTUAL_ENV")?.parent().map(PathBuf::from))
}
