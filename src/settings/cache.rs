//! The settings of the last triggers that called, and what they were made of: a file that changes is taken up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::arguments::ArgumentError;
use super::environment::{Environment, Named};
use super::file::problem::Report;
use super::file::{self, secrets};
use super::{Config, Settings, operator, resolve};
use crate::model::text::{printable, truncate};

/// More triggers than anybody has for one plugin.
const MAX_ENTRIES: usize = 64;
/// How often it is looked whether files have changed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// An edit is taken up once it has rested: it may come in pieces.
const REST: Duration = Duration::from_secs(1);

/// By arguments and environment.
#[derive(Default)]
pub struct SettingsCache {
    /// The most recently used last.
    entries: Mutex<Vec<(Key, Arc<Mutex<Entry>>)>>,
}

type Key = (BTreeMap<String, String>, Environment);

/// What a call's arguments come to.
pub enum Resolution {
    Settled {
        settings: Result<Arc<Settings>, Arc<ArgumentError>>,
        /// What an operator should read in the log, once.
        news: Option<News>,
    },
    /// The file names variables whose values were not given: come again with these.
    Ask(BTreeSet<String>),
}

impl Resolution {
    /// The settings, where nothing is left to ask for and nothing is wrong.
    pub fn settings(self) -> Option<Arc<Settings>> {
        match self {
            Resolution::Settled { settings, .. } => settings.ok(),
            Resolution::Ask(_) => None,
        }
    }
}

/// A change of the configuration file.
#[derive(Debug)]
pub enum News {
    TakenUp {
        receivers: usize,
        routes: usize,
    },
    /// The last good settings stay.
    Broken(Arc<ArgumentError>),
}

impl SettingsCache {
    /// The variables that the file of these arguments named when it was last read.
    pub fn names(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Vec<String> {
        let entry = self.entry(arguments, environment);
        let entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        entry.named.keys().cloned().collect()
    }

    /// The settings of these arguments. Reads files where they are new or have changed; the interpreter must not be held.
    pub fn resolve(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
        named: &Named,
    ) -> Resolution {
        let entry = self.entry(arguments, environment);
        let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        entry.resolve(arguments, environment, named)
    }

    fn entry(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Arc<Mutex<Entry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries
            .iter()
            .rposition(|((known, env), _)| known == arguments && env == environment);
        let entry = match known {
            Some(place) => entries.remove(place),
            None => {
                if entries.len() >= MAX_ENTRIES {
                    entries.remove(0);
                }
                let key = (arguments.clone(), environment.clone());
                (key, Arc::default())
            }
        };
        let settings = Arc::clone(&entry.1);
        entries.push(entry);
        settings
    }
}

/// One trigger's settings, and what they were made of.
#[derive(Default)]
struct Entry {
    current: Option<Result<Arc<Settings>, Arc<ArgumentError>>>,
    named: Named,
    /// The file and those that it names, as they were when they were read.
    stamps: Vec<(PathBuf, Stamp)>,
    /// A change that has not rested yet.
    change: Option<(Vec<Stamp>, Instant)>,
    looked: Option<Instant>,
}

impl Entry {
    fn resolve(
        &mut self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
        named: &Named,
    ) -> Resolution {
        let path = arguments.get("config_file_path").map(|path| path.trim());
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            let make = || resolve(arguments, environment, Config::default());
            let settled = self
                .current
                .get_or_insert_with(|| make().map(Arc::new).map_err(Arc::new));
            return settled_as(settled.clone(), None);
        };
        if let Some(current) = self.current.clone()
            && !self.must_read(named)
        {
            return settled_as(current, None);
        }
        self.read(path, arguments, environment, named)
    }

