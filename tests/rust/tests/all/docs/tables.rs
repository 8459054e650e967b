//! Generates the tables of the documentation from the code.

use std::fmt::Write as _;

use notifier_core::channels::{
    CHANNELS, ChannelSpec, LevelStyle, OPTIONS, Parameter, ParameterKind,
};
use notifier_core::config::arguments::{ARGUMENTS, ArgumentKind};
use notifier_core::config::template;
use notifier_core::json::Json;
use notifier_core::model::level::ALIASES;
use notifier_core::model::notification::{AlertStatus, Level, Notification};

/// Returns a table by its name in the documents. `None` if there is none.
pub fn table(name: &str) -> Option<String> {
    Some(match name {
        "arguments" => arguments(),
        "arguments with bounds" => arguments_with_bounds(),
        "channels" => channels(),
        "levels" => levels(),
        "file fields" => file_fields(),
        "file options" => file_options(),
        "template sample" => format!("```json\n{}\n```\n", template::SAMPLE),
        "template members" => template_members(),
        "filters" => own_filters(),
        "filters of MiniJinja" => filters_of_minijinja(),
        "functions" => functions(),
        _ => {
            let sender = name.strip_prefix("parameters of ")?;
            let spec = CHANNELS.iter().find(|spec| spec.key == sender)?;
            parameters(spec)
        }
    })
}

/// The arguments that most triggers need. The plugin file lists them for Explorer's form.
fn arguments() -> String {
    let form = include_str!("../../../../../notifier_plugin.py");
    let is_in_form = |name| form.contains(&format!(r#"{{"name": "{name}","#));
    let mut text = head(&["Parameter", "Type", "Default", "Description"]);
    for argument in ARGUMENTS.iter().filter(|one| is_in_form(one.name)) {
        let kind = match argument.kind {
            ArgumentKind::Duration(..) => "duration",
            ArgumentKind::Count(..) => "integer",
            ArgumentKind::Boolean => "boolean",
            ArgumentKind::Rate => "rate",
            ArgumentKind::List | ArgumentKind::Hosts => "list",
            ArgumentKind::Url => "URL",
            ArgumentKind::OneOf(_) | ArgumentKind::Table | ArgumentKind::Text => "string",
        };
        let default = or_none(argument.default);
        row(
            &mut text,
            &[&code(argument.name), kind, &default, argument.description],
        );
    }
    text
}

/// Each with its default, and its values or an example.
fn arguments_with_bounds() -> String {
    let mut text = String::new();
    for argument in ARGUMENTS {
        let values = match argument.kind {
            ArgumentKind::Duration(least, most) => format!("{least} to {most}"),
            ArgumentKind::Count(least, most) => format!("{least} to {most}"),
            ArgumentKind::OneOf(words) => words
                .iter()
                .map(|word| code(word))
                .collect::<Vec<_>>()
                .join(", "),
            ArgumentKind::Boolean => "`true`, `false`".to_owned(),
            ArgumentKind::Rate
            | ArgumentKind::List
            | ArgumentKind::Hosts
            | ArgumentKind::Url
            | ArgumentKind::Table
            | ArgumentKind::Text => code(argument.example),
        };
        let default = or_none(argument.default);
        let (name, description) = (code(argument.name), argument.description);
        let _ = writeln!(text, "- {name} ({default}; {values}): {description}");
    }
    text
}

/// Channels with the names of all that share their parameters.
fn by_table(
    specs: impl IntoIterator<Item = &'static ChannelSpec>,
) -> Vec<(String, &'static ChannelSpec)> {
    let mut all: Vec<(String, &ChannelSpec)> = Vec::new();
    for spec in specs {
        match all
            .iter_mut()
            .find(|(_, known)| std::ptr::eq(known.parameters, spec.parameters))
        {
            Some((names, _)) => {
                let _ = write!(names, ", {}", code(spec.key));
            }
            None => all.push((code(spec.key), spec)),
        }
    }
    all
}

/// The parameters that a request may set.
fn of_requests(spec: &ChannelSpec) -> impl Iterator<Item = &'static Parameter> {
    spec.parameters
        .iter()
        .filter(|parameter| !parameter.operator_only)
}

/// The channels with their own list of parameters. Of channels with the same parameters, only the first.
pub fn with_parameters() -> impl Iterator<Item = &'static str> {
    let channels = by_table(CHANNELS.iter().copied());
    channels.into_iter().map(|(_, spec)| spec.key)
}

/// A list, since a table of one or two rows is mostly its head.
fn parameters(spec: &ChannelSpec) -> String {
    let mut text = String::new();
    for parameter in of_requests(spec) {
        let required = match (parameter.required, parameter.environment) {
            (true, Some(name)) => Some(format!("required unless {} is set", code(name))),
            (true, None) => Some("required".to_owned()),
            (false, _) => None,
        };
        let secret = parameter.secret.then(|| "secret".to_owned());
        let properties: Vec<_> = required.into_iter().chain(secret).collect();
        let name = code(parameter.name);
        let description = parameter.description;
        if properties.is_empty() {
            let _ = writeln!(text, "- {name}: {description}");
        } else {
            let _ = writeln!(text, "- {name} ({}): {description}", properties.join(", "));
        }
    }
    text
}

