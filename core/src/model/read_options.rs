//! What the operator sets about reading requests and rows.

use super::extract::Extraction;
use super::level::LevelMap;

#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub levels: LevelMap,
    /// What makes fields of the text.
    pub extract: Vec<Extraction>,
}
