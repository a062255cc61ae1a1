//! [`Event`]: a flag that can be waited for. gevent's and Python's `Event`; std has no such thing.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

use super::{deadline, granted, granted_in_time};
use crate::wait::Monitor;

/// A flag, and those who wait for it to be set.
///
/// It is a level, not an edge: while it is set nobody waits. Whoever waits when it is set is woken for certain, even if it is
/// cleared again before they run.
///
/// ```
/// use sward::sync::{Arc, Event};
///
/// sward::run(|| {
///     let ready = Arc::new(Event::new());
///     let theirs = Arc::clone(&ready);
///     let waiter = sward::thread::spawn(move || theirs.wait());
///     ready.set();
///     waiter.join().unwrap();
///     assert!(ready.is_set());
/// });
/// ```
pub struct Event {
    /// Changed with the monitor locked; read without it when that settles the matter.
    set: AtomicBool,
    queue: Monitor<()>,
}

impl Event {
    /// A new event, not set.
    #[must_use]
    pub const fn new() -> Event {
        Event { set: AtomicBool::new(false), queue: Monitor::new(()) }
    }

    /// Sets the flag and wakes all who wait, in the order in which they came.
    pub fn set(&self) {
        let mut queue = self.queue.lock();
        self.set.store(true, Release);
        queue.wake_all(0);
    }

    /// Clears the flag. Those already woken stay woken.
    pub fn clear(&self) {
        let _queue = self.queue.lock();
        self.set.store(false, Release);
    }

    /// Whether the flag is set now.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(Acquire)
    }

    /// Waits until the flag is set. Returns at once if it is.
    pub fn wait(&self) {
        if self.is_set() {
            return;
        }
        let queue = self.queue.lock();
        if !self.is_set() {
            granted(queue.wait(0, None));
        }
    }

    /// As [`wait`](Event::wait), for at most `timeout`. False if the time ran out.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        if self.is_set() {
            return true;
        }
        let queue = self.queue.lock();
        self.is_set() || granted_in_time(queue.wait(0, deadline(timeout)))
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}
