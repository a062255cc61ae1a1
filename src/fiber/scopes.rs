//! The scopes that a thread is in, innermost last: those of `timeout`, which end at a deadline, and watches, which an
//! event ends. Pure data; both kinds of thread keep one.
#![forbid(unsafe_code)]

use std::time::Instant;

/// Names one scope; no two ever share it. Odd ones are watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeId(pub(crate) u64);

impl ScopeId {
    /// Whether an event ends it rather than a deadline.
    pub(crate) fn is_watch(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The scopes of one thread.
#[derive(Debug)]
pub(crate) struct Scopes {
    /// Each with when it ends; a watch has no such time before its event has come.
    open: Vec<(Option<Instant>, ScopeId)>,
}

impl Scopes {
    pub(crate) const fn new() -> Self {
        Scopes { open: Vec::new() }
    }

    /// Opens a scope: with a deadline, or a watch, without.
    pub(crate) fn enter(&mut self, deadline: Option<Instant>, id: ScopeId) {
        debug_assert_eq!(deadline.is_none(), id.is_watch());
        self.open.push((deadline, id));
    }

    /// The event of the watch `id` came `at` this time. Later ones say nothing new.
    pub(crate) fn end(&mut self, id: ScopeId, at: Instant) {
        if let Some((end, _)) = self.open.iter_mut().find(|(_, open)| *open == id) {
            end.get_or_insert(at);
        }
    }

    /// Closes `id` and whatever was opened inside it.
    pub(crate) fn exit(&mut self, id: ScopeId) {
        if let Some(at) = self.open.iter().rposition(|(_, open)| *open == id) {
            self.open.truncate(at);
        }
    }

    /// The scope that ends first; of equal ones the outermost.
    #[inline]
    pub(crate) fn nearest(&self) -> Option<(Instant, ScopeId)> {
        let ending = self.open.iter().filter_map(|(end, id)| Some(((*end)?, *id)));
        ending.min_by_key(|(end, _)| *end)
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
        scopes.enter(Some(after(10)), ScopeId(2));
        scopes.enter(Some(after(20)), ScopeId(4));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(2))));
        scopes.enter(Some(after(5)), ScopeId(6));
        assert_eq!(scopes.nearest(), Some((after(5), ScopeId(6))));
        scopes.exit(ScopeId(6));
        scopes.enter(Some(after(10)), ScopeId(8));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(2))));
        scopes.exit(ScopeId(4));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(2))), "8 went with 4");
        scopes.exit(ScopeId(2));
        assert_eq!(scopes.nearest(), None);
    }

    #[test]
    fn a_watch_ends_when_it_is_told() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let mut scopes = Scopes::new();
        scopes.enter(None, ScopeId(1));
        assert_eq!(scopes.nearest(), None);
        scopes.enter(Some(after(50)), ScopeId(2));
        assert_eq!(scopes.nearest(), Some((after(50), ScopeId(2))));
        scopes.end(ScopeId(1), after(10));
        scopes.end(ScopeId(1), after(5));
        assert_eq!(scopes.nearest(), Some((after(10), ScopeId(1))), "the first event counts");
        scopes.exit(ScopeId(1));
        scopes.end(ScopeId(1), after(1));
        assert_eq!(scopes.nearest(), None);
    }
}
