//! The destinations of a configuration that lists several. Each listed mail address gets its own messages.

use super::errors::invalid;
use super::fields::Fields;
use super::lists::mailbox;
use super::{Parameter, ParameterKind, mailboxes};
use crate::json::Json;
use crate::model::problem::Problem;
use crate::model::wire::Mailbox;

impl<'a> Fields<'a> {
    /// Returns the number of destinations: one, unless its lists contain several.
    pub fn destinations(&self) -> usize {
        self.lists.listed.len().max(1)
    }

    /// Whether several parameters list destinations.
    pub const fn has_several_lists(&self) -> bool {
        self.lists.are_several
    }

    /// Returns the current destination's address and the parameter that lists it.
    pub fn recipient(&self) -> Result<(&'static str, &Mailbox), Problem> {
        let mut lists = self
            .parameters()
            .iter()
            .filter(|one| one.kind == ParameterKind::Destinations);
        let is_listed = |name| self.lists.listed.iter().any(|one| one.parameter == name);
        if let Some(missing) = lists.find(|list| list.required && !is_listed(list.name)) {
            return Err(self.missing(missing));
        }
        // Each index below `destinations` has one.
        let listed = self.lists.listed.get(self.index);
        let listed = listed.ok_or_else(|| invalid(&self.path().clone(), "no destination"))?;
        match &listed.mailbox {
            Ok(mailbox) => Ok((listed.parameter, mailbox)),
            Err(message) => Err(invalid(&listed.path.clone(), message)),
        }
    }

    /// Returns the valid addresses that a parameter lists as destinations.
    pub fn listed(&self, field: &Parameter) -> impl Iterator<Item = &Mailbox> {
        let listed = self
            .lists
            .listed
            .iter()
            .filter(move |one| one.parameter == field.name);
        listed.filter_map(|one| one.mailbox.as_ref().ok())
    }

    /// Returns the mailbox of a required field.
    pub fn mailbox(&self, field: &Parameter) -> Result<Mailbox, Problem> {
        let name = field.name;
        let text = self.required(field)?;
        let mut pieces = mailboxes::split(&text);
        let first = pieces.next().unwrap_or_default();
        if pieces.next().is_some() {
            let message = "must be one address, found several; write a name with a comma in quotes";
            return Err(self.error(field, format!("{name} {message}")));
        }
        mailbox(name, first, 0, 1).map_err(|message| self.error(field, message))
    }

    /// Returns mailboxes that are not destinations, from a string or a list of strings.
    pub fn mailboxes(&self, field: &Parameter) -> Result<Vec<Mailbox>, Problem> {
        let mut mailboxes = Vec::new();
        for (path, text) in self.several(field)? {
            let pieces: Vec<_> = mailboxes::split(text).collect();
            let of = pieces.len();
            for (index, text) in pieces.into_iter().enumerate() {
                let read = mailbox(field.name, text, index, of);
                mailboxes.push(read.map_err(|message| invalid(&path.clone(), message))?);
            }
        }
        Ok(mailboxes)
    }

    /// Returns the current destination with its whole configuration; [`Self::from_stored`] reads it back. Several lists
    /// remain whole, because messages show them. A single list becomes the destination's own address.
    pub fn to_stored(&self) -> Json {
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

    /// Returns the members of a configuration from [`Self::to_stored`], and the index of its destination.
    pub fn from_stored(own: &Json) -> Option<(&[(String, Json)], usize)> {
        let Json::Number(index) = own.get("index")? else {
            return None;
        };
        Some((own.get("configuration")?.as_object()?, index.parse().ok()?))
    }

    /// Returns the size of this destination's configuration in bytes, which approximates its memory.
    pub fn size(&self) -> usize {
        let sizes = self
            .given()
            .map(|(parameter, value)| match self.own_text(parameter) {
                Some(text) => text.len(),
                None => value.size(),
            });
        sizes.sum()
    }

    /// Returns this destination's own address if the parameter is the only list.
    fn own_text(&self, parameter: &Parameter) -> Option<&'a str> {
        let listed = self.lists.listed.get(self.index)?;
        let is_own = parameter.name == listed.parameter && !self.lists.are_several;
        is_own.then_some(listed.text)
    }
}
