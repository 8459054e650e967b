//! The settings of the last triggers that called, and what they were made of: a file that changes is taken up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::environment::{Environment, Named};
use super::file;
use super::report::Report;
use super::{Config, Settings, Unusable, from_file, resolve};
use crate::model::problem::{Location, Problem};
use crate::panics::lock;
use crate::text::{printable, truncate};
use crate::time_limit::files::{self, FileError, FileStamp};

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
    entries: Mutex<Vec<(Key, Arc<Slot>)>>,
}

type Key = (BTreeMap<String, String>, Environment);

/// Settings, or why there are none. Shared by all who call with the same arguments.
pub type SettingsResult = Result<Arc<Settings>, Arc<Problem>>;

/// What a call's arguments come to.
pub enum Resolution {
    Settled {
        settings: SettingsResult,
        /// What an operator should read in the log, once.
        news: Option<News>,
        /// Why the file as it is now cannot be used, where an earlier state of it is.
        broken: Option<Arc<Problem>>,
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
    Broken(Arc<Problem>),
}

impl SettingsCache {
    /// The variables that the file of these arguments named when it was last read. Waits for no file: the interpreter may
    /// be held.
    pub fn names(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Vec<String> {
        let slot = self.slot(arguments, environment);
        lock(&slot.names).clone()
    }

    /// The settings of these arguments. Reads files where they are new or have changed; the interpreter must not be held.
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

    fn slot(&self, arguments: &BTreeMap<String, String>, environment: &Environment) -> Arc<Slot> {
        let mut entries = lock(&self.entries);
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
        let slot = Arc::clone(&entry.1);
        entries.push(entry);
        slot
    }
}

/// One trigger's place in the cache.
#[derive(Default)]
struct Slot {
    /// The variables that its file names. Held for a moment only, unlike the entry.
    names: Mutex<Vec<String>>,
    entry: Mutex<Entry>,
}

/// One trigger's settings, and what they were made of.
#[derive(Default)]
struct Entry {
    current: Option<SettingsResult>,
    broken: Option<Arc<Problem>>,
    /// Why the files could not be looked at; told once.
    no_answer: Option<Arc<Problem>>,
    named: Named,
    /// The file and those that it names, as they were when they were read.
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
    /// A change that has not rested yet.
    change: Option<(Vec<Option<FileStamp>>, Instant)>,
    looked: Option<Instant>,
}

/// What came of looking at the files.
enum Look {
    Same,
    Changed,
    /// The file system does not answer.
    NoAnswer,
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
            return settled_as(settled.clone(), None, None);
        };
        if let Some(current) = self.current.clone() {
            match self.look(named) {
                Look::Same => return settled_as(current, None, self.reason()),
                Look::NoAnswer => return self.keep(path, current),
                Look::Changed => {}
            }
        }
        self.read(path, arguments, environment, named)
    }

    /// Why the last good settings are used instead of the file as it is now.
    fn reason(&self) -> Option<Arc<Problem>> {
        self.no_answer.clone().or_else(|| self.broken.clone())
    }

