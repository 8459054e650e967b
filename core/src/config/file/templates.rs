//! Reads `[templates.NAME]` and inline templates elsewhere in the file.

use super::Loader;
use super::tree::Node;
use crate::config::report::ProblemReport;
use crate::config::template::Template;
use crate::json::Path;
use crate::model::problem::FilePosition;
use crate::text::did_you_mean;

/// A template with its findings.
#[derive(Debug)]
pub struct Checked {
    /// The path of the template, such as `templates.short.text`.
    pub path: String,
    pub position: FilePosition,
    pub report: ProblemReport,
    /// `None`: the template is unusable.
    pub template: Option<Template>,
}

impl Loader<'_> {
    pub fn templates(&mut self, node: &Node) {
        let Some(table) = self.table(node, "templates") else {
            return;
        };
        for member in table.iter() {
            let path = Path::root().key("templates").key(&member.key);
            let Some(template) = self.table(&member.node, path.as_str()) else {
                continue;
            };
            self.known_keys(template, &path, &["text"]);
            match template.get("text") {
                Some(text) => {
                    let template = self.template(text, path.key("text").as_str());
                    let named = template.map(|template| (member.key.clone(), template));
                    self.named_templates.extend(named);
                }
                None => self.report.error(
                    member.position,
                    path.as_str(),
                    "it has no text; give text = \"{{ notification.text }}\"",
                ),
            }
        }
    }

    /// Compiles a template. Reports its findings at its position in the file.
    pub fn template(&mut self, node: &Node, path: &str) -> Option<Template> {
        let Some(source) = node.as_str() else {
            let message = format!("must be a template, as a string, found {}", node.kind());
            self.report.error(node.position, path, &message);
            return None;
        };
        let (template, findings) = self.templates.add(source, node.position);
        let mut report = ProblemReport::default();
        for finding in findings {
            let is_error = finding.is_error;
            let message = finding.with_line();
            for report in [&mut self.report, &mut report] {
                match is_error {
                    true => report.error(node.position, path, &message),
                    false => report.warning(node.position, path, &message),
                }
            }
        }
        self.checked.push(Checked {
            path: path.to_owned(),
            position: node.position,
            report,
            template: template.clone(),
        });
        template
    }

    /// Returns the template of `[templates]` that an option names.
    pub fn named_template(&mut self, name: &str, node: &Node, path: &Path) -> Option<Template> {
        let mut named = self.named_templates.iter();
        if let Some((_, template)) = named.find(|(known, _)| known == name) {
            return Some(template.clone());
        }
        let known = self.named_templates.iter().map(|(name, _)| name.as_str());
        let meant = did_you_mean(name, known);
        let message = format!("there is no such template in [templates]{meant}");
        self.report.error(node.position, path.as_str(), &message);
        None
    }
}
