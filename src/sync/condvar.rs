//! [`Condvar`]: std's, for green threads and OS threads mixed.
//!
//! A waiter joins the queue before it gives up the mutex, with the condvar's monitor locked all the while, so that no
//! notification can fall between the two. The order is always condvar, then mutex.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use super::mutex::{Mutex, MutexGuard};
use super::{deadline, granted, granted_in_time};
use crate::hub::Interrupt;
use crate::wait::Monitor;

/// Waiting for something to become true, with the interface of [`std::sync::Condvar`].
///
/// Waiters are woken in the order in which they came. As in std a wake-up may be spurious, so test the condition, or use
/// [`wait_while`](Condvar::wait_while).
///
/// A wait that is cut short by an enclosing timeout or a cancel unwinds without the mutex.
///
/// ```
/// use sward::sync::{Arc, Condvar, Mutex};
///
/// sward::run(|| {
///     let ready = Arc::new((Mutex::new(false), Condvar::new()));
///     let theirs = Arc::clone(&ready);
///     sward::thread::spawn(move || {
///         *theirs.0.lock().unwrap() = true;
///         theirs.1.notify_one();
///     });
///     let guard = ready.1.wait_while(ready.0.lock().unwrap(), |is_ready| !*is_ready).unwrap();
///     assert!(*guard);
/// });
/// ```
pub struct Condvar {
    /// How many are in the queue or about to join it: lets a notification that finds nobody cost one load.
    /// Raised with the mutex held, so whoever changed the condition under that mutex sees it.
    waiters: AtomicUsize,
    queue: Monitor<()>,
}

/// Whether a wait with a timeout ended by the timeout.
#[derive(Debug, PartialEq, Eq, Copy, Clone)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time ran out.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A new condition variable, with no mutex bound to it.
    #[must_use]
    #[inline]
    pub const fn new() -> Condvar {
        Condvar { waiters: AtomicUsize::new(0), queue: Monitor::new(()) }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again; the guard is in the error.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let mutex = MutexGuard::into_locked(guard);
        granted(self.park(mutex, None));
        mutex.lock()
    }

    /// Waits until `condition` is false.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`. Locking the mutex again is not part of it.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_deadline(guard, deadline(timeout))
    }

    /// As [`wait_while`](Condvar::wait_while), for at most `timeout` in all. The last word is the condition's: when it
    /// has become false, that is no timeout, however late.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let deadline = deadline(timeout);
        let mut timed_out = false;
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if timed_out {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let (again, result) = self.wait_deadline(guard, deadline)?;
            guard = again;
            timed_out = result.timed_out();
        }
    }

    /// Wakes the longest waiter, if there is one.
    #[inline]
    pub fn notify_one(&self) {
        if self.waiters.load(Relaxed) > 0 && self.queue.lock().wake_one(0) {
            self.waiters.fetch_sub(1, Relaxed);
        }
    }

    /// Wakes all that wait now.
    #[inline]
    pub fn notify_all(&self) {
        if self.waiters.load(Relaxed) > 0 {
            let woken = self.queue.lock().wake_all(0);
            self.waiters.fetch_sub(woken, Relaxed);
        }
    }

    fn wait_deadline<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = MutexGuard::into_locked(guard);
        let result = WaitTimeoutResult(!granted_in_time(self.park(mutex, deadline)));
        match mutex.lock() {
            Ok(guard) => Ok((guard, result)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
        }
    }

    /// Gives up the mutex and waits. The mutex is free afterwards, however it ended.
    fn park<T>(&self, mutex: &Mutex<T>, deadline: Option<Instant>) -> Result<(), Interrupt> {
        let queue = self.queue.lock();
        self.waiters.fetch_add(1, Relaxed);
        mutex.raw.unlock();
        let wait = queue.wait(0, deadline);
        if wait.is_err() {
            // Granted ones are counted off by whoever granted.
            self.waiters.fetch_sub(1, Relaxed);
        }
        wait
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