    /// Looks whether something has changed since the file was read, and has rested.
    fn look(&mut self, named: &Named) -> Look {
        let changed = |(name, value): (&String, _)| named.get(name).is_some_and(|now| now != value);
        if self.named.iter().any(changed) {
            return Look::Changed;
        }
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK_EVERY) {
            return Look::Same;
        }
        let paths = self.stamps.iter().map(|(path, _)| path.clone()).collect();
        let stamps = files::stamps(paths, files::LIMIT);
        self.looked = Some(Instant::now());
        let Ok(stamps) = stamps else {
            return Look::NoAnswer;
        };
        if self.stamps.iter().map(|(_, stamp)| stamp).eq(&stamps) {
            self.no_answer = None;
            self.change = None;
            return Look::Same;
        }
        let since = match &self.change {
            Some((seen, since)) if *seen == stamps => *since,
            _ => now,
        };
        // One that is gone may be about to come back: some editors write so.
        let has_rested =
            |stamp: &Option<FileStamp>| stamp.as_ref().is_some_and(|file| file.has_rested(REST));
        let rested = now - since >= REST || stamps.iter().all(has_rested);
        self.change = Some((stamps, since));
        match rested {
            true => Look::Changed,
            false => Look::Same,
        }
    }

    /// Keeps the settings while their files cannot be looked at.
    fn keep(&mut self, given: &str, current: SettingsResult) -> Resolution {
        let mut news = None;
        if current.is_ok() && self.no_answer.is_none() {
            let subject = format!("{}, or a file that it names,", shown(given));
            let error = Arc::new(cannot_read(&subject, FileError::TimeLimit));
            news = Some(News::Broken(Arc::clone(&error)));
            self.no_answer = Some(error);
        }
        settled_as(current, news, self.reason())
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
        let reading = files::read(&path, file::MAX_FILE_BYTES, files::LIMIT);
        let bytes = reading.bytes;
        let variables = bytes.as_deref().map(file::variables).unwrap_or_default();
        if !variables.iter().all(|name| named.contains_key(name)) {
            // It is looked at again when they have come.
            self.looked = None;
            return Resolution::Ask(variables);
        }
        let named = named
            .iter()
            .filter(|(name, _)| variables.contains(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let made = bytes
            .map(|bytes| from_file(&bytes, &path, arguments, environment, &named, true))
            .map_err(|error| (error, cannot_read(&shown(given), error)));
        self.looked = Some(Instant::now());
        let no_answer = match &made {
            Ok(made) => made.no_answer,
            Err((error, _)) => *error == FileError::TimeLimit,
        };
        // The change stays one, and is read later.
        if let (true, Some(current @ Ok(_))) = (no_answer, self.current.clone()) {
            return self.keep(given, current);
        }
        self.named = named;
        self.stamps = vec![(path, reading.stamp)];
        self.change = None;
        let settings = match made {
            Ok(made) => {
                self.stamps.extend(made.files);
                usable(made.settings, &made.warnings, given)
            }
            Err((_, error)) => Err(error),
        };
        self.settle(settings)
    }

    /// A broken edit keeps what was good.
    fn settle(&mut self, settings: Result<Settings, Problem>) -> Resolution {
        let before = self.current.take();
        self.broken = None;
        self.no_answer = None;
        let (current, news) = match (before, settings) {
            (None, Ok(settings)) => (Ok(Arc::new(settings)), None),
            (Some(_), Ok(settings)) => {
                let news = News::TakenUp {
                    receivers: settings.config.receivers.len(),
                    routes: settings.config.routes.len(),
                };
                (Ok(Arc::new(settings)), Some(news))
            }
            (Some(Ok(good)), Err(error)) => {
                let error = Arc::new(error);
                self.broken = Some(Arc::clone(&error));
                (Ok(good), Some(News::Broken(error)))
            }
            (_, Err(error)) => (Err(Arc::new(error)), None),
        };
        self.current = Some(current.clone());
        settled_as(current, news, self.reason())
    }
}

const fn settled_as(
    settings: SettingsResult,
    news: Option<News>,
    broken: Option<Arc<Problem>>,
) -> Resolution {
    Resolution::Settled {
        settings,
        news,
        broken,
    }
}

/// The settings with the file's warnings among their own.
fn usable(
    settings: Result<Settings, Unusable>,
    warnings: &Report,
    given: &str,
) -> Result<Settings, Problem> {
    match settings {
        Ok(mut settings) => {
            let name = shown(given);
            let warnings = warnings.warnings.iter();
            let warnings = warnings.map(|warning| format!("{name}: {warning}"));
            settings.warnings.extend(warnings);
            Ok(settings)
        }
        Err(Unusable::Arguments(error)) => Err(error),
        Err(Unusable::File(report)) => Err(unusable(given, &report)),
    }
}

fn absolute(given: &str, environment: &Environment) -> Result<PathBuf, Problem> {
    environment.absolute(given).ok_or_else(|| Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!(
            "The configuration file {} is named by a relative path, and it is not known to what.",
            shown(given)
        ),
        hint: "Give an absolute path, or set PLUGIN_DIR where the server runs.".to_owned(),
    })
}

/// The bytes of a configuration file. The error follows the file's name.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, &'static str> {
    files::read(path, file::MAX_FILE_BYTES, files::LIMIT)
        .bytes
        .map_err(sentence)
}

const fn sentence(error: FileError) -> &'static str {
    match error {
        FileError::TooLong => "is longer than 64 MiB",
        error => error.sentence(),
    }
}

/// `subject`: the file, and what else it may be.
fn cannot_read(subject: &str, error: FileError) -> Problem {
    let hint = match error {
        FileError::TimeLimit => {
            "Look at the file system, or move the file to another one. The next requests try again."
        }
        _ => "Mend the file, or create the trigger with another config_file_path.",
    };
    Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!("The configuration file {subject} {}.", sentence(error)),
        hint: hint.to_owned(),
    }
}

