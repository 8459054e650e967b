//! Reads fields whose values have a format: a declared form, a number, or a boolean.

use std::ops::RangeInclusive;

use super::fields::Fields;
use super::parameter::{Parameter, ValueFormat};
use crate::json::Json;
use crate::model::problem::Problem;

impl Fields<'_> {
    /// Returns a required field in the format that its parameter declares.
    pub fn formed(&self, field: &Parameter) -> Result<String, Problem> {
        let text = self.required(field)?;
        self.check_form(field, &text)
    }

    /// Returns an optional field in the format that its parameter declares.
    pub fn formed_or_none(&self, field: &Parameter) -> Result<Option<String>, Problem> {
        let text = self.optional(field)?;
        text.map(|text| self.check_form(field, &text)).transpose()
    }

    fn check_form(&self, field: &Parameter, text: &str) -> Result<String, Problem> {
        let text = text.trim();
        let Parameter {
            name,
            form,
            example,
            ..
        } = field;
        debug_assert!(form.is_some(), "{name} declares no form");
        match form.filter(|form| !(form.fits)(text)) {
            None => Ok(text.to_owned()),
            Some(ValueFormat { words, .. }) => {
                Err(self.error(field, format!("{name} must be {words}, such as {example}")))
            }
        }
    }

    /// Returns an optional port.
    pub fn port(&self, field: &Parameter) -> Result<Option<u16>, Problem> {
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
        self.optional(field)?
            .map(|text| {
                let Parameter { name, example, .. } = field;
                let message = format!("{name} must be a number from 1 to 65535, such as {example}");
                port(&text).ok_or_else(|| self.error(field, message))
            })
            .transpose()
    }

    /// Returns an optional boolean.
    pub fn flag(&self, field: &Parameter) -> Result<Option<bool>, Problem> {
        match self.member(field) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(Json::String(text)) if text.trim().is_empty() => Ok(None),
            // In requests nearly all fields are strings.
            Some(Json::String(text)) if text.trim() == "true" => Ok(Some(true)),
            Some(Json::String(text)) if text.trim() == "false" => Ok(Some(false)),
            Some(other) => Err(self.wrong_type(field, "true or false", other)),
        }
    }

    /// Returns an optional whole number within these bounds.
    pub fn number(
        &self,
        field: &Parameter,
        bounds: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Problem> {
        let Some(text) = self.optional(field)? else {
            return Ok(None);
        };
        let number = text.trim().parse().ok();
        let number = number.filter(|number| bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            let Parameter { name, example, .. } = field;
            let (least, most) = bounds.into_inner();
            let message =
                format!("{name} must be a number from {least} to {most}, such as {example}");
            self.error(field, message)
        })
    }

    /// Returns the strings of a list, each in the format that its parameter declares.
    pub fn formed_list(&self, field: &Parameter, most: usize) -> Result<Vec<String>, Problem> {
        let texts = self.several(field)?;
        self.check_count(field, texts.len(), most)?;
        let texts = texts.into_iter();
        texts
            .map(|(_, text)| self.check_form(field, text))
            .collect()
    }

    /// Checks the number of a field's items.
    pub fn check_count(&self, field: &Parameter, count: usize, most: usize) -> Result<(), Problem> {
        if count <= most {
            return Ok(());
        }
        let name = field.name;
        Err(self.error(
            field,
            format!("{name} may be at most {most}, found {count}"),
        ))
    }
}
