//! The members of an alert that the configuration sets (section "create alert"
//! <https://docs.opsgenie.com/docs/alert-api>, limits of tags, actions and entity
//! <https://docs.opsgenie.com/v1.0/docs/alerts-and-alert-fields>).

use serde::Serialize;

use crate::channels::{Fields, Parameter};
use crate::model::problem::Problem;

/// "At most 20 tags", "at most 10 custom actions", "50 teams, users, escalations or schedules".
const MOST: [usize; 3] = [50, 20, 10];

#[derive(Debug, Serialize)]
pub struct AlertOptions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<Responder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(skip)]
    pub priority: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Responder {
    Team { name: String },
    User { username: String },
    Schedule { name: String },
    Escalation { name: String },
}

impl AlertOptions {
    pub fn read(fields: &Fields<'_>, parameters: &[Parameter; 5]) -> Result<Self, Problem> {
        let [responders, tags, actions, entity, priority] = parameters;
        let [most_responders, most_tags, most_actions] = MOST;
        let responders = fields.formed_list(responders, most_responders)?;
        Ok(Self {
            responders: responders
                .iter()
                .filter_map(|text| Responder::of(text))
                .collect(),
            tags: fields.formed_list(tags, most_tags)?,
            actions: fields.formed_list(actions, most_actions)?,
            entity: fields.formed_or_none(entity)?,
            priority: fields.formed_or_none(priority)?,
        })
    }
}

impl Responder {
    /// Returns the responder of `team:Database`.
    pub fn of(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let name = Some(name.trim())
            .filter(|name| !name.is_empty())?
            .to_owned();
        match kind.trim() {
            "team" => Some(Responder::Team { name }),
            "user" => Some(Responder::User { username: name }),
            "schedule" => Some(Responder::Schedule { name }),
            "escalation" => Some(Responder::Escalation { name }),
            _ => None,
        }
    }
}
