//! The destinations of a configuration that lists several: mail addresses, each of which gets messages of its own.

use std::collections::HashSet;

use super::fields::{Fields, text};
use super::{ConfigError, Kind, Parameter, mailboxes};
use crate::model::json::{Json, Path};
use crate::model::wire::Mailbox;

/// What the lists hold.
#[derive(Default)]
pub struct Lists<'a> {
    listed: Vec<Listed<'a>>,
    /// Whether more than one parameter lists some.
    are_several: bool,
}

/// One address of a list.
struct Listed<'a> {
    /// The parameter that lists it.
    parameter: &'static str,
    path: Path,
    /// As it is written.
    text: &'a str,
    mailbox: Result<Mailbox, String>,
}

/// How many destinations a configuration makes, before it is read: an address that stands twice counts twice.
pub fn count(parameters: &[Parameter], configuration: &Json) -> usize {
    let lists = parameters
        .iter()
        .filter(|one| one.kind == Kind::Destinations);
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

/// Reads the lists. Each address is listed once; the list has the parameters in the order of their table.
pub fn lists<'a>(fields: &mut Fields<'a>) -> Lists<'a> {
    let mut listed = Vec::new();
    for (parameter, value) in fields.given().collect::<Vec<_>>() {
        let is_blank = text(value).is_some_and(|text| text.trim().is_empty());
        if parameter.kind != Kind::Destinations || *value == Json::Null || is_blank {
            continue;
        }
        let path = fields.path().key(parameter.name);
        match value {
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    read_item(parameter.name, &path.index(index), item, &mut listed);
                }
            }
            one => read_item(parameter.name, &path, one, &mut listed),
        }
    }
    let mut seen = HashSet::new();
    listed.retain(|one| {
        let Ok(mailbox) = &one.mailbox else {
            return true;
        };
        let is_first = seen.insert(mailbox.address.to_ascii_lowercase());
        if !is_first {
            fields.warn(
                one.parameter,
                "an address stands twice; it gets one message",
            );
        }
        is_first
    });
    let mut parameters = listed.iter().map(|one| one.parameter);
    let first = parameters.next();
    Lists {
        are_several: parameters.any(|parameter| Some(parameter) != first),
        listed,
    }
}

fn read_item<'a>(
    parameter: &'static str,
    path: &Path,
    item: &'a Json,
    listed: &mut Vec<Listed<'a>>,
) {
    let Some(written) = text(item) else {
        let what = format!("must be a string, found {}", item.kind());
        return listed.push(Listed {
            parameter,
            path: path.clone(),
            text: "",
            mailbox: Err(format!("{parameter} {what}")),
        });
    };
    let mut pieces: Vec<_> = mailboxes::split(written).collect();
    if pieces.is_empty() {
        pieces.push(written);
    }
    let of = pieces.len();
    listed.extend(pieces.into_iter().enumerate().map(|(index, text)| Listed {
        parameter,
        path: path.clone(),
        text,
        mailbox: read(parameter, text, index, of),
    }));
}

/// A mailbox, or a sentence about it: which one of its string it is, and what to write.
fn read(parameter: &str, text: &str, index: usize, of: usize) -> Result<Mailbox, String> {
    mailboxes::parse(text).map_err(|what| match of {
        1 => format!("{parameter} {what}"),
        _ => format!("address {} of {parameter} {what}", index + 1),
    })
}

impl<'a> Fields<'a> {
    /// How many destinations it makes: one, unless its lists have several.
    pub fn destinations(&self) -> usize {
        self.lists.listed.len().max(1)
    }

    /// Whether several parameters list destinations.
    pub const fn has_several_lists(&self) -> bool {
        self.lists.are_several
    }

    /// The parameter that lists the destination that is read, and its address.
    pub fn recipient(&self) -> Result<(&'static str, &Mailbox), ConfigError> {
        let mut lists = self
            .parameters()
            .iter()
            .filter(|one| one.kind == Kind::Destinations);
        let is_listed = |name| self.lists.listed.iter().any(|one| one.parameter == name);
        if let Some(missing) = lists.find(|list| list.required && !is_listed(list.name)) {
            return Err(self.missing(missing.name));
        }
        // There is one at each index below `destinations`.
        let listed = self.lists.listed.get(self.index);
        let listed =
            listed.ok_or_else(|| ConfigError::new(self.path().clone(), "no destination"))?;
        match &listed.mailbox {
            Ok(mailbox) => Ok((listed.parameter, mailbox)),
            Err(what) => Err(ConfigError::new(listed.path.clone(), what)),
        }
    }

    /// The addresses that a parameter lists as destinations, but for those that are none.
    pub fn listed(&self, parameter: &str) -> impl Iterator<Item = &Mailbox> {
        let listed = self
            .lists
            .listed
            .iter()
            .filter(move |one| one.parameter == parameter);
        listed.filter_map(|one| one.mailbox.as_ref().ok())
    }

    /// One mailbox that must be there.
    pub fn mailbox(&self, name: &str) -> Result<Mailbox, ConfigError> {
        let text = self.required(name)?;
        let mut pieces = mailboxes::split(&text);
        let first = pieces.next().unwrap_or_default();
        if pieces.next().is_some() {
            let what = "must be one address, found several; write a name with a comma in quotes";
            return Err(self.error(name, format!("{name} {what}")));
        }
        read(name, first, 0, 1).map_err(|what| self.error(name, what))
    }

    /// Mailboxes that are no destinations: a string, or a list of them.
    pub fn mailboxes(&self, name: &str) -> Result<Vec<Mailbox>, ConfigError> {
        let mut mailboxes = Vec::new();
        for (path, text) in self.several(name)? {
            let pieces: Vec<_> = mailboxes::split(text).collect();
            let of = pieces.len();
            for (index, text) in pieces.into_iter().enumerate() {
                let mailbox = read(name, text, index, of);
                mailboxes.push(mailbox.map_err(|what| ConfigError::new(path.clone(), what))?);
            }
        }
        Ok(mailboxes)
    }

    /// The destination that is read, with all that it is made of: [`Self::stored`] reads it. A list of its own is kept
    /// whole only where there are others, since messages then show it.
    pub fn own(&self) -> Json {
        let index = if self.lists.are_several {
            self.index
        } else {
            0
        };
        let configuration = self.given().map(|(parameter, value)| {
            let text = self.own_text(parameter);
            let value = text.map_or_else(|| value.clone(), |text| Json::String(text.to_owned()));
            (parameter.name.to_owned(), value)
        });
        let configuration = Json::Object(configuration.collect());
        Json::Object(vec![
            ("index".to_owned(), Json::Number(index.to_string())),
            ("configuration".to_owned(), configuration),
        ])
    }

    /// The members of a configuration that [`Self::own`] made, and the index of its destination.
    pub fn stored(own: &Json) -> Option<(&[(String, Json)], usize)> {
        let Json::Number(index) = own.get("index")? else {
            return None;
        };
        Some((own.get("configuration")?.as_object()?, index.parse().ok()?))
    }

    /// Bytes of what this destination is configured with: about what it keeps.
    pub fn size(&self) -> usize {
        let sizes = self
            .given()
            .map(|(parameter, value)| match self.own_text(parameter) {
                Some(text) => text.len(),
                None => value.size(),
            });
        sizes.sum()
    }

    /// The one address of a list that is this destination's.
    fn own_text(&self, parameter: &Parameter) -> Option<&'a str> {
        let listed = self.lists.listed.get(self.index)?;
        let is_own = parameter.name == listed.parameter && !self.lists.are_several;
        is_own.then_some(listed.text)
    }
}
