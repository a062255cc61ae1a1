//! [`Mutex`]: std's, for green threads. The exclusion itself is in `raw.rs`; here are the data, the guard and the poison.
//!
//! A guard that is leaked leaves the mutex locked for good, as in std; the data stay sound.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

use super::poison::{Entry, Flag};
use super::raw::RawMutex;

/// Mutual exclusion, with the interface of [`std::sync::Mutex`].
///
/// Waiting parks a green thread and blocks an OS thread. Waiters get the lock in the order in which they came, by direct
/// hand-over. The lock may be held across anything that parks.
///
/// A wait that is cut short by an enclosing timeout or a cancel unwinds without the lock. Unwinding for these reasons with
/// the lock held releases it and does not poison it: think of the data as you would with an early `return`.
///
/// ```
/// use sward::sync::{Arc, Mutex};
///
/// sward::run(|| {
///     let hits = Arc::new(Mutex::new(0));
///     let others: Vec<_> = (0..8)
///         .map(|_| {
///             let hits = Arc::clone(&hits);
///             sward::thread::spawn(move || *hits.lock().unwrap() += 1)
///         })
///         .collect();
///     others.into_iter().for_each(|other| other.join().unwrap());
///     assert_eq!(*hits.lock().unwrap(), 8);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    pub(super) raw: RawMutex,
    poison: Flag,
    data: UnsafeCell<T>,
}

// SAFETY: the data move with the mutex, so moving it is moving a T.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: `raw` lets one thread at a time reach the data; passing it round is sending T (hence Send, and not Sync).
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// Poisoning tells the next owner about a panic, so a panic is not invisible to it.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    /// A new mutex, unlocked.
    #[inline]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), poison: Flag::new(), data: UnsafeCell::new(value) }
    }

    /// Consumes the mutex and returns the data.
    ///
    /// # Errors
    /// If the mutex is poisoned; the data are in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let Mutex { poison, data, .. } = self;
        poison.wrap(data.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting for it if need be.
    ///
    /// # Errors
    /// If the mutex is poisoned; the guard is in the error.
    ///
    /// # Panics
    /// Never. Locking a mutex that the caller holds waits for ever, unless a timeout or a cancel ends it.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.raw.lock();
        self.guard()
    }

    /// Takes the lock if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it is held; `Poisoned`, with the guard, if it was taken and is poisoned.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_lock() { Ok(self.guard()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// Whether a panic has passed a guard. Without the lock the answer may be out of date at once.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the data sound again after a panic.
    #[inline]
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The data, without locking: `&mut self` says that nobody else has the mutex.
    ///
    /// # Errors
    /// If the mutex is poisoned; the reference is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let data = self.data.get_mut();
        self.poison.wrap(data)
    }

    /// To be called by whoever has just taken `raw`.
    #[inline]
    fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard { lock: self, entry: self.poison.enter(), not_send: PhantomData };
        self.poison.wrap(guard)
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => out.field("data", &&*guard),
            Err(TryLockError::Poisoned(held)) => out.field("data", &&**held.get_ref()),
            Err(TryLockError::WouldBlock) => out.field("data", &format_args!("<locked>")),
        };
        out.field("poisoned", &self.is_poisoned());
        out.finish_non_exhaustive()
    }
}

/// The right to the data of a [`Mutex`]; dropping it unlocks.
#[must_use = "a Mutex is unlocked as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    entry: Entry,
    /// As in std, a guard stays on its thread.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For [`Condvar`](super::Condvar): the mutex, still locked, without its guard. Who calls this unlocks.
    pub(super) fn into_locked(guard: MutexGuard<'a, T>) -> &'a Mutex<T> {
        let lock = guard.lock;
        mem::forget(guard);
        lock
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard is the lock, and the lock is exclusive.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the lock, and it is borrowed exclusively.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.leave(&self.entry);
        self.lock.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
