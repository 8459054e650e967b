//! Where a trigger keeps what it has accepted.

use std::path::PathBuf;
use std::sync::Arc;

use super::arguments::{ArgumentError, Arguments};
use super::environment::Environment;
use super::file::Config;
use crate::model::text::{printable, truncate};
use crate::outbox::Seal;

/// What `outbox` and `outbox_key` say.
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    pub path: PathBuf,
    /// None: requests that bring destinations of their own are refused.
    pub seal: Option<Arc<Seal>>,
}

pub const NAME: &str = "outbox";

impl OutboxSettings {
    pub fn new(
        arguments: &Arguments<'_>,
        environment: &Environment,
        config: &Config,
    ) -> Result<Option<Self>, ArgumentError> {
        let Some(given) = arguments.text(NAME) else {
            return Ok(None);
        };
        let shown = truncate(&printable(given), 256);
        if given.contains("://") {
            return Err(ArgumentError {
                name: NAME,
                code: "not_available",
                what: format!("The outbox {shown} is no file, and others are not available in this version."),
                hint: "Nothing was sent, since it would not have been sent as asked: give the path of a file."
                    .to_owned(),
            });
        }
        let path = environment.absolute(given).ok_or_else(|| ArgumentError {
            name: NAME,
            code: "invalid_argument",
            what: format!(
                "The outbox {shown} is named by a relative path, and it is not known to what."
            ),
            hint: "Give an absolute path, or set PLUGIN_DIR where the server runs.".to_owned(),
        })?;
        Ok(Some(Self {
            path,
            seal: config.outbox_key.clone(),
        }))
    }
}
