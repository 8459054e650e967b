//! The parts of a text.

/// The maximum number of parts in a split message.
pub const MAX_PARTS: usize = 10;

/// A text in numbered parts, each within the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub parts: Vec<String>,
    /// The number of code points beyond [`MAX_PARTS`] parts.
    pub missing: usize,
}

/// Puts `(index/total) ` before each part.
pub fn number(parts: Vec<String>) -> Vec<String> {
    let total = parts.len();
    parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| format!("({}/{total}) {part}", index + 1))
        .collect()
}
