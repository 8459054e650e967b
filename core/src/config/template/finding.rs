//! What is said of a template, and where.

use minijinja::machinery::Instructions;

/// Something to say of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From 1, in the template.
    pub line: usize,
    pub message: String,
    /// Without it the template can be used.
    pub is_error: bool,
}

impl Finding {
    pub const fn error(line: usize, message: String) -> Self {
        Self {
            line,
            message,
            is_error: true,
        }
    }

    pub const fn warning(line: usize, message: String) -> Self {
        Self {
            line,
            message,
            is_error: false,
        }
    }

    /// What to say where the template's place in the file is known, which is that of its first line.
    pub fn with_line(self) -> String {
        match self.line {
            1 => self.message,
            line => format!("line {line} of the template: {}", self.message),
        }
    }
}

/// The line that an instruction was compiled from.
pub fn line(instructions: &Instructions<'_>, at: u32) -> usize {
    instructions.get_line(at).unwrap_or(1)
}