/// The first problem, and how many more there are.
fn unusable(given: &str, report: &Report) -> Problem {
    let first = report.errors.first();
    let source = first.and_then(|problem| Some((problem, problem.location.source.as_ref()?)));
    let name = shown(given);
    let (first, check) = match source {
        Some((problem, source)) => (of_source(source, problem, &name), "check --resolve"),
        None => {
            let first = first.map(ToString::to_string).unwrap_or_default();
            let first = format!("The configuration file {name} cannot be used: {first}");
            (first, "check")
        }
    };
    let stop = if first.ends_with(['.', '?']) { "" } else { "." };
    let more = match report.errors.len().saturating_sub(1) {
        0 => String::new(),
        1 => " There is 1 more error.".to_owned(),
        more => format!(" There are {more} more errors."),
    };
    Problem {
        location: Location::path("config_file_path"),
        code: "config_file",
        message: format!("{first}{stop}{more}"),
        hint: format!("Mend it; `influxdb3-notifier {check} {name}` shows everything."),
    }
}

/// What is wrong with a value that the configuration file `name` takes from elsewhere.
fn of_source(source: &str, problem: &Problem, name: &str) -> String {
    let Location { path, place, .. } = &problem.location;
    let (path, place) = (
        path.as_deref().unwrap_or_default(),
        place.unwrap_or_default(),
    );
    let source = source.trim_start_matches("the ");
    format!(
        "The {source}, which {name} names (line {}, column {}: {path}), cannot be used: {}",
        place.line, place.column, problem.message
    )
}

