//! Settings of the outbox, in which a trigger stores accepted requests.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::arguments::Arguments;
use super::environment::Environment;
use crate::model::policy::TlsFiles;
use crate::model::problem::{Location, Problem};
use crate::secret::{Secret, digest};
use crate::store::{OutboxServers, Seal};
use crate::text::{printable, truncate};
use crate::transport;

/// The settings `outbox` and `outbox_key`.
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    pub location: OutboxLocation,
    /// `None`: the plugin refuses requests that contain destinations.
    pub seal: Option<Arc<Seal>>,
    /// Whether workers, and not the server, deliver the stored requests.
    pub for_workers: bool,
}

#[derive(Clone)]
pub enum OutboxLocation {
    File(PathBuf),
    /// A key that distinguishes outboxes with different credentials, and the servers.
    Servers(String, Box<OutboxServers>),
}

/// The outbox settings of a configuration file.
#[derive(Clone, Debug, Default)]
pub struct OutboxConfig {
    /// The key that encrypts the destinations of requests in the store.
    pub key: Option<Arc<Seal>>,
    pub nats: NatsAccess,
    /// Whether workers, and not the server, deliver the stored requests.
    pub for_workers: bool,
}

/// The settings of a connection to NATS servers.
#[derive(Clone, Debug, Default)]
pub struct NatsAccess {
    pub credentials: Option<Secret>,
    pub tls: TlsFiles,
}

const NAME: &str = "outbox";

impl OutboxSettings {
    pub fn new(
        arguments: &Arguments<'_>,
        environment: &Environment,
        config: &OutboxConfig,
    ) -> Result<Option<Self>, Problem> {
        let Some(text) = arguments.text(NAME) else {
            return match config.for_workers {
                false => Ok(None),
                true => Err(Problem { location: Location::path(NAME), code: "invalid_argument", message: "Workers deliver the notifications, but no outbox is set.".to_owned(), hint: "Set outbox, or take delivered_by = \"workers\" out of the configuration file.".to_owned() }),
            };
        };
        Ok(Some(Self {
            for_workers: config.for_workers,
            location: OutboxLocation::parse(text, environment, &config.nats)?,
            seal: config.key.clone(),
        }))
    }
}

impl OutboxLocation {
    /// Parses the path of a file or the addresses of NATS servers.
    pub fn parse(
        text: &str,
        environment: &Environment,
        access: &NatsAccess,
    ) -> Result<Self, Problem> {
        if text.contains("://") {
            return servers(text).and_then(|servers| Self::nats(servers, access));
        }
        let path = environment.absolute(text).ok_or_else(|| {
            let shown = truncate(&printable(text), 256);
            Problem {
                location: Location::path(NAME),
                code: "invalid_argument",
                message: format!(
                    "The outbox {shown} has a relative path, and the directory that it starts from is unknown."
                ),
                hint: "Give an absolute path, or set PLUGIN_DIR where the server runs.".to_owned(),
            }
        })?;
        Ok(Self::File(path))
    }

    fn nats(servers: Vec<String>, access: &NatsAccess) -> Result<Self, Problem> {
        let tls = transport::client_config(Some(&access.tls)).map_err(|unusable| Problem {
            location: Location::path(NAME),
            code: "invalid_argument",
            message: format!(
                "The certificates for the outbox cannot be used: {}.",
                unusable.0
            ),
            hint: "Look at nats_ca_file and nats_client_certificate in the configuration file."
                .to_owned(),
        })?;
        let credentials = access.credentials.clone();
        let secret = credentials.as_ref().map_or("", Secret::expose);
        let identity = access.tls.identity.as_ref().map_or("", Secret::expose);
        let key = digest(&format!(
            "{secret}\n{identity}\n{:?}",
            access.tls.authorities
        ));
        Ok(Self::Servers(
            format!("{} {key}", servers.join(" ")),
            Box::new(OutboxServers {
                urls: servers,
                credentials,
                tls: Some(tls),
            }),
        ))
    }

    /// Returns a key that is equal for equal locations.
    pub fn key(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Servers(key, _) => key.clone(),
        }
    }
}

/// Parses server addresses. Refuses a user name: SQL can read arguments, and log lines contain server names.
fn servers(text: &str) -> Result<Vec<String>, Problem> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let servers = words.map(|word| {
        let url = Url::parse(word).ok();
        let url = url.filter(|url| matches!(url.scheme(), "nats" | "tls"));
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let (Some(url), false) = (&url, host.is_empty()) else {
            return Err(no_server("it names something that is no NATS server"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Problem { location: Location::path(NAME), code: "secret_in_argument", message: "The outbox holds a user name or password in its URL.".to_owned(), hint: "Set nats_credentials = { env = \"NAME\" } in the configuration file's [settings], to user:password."
                    .to_owned() });
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(no_server("an address has more than a host and a port"));
        }
        Ok(format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(PORT)))
    });
    servers.collect()
}

const PORT: u16 = 4222;

fn no_server(why: &str) -> Problem {
    Problem { location: Location::path(NAME), code: "invalid_argument", message: format!("The outbox cannot be found: {why}."), hint: "Give nats://host:4222 or tls://host:4222, several separated by spaces, or the path of a file. Nothing was \
               sent, since it would not have been kept as asked."
            .to_owned() }
}

impl fmt::Debug for OutboxLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Servers(_, servers) => f.debug_tuple("Servers").field(&servers.urls).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_is_a_file_or_nats_servers() {
        let parse =
            |text| OutboxLocation::parse(text, &Environment::default(), &NatsAccess::default());
        for (text, expected) in [
            ("/var/outbox.db", r#"File("/var/outbox.db")"#),
            ("/my outbox.db", r#"File("/my outbox.db")"#),
            ("nats://a", r#"Servers(["nats://a:4222"])"#),
            ("tls://[::1]:1", r#"Servers(["tls://[::1]:1"])"#),
            (
                "nats://a  nats://b:5,tls://c/",
                r#"Servers(["nats://a:4222", "nats://b:5", "tls://c:4222"])"#,
            ),
        ] {
            assert_eq!(format!("{:?}", parse(text).unwrap()), expected, "{text}");
        }
        for text in [
            "http://a",
            "nats://",
            "nats://a b",
            "nats://a/stream",
            "nats://a?x=1",
            "redis://a:4222",
        ] {
            assert_eq!(parse(text).unwrap_err().code, "invalid_argument", "{text}");
        }
        for text in [
            "nats://u:s3cret@a",
            "nats://tok3n@a",
            "nats://b nats://u:s3cret@a",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, "secret_in_argument");
            assert!(!format!("{error:?}").contains('3'), "{error:?}");
        }
    }

    #[test]
    fn other_credentials_are_another_way_and_are_not_shown() {
        let access = |secret| NatsAccess {
            credentials: Some(Secret::new(secret)),
            ..NatsAccess::default()
        };
        let location = |secret| {
            OutboxLocation::parse("nats://a", &Environment::default(), &access(secret)).unwrap()
        };
        assert_eq!(location("u:one").key(), location("u:one").key());
        assert_ne!(location("u:one").key(), location("u:two").key());
        assert!(!format!("{:?}{}", location("u:one"), location("u:one").key()).contains("one"));
    }
}
