//! Lists of mail addresses. Each address gets its own messages.

use std::collections::HashSet;

use super::values::text;
use super::{Parameter, ParameterKind, mailboxes};
use crate::json::{Json, Path};
use crate::model::wire::Mailbox;

/// The addresses of all lists.
#[derive(Default)]
pub struct Lists<'a> {
    pub listed: Vec<ListedMailbox<'a>>,
    /// Whether more than one parameter lists addresses.
    pub are_several: bool,
}

/// One address of a list.
pub struct ListedMailbox<'a> {
    /// The parameter that lists it.
    pub parameter: &'static str,
    pub path: Path,
    /// The address as the configuration spells it.
    pub text: &'a str,
    pub mailbox: Result<Mailbox, String>,
}

/// Returns the number of destinations of an unread configuration. A repeated address counts each time.
pub fn count(parameters: &[Parameter], configuration: &Json) -> usize {
    let lists = parameters
        .iter()
        .filter(|one| one.kind == ParameterKind::Destinations);
    let values = lists.filter_map(|list| configuration.get(list.name));
    let count = |value: &Json| match value {
        Json::Array(items) => items.iter().map(count_of_item).sum(),
        one => count_of_item(one),
    };
    values.map(count).sum::<usize>().max(1)
}

fn count_of_item(item: &Json) -> usize {
    text(item).map_or(1, |text| mailboxes::split(text).count().max(1))
}

/// Reads the lists in the order of the parameters' table. Lists each address once. The second value contains the
/// parameter of each repeated address.
pub fn read<'a>(
    given: impl IntoIterator<Item = (&'static Parameter, &'a Json)>,
    path: &Path,
) -> (Lists<'a>, Vec<&'static str>) {
    let mut listed = Vec::new();
    for (parameter, value) in given {
        let is_blank = text(value).is_some_and(|text| text.trim().is_empty());
        if parameter.kind != ParameterKind::Destinations || *value == Json::Null || is_blank {
            continue;
        }
        let path = path.key(parameter.name);
        match value {
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    read_item(parameter.name, &path.index(index), item, &mut listed);
                }
            }
            one => read_item(parameter.name, &path, one, &mut listed),
        }
    }
    let (mut seen, mut twice) = (HashSet::new(), Vec::new());
    listed.retain(|one| {
        let Ok(mailbox) = &one.mailbox else {
            return true;
        };
        let is_first = seen.insert(mailbox.address.to_ascii_lowercase());
        if !is_first {
            twice.push(one.parameter);
        }
        is_first
    });
    let mut parameters = listed.iter().map(|one| one.parameter);
    let first = parameters.next();
    let lists = Lists {
        are_several: parameters.any(|parameter| Some(parameter) != first),
        listed,
    };
    (lists, twice)
}

fn read_item<'a>(
    parameter: &'static str,
    path: &Path,
    item: &'a Json,
    listed: &mut Vec<ListedMailbox<'a>>,
) {
    let Some(written) = text(item) else {
        let message = format!("must be a string, found {}", item.kind());
        return listed.push(ListedMailbox {
            parameter,
            path: path.clone(),
            text: "",
            mailbox: Err(format!("{parameter} {message}")),
        });
    };
    let mut pieces: Vec<_> = mailboxes::split(written).collect();
    if pieces.is_empty() {
        pieces.push(written);
    }
    let of = pieces.len();
    listed.extend(
        pieces
            .into_iter()
            .enumerate()
            .map(|(index, text)| ListedMailbox {
                parameter,
                path: path.clone(),
                text,
                mailbox: mailbox(parameter, text, index, of),
            }),
    );
}

/// Parses a mailbox. The error is a sentence with the mailbox's position in its string and the correction.
pub fn mailbox(parameter: &str, text: &str, index: usize, of: usize) -> Result<Mailbox, String> {
    mailboxes::parse(text).map_err(|message| match of {
        1 => format!("{parameter} {message}"),
        _ => format!("address {} of {parameter} {message}", index + 1),
    })
}
