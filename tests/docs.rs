//! The documentation's tables are the code's tables: `UPDATE_DOCS=1 cargo test --no-default-features --test docs` writes them
//! anew between `<!-- table: NAME -->` and `<!-- end of table -->`; without the variable a difference is a failure.

// All of this file is a test, also what stands outside its `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use influxdb3_notifier::channels::{
    CHANNELS, ChannelSpec, Kind as FieldKind, Look, OPTIONS, Parameter,
};
use influxdb3_notifier::model::json::Json;
use influxdb3_notifier::model::notification::{Level, Notification, Status};
use influxdb3_notifier::model::outcome::Reason;
use influxdb3_notifier::settings::arguments::{ARGUMENTS, Kind};
use influxdb3_notifier::settings::template;

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

/// The tables that one of the files has; each must be somewhere. Besides, each channel has one of its parameters.
const TABLES: &[&str] = &[
    "arguments",
    "arguments with bounds",
    "senders of the official plugin",
    "other senders",
    "channels",
    "looks",
    "reasons",
    "file fields",
    "file options",
    "template sample",
    "template members",
    "filters",
    "functions",
];

/// Those whose parameters the README shows.
const OFFICIAL: [&str; 5] = ["slack", "discord", "http", "sms", "whatsapp"];

#[test]
fn every_table_in_the_documentation_is_the_codes() {
    let mut found = BTreeSet::new();
    for path in documents() {
        let text = read(&path);
        let current = with_current_tables(&path, &text, &mut found);
        if current == text {
            continue;
        }
        assert!(
            std::env::var_os("UPDATE_DOCS").is_some(),
            "{} differs from the code. It should have:\n{}\nWrite it by: UPDATE_DOCS=1 cargo test --no-default-features --test docs",
            path.display(),
            first_difference(&text, &current),
        );
        // At once, since other tests read it meanwhile.
        let new = path.with_extension("md.new");
        fs::write(&new, current).unwrap();
        fs::rename(&new, &path).unwrap();
    }
    let parameters = CHANNELS
        .iter()
        .map(|spec| format!("parameters of {}", spec.key));
    let tables = TABLES
        .iter()
        .map(|name| (*name).to_owned())
        .chain(parameters);
    let missing: Vec<_> = tables.filter(|name| !found.contains(name)).collect();
    assert!(
        missing.is_empty(),
        "no document has the tables {missing:?}. Put `{BEGIN}NAME -->` and `{END}` where each belongs (that of a channel into its \
         section of docs/channels.md), then: UPDATE_DOCS=1 cargo test --no-default-features --test docs"
    );
}

#[test]
fn every_channel_has_a_section_in_the_order_of_the_registry() {
    let sections = headings(&read(&root().join("docs/channels.md")), "## ");
    let found: Vec<_> = sections
        .iter()
        .filter(|name| name.as_str() != "Rich notifications")
        .collect();
    let keys: Vec<_> = CHANNELS.iter().map(|spec| spec.key).collect();
    assert_eq!(
        found, keys,
        "docs/channels.md has a section `## NAME` for each channel, in the order of CHANNELS; docs/adding-a-channel.md says what is in it"
    );
}

