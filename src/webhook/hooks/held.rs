//! [`Held`]: a callback that goes when its owner does.

#![forbid(unsafe_code)]

use std::fmt;

use super::{HookId, Hooks, lock};
use crate::thread;
use crate::webhook::model::Keys;

/// A callback that is registered for as long as this is kept: from [`Hooks::hold`].
#[must_use = "dropping it unregisters the callback"]
pub struct Held {
    hooks: Hooks,
    keys: Keys,
    id: HookId,
}

impl Held {
    pub(super) fn new(hooks: &Hooks, keys: &Keys, id: HookId) -> Held {
        Held { hooks: hooks.clone(), keys: keys.clone(), id }
    }

    /// It stays until somebody unregisters it.
    pub(super) fn forever(mut self) -> HookId {
        self.keys = Keys::new(); // what it would unregister
        self.id
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let shared = &self.hooks.shared;
        let (_, emptied) = lock(&shared.callbacks).remove(&self.keys, self.id);
        if !emptied.is_empty() {
            // Not here: a connection may end in the middle of an unwinding, where nothing must wait. What the store does
            // not hear of lapses.
            let shared = shared.clone();
            drop(thread::spawn(move || drop(shared.forget(&emptied))));
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("keys", &self.keys)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
