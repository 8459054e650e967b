//! The argument values of a trigger and its file, before they become settings.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::error::unparsable;
use super::value::list;
use super::{ARGUMENTS, Argument, ArgumentKind, find};
use crate::model::plan::{OnAmbiguous, Rate};
use crate::model::policy::PrivateAddresses;
use crate::model::problem::{Location, Problem};
use crate::secret::Secret;
use crate::text::{did_you_mean, shown};

/// Whether a request may contain its own destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestDestinations {
    #[default]
    Allow,
    /// The plugin ignores the destinations of a request.
    Ignore,
    /// The plugin refuses a request with destinations.
    Deny,
}

/// The argument values of one trigger, before they become settings.
pub struct Arguments<'a> {
    trigger: &'a BTreeMap<String, String>,
    /// The configuration file's values. They are already checked and take precedence.
    file: &'a BTreeMap<String, Secret>,
    warnings: Vec<String>,
}

impl<'a> Arguments<'a> {
    /// Collects the values. Warns of unknown and unavailable arguments, or refuses them.
    pub fn new(
        trigger: &'a BTreeMap<String, String>,
        file: &'a BTreeMap<String, Secret>,
    ) -> Result<Self, Problem> {
        let mut warnings = Vec::new();
        for (name, value) in trigger {
            let shown = shown(name);
            let Some(argument) = find(name) else {
                let meant = did_you_mean(name, ARGUMENTS.iter().map(|argument| argument.name));
                warnings.push(format!("trigger argument {shown}: unknown, ignored{meant}"));
                continue;
            };
            if value.trim().is_empty() {
                continue;
            }
            refuse_userinfo(argument, value)?;
            let value = value.trim();
            let expected = argument.check(value);
            expected.map_err(|expected| unparsable(argument, value, &expected))?;
        }
        for (name, value) in file {
            let of_trigger = trigger.get(name).map(|text| text.trim());
            let of_trigger = of_trigger.filter(|text| !text.is_empty());
            let both = find(name).zip(of_trigger);
            if both.is_some_and(|(argument, text)| !argument.is_same(text, value.expose())) {
                warnings.push(format!(
                    "trigger argument {name}: the configuration file has another value, which applies"
                ));
            }
        }
        Ok(Self {
            trigger,
            file,
            warnings,
        })
    }

    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    pub fn duration(&self, name: &'static str) -> Result<Duration, Problem> {
        self.parsed(name, Argument::duration)
    }

    /// Returns the duration, or `None` for an absent argument without a default.
    pub fn duration_if_given(&self, name: &'static str) -> Result<Option<Duration>, Problem> {
        self.parsed_if_given(name, Argument::duration)
    }

    pub fn count(&self, name: &'static str) -> Result<u32, Problem> {
        self.parsed(name, Argument::count)
    }

    /// Returns the count, or `None` for an absent argument without a default.
    pub fn count_if_given(&self, name: &'static str) -> Result<Option<u32>, Problem> {
        self.parsed_if_given(name, Argument::count)
    }

    pub fn size(&self, name: &'static str) -> Result<usize, Problem> {
        self.count(name).map(|count| count as usize)
    }

    pub fn boolean(&self, name: &'static str) -> Result<bool, Problem> {
        self.parsed(name, Argument::boolean)
    }

    pub fn rate(&self, name: &'static str) -> Result<Option<Rate>, Problem> {
        self.parsed_if_given(name, Argument::rate)
    }

    pub fn url(&self, name: &'static str) -> Result<Option<Url>, Problem> {
        self.parsed_if_given(name, Argument::url)
    }

    pub fn hosts(&self, name: &'static str) -> Result<Vec<String>, Problem> {
        self.parsed(name, Argument::hosts)
    }

    /// Returns the names in a list, which spaces or commas separate.
    pub fn names(&self, name: &'static str) -> impl Iterator<Item = &str> {
        list(self.value(name).1)
    }

    /// Returns the name of a table.
    pub fn table(&self, name: &'static str) -> Result<Option<String>, Problem> {
        self.parsed_if_given(name, Argument::table)
    }

    pub fn text(&self, name: &'static str) -> Option<&str> {
        Some(self.value(name).1).filter(|value| !value.is_empty())
    }

    pub fn failure_status(&self) -> Result<u16, Problem> {
        Ok(match self.one_of("failure_status")? {
            "502" => 502,
            _ => 200,
        })
    }

