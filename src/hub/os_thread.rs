//! What an OS thread has that a green thread has in its fiber: a word to sleep on, a token, scopes, locals.
//!
//! It makes every primitive work for both kinds (DESIGN.md, D6). Used by `park` only.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::park::{Interrupt, limit};
use crate::fiber::locals::Locals;
use crate::fiber::scopes::Scopes;
use crate::sys::futex;

/// What the runtime keeps for an OS thread.
pub(crate) struct Os {
    pub(super) shared: Arc<OsThread>,
    pub(super) scopes: RefCell<Scopes>,
    pub(super) locals: Locals,
    pub(super) quiet: Cell<bool>,
}

impl Drop for Os {
    fn drop(&mut self) {
        self.locals.clear();
    }
}

/// The part of an OS thread that others see.
pub(crate) struct OsThread {
    pub(super) id: NonZeroU64,
    pub(super) name: Option<Box<str>>,
    /// The token of `thread::park`.
    pub(super) token: AtomicBool,
    /// The word it sleeps on: EMPTY, PARKED or NOTIFIED.
    word: AtomicU32,
}

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

impl Os {
    fn new() -> Self {
        let name = std::thread::current().name().map(Box::from);
        Os {
            shared: Arc::new(OsThread {
                id: crate::fiber::fresh_id(),
                name,
                token: AtomicBool::new(false),
                word: AtomicU32::new(EMPTY),
            }),
            scopes: RefCell::new(Scopes::new()),
            locals: Locals::new(),
            quiet: Cell::new(false),
        }
    }

    /// See `park::park`.
    pub(super) fn park(&self, deadline: Option<Instant>, masked: bool) -> Result<(), Interrupt> {
        // While unwinding only the caller's own deadline counts, as for green threads.
        let limit = limit(deadline, &self.scopes, masked || std::thread::panicking());
        let word = &self.shared.word;
        if word.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_ok() {
            loop {
                let left = limit.map(|(at, _)| at.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                futex::wait(word, PARKED, left);
                if word.load(Ordering::Acquire) != PARKED {
                    break;
                }
            }
        }
        // A notification that came with the deadline wins.
        if word.swap(EMPTY, Ordering::Acquire) == NOTIFIED {
            return Ok(());
        }
        Err(limit.map_or(Interrupt::TimedOut, |(_, why)| why))
    }
}

impl OsThread {
    /// Ends its present park, or the next one.
    pub(super) fn wake(&self) {
        if self.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            futex::wake_one(&self.word);
        }
    }
}

/// What the calling OS thread keeps. During the destruction of thread-locals a fresh one takes its place.
pub(super) fn os<R>(f: impl FnOnce(&Os) -> R) -> R {
    thread_local! {
        static THIS: Os = Os::new();
    }
    let mut f = Some(f);
    match THIS.try_with(|this| (f.take().expect("runs once"))(this)) {
        Ok(result) => result,
        Err(_) => (f.take().expect("has not run"))(&Os::new()),
    }
}
