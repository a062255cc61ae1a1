//! [`Once`]: std's, for green threads. [`OnceLock`](super::OnceLock) and [`LazyLock`](super::LazyLock) stand on it.
//!
//! All changes of state are made with the monitor locked; the atomic word is there for the fast path of those who come
//! when it is done.

#![forbid(unsafe_code)]

use std::fmt;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

use super::granted;
use crate::hub;
use crate::wait::Monitor;

/// Not yet run, or interrupted by a timeout or a cancel.
const INCOMPLETE: u8 = 0;
/// The last run panicked.
const POISONED: u8 = 1;
/// Somebody runs it now.
const RUNNING: u8 = 2;
/// Done; nothing changes any more.
const COMPLETE: u8 = 3;

/// Code that runs once, whoever comes first, with the interface of [`std::sync::Once`].
///
/// The others wait until it is done. If the code panics, the `Once` is poisoned, as in std. If it is unwound by a timeout or a
/// cancel, it counts as not run, and the next caller runs its own.
///
/// ```
/// use sward::sync::Once;
///
/// static START: Once = Once::new();
/// sward::run(|| {
///     START.call_once(|| println!("this line is printed once"));
///     START.call_once(|| unreachable!());
/// });
/// ```
pub struct Once {
    state: AtomicU8,
    queue: Monitor<()>,
}

/// What [`Once::call_once_force`] tells its closure.
pub struct OnceState {
    poisoned: bool,
}

// A panic inside leaves a trace: the poison.
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

impl Once {
    /// A new one, not yet run.
    #[must_use]
    #[inline]
    pub const fn new() -> Once {
        Once { state: AtomicU8::new(INCOMPLETE), queue: Monitor::new(()) }
    }

    /// Runs `f` if nothing has run yet; returns when something has.
    ///
    /// # Panics
    /// If an earlier run panicked.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            self.call(false, |_| f());
        }
    }

    /// As [`call_once`](Once::call_once), but also after a run that panicked.
    #[inline]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            self.call(true, f);
        }
    }

    /// Whether a run has ended well. What it wrote is then visible.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.state.load(Acquire) == COMPLETE
    }

    /// Waits until a run has ended well, without running anything.
    ///
    /// # Panics
    /// If a run panicked, before or meanwhile.
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_completed() {
            self.wait_complete(false);
        }
    }

    /// As [`wait`](Once::wait), but waits on when a run panics.
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_complete(true);
        }
    }

    #[cold]
    #[track_caller]
    fn call(&self, force: bool, f: impl FnOnce(&OnceState)) {
        let before = loop {
            let queue = self.queue.lock();
            match self.state.load(Acquire) {
                COMPLETE => return,
                POISONED if !force => {
                    drop(queue);
                    panic!("Once instance has previously been poisoned");
                }
                RUNNING => granted(queue.wait(0, None)),
                before => {
                    self.state.store(RUNNING, Relaxed);
                    break before;
                }
            }
        };
        let run = Run { once: self, before };
        f(&OnceState { poisoned: before == POISONED });
        run.complete();
    }

    #[cold]
    #[track_caller]
    fn wait_complete(&self, force: bool) {
        loop {
            let queue = self.queue.lock();
            match self.state.load(Acquire) {
                COMPLETE => return,
                POISONED if !force => {
                    drop(queue);
                    panic!("Once instance has previously been poisoned");
                }
                _ => granted(queue.wait(0, None)),
            }
        }
    }

    /// Ends a run; all who wait look again.
    fn settle(&self, outcome: u8) {
        let mut queue = self.queue.lock();
        self.state.store(outcome, Release);
        queue.wake_all(0);
    }
}

/// A run in progress. Leaking it is not possible: it never leaves [`Once::call`].
struct Run<'a> {
    once: &'a Once,
    before: u8,
}

impl Run<'_> {
    fn complete(self) {
        self.once.settle(COMPLETE);
        mem::forget(self);
    }
}

impl Drop for Run<'_> {
    /// Only reached when `f` unwinds.
    fn drop(&mut self) {
        self.once.settle(if hub::unwinding_quietly() { self.before } else { POISONED });
    }
}

impl OnceState {
    /// Whether an earlier run panicked.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Default for Once {
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.poisoned).finish()
    }
}