    pub fn private_addresses(&self) -> Result<PrivateAddresses, Problem> {
        Ok(match self.one_of("private_addresses")? {
            "deny" => PrivateAddresses::Deny,
            _ => PrivateAddresses::Allow,
        })
    }

    pub fn request_destinations(&self) -> Result<RequestDestinations, Problem> {
        Ok(match self.one_of("request_destinations")? {
            "ignore" => RequestDestinations::Ignore,
            "deny" => RequestDestinations::Deny,
            _ => RequestDestinations::Allow,
        })
    }

    pub fn on_ambiguous(&self) -> Result<OnAmbiguous, Problem> {
        Ok(match self.one_of("on_ambiguous")? {
            "report" => OnAmbiguous::Report,
            "resend" => OnAmbiguous::Resend,
            _ => OnAmbiguous::Lookup,
        })
    }

    pub fn max_connections(&self) -> Result<usize, Problem> {
        match self.has_value("max_connections") {
            true => self.size("max_connections"),
            false => Ok(default_max_connections()),
        }
    }

    fn one_of(&self, name: &'static str) -> Result<&'static str, Problem> {
        self.parsed(name, Argument::one_of)
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&Argument, &str) -> Result<T, String>,
    ) -> Result<T, Problem> {
        let (argument, value) = self.value(name);
        parse(argument, value).map_err(|expected| unparsable(argument, value, &expected))
    }

    fn parsed_if_given<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&Argument, &str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.has_value(name)
            .then(|| self.parsed(name, parse))
            .transpose()
    }

    /// Returns whether the trigger or the file sets the argument.
    pub fn is_set(&self, name: &str) -> bool {
        let set = |value: &str| !value.trim().is_empty();
        let by_trigger = self.trigger.get(name).is_some_and(|value| set(value));
        by_trigger || self.file.get(name).is_some_and(|value| set(value.expose()))
    }

    /// Returns whether the argument has a value or a default.
    fn has_value(&self, name: &'static str) -> bool {
        !self.value(name).1.is_empty()
    }

    /// Returns the argument and its value. A blank value counts as absent and yields the default.
    fn value(&self, name: &'static str) -> (&'static Argument, &str) {
        static UNKNOWN: Argument = Argument {
            name: "",
            kind: ArgumentKind::Text,
            default: "",
            example: "",
            description: "",
        };
        let argument = find(name).unwrap_or(&UNKNOWN);
        debug_assert_eq!(argument.name, name, "not in the table");
        let file = self.file.get(name).map(Secret::expose);
        let text = file.or_else(|| self.trigger.get(name).map(String::as_str));
        let value = text.map(str::trim).filter(|value| !value.is_empty());
        (argument, value.unwrap_or(argument.default))
    }
}

/// Refuses a URL with a password: everyone who can query the server can read arguments with SQL.
fn refuse_userinfo(argument: &'static Argument, value: &str) -> Result<(), Problem> {
    for word in list(value) {
        // A column name may contain `@`. Any other word with `@` is meant as an address.
        let bare =
            word.contains('@') && !word.contains("://") && argument.kind != ArgumentKind::Text;
        let url = match bare {
            true => Url::parse(&format!("http://{word}")),
            false => Url::parse(word),
        };
        let Ok(url) = url else { continue };
        if url.has_authority() && (!url.username().is_empty() || url.password().is_some()) {
            return Err(Problem { location: Location::path(argument.name), code: "secret_in_argument", message: format!(
                    "The trigger argument {} holds a user name or password in its URL.",
                    argument.name
                ), hint: "Arguments can be read by SQL (system.processing_engine_trigger_arguments): put the URL into \
                       the configuration file as { env = \"NAME\" }."
                    .to_owned() });
        }
    }
    Ok(())
}

/// Returns an eighth of the process's limit of open files, between 64 and 1,024: the database needs the rest.
fn default_max_connections() -> usize {
    usize::try_from(open_files() / 8)
        .unwrap_or(usize::MAX)
        .clamp(64, 1024)
}

#[cfg(unix)]
fn open_files() -> u64 {
    rlimit::Resource::NOFILE.get_soft().unwrap_or(1024)
}

