use std::fs::{self, File};
use std::time::SystemTime;

use super::*;
use crate::secret::Secret;

const ONE: &str = "[receivers.one]\nslack.webhook_url = \"https://one.example\"\n";
const TWO: &str = "[receivers.two]\nslack.webhook_url = { env = \"TWO\" }\n";
const BROKEN: &str = "[receivers.two]\nslack.webhook_url = 5\n";

/// A trigger and its file. The tests write the file with an older time of change.
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

    /// Resolves a call like the plugin's entry point, including the variables that the cache requests.
    fn call(&self) -> (Result<Vec<String>, String>, Option<ConfigReload>, bool) {
        // Make the next call check the files again.
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
                    reload,
                    broken,
                } => {
                    let receivers = settings.map(|settings| {
                        let receivers = settings.config.receivers.iter();
                        receivers.map(|receiver| receiver.name.clone()).collect()
                    });
                    let receivers = receivers.map_err(|error| error.message.clone());
                    return (receivers, reload, broken.is_some());
                }
            }
        }
        panic!("it asks again and again");
    }

    #[track_caller]
    fn has(&self, receiver: &str, reloaded: bool, broken: bool) {
        let (receivers, reload, is_broken) = self.call();
        assert_eq!(receivers, Ok(vec![receiver.to_owned()]));
        let is_reloaded = matches!(reload, Some(ConfigReload::Reloaded { .. }));
        assert_eq!((is_reloaded, is_broken), (reloaded, broken), "{reload:?}");
    }
}

#[test]
fn a_changed_file_is_reloaded_also_where_it_names_new_variables() {
    let mut world = World::new(ONE);
    world.has("one", false, false);
    world.has("one", false, false);
    world.set("TWO", "https://two.example");
    world.write("notifier.toml", TWO);
    world.has("two", true, false);
    world.has("two", false, false);
    // A changed variable needs no change of the file.
    world.set("TWO", "https://another.example");
    world.has("two", true, false);
    world.write("notifier.toml", ONE);
    world.has("one", true, false);
}

#[test]
fn an_invalid_file_keeps_the_previous_configuration_and_is_logged_once() {
    let mut world = World::new(ONE);
    world.has("one", false, false);
    for text in [BROKEN, TWO, "\u{feff}[receivers", "", " \n"] {
        world.write("notifier.toml", text);
        let (receivers, reload, broken) = world.call();
        assert_eq!((receivers, broken), (Ok(vec!["one".to_owned()]), true));
        let Some(ConfigReload::Broken(error)) = reload else {
            panic!("{text}: {reload:?}")
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
fn a_missing_file_is_reported_only_after_a_while() {
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
fn a_secret_file_is_reloaded_when_it_changes_and_when_it_comes() {
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
    let (receivers, reload, broken) = world.call();
    assert_eq!((receivers, broken), (Ok(vec!["one".to_owned()]), true));
    let Some(ConfigReload::Broken(error)) = reload else {
        panic!("{reload:?}")
    };
    let message = "The file secret, which notifier.toml names (line 2, column 21: \
                receivers.one.slack.slack_webhook_url), cannot be used: ";
    assert!(error.message.starts_with(message), "{}", error.message);
    assert_eq!(
        error.hint,
        "Correct it; `influxdb3-notifier check --resolve notifier.toml` shows everything."
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
