//! The `timeout` scopes that a thread is in, innermost last. Pure data; both kinds of thread keep one.
#![forbid(unsafe_code)]

use std::time::Instant;

/// Names one `timeout` scope; no two ever share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeId(pub(crate) u64);

/// The scopes of one thread.
#[derive(Debug)]
pub(crate) struct Scopes {
    open: Vec<(Instant, ScopeId)>,
}

impl Scopes {
    pub(crate) const fn new() -> Self {
        Scopes { open: Vec::new() }
    }

    pub(crate) fn enter(&mut self, deadline: Instant, id: ScopeId) {
        self.open.push((deadline, id));
    }

    /// Closes `id` and whatever was opened inside it.
    pub(crate) fn exit(&mut self, id: ScopeId) {
        if let Some(at) = self.open.iter().rposition(|(_, open)| *open == id) {
            self.open.truncate(at);
        }
    }

    /// The scope whose deadline comes first; of equal ones the outermost.
    #[inline]
    pub(crate) fn nearest(&self) -> Option<(Instant, ScopeId)> {
        self.open.iter().copied().min_by_key(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nearest_is_the_earliest_and_outermost() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let mut scopes = Scopes::new();
        assert_eq!(scopes.nearest(), None);
        scopes.enter(after(10), ScopeId(1));
        scopes.enter(after(20), ScopeId(2));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(1))));
        scopes.enter(after(5), ScopeId(3));
        assert_eq!(scopes.nearest(), Some((after(5), ScopeId(3))));
        scopes.exit(ScopeId(3));
        scopes.enter(after(10), ScopeId(4));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(1))));
        scopes.exit(ScopeId(2));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(1))), "4 went with 2");
        scopes.exit(ScopeId(1));
        assert_eq!(scopes.nearest(), None);
    }
}
