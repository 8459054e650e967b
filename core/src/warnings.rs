//! Warnings to a caller, limited in number.

use super::text::truncate;

/// The first [`MAX_WARNINGS`] warnings. Further warnings are counted but not created.
///
/// One list collects all warnings of a request, so that a response contains at most this many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warnings<T = String> {
    kept: Vec<T>,
    more: usize,
}

/// The maximum number of warnings in a response. More would contain nothing new.
pub const MAX_WARNINGS: usize = 100;
/// The maximum length of a warning, because a path may be as deep as a request.
const MAX_CHARACTERS: usize = 1_000;

impl<T> Default for Warnings<T> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            more: 0,
        }
    }
}

impl<T: PartialEq> Warnings<T> {
    /// Adds a warning and creates it only if it will be shown. Adds equal warnings once.
    pub fn push(&mut self, warning: impl FnOnce() -> T) {
        if self.kept.len() >= MAX_WARNINGS {
            self.more += 1;
            return;
        }
        let warning = warning();
        if !self.kept.contains(&warning) {
            self.kept.push(warning);
        }
    }

    /// Adds the warnings of another list, converted by `words`.
    pub fn append<U>(&mut self, other: Warnings<U>, mut words: impl FnMut(U) -> T) {
        for warning in other.kept {
            self.push(|| words(warning));
        }
        self.more += other.more;
    }

    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the stored warnings.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.kept.iter()
    }
}

impl Warnings {
    /// Adds existing warnings.
    pub fn extend_from(&mut self, warnings: &[String]) {
        warnings
            .iter()
            .for_each(|warning| self.push(|| warning.clone()));
    }

    /// Returns the lines for the response and the log. The last line contains the number of further warnings.
    pub fn into_lines(self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more warnings", self.more));
        let kept = self
            .kept
            .into_iter()
            .map(|warning| match warning.len() > MAX_CHARACTERS {
                true => truncate(&warning, MAX_CHARACTERS),
                false => warning,
            });
        kept.chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_warnings_are_listed_and_the_rest_counted() {
        let mut warnings = Warnings::default();
        let mut formatted = 0;
        for n in 0..250 {
            warnings.push(|| {
                formatted += 1;
                format!("{}: unknown", n / 2)
            });
        }
        let lines = warnings.into_lines();
        assert_eq!((formatted, lines.len()), (199, 101));
        assert_eq!(lines[1], "1: unknown");
        assert_eq!(lines[100], "and 51 more warnings");
    }

    #[test]
    fn a_long_one_is_cut() {
        let mut warnings = Warnings::default();
        warnings.push(|| "é".repeat(20_000));
        let lines = warnings.into_lines();
        assert_eq!(lines[0].chars().count(), MAX_CHARACTERS);
    }

    #[test]
    fn those_of_another_list_are_counted_too() {
        let mut all = Warnings::default();
        all.extend_from(&["first".to_owned()]);
        let mut others = Warnings::default();
        (0..150).for_each(|n| others.push(|| n));
        all.append(others, |n| n.to_string());
        let lines = all.into_lines();
        assert_eq!(lines[..2], ["first", "0"]);
        assert_eq!(lines[100], "and 51 more warnings");
    }
}