    /// Whether something has changed since the file was read, and has rested.
    fn must_read(&mut self, named: &Named) -> bool {
        let changed = |(name, value): (&String, _)| named.get(name).is_some_and(|now| now != value);
        if self.named.iter().any(changed) {
            return true;
        }
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK_EVERY) {
            return false;
        }
        self.looked = Some(now);
        let stamps: Vec<_> = self.stamps.iter().map(|(path, _)| stamp(path)).collect();
        if self.stamps.iter().map(|(_, stamp)| stamp).eq(&stamps) {
            self.change = None;
            return false;
        }
        let since = match &self.change {
            Some((seen, since)) if *seen == stamps => *since,
            _ => now,
        };
        let rested = now - since >= REST || stamps.iter().flatten().all(Written::has_rested);
        self.change = Some((stamps, since));
        rested
    }

    fn read(
        &mut self,
        given: &str,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
        named: &Named,
    ) -> Resolution {
        let path = match absolute(given, environment) {
            Ok(path) => path,
            Err(error) => return self.settle(Err(error)),
        };
        // Before the text: what changes while it is read is a change.
        let before = stamp(&path);
        let text = read_text(&path);
        let variables = text.as_deref().map(file::variables).unwrap_or_default();
        if !variables.iter().all(|name| named.contains_key(name)) {
            return Resolution::Ask(variables);
        }
        self.named = named
            .iter()
            .filter(|(name, _)| variables.contains(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.stamps = vec![(path.clone(), before)];
        self.looked = Some(Instant::now());
        self.change = None;
        let text = match text {
            Ok(text) => text,
            Err(what) => return self.settle(Err(cannot_read(given, what))),
        };
        let operator = match file_operator(arguments, environment) {
            Ok(operator) => operator,
            Err(error) => return self.settle(Err(error)),
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        let loaded = file::load(&text, directory, &self.named, operator, true);
        let files = loaded
            .files
            .into_iter()
            .map(|path| (path.clone(), stamp(&path)));
        self.stamps.extend(files);
        let settings = match loaded.config {
            Ok(config) => resolve(arguments, environment, config),
            Err(report) => Err(unusable(given, &report)),
        };
        let settings = settings.map(|mut settings| {
            let warnings = loaded.warnings.warnings.iter();
            let name = shown(given);
            settings
                .warnings
                .extend(warnings.map(|warning| format!("{name}: {warning}")));
            settings
        });
        self.settle(settings)
    }

    /// A broken edit keeps what was good.
    fn settle(&mut self, settings: Result<Settings, ArgumentError>) -> Resolution {
        let before = self.current.take();
        let (current, news) = match (before, settings) {
            (None, Ok(settings)) => (Ok(Arc::new(settings)), None),
            (Some(_), Ok(settings)) => {
                let news = News::TakenUp {
                    receivers: settings.config.receivers.len(),
                    routes: settings.config.routes.len(),
                };
                (Ok(Arc::new(settings)), Some(news))
            }
            (Some(Ok(good)), Err(error)) => (Ok(good), Some(News::Broken(Arc::new(error)))),
            (_, Err(error)) => (Err(Arc::new(error)), None),
        };
        self.current = Some(current.clone());
        settled_as(current, news)
    }
}

const fn settled_as(
    settings: Result<Arc<Settings>, Arc<ArgumentError>>,
    news: Option<News>,
) -> Resolution {
    Resolution::Settled { settings, news }
}

/// What the channels of the file are told: Twilio's address may be the file's own setting, and is read before.
fn file_operator(
    arguments: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<crate::channels::Operator, ArgumentError> {
    let none = BTreeMap::new();
    let arguments = super::Arguments::new(arguments, &none)?;
    operator(&arguments, environment)
}

fn absolute(given: &str, environment: &Environment) -> Result<PathBuf, ArgumentError> {
    environment.absolute(given).ok_or_else(|| ArgumentError {
        name: "config_file_path",
        code: "config_file",
        what: format!(
            "The configuration file {} is named by a relative path, and it is not known to what.",
            shown(given)
        ),
        hint: "Give an absolute path, or set PLUGIN_DIR where the server runs.".to_owned(),
    })
}

fn read_text(path: &Path) -> Result<String, &'static str> {
    let open = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(file::MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|error| secrets::reason(&error))?;
    if bytes.len() as u64 > file::MAX_FILE_BYTES {
        return Err("is longer than 64 MiB");
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8")
}

fn cannot_read(given: &str, what: &str) -> ArgumentError {
    ArgumentError {
        name: "config_file_path",
        code: "config_file",
        what: format!("The configuration file {} {what}.", shown(given)),
        hint: "Mend the file, or create the trigger with another config_file_path.".to_owned(),
    }
}

/// The first problem, and how many more there are.
fn unusable(given: &str, report: &Report) -> ArgumentError {
    let first = report
        .errors
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let more = match report.errors.len().saturating_sub(1) {
        0 => String::new(),
        1 => " There is 1 more error.".to_owned(),
        more => format!(" There are {more} more errors."),
    };
    let name = shown(given);
    ArgumentError {
        name: "config_file_path",
        code: "config_file",
        what: format!("The configuration file {name} cannot be used: {first}.{more}"),
        hint: format!("Mend it; `influxdb3-notifier check {name}` shows everything."),
    }
}

fn shown(path: &str) -> String {
    truncate(&printable(path), 256)
}

/// What tells one state of a file from another; `None`: it is not there.
type Stamp = Option<Written>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    at: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Written {
    fn has_rested(&self) -> bool {
        let age = self.at.and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age >= REST)
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some(Written {
        at: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: inode(&metadata),
    })
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
const fn inode(_: &Metadata) -> u64 {
    0
}
