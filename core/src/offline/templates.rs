//! Checks the templates of a file and renders them.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::request::Request;
use crate::config::FromFile;
use crate::config::template::{Renderer, TemplateContext};
use crate::model::problem::{FilePosition, Problem};

/// One template.
#[derive(Debug, Serialize)]
pub struct TemplateCheck {
    /// The path of the template, such as `templates.short.text`.
    pub path: String,
    /// The position of the template's string.
    #[serde(flatten)]
    pub position: FilePosition,
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The rendered text. `None`: there is no notification, or the template fails.
    pub text: Option<String>,
}

pub fn checks(loaded: &FromFile, request: Option<&Request>, now: Timestamp) -> Vec<TemplateCheck> {
    let mut renderer = loaded
        .settings
        .as_ref()
        .ok()
        .map(|settings| Renderer::new(&settings.config.templates));
    let seen = request
        .map(|request| TemplateContext::new(&request.notification, request.data.as_deref(), now));
    let checks = loaded.templates.iter().map(|checked| {
        let mut check = TemplateCheck {
            path: checked.path.clone(),
            position: checked.position,
            errors: checked.report.errors.clone(),
            warnings: checked.report.warnings.clone(),
            text: None,
        };
        if let (Some(renderer), Some(seen), Some(template)) =
            (&mut renderer, &seen, &checked.template)
        {
            let with_path = |mut problem: Problem| {
                problem.location.path = Some(checked.path.as_str().into());
                problem
            };
            match renderer.render(template, seen) {
                Ok(text) => check.text = Some(text),
                Err(problem) => check.errors.push(with_path(problem)),
            }
            let warnings = renderer.take_warnings().into_iter();
            check.warnings.extend(warnings.map(with_path));
        }
        check
    });
    let mut checks: Vec<_> = checks.collect();
    checks.sort_by_key(|check| check.position);
    checks
}
