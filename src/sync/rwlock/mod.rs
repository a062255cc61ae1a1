//! [`RwLock`]: std's, for green threads. Who may pass is decided in `raw.rs`; here are the data and the poison, in `guard.rs` the guards.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

mod guard;
mod raw;

pub use self::guard::{RwLockReadGuard, RwLockWriteGuard};

use self::raw::RawRwLock;
use super::poison::Flag;

/// Many readers or one writer, with the interface of [`std::sync::RwLock`].
///
/// Readers and writers alternate while both wait: a writer that leaves lets in all readers that wait, the last reader that
/// leaves lets in the longest waiting writer, and nobody overtakes. So neither kind starves; and, as std's documentation
/// warns for its own, a reader that reads again while a writer waits blocks for ever.
///
/// Timeouts, cancellation and poison are as for [`Mutex`](super::Mutex); readers never poison.
///
/// ```
/// use sward::sync::RwLock;
///
/// sward::run(|| {
///     let lock = RwLock::new(5);
///     {
///         let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
///         assert_eq!(*one + *two, 10);
///     }
///     *lock.write().unwrap() += 1;
///     assert_eq!(*lock.read().unwrap(), 6);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Flag,
    data: UnsafeCell<T>,
}

// SAFETY: the data move with the lock, so moving it is moving a T.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers on many threads share a T (hence Sync), and a writer may take it out (hence Send).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// Poisoning tells the next owner about a panic, so a panic is not invisible to it.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    /// A new lock, free.
    #[inline]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), poison: Flag::new(), data: UnsafeCell::new(value) }
    }

    /// Consumes the lock and returns the data.
    ///
    /// # Errors
    /// If the lock is poisoned; the data are in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let RwLock { poison, data, .. } = self;
        poison.wrap(data.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock for reading, waiting for it if need be.
    ///
    /// # Errors
    /// If the lock is poisoned; the guard is in the error.
    ///
    /// # Panics
    /// If there are too many readers to count: more than a quarter of `usize::MAX`.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.raw.read();
        self.poison.wrap(RwLockReadGuard::new(self))
    }

    /// Takes the lock for reading if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is a writer, or one waits; `Poisoned`, with the guard, if it was taken and is poisoned.
    ///
    /// # Panics
    /// As [`read`](RwLock::read).
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if self.raw.try_read() {
            Ok(self.poison.wrap(RwLockReadGuard::new(self))?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Takes the lock for writing, waiting for it if need be.
    ///
    /// # Errors
    /// If the lock is poisoned; the guard is in the error.
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.raw.write();
        self.poison.wrap(RwLockWriteGuard::new(self))
    }

    /// Takes the lock for writing if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it is held; `Poisoned`, with the guard, if it was taken and is poisoned.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if self.raw.try_write() {
            Ok(self.poison.wrap(RwLockWriteGuard::new(self))?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Whether a panic has passed a write guard. Without the lock the answer may be out of date at once.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the data sound again after a panic.
    #[inline]
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The data, without locking: `&mut self` says that nobody else has the lock.
    ///
    /// # Errors
    /// If the lock is poisoned; the reference is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let data = self.data.get_mut();
        self.poison.wrap(data)
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => out.field("data", &&*guard),
            Err(TryLockError::Poisoned(held)) => out.field("data", &&**held.get_ref()),
            Err(TryLockError::WouldBlock) => out.field("data", &format_args!("<locked>")),
        };
        out.field("poisoned", &self.is_poisoned());
        out.finish_non_exhaustive()
    }
}