fn shown(path: &str) -> String {
    truncate(&printable(path), 256)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::*;
    use crate::secret::Secret;

    const ONE: &str = "[receivers.one]\nslack.webhook_url = \"https://one.example\"\n";
    const TWO: &str = "[receivers.two]\nslack.webhook_url = { env = \"TWO\" }\n";
    const BROKEN: &str = "[receivers.two]\nslack.webhook_url = 5\n";

    /// A trigger and its file, which can be written as if it had been so for a while.
    struct World {
        directory: tempfile::TempDir,
        arguments: BTreeMap<String, String>,
        environment: Environment,
        variables: Named,
        cache: SettingsCache,
    }

    impl World {
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let world = Self {
                arguments: BTreeMap::from([(
                    "config_file_path".to_owned(),
                    "notifier.toml".to_owned(),
                )]),
                environment: Environment {
                    plugin_dir: Some(directory.path().to_owned()),
                    ..Environment::default()
                },
                variables: Named::new(),
                cache: SettingsCache::default(),
                directory,
            };
            world.write("notifier.toml", text);
            world
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.directory.path().join(name);
            fs::write(&path, text).unwrap();
            let before = SystemTime::now() - 2 * REST;
            File::options()
                .append(true)
                .open(path)
                .unwrap()
                .set_modified(before)
                .unwrap();
        }

        fn set(&mut self, name: &str, value: &str) {
            self.variables
                .insert(name.to_owned(), Some(Secret::new(value)));
        }

        /// What a call comes to: as the entry does it, with the variables that are asked for.
        fn call(&self) -> (Result<Vec<String>, String>, Option<News>, bool) {
            // Nobody has looked just now.
            let slot = self.cache.slot(&self.arguments, &self.environment);
            lock(&slot.entry).looked = None;
            drop(slot);
            let mut names = self.cache.names(&self.arguments, &self.environment);
            for _ in 0..3 {
                let value = |name: &String| self.variables.get(name).cloned().flatten();
                let named = names.iter().map(|name| (name.clone(), value(name)));
                let named = named.collect();
                match self
                    .cache
                    .resolve(&self.arguments, &self.environment, &named)
                {
                    Resolution::Ask(more) => names.extend(more),
                    Resolution::Settled {
                        settings,
                        news,
                        broken,
                    } => {
                        let receivers = settings.map(|settings| {
                            let receivers = settings.config.receivers.iter();
                            receivers.map(|receiver| receiver.name.clone()).collect()
                        });
                        let receivers = receivers.map_err(|error| error.message.clone());
                        return (receivers, news, broken.is_some());
                    }
                }
            }
            panic!("it asks again and again");
        }

        #[track_caller]
        fn has(&self, receiver: &str, taken_up: bool, broken: bool) {
            let (receivers, news, is_broken) = self.call();
            assert_eq!(receivers, Ok(vec![receiver.to_owned()]));
            let is_taken_up = matches!(news, Some(News::TakenUp { .. }));
            assert_eq!((is_taken_up, is_broken), (taken_up, broken), "{news:?}");
        }
    }

    #[test]
    fn a_changed_file_is_taken_up_also_where_it_names_new_variables() {
        let mut world = World::new(ONE);
        world.has("one", false, false);
        world.has("one", false, false);
        world.set("TWO", "https://two.example");
        world.write("notifier.toml", TWO);
        world.has("two", true, false);
        world.has("two", false, false);
        // A variable that changes needs no change of the file.
        world.set("TWO", "https://another.example");
        world.has("two", true, false);
        world.write("notifier.toml", ONE);
        world.has("one", true, false);
    }

    #[test]
    fn what_was_good_stays_until_something_good_comes_and_the_reason_is_told_once() {
        let mut world = World::new(ONE);
        world.has("one", false, false);
        for text in [BROKEN, TWO, "\u{feff}[receivers", "", " \n"] {
            world.write("notifier.toml", text);
            let (receivers, news, broken) = world.call();
            assert_eq!((receivers, broken), (Ok(vec!["one".to_owned()]), true));
            let Some(News::Broken(error)) = news else {
                panic!("{text}: {news:?}")
            };
            assert!(
                error
                    .message
                    .contains("notifier.toml cannot be used: line "),
                "{error:?}"
            );
            world.has("one", false, true);
        }
        world.write("notifier.toml", TWO);
        world.set("TWO", "https://two.example");
        world.has("two", true, false);
    }

    #[test]
    fn a_file_that_is_gone_is_waited_for() {
        let world = World::new(ONE);
        world.has("one", false, false);
        let path = world.directory.path().join("notifier.toml");
        fs::remove_file(&path).unwrap();
        world.has("one", false, false);
        let slot = world.cache.slot(&world.arguments, &world.environment);
        let change = lock(&slot.entry).change.take();
        let (stamps, since) = change.unwrap();
        lock(&slot.entry).change = Some((stamps, since.checked_sub(REST).unwrap()));
        world.has("one", false, true);
        world.write("notifier.toml", ONE);
        world.has("one", true, false);
    }

    #[test]
    fn an_edit_that_has_not_rested_is_not_looked_at() {
        let world = World::new(ONE);
        world.has("one", false, false);
        fs::write(world.directory.path().join("notifier.toml"), BROKEN).unwrap();
        world.has("one", false, false);
    }

    #[test]
    fn a_secret_file_is_taken_up_when_it_changes_and_when_it_comes() {
        let world = World::new("[receivers.one]\nslack.webhook_url = { file = \"secret\" }\n");
        let (receivers, ..) = world.call();
        assert!(
            receivers
                .unwrap_err()
                .contains("the file secret is not there")
        );
        world.write("secret", "https://one.example\n");
        world.has("one", true, false);
        world.write("secret", "https://another.example\n");
        world.has("one", true, false);
        world.write("secret", "no address\n");
        let (receivers, news, broken) = world.call();
        assert_eq!((receivers, broken), (Ok(vec!["one".to_owned()]), true));
        let Some(News::Broken(error)) = news else {
            panic!("{news:?}")
        };
        let what = "The file secret, which notifier.toml names (line 2, column 21: \
                    receivers.one.slack.slack_webhook_url), cannot be used: ";
        assert!(error.message.starts_with(what), "{}", error.message);
        assert_eq!(
            error.hint,
            "Mend it; `influxdb3-notifier check --resolve notifier.toml` shows everything."
        );
        world.has("one", false, true);
        world.write("secret", "https://one.example\n");
        world.has("one", true, false);
    }

    #[test]
    fn an_error_names_the_source_of_the_value() {
        let mut world = World::new(TWO);
        let cases = [
            (
                "notifier.toml",
                "slack.webhook_url = { env = \"TWO\" }",
                "environment variable TWO",
            ),
            (
                "secret",
                "slack.webhook_url = { file = \"secret\" }",
                "file secret",
            ),
            (
                "proxy",
                "slack = { webhook_url = \"https://a\", proxy = { file = \"proxy\" } }",
                "file proxy",
            ),
            (
                "ca",
                "http = { webhook_url = \"https://a\", ca_file = \"ca\" }",
                "file ca",
            ),
            (
                "cert",
                "http = { webhook_url = \"https://a\", client_certificate = \"cert\" }",
                "file cert",
            ),
            (
                "number",
                "slack.webhook_url = \"https://a\"\n[settings]\nmax_attempts = { file = \"number\" }",
                "file number",
            ),
        ];
        world.set("TWO", "no address");
        for (name, line, source) in cases {
            if name != "notifier.toml" {
                world.write(name, "no address\n");
            }
            world.write("notifier.toml", &format!("[receivers.two]\n{line}\n"));
            let (receivers, ..) = world.call();
            let error = receivers.unwrap_err();
            let start = format!("The {source}, which notifier.toml names (line ");
            assert!(error.starts_with(&start), "{error}");
            assert!(!error.contains("no address"), "{error}");
        }
    }

    #[test]
    fn the_names_are_there_while_the_file_is_read() {
        let mut world = World::new(TWO);
        world.set("TWO", "https://two.example");
        world.has("two", false, false);
        let slot = world.cache.slot(&world.arguments, &world.environment);
        let _reading = lock(&slot.entry);
        let names = world.cache.names(&world.arguments, &world.environment);
        assert_eq!(names, ["TWO"]);
    }
}