fn channels() -> String {
    let mut text = head(&[
        "Sender",
        "Longest text of one message",
        "A duplicate",
        "A `resolved` with the same `dedup_key`",
    ]);
    for spec in CHANNELS {
        let limit = match spec.capabilities.limits.text.limit() {
            Some(limit) => format!("{} {}", limit.length, limit.unit.words()),
            None => "none".to_owned(),
        };
        let cells = [
            &format!("[`{0}`](#{0})", spec.key),
            &limit,
            spec.capabilities.resend.words(),
            spec.capabilities.follow_ups.words(),
        ];
        row(&mut text, &cells);
    }
    text
}

/// The fields that only the configuration file may set. Senders that share a field share its row.
fn file_fields() -> String {
    let mut rows: Vec<(&Parameter, Vec<String>, Vec<String>)> = Vec::new();
    for (names, spec) in by_table(CHANNELS.iter().copied()) {
        for parameter in spec.parameters.iter().filter(|one| one.operator_only) {
            let example = code(&toml_value(parameter));
            let same = |known: &Parameter| {
                (known.name, known.description) == (parameter.name, parameter.description)
            };
            match rows.iter_mut().find(|(known, ..)| same(known)) {
                Some((_, senders, examples)) => {
                    senders.push(names.clone());
                    if !examples.contains(&example) {
                        examples.push(example);
                    }
                }
                None => rows.push((parameter, vec![names.clone()], vec![example])),
            }
        }
    }
    let mut text = String::new();
    for (parameter, senders, examples) in rows {
        let (senders, examples) = (senders.join(", "), examples.join(", "));
        let (name, description) = (code(parameter.name), file_description(parameter));
        let _ = writeln!(text, "- {senders}: {name} ({examples}). {description}");
    }
    text
}

/// The fields that it may set for every channel.
fn file_options() -> String {
    let mut text = String::new();
    for parameter in OPTIONS {
        let (name, example) = (code(parameter.name), code(&toml_value(parameter)));
        let description = file_description(parameter);
        let _ = writeln!(text, "- {name} ({example}). {description}");
    }
    text
}

fn file_description(parameter: &Parameter) -> String {
    let secret = if parameter.secret { " Secret." } else { "" };
    format!("{}{secret}", parameter.description)
}

/// Returns the example as in the file; it also shows the type.
fn toml_value(parameter: &Parameter) -> String {
    match parameter.kind {
        ParameterKind::Table
        | ParameterKind::Templates
        | ParameterKind::Boolean
        | ParameterKind::Number => parameter.example.to_owned(),
        // Quotes a value as in TOML.
        _ if parameter.example.contains('"') => format!("'{}'", parameter.example),
        _ => format!("\"{}\"", parameter.example),
    }
}

fn template_members() -> String {
    let mut text = String::new();
    for member in template::MEMBERS {
        let name = code(&format!("notification.{}", member.name));
        let _ = writeln!(text, "- {name}: {}", member.description);
    }
    text
}

fn own_filters() -> String {
    let mut text = head(&["Name", "Result", "Example", "Makes"]);
    let own = |helper: &&template::Helper| !helper.description.is_empty();
    for helper in template::FILTERS.iter().filter(own) {
        let cells = [
            &code(helper.name),
            helper.description,
            &code(helper.example),
            &code(helper.result),
        ];
        row(&mut text, &cells);
    }
    text
}

/// Only the names: MiniJinja's documentation describes the filters.
fn filters_of_minijinja() -> String {
    let theirs = |helper: &&template::Helper| helper.description.is_empty();
    let names = template::FILTERS.iter().filter(theirs);
    let names: Vec<_> = names.map(|helper| code(helper.name)).collect();
    format!("{}.\n", names.join(", "))
}

fn functions() -> String {
    let mut text = head(&["Example", "Makes"]);
    for function in template::FUNCTIONS {
        row(
            &mut text,
            &[&code(function.example), &code(function.result)],
        );
    }
    text
}

fn levels() -> String {
    let mut text = head(&["Level", "Other words for it", "In chats", "Colour"]);
    for (level, words) in ALIASES.iter().rev() {
        let words: Vec<_> = words.iter().map(|word| code(word)).collect();
        let name = match level {
            Level::Info => format!("{}, or none", code(level.word())),
            _ => code(level.word()),
        };
        let style = LevelStyle::of(&Notification {
            level: Some(*level),
            ..Notification::plain(Json::Null)
        });
        level_row(&mut text, &name, &words.join(", "), style);
    }
    let resolved = LevelStyle::of(&Notification {
        status: Some(AlertStatus::Resolved),
        ..Notification::plain(Json::Null)
    });
    let name = format!("any, {}", code("resolved"));
    level_row(&mut text, &name, "", resolved);
    text
}

fn level_row(text: &mut String, name: &str, words: &str, style: LevelStyle) {
    let colour = code(&format!("#{:06X}", style.colour));
    row(text, &[name, words, style.emoji, &colour]);
}

fn or_none(value: &str) -> String {
    if value.is_empty() {
        "none".to_owned()
    } else {
        code(value)
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn head(columns: &[&str]) -> String {
    let rule: Vec<_> = columns.iter().map(|_| "---").collect();
    format!("| {} |\n| {} |\n", columns.join(" | "), rule.join(" | "))
}

fn row(text: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}
