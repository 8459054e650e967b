//! A cache of the settings of recent triggers. It reloads a configuration file that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::environment::{Environment, Named};
use super::file;
use super::load::{absolute, cannot_read, shown, usable};
use super::{Config, Settings, from_file, resolve};
use crate::model::problem::Problem;
use crate::panics::lock;
use crate::time_limit::files::{self, FileError, FileStamp};

/// The maximum number of cached triggers. One plugin has fewer in practice.
const MAX_ENTRIES: usize = 64;
/// The interval at which the cache checks files for changes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The time without changes after which the cache reloads an edited file: an editor may write it in pieces.
const REST: Duration = Duration::from_secs(1);

/// A cache of settings by arguments and environment.
#[derive(Default)]
pub struct SettingsCache {
    /// The entries in order of use; the most recently used entry is last.
    entries: Mutex<Vec<(CacheKey, Arc<CacheSlot>)>>,
}

type CacheKey = (BTreeMap<String, String>, Environment);

/// Settings, or the reason why there are none. All calls with the same arguments share them.
pub type SettingsResult = Result<Arc<Settings>, Arc<Problem>>;

/// The settings that a call's arguments resolve to.
pub enum Resolution {
    Settled {
        settings: SettingsResult,
        /// A change of the file that the caller logs once.
        reload: Option<ConfigReload>,
        /// The error in the present file, if the cache still uses the file's earlier content.
        broken: Option<Arc<Problem>>,
    },
    /// The file names environment variables whose values the caller did not pass. The caller must resolve again with
    /// these.
    Ask(BTreeSet<String>),
}

impl Resolution {
    /// Returns the settings if no variable is missing and the file is valid.
    pub fn settings(self) -> Option<Arc<Settings>> {
        match self {
            Resolution::Settled { settings, .. } => settings.ok(),
            Resolution::Ask(_) => None,
        }
    }
}

/// A change of the configuration file.
#[derive(Debug)]
pub enum ConfigReload {
    Reloaded {
        receivers: usize,
        routes: usize,
    },
    /// The new file has an error. The last valid settings stay in use.
    Broken(Arc<Problem>),
}

impl SettingsCache {
    /// Returns the variables that the file of these arguments named at its last reading. Does not wait for files,
    /// because the caller may hold the interpreter.
    pub fn names(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Vec<String> {
        let slot = self.slot(arguments, environment);
        lock(&slot.names).clone()
    }

    /// Returns the settings of these arguments. Reads new and changed files, so the caller must not hold the
    /// interpreter.
    pub fn resolve(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
        named: &Named,
    ) -> Resolution {
        let slot = self.slot(arguments, environment);
        let mut entry = lock(&slot.entry);
        let resolution = entry.resolve(arguments, environment, named);
        *lock(&slot.names) = entry.named.keys().cloned().collect();
        resolution
    }

    fn slot(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Arc<CacheSlot> {
        let mut entries = lock(&self.entries);
        let known = entries
            .iter()
            .rposition(|((known, env), _)| known == arguments && env == environment);
        let entry = match known {
            Some(index) => entries.remove(index),
            None => {
                if entries.len() >= MAX_ENTRIES {
                    entries.remove(0);
                }
                let key = (arguments.clone(), environment.clone());
                (key, Arc::default())
            }
        };
        let slot = Arc::clone(&entry.1);
        entries.push(entry);
        slot
    }
}

/// One trigger's slot in the cache.
#[derive(Default)]
struct CacheSlot {
    /// The environment variables that the file names. Unlike the entry's lock, this lock is only held briefly.
    names: Mutex<Vec<String>>,
    entry: Mutex<CachedSettings>,
}

/// One trigger's settings, and the files that they come from.
#[derive(Default)]
struct CachedSettings {
    current: Option<SettingsResult>,
    broken: Option<Arc<Problem>>,
    /// The reason why the cache could not check the files. The cache reports it once.
    no_answer: Option<Arc<Problem>>,
    named: Named,
    /// The configuration file and the files that it names, with their stamps at the last reading.
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
    /// A change that is not yet old enough to reload.
    change: Option<(Vec<Option<FileStamp>>, Instant)>,
    looked: Option<Instant>,
}

/// The result of checking the files.
enum FileCheck {
    Same,
    Changed,
    /// The file system does not respond.
    NoAnswer,
}

impl CachedSettings {
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
            return settled_as(settled.clone(), None, None);
        };
        if let Some(current) = self.current.clone() {
            match self.look(named) {
                FileCheck::Same => return settled_as(current, None, self.reason()),
                FileCheck::NoAnswer => return self.keep(path, current),
                FileCheck::Changed => {}
            }
        }
        self.read(path, arguments, environment, named)
    }

    /// Returns why the cache uses the last valid settings instead of the present file.
    fn reason(&self) -> Option<Arc<Problem>> {
        self.no_answer.clone().or_else(|| self.broken.clone())
    }

