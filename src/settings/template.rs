//! Templates: what a notification says, in the operator's words. They cannot reach anything but the notification.

use crate::model::json::Json;
use crate::model::notification::{Level, Notification, Status};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, escape_formatter};

/// What one rendering may take: instructions, and bytes of all that is made on the way, count alike. Enough to render
/// the longest text that a request may have.
const FUEL: u64 = 1_500_000;
/// How long a template may be.
const MAX_SOURCE_BYTES: usize = 64 * 1024;

/// The templates of one configuration file, by name.
pub struct Templates {
    environment: Environment<'static>,
}

impl std::fmt::Debug for Templates {
    /// A template's source is the operator's own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

/// What is wrong with a template, and where in it. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters; 0 where it is not known.
    pub column: usize,
    pub what: String,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column {
            0 => write!(f, "line {} of the template: {}", self.line, self.what),
            column => write!(
                f,
                "line {}, column {column} of the template: {}",
                self.line, self.what
            ),
        }
    }
}

/// What a template sees.
fn context(notification: &Notification, data: Option<&Json>) -> Value {
    let text = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
    let fields = notification.fields.iter();
    let fields = Value::from_pairs(fields.map(|(name, field)| (name.as_str(), value(field))));
    let timestamp = notification.timestamp.map(|time| time.to_string());
    let seen = Value::from_pairs([
        ("text", value(&notification.text)),
        ("title", text(notification.title.as_deref())),
        (
            "level",
            text(notification.level_for_rules().map(Level::word)),
        ),
        ("status", text(notification.status.map(Status::word))),
        ("fields", fields),
        ("link", text(notification.link.as_deref())),
        ("timestamp", text(timestamp.as_deref())),
        ("dedup_key", text(notification.dedup_key.as_deref())),
    ]);
    Value::from_pairs([
        ("notification", seen),
        ("data", data.map_or(Value::UNDEFINED, value)),
    ])
}

/// Numbers as numbers: what no number of the engine holds is its text.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(text.as_str()),
        },
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(members) => Value::from_pairs(
            members
                .iter()
                .map(|(name, member)| (name.as_str(), value(member))),
        ),
    }
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_formatter(|out, state, value| {
            // What is written is charged at the end, where no line is known any more.
            let bytes = value.as_str().map_or(0, str::len);
            match bytes as u64 > FUEL {
                true => Err(ErrorKind::OutOfFuel.into()),
                false => escape_formatter(out, state, value),
            }
        });
        environment.add_filter("tojson", to_json);
        Self { environment }
    }
}

impl Templates {
    /// Takes a template, or says what is wrong with it.
    pub fn add(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(TemplateError {
                line: 1,
                column: 0,
                what: format!("is longer than {MAX_SOURCE_BYTES} bytes"),
            });
        }
        let added = self
            .environment
            .add_template_owned(name.to_owned(), source.to_owned());
        added.map_err(|error| explain(&error, source))?;
        self.try_out(name, source)
    }

    /// Filters, tests and functions are looked up when a template runs: so it is run once, with nothing in it.
    fn try_out(&self, name: &str, source: &str) -> Result<(), TemplateError> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| {
            template.render(context(
                &Notification::plain(Json::String(String::new())),
                None,
            ))
        });
        match rendered {
            Err(error) if is_unknown(error.kind()) => Err(explain(&error, source)),
            _ => Ok(()),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.environment.get_template(name).is_ok()
    }

    /// What the template makes of a notification.
    pub fn render(
        &self,
        name: &str,
        notification: &Notification,
        data: Option<&Json>,
    ) -> Result<String, TemplateError> {
        let template = self.environment.get_template(name);
        let template = template.map_err(|error| explain(&error, ""))?;
        let rendered = template.render(context(notification, data));
        rendered.map_err(|error| explain(&error, template.source()))
    }
}

/// JSON that is not made safe for HTML: it goes into bodies.
fn to_json(value: &Value) -> Result<String, minijinja::Error> {
    serde_json::to_string(value).map_err(|_| minijinja::Error::from(ErrorKind::BadSerialization))
}

const fn is_unknown(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
    )
}

/// The library's own words may quote the template or the data.
fn explain(error: &minijinja::Error, source: &str) -> TemplateError {
    let what = match error.kind() {
        ErrorKind::SyntaxError => "the syntax is wrong here",
        ErrorKind::UnknownFilter => "there is no such filter",
        ErrorKind::UnknownTest => "there is no such test",
        ErrorKind::UnknownFunction => "there is no such function",
        ErrorKind::UnknownMethod => "there is no such method",
        ErrorKind::UndefinedError => "a value is used that is not there",
        ErrorKind::InvalidOperation => "this cannot be done with such a value",
        ErrorKind::BadSerialization => "this value cannot be written as JSON",
        ErrorKind::OutOfFuel => {
            "it takes too long, or makes too much; a loop without end, perhaps?"
        }
        ErrorKind::MissingArgument | ErrorKind::TooManyArguments => "wrong number of arguments",
        ErrorKind::TemplateNotFound => "there is no such template",
        _ => "it cannot be rendered",
    };
    let column = error.range().map_or(0, |range| {
        let before = source.get(..range.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.chars().count() + 1
    });
    TemplateError {
        line: error.line().unwrap_or(1),
        column,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification() -> Notification {
        let mut notification = Notification::plain(Json::String("cpu at 97 %".to_owned()));
        notification.level = Some(Level::Critical);
        notification.fields = vec![("host".to_owned(), Json::String("db1".to_owned()))];
        notification
    }

    fn render(source: &str) -> Result<String, TemplateError> {
        let mut templates = Templates::default();
        templates.add("t", source)?;
        let data = Json::Object(vec![("n".to_owned(), Json::Number("3".to_owned()))]);
        templates.render("t", &notification(), Some(&data))
    }

    #[test]
    fn a_template_sees_the_notification_and_the_data() {
        for (source, expected) in [
            ("{{ notification.text }}", "cpu at 97 %"),
            (
                "{{ notification.level | upper }} on {{ notification.fields.host }}",
                "CRITICAL on db1",
            ),
            ("{% if data.n > 2 %}many{% endif %}", "many"),
            ("{{ notification.title }}|{{ nothing }}", "|"),
            (
                "{{ {'a': notification.text} | tojson }}",
                r#"{"a":"cpu at 97 %"}"#,
            ),
            ("<b>{{ notification.text }}</b>", "<b>cpu at 97 %</b>"),
        ] {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
    }

    /// 2 to the 40th bytes, if it were let.
    const DOUBLED: &str = "{% set a = 'xxxxxxxx' ~ 'xxxxxxxx' %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
        {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
        {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
        {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
        {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}";

    #[test]
    fn what_is_wrong_has_a_line_and_a_column_and_quotes_nothing() {
        for (source, line, what) in [
            ("a\n{{ notification.s3cret | nope }}", 2, "no such filter"),
            ("{% for %}", 1, "syntax"),
            (
                "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
                1,
                "too long",
            ),
            ("\n\n{{ 'x' * 90000000 }}", 3, "makes too much"),
            (DOUBLED, 1, "makes too much"),
        ] {
            let error = render(source).unwrap_err();
            assert_eq!(error.line, line, "{source}: {error}");
            assert!(error.what.contains(what), "{source}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
