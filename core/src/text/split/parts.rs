//! The parts of a text.

/// A split message has at most this many parts.
pub const MAX_PARTS: usize = 10;

/// A text in numbered parts, each within the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub parts: Vec<String>,
    /// Code points that found no place in [`MAX_PARTS`] parts.
    pub missing: usize,
}

/// Puts its place and their number before each part.
pub fn number(parts: Vec<String>) -> Vec<String> {
    let total = parts.len();
    parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| format!("({}/{total}) {part}", index + 1))
        .collect()
}
