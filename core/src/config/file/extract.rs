//! Reads `extract`: regular expressions that make fields from a notification's text.

use super::Loader;
use super::tree::Node;
use crate::json::Path;
use crate::model::extract::{Extraction, MAX_GROUPS};

/// The maximum number of expressions in one `extract`.
const MAX_EXPRESSIONS: usize = 16;

impl Loader<'_> {
    /// Reads one expression or a list of expressions. Each is `~…` with named groups.
    pub fn extractions(&mut self, node: &Node, path: &Path) -> Vec<Extraction> {
        let nodes = node.one_or_several();
        if nodes.len() > MAX_EXPRESSIONS {
            let message = format!(
                "has {} expressions; at most {MAX_EXPRESSIONS} are read",
                nodes.len()
            );
            self.report.error(node.position, path.as_str(), &message);
            return Vec::new();
        }
        let each = nodes.iter();
        each.filter_map(|node| self.extraction(node, path))
            .collect()
    }

    fn extraction(&mut self, node: &Node, path: &Path) -> Option<Extraction> {
        let Some(text) = node.as_str() else {
            return self.wrong_type(node, path, "a string, or a list of strings");
        };
        let message = match text
            .strip_prefix('~')
            .map(|expression| self.regex(expression))
        {
            None => "must begin with ~, as in \"~host=(?<host>\\\\S+)\"".to_owned(),
            Some(None) => {
                "the regular expression after ~ cannot be read, or is too large".to_owned()
            }
            Some(Some(regex)) => match Extraction::new(regex) {
                Some(extraction) => return Some(extraction),
                None => format!(
                    "the expression must have 1 to {MAX_GROUPS} named groups, such as (?<host>\\\\S+); each becomes a field"
                ),
            },
        };
        self.report.error(node.position, path.as_str(), &message);
        None
    }
}
