//! What the operator sets about reading requests and rows.

use super::level::LevelMap;

#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub levels: LevelMap,
}
