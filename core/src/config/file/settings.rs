//! Reads `[settings]`: the trigger's arguments in TOML's types, and settings that only the file supports.

use std::sync::Arc;

use super::secrets::ROW_FILTER;
use super::state_keys::{ALERT_KEY, MAX_ALERTS, REMIND_EVERY, RESOLVE_TIMEOUT, STATE};
use super::tree::{Node, TableEntry, Value};
use super::{Config, Loader};
use crate::channels;
use crate::config::arguments::{self, Argument};
use crate::json::Path;
use crate::model::level::{Level, MAX_WORD_BYTES};
use crate::model::policy::TlsFiles;
use crate::secret::Secret;
use crate::store::{MIN_KEY_BYTES, Seal};
use crate::text::did_you_mean;
use crate::transport;

const DEFAULT_RECEIVERS: &str = "default_receivers";
const OUTBOX_KEY: &str = "outbox_key";
const NATS_CREDENTIALS: &str = "nats_credentials";
const NATS_CA_FILE: &str = "nats_ca_file";
const NATS_CLIENT_CERTIFICATE: &str = "nats_client_certificate";
const DELIVERED_BY: &str = "delivered_by";
const LEVEL_MAP: &str = "level_map";
const EXTRACT: &str = "extract";
/// Settings that are not arguments.
const FILE_ONLY_SETTINGS: [&str; 13] = [
    ALERT_KEY,
    STATE,
    RESOLVE_TIMEOUT,
    REMIND_EVERY,
    MAX_ALERTS,
    DELIVERED_BY,
    LEVEL_MAP,
    EXTRACT,
    OUTBOX_KEY,
    ROW_FILTER,
    NATS_CREDENTIALS,
    NATS_CA_FILE,
    NATS_CLIENT_CERTIFICATE,
];

