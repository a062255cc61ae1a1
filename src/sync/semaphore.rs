//! [`Semaphore`]: so many at a time. gevent's, with guards; std has no such thing.

#![forbid(unsafe_code)]

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{deadline, granted, granted_in_time};
use crate::wait::Monitor;

/// A number of permits, and those who wait for one.
///
/// Permits go to waiters in the order in which they came, by direct hand-over: who releases and acquires again at once
/// queues behind them. Green threads and OS threads may share one semaphore.
///
/// A permit is given back when its guard is dropped. [`Permit::forget`] and [`release`](Semaphore::release) take permits out of
/// and put them into circulation; a guard that is leaked is forgotten.
///
/// ```
/// use sward::sync::{Arc, Semaphore};
///
/// sward::run(|| {
///     let at_once = Arc::new(Semaphore::new(2));
///     let jobs: Vec<_> = (0..10)
///         .map(|_| {
///             let at_once = Arc::clone(&at_once);
///             sward::thread::spawn(move || {
///                 let _permit = at_once.acquire();
///                 // no more than two are here
///             })
///         })
///         .collect();
///     jobs.into_iter().for_each(|job| job.join().unwrap());
///     assert_eq!(at_once.available(), 2);
/// });
/// ```
pub struct Semaphore {
    /// The permits that nobody holds. Never above zero while somebody waits.
    free: Monitor<usize>,
}

impl Semaphore {
    /// A semaphore with `permits` to give out; 0 is allowed.
    #[must_use]
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { free: Monitor::new(permits) }
    }

    /// Takes a permit, waiting for one if need be.
    pub fn acquire(&self) -> Permit<'_> {
        self.take();
        Permit { semaphore: self }
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_take().then(|| Permit { semaphore: self })
    }

    /// Takes a permit, waiting for one for at most `timeout`. `None` if the time ran out.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.take_timeout(timeout).then(|| Permit { semaphore: self })
    }

    /// As [`acquire`](Semaphore::acquire), with a permit that may travel, for example into a green thread.
    pub fn acquire_owned(self: &Arc<Semaphore>) -> OwnedPermit {
        self.take();
        OwnedPermit { semaphore: Some(Arc::clone(self)) }
    }

    /// As [`try_acquire`](Semaphore::try_acquire), with a permit that may travel.
    pub fn try_acquire_owned(self: &Arc<Semaphore>) -> Option<OwnedPermit> {
        self.try_take().then(|| OwnedPermit { semaphore: Some(Arc::clone(self)) })
    }

    /// As [`acquire_timeout`](Semaphore::acquire_timeout), with a permit that may travel.
    pub fn acquire_timeout_owned(self: &Arc<Semaphore>, timeout: Duration) -> Option<OwnedPermit> {
        self.take_timeout(timeout).then(|| OwnedPermit { semaphore: Some(Arc::clone(self)) })
    }

    /// Puts one more permit into circulation: to the longest waiter if there is one.
    ///
    /// # Panics
    /// If that makes more than `usize::MAX`.
    pub fn release(&self) {
        let mut free = self.free.lock();
        if !free.wake_one(0) {
            *free = free.checked_add(1).expect("more permits than can be counted");
        }
    }

    /// How many permits nobody holds, at this moment.
    #[must_use]
    pub fn available(&self) -> usize {
        *self.free.lock()
    }

    fn take(&self) {
        let mut free = self.free.lock();
        match free.checked_sub(1) {
            Some(rest) => *free = rest,
            None => granted(free.wait(0, None)),
        }
    }

    fn try_take(&self) -> bool {
        let mut free = self.free.lock();
        free.checked_sub(1).map(|rest| *free = rest).is_some()
    }

    fn take_timeout(&self, timeout: Duration) -> bool {
        let mut free = self.free.lock();
        match free.checked_sub(1) {
            Some(rest) => {
                *free = rest;
                true
            }
            None => granted_in_time(free.wait(0, deadline(timeout))),
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// A permit of a [`Semaphore`]; dropping it gives it back.
#[must_use = "a permit is given back as soon as it is dropped"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

/// A permit of a [`Semaphore`] that may outlive the borrow; dropping it gives it back.
#[must_use = "a permit is given back as soon as it is dropped"]
#[derive(Debug)]
pub struct OwnedPermit {
    /// `None` only once forgotten.
    semaphore: Option<Arc<Semaphore>>,
}

impl Permit<'_> {
    /// Keeps the permit for good: the semaphore has one less.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl OwnedPermit {
    /// Keeps the permit for good: the semaphore has one less.
    pub fn forget(mut self) {
        // Not `mem::forget`, which would leak the semaphore itself.
        self.semaphore = None;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if let Some(semaphore) = &self.semaphore {
            semaphore.release();
        }
    }
}
