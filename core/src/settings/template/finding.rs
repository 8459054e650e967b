//! What is said of a template, and where.

use minijinja::machinery::Instructions;

/// Something to say of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The byte of the source where it is.
    pub offset: usize,
    pub what: String,
    /// Without it the template can be used.
    pub is_error: bool,
}

impl Finding {
    pub const fn error(offset: usize, what: String) -> Self {
        Self {
            offset,
            what,
            is_error: true,
        }
    }

    pub const fn warning(offset: usize, what: String) -> Self {
        Self {
            offset,
            what,
            is_error: false,
        }
    }
}

/// The byte of the source that an instruction was compiled from.
pub fn offset(instructions: &Instructions<'_>, at: u32, source: &str) -> usize {
    match (instructions.get_span(at), instructions.get_line(at)) {
        (Some(span), _) => span.start_offset as usize,
        (None, Some(line)) => start_of(line, source),
        (None, None) => 0,
    }
}

/// Where a line begins; lines count from 1.
pub fn start_of(line: usize, source: &str) -> usize {
    let lines = source.split_inclusive('\n');
    lines.take(line.saturating_sub(1)).map(str::len).sum()
}