    /// Checks whether a file has changed since its reading, and whether the change is old enough.
    fn look(&mut self, named: &Named) -> FileCheck {
        let changed = |(name, value): (&String, _)| named.get(name).is_some_and(|now| now != value);
        if self.named.iter().any(changed) {
            return FileCheck::Changed;
        }
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK_EVERY) {
            return FileCheck::Same;
        }
        let paths = self.stamps.iter().map(|(path, _)| path.clone()).collect();
        let stamps = files::stamps(paths, files::LIMIT);
        self.looked = Some(Instant::now());
        let Ok(stamps) = stamps else {
            return FileCheck::NoAnswer;
        };
        if self.stamps.iter().map(|(_, stamp)| stamp).eq(&stamps) {
            self.no_answer = None;
            self.change = None;
            return FileCheck::Same;
        }
        let since = match &self.change {
            Some((seen, since)) if *seen == stamps => *since,
            _ => now,
        };
        // A missing file may return soon: some editors delete a file before they write it.
        let has_rested =
            |stamp: &Option<FileStamp>| stamp.as_ref().is_some_and(|file| file.has_rested(REST));
        let rested = now - since >= REST || stamps.iter().all(has_rested);
        self.change = Some((stamps, since));
        match rested {
            true => FileCheck::Changed,
            false => FileCheck::Same,
        }
    }

    /// Continues with the present settings while the file system does not respond.
    fn keep(&mut self, file_path: &str, current: SettingsResult) -> Resolution {
        let mut reload = None;
        if current.is_ok() && self.no_answer.is_none() {
            let subject = format!("{}, or a file that it names,", shown(file_path));
            let error = Arc::new(cannot_read(&subject, FileError::TimeLimit));
            reload = Some(ConfigReload::Broken(Arc::clone(&error)));
            self.no_answer = Some(error);
        }
        settled_as(current, reload, self.reason())
    }

    fn read(
        &mut self,
        file_path: &str,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
        named: &Named,
    ) -> Resolution {
        let path = match absolute(file_path, environment) {
            Ok(path) => path,
            Err(error) => return self.settle(Err(error)),
        };
        let reading = files::read(&path, file::MAX_FILE_BYTES, files::LIMIT);
        let bytes = reading.bytes;
        let variables = bytes.as_deref().map(file::variables).unwrap_or_default();
        if !variables.iter().all(|name| named.contains_key(name)) {
            // Check the files again when the caller passes the variables.
            self.looked = None;
            return Resolution::Ask(variables);
        }
        let named = named
            .iter()
            .filter(|(name, _)| variables.contains(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let loaded = bytes
            .map(|bytes| from_file(&bytes, &path, arguments, environment, &named, true))
            .map_err(|error| (error, cannot_read(&shown(file_path), error)));
        self.looked = Some(Instant::now());
        let no_answer = match &loaded {
            Ok(loaded) => loaded.no_answer,
            Err((error, _)) => *error == FileError::TimeLimit,
        };
        // The change stays pending, and a later call reads it.
        if let (true, Some(current @ Ok(_))) = (no_answer, self.current.clone()) {
            return self.keep(file_path, current);
        }
        self.named = named;
        self.stamps = vec![(path, reading.stamp)];
        self.change = None;
        let settings = match loaded {
            Ok(loaded) => {
                self.stamps.extend(loaded.files);
                usable(loaded.settings, &loaded.warnings, file_path)
            }
            Err((_, error)) => Err(error),
        };
        self.settle(settings)
    }

    /// Stores the new settings. A file with an error does not replace valid settings.
    fn settle(&mut self, settings: Result<Settings, Problem>) -> Resolution {
        let before = self.current.take();
        self.broken = None;
        self.no_answer = None;
        let (current, reload) = match (before, settings) {
            (None, Ok(settings)) => (Ok(Arc::new(settings)), None),
            (Some(_), Ok(settings)) => {
                let reload = ConfigReload::Reloaded {
                    receivers: settings.config.receivers.len(),
                    routes: settings.config.routes.len(),
                };
                (Ok(Arc::new(settings)), Some(reload))
            }
            (Some(Ok(good)), Err(error)) => {
                let error = Arc::new(error);
                self.broken = Some(Arc::clone(&error));
                (Ok(good), Some(ConfigReload::Broken(error)))
            }
            (_, Err(error)) => (Err(Arc::new(error)), None),
        };
        self.current = Some(current.clone());
        settled_as(current, reload, self.reason())
    }
}

const fn settled_as(
    settings: SettingsResult,
    reload: Option<ConfigReload>,
    broken: Option<Arc<Problem>>,
) -> Resolution {
    Resolution::Settled {
        settings,
        reload,
        broken,
    }
}

#[cfg(test)]
mod tests;
