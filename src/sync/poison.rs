//! The poison flag: set when a panic passes a guard, so that the next owner hears that the data may be half-written.
//!
//! It is not part of the lock: a flag is only ever looked at by whoever holds the lock, so no ordering is needed here.
//! Unlike in std, not every unwind is a panic: a timeout or a cancel unwinds too, and that leaves no poison.

#![forbid(unsafe_code)]

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::hub;

/// One per lock.
pub(super) struct Flag {
    failed: AtomicBool,
}

/// What a guard remembers from the moment when it was made.
pub(super) struct Entry {
    /// A guard that was made during a panic (by a destructor) is not what the panic interrupted.
    panicking: bool,
}

impl Flag {
    pub(super) const fn new() -> Flag {
        Flag { failed: AtomicBool::new(false) }
    }

    /// To be called with the lock held, when making a guard.
    #[inline]
    pub(super) fn enter(&self) -> Entry {
        Entry { panicking: thread::panicking() }
    }

    /// To be called with the lock still held, when the guard ends.
    #[inline]
    pub(super) fn leave(&self, entry: &Entry) {
        if !entry.panicking && thread::panicking() && !hub::unwinding_quietly() {
            self.failed.store(true, Relaxed);
        }
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        self.failed.load(Relaxed)
    }

    pub(super) fn clear(&self) {
        self.failed.store(false, Relaxed);
    }

    /// Wraps what the lock gives out as std does.
    #[inline]
    pub(super) fn wrap<G>(&self, inner: G) -> Result<G, PoisonError<G>> {
        if self.get() { Err(PoisonError::new(inner)) } else { Ok(inner) }
    }
}
