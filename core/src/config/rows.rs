//! How a write trigger makes notifications from rows.

use super::arguments::{Arguments, unknown_name};
use super::file::Config;
use super::matcher::Matcher;
use crate::model::problem::Problem;
use crate::model::row::Columns;

#[derive(Clone, Debug, Default)]
pub struct RowSettings {
    pub columns: Columns,
    /// The name of the template that renders the text.
    pub template: Option<String>,
    /// A row that does not match becomes no notification.
    pub filter: Matcher,
}

impl RowSettings {
    pub fn new(arguments: &Arguments<'_>, config: &Config) -> Result<Self, Problem> {
        let column = |name| arguments.text(name).map(str::to_owned);
        let template = arguments.text("template");
        if let Some(name) = template
            && config.template(name).is_none()
        {
            let known = config.named_templates.iter().map(|(name, _)| name);
            return Err(unknown_name("template", "template", name, known));
        }
        Ok(Self {
            columns: Columns {
                text: column("text_column").unwrap_or_default(),
                level: column("level_column"),
                title: column("title_column"),
                status: column("status_column"),
                dedup_key: column("dedup_key_column"),
                link: column("link_column"),
                receivers: column("receivers_column"),
            },
            template: template.map(str::to_owned),
            filter: config.row_filter.clone(),
        })
    }
}