/// Windows limits sockets by memory only.
#[cfg(not(unix))]
const fn open_files() -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(trigger: &BTreeMap<String, String>) -> Result<crate::config::Settings, Problem> {
        crate::config::resolve(trigger, &Default::default(), Default::default())
    }

    static NONE: BTreeMap<String, Secret> = BTreeMap::new();

    fn trigger(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn every_default_and_example_of_the_table_can_be_parsed() {
        for argument in ARGUMENTS {
            assert!(!argument.example.is_empty(), "{}", argument.name);
            assert!(argument.description.ends_with('.'), "{}", argument.name);
            for value in [argument.default, argument.example] {
                let trigger = trigger(&[(argument.name, value)]);
                if value.is_empty() {
                    continue;
                }
                let arguments = Arguments::new(&trigger, &NONE).unwrap();
                let name = argument.name;
                let parsed = match argument.kind {
                    ArgumentKind::Duration(..) => arguments.duration(name).map(drop),
                    ArgumentKind::Count(..) => arguments.count(name).map(drop),
                    ArgumentKind::Boolean => arguments.boolean(name).map(drop),
                    ArgumentKind::OneOf(_) => arguments.one_of(name).map(drop),
                    ArgumentKind::Rate => arguments.rate(name).map(drop),
                    ArgumentKind::Url => arguments.url(name).map(drop),
                    ArgumentKind::Hosts => arguments.hosts(name).map(drop),
                    ArgumentKind::Table => arguments.table(name).map(drop),
                    ArgumentKind::List | ArgumentKind::Text => Ok(()),
                };
                assert_eq!(parsed, Ok(()), "{name}={value}");
            }
        }
    }

    #[test]
    fn an_unparsable_value_is_reported_with_an_example() {
        for (name, value) in [
            ("response_timeout", "5s"),
            ("response_timeout", "soon"),
            ("delivery_timeout", "8d"),
            ("max_attempts", "0"),
            ("max_attempts", "1.5"),
            ("failure_status", "404"),
            ("dry_run", "perhaps"),
            ("rate_limit", "5"),
            ("rate_limit", "0/s"),
            ("private_addresses", "no"),
            ("allowed_hosts", "a^b"),
            ("twilio_base_url", "ftp://x"),
        ] {
            let error = resolve(&trigger(&[(name, value)])).unwrap_err();
            assert_eq!(error.location.path.as_deref(), Some(name));
            assert!(error.message.contains(name), "{error:?}");
            assert!(error.hint.contains(&format!("{name}=")), "{error:?}");
        }
    }

    #[test]
    fn values_are_read_leniently() {
        let arguments = trigger(&[
            ("response_timeout", " 1s "),
            ("dry_run", "YES"),
            ("allow_mentions", ""),
            ("rate_limit", "60/min"),
            (
                "allowed_hosts",
                "Hooks.Slack.com., *.Example.ORG bücher.example",
            ),
        ]);
        let settings = resolve(&arguments).unwrap();
        assert_eq!(settings.response_timeout, Duration::from_secs(1));
        assert!(settings.dry_run && settings.allow_mentions);
        assert_eq!(
            settings.policy.rate_limit.unwrap().interval(),
            Duration::from_secs(1)
        );
        assert_eq!(
            settings.addresses.allowed_hosts,
            ["hooks.slack.com", "*.example.org", "xn--bcher-kva.example"]
        );
    }

    #[test]
    fn unknown_names_are_warned_of() {
        let settings = resolve(&trigger(&[("respons_timeout", "1s"), ("zzz", "1")])).unwrap();
        assert_eq!(
            settings.warnings,
            [
                "trigger argument respons_timeout: unknown, ignored; did you mean response_timeout?",
                "trigger argument zzz: unknown, ignored",
            ]
        );
    }

    #[test]
    fn a_password_in_an_argument_is_refused_without_being_quoted() {
        for (name, value) in [
            ("twilio_base_url", "https://user:s3cret@host/"),
            ("outbox", "nats://a:4222 nats://tok3n@host:4222"),
            ("allowed_hosts", "user:s3cret@host"),
            ("allowed_hosts", "a.example,s3cret@host:80"),
            ("rate_limit", "user:s3cret@host"),
        ] {
            let error = Arguments::new(&trigger(&[(name, value)]), &NONE)
                .err()
                .unwrap();
            assert_eq!(error.code, "secret_in_argument", "{value}");
            assert!(!format!("{error:?}").contains("3"), "{error:?}");
        }
        let column = trigger(&[("text_column", "a@b")]);
        assert!(Arguments::new(&column, &NONE).is_ok());
    }
}
