//! The mutual exclusion under [`Mutex`](super::Mutex), without data and without poison; [`Condvar`](super::Condvar) uses it too.
//!
//! One word says who may pass, a [`Monitor`] holds those who may not. Changes from and to `CONTENDED` are made with the
//! monitor locked; the other two are what the fast paths flip between.
//!
//! ```text
//!            lock: one CAS                  a waiter comes
//!   FREE  ------------------>  HELD  ------------------------->  CONTENDED
//!         <------------------        <-------------------------
//!           unlock: one CAS           unlock, handed to the last waiter
//!     ^------------------------------------------------------------|
//!                    unlock, and every waiter had given up
//! ```
//!
//! An unlock that finds waiters does not free the lock: it passes it to the longest waiter, which is why a green thread
//! that locks again at once cannot starve the others.

#![forbid(unsafe_code)]

use std::sync::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

use super::granted;
use crate::hub::Interrupt;
use crate::wait::Monitor;

/// Nobody holds it and nobody waits.
const FREE: u8 = 0;
/// Somebody holds it and nobody waits.
const HELD: u8 = 1;
/// Somebody holds it, and unlocking must look at the queue. The queue may be empty (a waiter that gave up does not tidy).
const CONTENDED: u8 = 2;

pub(super) struct RawMutex {
    state: AtomicU8,
    queue: Monitor<()>,
}

impl RawMutex {
    pub(super) const fn new() -> RawMutex {
        RawMutex { state: AtomicU8::new(FREE), queue: Monitor::new(()) }
    }

    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        self.state.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Unwinds, without the lock, when interrupted while it waits.
    #[inline]
    pub(super) fn lock(&self) {
        if !self.try_lock() {
            granted(self.lock_contended());
        }
    }

    #[cold]
    fn lock_contended(&self) -> Result<(), Interrupt> {
        let queue = self.queue.lock();
        // Until we are in the queue the monitor stays locked, so an unlock that sees CONTENDED finds us there.
        loop {
            match self.state.load(Relaxed) {
                FREE if self.try_lock() => return Ok(()),
                HELD if self.state.compare_exchange(HELD, CONTENDED, Relaxed, Relaxed).is_ok() => {
                    break;
                }
                CONTENDED => break,
                _ => {}
            }
        }
        queue.wait(0, None)
    }

    /// Only for whoever holds the lock.
    #[inline]
    pub(super) fn unlock(&self) {
        if self.state.compare_exchange(HELD, FREE, Release, Relaxed).is_err() {
            self.unlock_contended();
        }
    }

    #[cold]
    fn unlock_contended(&self) {
        let mut queue = self.queue.lock();
        // The next owner may run before the store below. It cannot get past us: while the state is CONTENDED its unlock
        // has to come here, and the monitor is ours.
        let next = match queue.wake_one(0) {
            true if queue.waiting(0) > 0 => CONTENDED,
            true => HELD,
            false => FREE,
        };
        self.state.store(next, Release);
    }
}