impl Loader<'_> {
    /// Reads `[settings]`.
    pub fn settings(&mut self, node: &Node, config: &mut Config) {
        let Some(table) = self.table(node, "settings") else {
            return;
        };
        // The level map comes first, because the row filter is a matcher.
        if let Some(node) = table.get(LEVEL_MAP) {
            self.level_map(node);
        }
        for member in table.iter() {
            let path = Path::root().key("settings").key(&member.key);
            if FILE_ONLY_SETTINGS.contains(&member.key.as_str()) {
                self.file_only_setting(member, &path, config);
                continue;
            }
            let argument = arguments::find(&member.key);
            let Some(argument) = argument.filter(|argument| is_setting(argument.name)) else {
                let known = arguments::ARGUMENTS.iter().map(|argument| argument.name);
                let known = known
                    .filter(|name| is_setting(name))
                    .chain(FILE_ONLY_SETTINGS);
                let meant = did_you_mean(&member.key, known);
                let message = format!("there is no such setting{meant}");
                self.report.error(member.position, path.as_str(), &message);
                continue;
            };
            // The loader reads this setting after the receivers.
            if argument.name == DEFAULT_RECEIVERS {
                continue;
            }
            let Some(value) = self.setting(argument, &member.node, &path) else {
                continue;
            };
            if argument.name == "twilio_base_url" {
                self.operator.twilio_base_url = channels::parse_url(&value).ok();
            }
            config
                .arguments
                .insert(argument.name.to_owned(), Secret::new(value));
        }
    }

    /// Reads the default receivers after the loader has read all receivers.
    pub fn default_receivers(&mut self, settings: &Node, config: &mut Config) {
        let named = settings
            .as_table()
            .and_then(|table| table.get(DEFAULT_RECEIVERS));
        let Some(node) = named else { return };
        let path = Path::root().key("settings").key(DEFAULT_RECEIVERS);
        let indices = self.receiver_names(node, &path, &config.by_name);
        let receivers = indices
            .iter()
            .filter_map(|index| config.receivers.get(*index));
        let names: Vec<_> = receivers.map(|receiver| receiver.name.as_str()).collect();
        let names = Secret::new(names.join(" "));
        config.arguments.insert(DEFAULT_RECEIVERS.to_owned(), names);
        config.default_receivers = Some(indices);
    }

    /// Returns a setting's value as the text of the equivalent argument.
    fn setting(&mut self, argument: &'static Argument, node: &Node, path: &Path) -> Option<String> {
        const EXPECTED: &str = "a string, a number, a boolean or a list of strings";
        let text = match &node.value {
            Value::Array(nodes) => {
                let words: Option<Vec<_>> = nodes.iter().map(Node::scalar).collect();
                words.map(|words| words.join(" "))
            }
            Value::Table(_) => Some(self.text_or_secret(node, path, EXPECTED)?.known()?),
            _ => node.scalar(),
        };
        let Some(text) = text else {
            return self.wrong_type(node, path, EXPECTED);
        };
        if let Err(message) = argument.check(text.trim()) {
            self.report
                .error(node.position, path.as_str(), &format!("must be {message}"));
            return None;
        }
        Some(text)
    }

    fn file_only_setting(&mut self, member: &TableEntry, path: &Path, config: &mut Config) {
        if [ALERT_KEY, STATE, RESOLVE_TIMEOUT, REMIND_EVERY, MAX_ALERTS]
            .contains(&member.key.as_str())
        {
            self.alert_setting(member, path, config);
            return;
        }
        let (node, outbox) = (&member.node, &mut config.outbox);
        match member.key.as_str() {
            DELIVERED_BY => match node.as_str() {
                Some("server") => outbox.for_workers = false,
                Some("workers") => outbox.for_workers = true,
                _ => {
                    self.mismatch(node, path, "\"server\" or \"workers\"");
                }
            },
            // `settings` reads the level map before the other settings.
            LEVEL_MAP => {}
            EXTRACT => config.read_options.extract = self.extractions(node, path),
            OUTBOX_KEY => outbox.key = self.outbox_key(node, path),
            ROW_FILTER => config.row_filter = self.matcher(node, path),
            NATS_CREDENTIALS => outbox.nats.credentials = self.secret(node, path),
            NATS_CA_FILE => outbox.nats.tls.authorities = self.authorities(node, path),
            _ => outbox.nats.tls.identity = self.client_certificate(node, path),
        }
    }

    /// Reads `{ WORD = "LEVEL" }`.
    fn level_map(&mut self, node: &Node) {
        let path = Path::root().key("settings").key(LEVEL_MAP);
        let Some(table) = self.table(node, path.as_str()) else {
            return;
        };
        for member in table.iter() {
            let path = path.key(&member.key);
            let Some(word) = member.node.as_str() else {
                self.mismatch(&member.node, &path, "the name of a level");
                continue;
            };
            let message = match Level::parse(word) {
                Some(level) if self.levels.insert(&member.key, level) => continue,
                Some(_) => format!(
                    "the word is blank, longer than {MAX_WORD_BYTES} bytes, or stands here twice; case, blanks, - and _ do not count"
                ),
                None => {
                    let known = Level::ALL.map(Level::word);
                    let meant = did_you_mean(word, known);
                    format!("must be one of {}{meant}", known.join(", "))
                }
            };
            self.report
                .error(member.node.position, path.as_str(), &message);
        }
    }

    fn outbox_key(&mut self, node: &Node, path: &Path) -> Option<Arc<Seal>> {
        let seal = Seal::new(&self.secret(node, path)?);
        if seal.is_none() {
            let message = format!(
                "the key is shorter than {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32"
            );
            self.report.error(node.position, path.as_str(), &message);
        }
        seal.map(Arc::new)
    }

    /// Reads a secret from an external source. Refuses a literal: every copy of the file would contain it.
    fn secret(&mut self, node: &Node, path: &Path) -> Option<Secret> {
        const EXPECTED: &str = "{ env = \"NAME\" } or { file = \"PATH\" }";
        if node.as_table().is_none() {
            return self.wrong_type(node, path, EXPECTED);
        }
        self.text_or_secret(node, path, EXPECTED)?
            .known()
            .map(Secret::new)
    }

    /// Reads certificates of additional trusted authorities.
    pub fn authorities(&mut self, node: &Node, path: &Path) -> Option<Vec<u8>> {
        let to_tls_files = |pem| TlsFiles {
            authorities: Some(pem),
            identity: None,
        };
        self.tls_file(node, path, to_tls_files).authorities
    }

    /// Reads a client certificate and its key.
    pub fn client_certificate(&mut self, node: &Node, path: &Path) -> Option<Secret> {
        let to_tls_files = |pem: Vec<u8>| TlsFiles {
            authorities: None,
            identity: Some(Secret::new(String::from_utf8_lossy(&pem).into_owned())),
        };
        self.tls_file(node, path, to_tls_files).identity
    }

    /// Returns the content of a PEM file if a TLS client can use it without other files.
    fn tls_file(
        &mut self,
        node: &Node,
        path: &Path,
        to_tls_files: impl FnOnce(Vec<u8>) -> TlsFiles,
    ) -> TlsFiles {
        let Some(files) = self.pem(node, path).map(to_tls_files) else {
            return TlsFiles::default();
        };
        let Err(unusable) = transport::client_config(Some(&files)) else {
            return files;
        };
        self.report.error(node.position, path.as_str(), unusable.0);
        TlsFiles::default()
    }
}

/// Returns whether the file may set an argument. The file cannot set its own path.
fn is_setting(argument: &str) -> bool {
    argument != "config_file_path"
}