#[test]
fn the_readme_begins_by_naming_every_channel() {
    let letters = |text: &str| -> String {
        let text = text.to_lowercase();
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let readme = read(&root().join("README.md"));
    let description = sections(&readme, "## ").swap_remove(0).1;
    let first_sentence = letters(description.split_once(". ").unwrap().0);
    for spec in CHANNELS {
        assert!(
            first_sentence.contains(&letters(spec.key)),
            "README.md: the first sentence of its description names all channels, but not {}",
            spec.key
        );
    }
}

#[test]
fn every_reason_has_a_section_and_every_section_a_reason() {
    let text = read(&root().join("docs/reasons.md"));
    let sections: Vec<(String, String)> = sections(&text, "### ");
    for reason in Reason::ALL {
        let code = reason.code();
        let found = sections.iter().find(|(heading, _)| heading == code);
        let Some((_, section)) = found else {
            panic!(
                "docs/reasons.md has no section `### {code}` for Reason::{reason:?}. Add:\n\n### {code}\n\n{}\n",
                quote(*reason)
            );
        };
        assert!(
            section.contains(&quote(*reason)),
            "docs/reasons.md, `### {code}`: sentence and hint are\n\n{}",
            quote(*reason)
        );
        let own_words = section.replace(&quote(*reason), "").trim().len();
        assert!(
            own_words > 80,
            "docs/reasons.md, `### {code}`: say when it happens and what to do"
        );
    }
    for (heading, _) in &sections {
        assert!(
            Reason::ALL.iter().any(|reason| reason.code() == heading),
            "docs/reasons.md has a section `### {heading}`, which is no reason"
        );
    }
}

/// A reason's sentence and hint, as its section quotes them.
fn quote(reason: Reason) -> String {
    format!("> {}\n> Hint: {}", reason.sentence(), reason.hint())
}

// The tables

fn table(name: &str) -> Option<String> {
    Some(match name {
        "arguments" => arguments(),
        "arguments with bounds" => arguments_with_bounds(),
        "senders of the official plugin" => senders(),
        "other senders" => other_senders(),
        "channels" => channels(),
        "looks" => looks(),
        "reasons" => reasons(),
        "file fields" => file_fields(),
        "file options" => file_options(),
        "template sample" => format!("```json\n{}\n```\n", template::SAMPLE),
        "template members" => template_members(),
        "filters" => helpers(template::FILTERS),
        "functions" => helpers(template::FUNCTIONS),
        _ => {
            let sender = name.strip_prefix("parameters of ")?;
            let spec = CHANNELS.iter().find(|spec| spec.key == sender)?;
            parameters(spec)
        }
    })
}

fn arguments() -> String {
    let mut text = head(&["Parameter", "Type", "Default", "Description"]);
    for argument in ARGUMENTS {
        let kind = match argument.kind {
            Kind::Duration(..) => "duration",
            Kind::Count(..) => "integer",
            Kind::Boolean => "boolean",
            Kind::Rate => "rate",
            Kind::List | Kind::Hosts => "list",
            Kind::Url => "URL",
            Kind::OneOf(_) | Kind::Table | Kind::Text => "string",
        };
        let default = or_none(argument.default);
        row(
            &mut text,
            &[&code(argument.name), kind, &default, argument.description],
        );
    }
    text
}

fn arguments_with_bounds() -> String {
    let mut text = head(&["Argument", "Default", "Bounds", "Example", "Description"]);
    for argument in ARGUMENTS {
        let bounds = match argument.kind {
            Kind::Duration(least, most) => format!("{least} to {most}"),
            Kind::Count(least, most) => format!("{least} to {most}"),
            Kind::OneOf(words) => words
                .iter()
                .map(|word| code(word))
                .collect::<Vec<_>>()
                .join(", "),
            Kind::Boolean => "`true`, `false`".to_owned(),
            Kind::Rate => "messages per time".to_owned(),
            Kind::List | Kind::Hosts => "separated by spaces".to_owned(),
            Kind::Url => "`http` or `https`".to_owned(),
            Kind::Table => "a table's name".to_owned(),
            Kind::Text => String::new(),
        };
        let default = or_none(argument.default);
        let example = code(argument.example);
        row(
            &mut text,
            &[
                &code(argument.name),
                &default,
                &bounds,
                &example,
                argument.description,
            ],
        );
    }
    text
}

fn senders() -> String {
    let mut text = head(&["Sender", "Parameter", "Type", "Default", "Description"]);
    let official = by_table(
        CHANNELS
            .iter()
            .copied()
            .filter(|spec| OFFICIAL.contains(&spec.key)),
    );
    for (names, spec) in official {
        for parameter in of_requests(spec) {
            let default = default_of(parameter);
            row(
                &mut text,
                &[
                    &names,
                    &code(parameter.name),
                    "string",
                    &default,
                    parameter.description,
                ],
            );
        }
    }
    text
}

/// The README has no room for their parameters.
fn other_senders() -> String {
    let others = CHANNELS.iter().filter(|spec| !OFFICIAL.contains(&spec.key));
    let names: Vec<_> = others.map(|spec| code(spec.key)).collect();
    format!(
        "The senders beyond these ({}) have parameters of their own: [docs/channels.md](docs/channels.md), or \
         `influxdb3-notifier channels`.\n",
        names.join(", ")
    )
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

/// What a request may set.
fn of_requests(spec: &ChannelSpec) -> impl Iterator<Item = &'static Parameter> {
    spec.parameters
        .iter()
        .filter(|parameter| !parameter.operator_only)
}

fn parameters(spec: &ChannelSpec) -> String {
    let mut text = head(&["Parameter", "Default", "Secret", "Example", "Description"]);
    for parameter in of_requests(spec) {
        let secret = if parameter.secret { "yes" } else { "no" };
        let default = default_of(parameter);
        let example = code(parameter.example);
        row(
            &mut text,
            &[
                &code(parameter.name),
                &default,
                secret,
                &example,
                parameter.description,
            ],
        );
    }
    text
}

fn channels() -> String {
    let mut text = head(&[
        "Sender",
        "Sends to",
        "Longest text of one message",
        "A second sending",
        "A `resolved` with the same `dedup_key`",
    ]);
    for spec in CHANNELS {
        let limit = match spec.length.limit() {
            Some(limit) => format!("{} {}", limit.length, limit.unit.words()),
            None => "none".to_owned(),
        };
        let cells = [
            &code(spec.key),
            spec.about,
            &limit,
            spec.repeat.words(),
            spec.resolved.words(),
        ];
        row(&mut text, &cells);
    }
    text
}

fn looks() -> String {
    let mut text = head(&[
        "`level`, `status`",
        "In chats",
        "In text messages",
        "Colour",
    ]);
    let notification = |level, status| Notification {
        level,
        status,
        ..Notification::plain(Json::Null)
    };
    let levels = Level::ALL.map(|level| (code(level.word()), notification(Some(level), None)));
    let resolved = notification(None, Some(Status::Resolved));
    let resolved = (format!("any, {}", code("resolved")), resolved);
    for (name, notification) in levels.into_iter().rev().chain([resolved]) {
        let look = Look::of(&notification);
        let name = match notification.level {
            Some(Level::Info) => format!("{name}, or no level"),
            _ => name,
        };
        let colour = format!("#{:06X}", look.colour);
        row(
            &mut text,
            &[
                &name,
                look.emoji,
                &code(&look.word.to_ascii_uppercase()),
                &code(&colour),
            ],
        );
    }
    text
}

/// What only the configuration file may set.
fn file_fields() -> String {
    let mut text = head(&[
        "Sender",
        "Field",
        "Value",
        "Secret",
        "Example",
        "Description",
    ]);
    for (names, spec) in by_table(CHANNELS.iter().copied()) {
        let own = spec.parameters.iter();
        for parameter in own.filter(|parameter| parameter.operator_only) {
            let [field, value, secret, example] = file_cells(parameter);
            let cells = [
                &names,
                &field,
                &value,
                &secret,
                &example,
                parameter.description,
            ];
            row(&mut text, &cells);
        }
    }
    text
}

/// What it may set for every channel.
fn file_options() -> String {
    let mut text = head(&["Field", "Value", "Secret", "Example", "Description"]);
    for parameter in OPTIONS {
        let [field, value, secret, example] = file_cells(parameter);
        row(
            &mut text,
            &[&field, &value, &secret, &example, parameter.description],
        );
    }
    text
}

fn file_cells(parameter: &Parameter) -> [String; 4] {
    let value = match parameter.kind {
        FieldKind::Text => "string",
        FieldKind::Texts | FieldKind::Destinations => "string, or a list of them",
        FieldKind::Port => "number",
        FieldKind::Boolean => "boolean",
        FieldKind::Headers | FieldKind::Table => "table of strings",
        FieldKind::Template => "template",
        FieldKind::Templates => "table of templates",
        FieldKind::AuthorityFile | FieldKind::CertificateFile => "path",
    };
    let example = match parameter.kind {
        FieldKind::Table | FieldKind::Templates | FieldKind::Boolean | FieldKind::Port => {
            parameter.example.to_owned()
        }
        // As TOML writes what has quotes in it.
        _ if parameter.example.contains('"') => format!("'{}'", parameter.example),
        _ => format!("\"{}\"", parameter.example),
    };
    let secret = if parameter.secret { "yes" } else { "no" };
    [
        code(parameter.name),
        value.to_owned(),
        secret.to_owned(),
        code(&example),
    ]
}

fn template_members() -> String {
    let mut text = head(&["Name", "What it is"]);
    for member in template::MEMBERS {
        let name = code(&format!("notification.{}", member.name));
        row(&mut text, &[&name, member.description]);
    }
    text
}

fn helpers(helpers: &[template::Helper]) -> String {
    let mut text = head(&["Name", "What it does", "Example", "Makes"]);
    for helper in helpers {
        // A cell has one line.
        let result = helper.result.replace('\n', "\\n");
        let cells = [
            &code(helper.name),
            helper.description,
            &code(helper.example),
            &code(&result),
        ];
        row(&mut text, &cells);
    }
    text
}

fn reasons() -> String {
    let mut text = head(&["Reason", "What happened"]);
    for reason in Reason::ALL {
        let link = format!("[`{0}`](#{0})", reason.code());
        row(&mut text, &[&link, reason.sentence()]);
    }
    text
}

fn default_of(parameter: &Parameter) -> String {
    let variable = parameter
        .environment
        .map_or(String::new(), |name| format!(" (or {} is set)", code(name)));
    if parameter.required {
        format!("required{variable}")
    } else {
        format!("none{variable}")
    }
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

// The files

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut documents = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    documents.sort();
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn with_current_tables(path: &Path, text: &str, found: &mut BTreeSet<String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let place = || path.display().to_string();
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after
            .split_once(END)
            .unwrap_or_else(|| panic!("{}: `{name}` has no end", place()));
        let table =
            table(name).unwrap_or_else(|| panic!("{}: there is no table `{name}`", place()));
        let _ = write!(result, "{before}{BEGIN}{name} -->\n{table}{END}");
        found.insert(name.to_owned());
        rest = after;
    }
    result.push_str(rest);
    result
}

fn first_difference(old: &str, new: &str) -> String {
    let old: BTreeSet<_> = old.lines().collect();
    let lines = new.lines().filter(|line| !old.contains(line));
    let lines: Vec<_> = lines.take(10).collect();
    if lines.is_empty() {
        "(fewer lines, or another order)".to_owned()
    } else {
        lines.join("\n")
    }
}

fn headings(text: &str, level: &str) -> Vec<String> {
    sections(text, level)
        .into_iter()
        .map(|(heading, _)| heading)
        .collect()
}

/// The headings of this level, without backticks, each with what stands under it.
fn sections(text: &str, level: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        if let Some(heading) = line.strip_prefix(level) {
            sections.push((heading.trim().replace('`', ""), String::new()));
            within = true;
        } else if hashes > 0 && hashes < level.trim().len() {
            within = false;
        } else if within && let Some((_, section)) = sections.last_mut() {
            let _ = writeln!(section, "{line}");
        }
    }
    sections
}
