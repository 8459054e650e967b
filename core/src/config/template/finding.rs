//! Findings about a template, with their lines.

use minijinja::machinery::Instructions;

/// An error or a warning about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line in the template, from 1.
    pub line: usize,
    pub message: String,
    /// Whether the template is unusable.
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

    /// Returns the message with the line, for a reader who only knows the position of the template's first line.
    pub fn with_line(self) -> String {
        match self.line {
            1 => self.message,
            line => format!("line {line} of the template: {}", self.message),
        }
    }
}

/// Returns the source line of an instruction.
pub fn line(instructions: &Instructions<'_>, at: u32) -> usize {
    instructions.get_line(at).unwrap_or(1)
}
