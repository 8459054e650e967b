//! The operator's options for reading requests and rows.

use super::extract::Extraction;
use super::level::LevelMap;

#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub levels: LevelMap,
    /// The expressions that add fields from the text.
    pub extract: Vec<Extraction>,
}
