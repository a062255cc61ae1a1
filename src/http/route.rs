//! What the router tells a request: the pattern of its route, and where in the path the parameters stand. Values
//! only; `router.rs` does the matching.
//!
//! A request keeps positions instead of borrowing names from the router, so that a handler may be called with a
//! router that does not outlive the request: this is what lets middleware be plain closures.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::sync::Mutex;

/// A route as it was written, whole: prefixes of nested routers included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// As `/users/{id}`.
    pub(crate) text: String,
    /// Names of the parameters, in the order of the path.
    names: Vec<String>,
}

/// Every pattern that any router ever had. They are never freed, so that a request can point to its own without
/// counting: a counter would be written by every worker for every request. Programs have few patterns, and a
/// router that is built twice adds nothing.
static PATTERNS: Mutex<Vec<&'static Pattern>> = Mutex::new(Vec::new());

impl Pattern {
    /// The pattern of a route, and of a mount, whose text ends with `/{*rest}` but which has no such parameter.
    pub(crate) fn of(text: &str, is_mount: bool) -> &'static Pattern {
        let mut names = names(text);
        if is_mount {
            names.pop();
        }
        let pattern = Pattern { text: text.to_string(), names };
        let mut all = PATTERNS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = all.iter().find(|known| ***known == pattern) {
            return known;
        }
        let kept: &'static Pattern = Box::leak(Box::new(pattern));
        all.push(kept);
        kept
    }
}

/// What stands in braces, without the `*`. Doubled braces are plain ones. The tree has checked the rest.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let after = &rest[at + 1..];
        if let Some(plain) = after.strip_prefix('{') {
            rest = plain;
            continue;
        }
        let end = after.find('}').unwrap_or(after.len());
        names.push(after[..end].trim_start_matches('*').to_string());
        rest = after.get(end + 1..).unwrap_or("");
    }
    names
}

/// Parameters that need no allocation.
const FEW: usize = 4;

/// What was matched of a request's path so far.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    /// The route.
    pub(crate) pattern: Option<&'static Pattern>,
    /// Where the parameters' values stand in the path. Small numbers, as a handler that waits has them on its stack: a path of
    /// 4 GiB has no parameters.
    few: [(u32, u32); FEW],
    /// Those that do not fit.
    more: Vec<(u32, u32)>,
    /// How many there are.
    count: usize,
    /// How many of them belong to the prefixes of the mounts that we are in.
    kept: usize,
    /// Where the part of the path begins that those mounts are to match.
    pub(crate) tail: usize,
}

impl Matched {
    /// Forgets what an earlier router found at this level.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.pattern = None;
        self.count = self.kept;
        self.more.truncate(self.count.saturating_sub(FEW));
    }

    pub(crate) fn push(&mut self, value: Range<usize>) {
        let small = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let value = (small(value.start), small(value.end));
        match self.few.get_mut(self.count) {
            Some(place) => *place = value,
            None => self.more.push(value),
        }
        self.count += 1;
    }

    /// Goes into a mount; what this returns leads out again.
    pub(crate) fn enter(&mut self, tail: usize) -> (usize, usize) {
        let before = (self.kept, self.tail);
        (self.kept, self.tail) = (self.count, tail);
        before
    }

    /// Leaves a mount. The pattern and its parameters stay, for the middleware around.
    pub(crate) fn leave(&mut self, before: (usize, usize)) {
        (self.kept, self.tail) = before;
    }

    /// The parameters: names and values, still encoded.
    pub(crate) fn pairs<'p>(&self, path: &'p str) -> impl Iterator<Item = (&'static str, &'p str)> {
        let names: &'static [String] = self.pattern.map_or(&[], |pattern| &pattern.names);
        // As in `get`: aligned at the end.
        let unnamed = self.count.saturating_sub(names.len());
        let places = (unnamed..self.count)
            .filter_map(|at| self.few.get(at).or_else(|| self.more.get(at - FEW)));
        let values = places.filter_map(move |place| part(path, place));
        names[names.len().saturating_sub(self.count)..].iter().map(String::as_str).zip(values)
    }

    /// The parameter with this name; of two, the inner router's.
    pub(crate) fn get<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let names = &self.pattern?.names;
        // From the end: a router that was mounted as any other handler does not know the names before its own.
        let from_end = names.iter().rev().position(|known| known == name)?;
        let at = self.count.checked_sub(from_end + 1)?;
        part(path, self.few.get(at).or_else(|| self.more.get(at - FEW))?)
    }
}

fn part<'p>(path: &'p str, &(start, end): &(u32, u32)) -> Option<&'p str> {
    path.get(start as usize..end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parameters() {
        for (text, expected) in [
            ("/", &[][..]),
            ("/a/{b}/c-{d}.png", &["b", "d"]),
            ("/{{a}}/{b}", &["b"]),
            ("/{*rest}", &["rest"]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pattern_is_kept_once() {
        let first = Pattern::of("/kept/{once}", false);
        assert!(std::ptr::eq(first, Pattern::of("/kept/{once}", false)));
        assert!(!std::ptr::eq(first, Pattern::of("/kept/{once}", true)));
    }

    #[test]
    fn more_parameters_than_places() {
        let pattern = Pattern::of("/{a}{b}{c}{d}{e}{f}", false);
        let mut matched = Matched { pattern: Some(pattern), ..Matched::default() };
        for at in 0..6 {
            matched.push(at..at + 1);
        }
        let path = "012345";
        for (name, value) in [("a", "0"), ("d", "3"), ("e", "4"), ("f", "5")] {
            assert_eq!(matched.get(path, name), Some(value));
        }
        assert_eq!(matched.get(path, "g"), None);
        matched.restart();
        assert_eq!(matched.count, 0);
    }
}
