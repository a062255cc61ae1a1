//! [`OnceLock`]: std's, for green threads.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::once::Once;

/// A cell that is written once, with the interface of [`std::sync::OnceLock`].
///
/// ```
/// use sward::sync::OnceLock;
///
/// static NAME: OnceLock<String> = OnceLock::new();
/// sward::run(|| {
///     assert_eq!(NAME.get(), None);
///     assert_eq!(NAME.get_or_init(|| "sward".to_string()), "sward");
///     assert_eq!(NAME.set("other".to_string()), Err("other".to_string()));
/// });
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// `Some` from when `once` is complete; written only inside its run.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is shared as soon as it is written (hence Sync), and may be written on one thread and dropped on
// another (hence Send).
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// A new cell, empty.
    #[must_use]
    #[inline]
    pub const fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// The value, if there is one. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.once.is_completed() {
            return None;
        }
        // SAFETY: nobody writes once it is complete, and everything before is visible then.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// The value, if there is one, to change it.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Waits until there is a value.
    #[inline]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("a completed cell has a value")
    }

    /// Fills the cell. If somebody else is filling it, waits for the outcome.
    ///
    /// # Errors
    /// If there is a value already; yours is in the error.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("taken by this closure only"));
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none yet, the one that `f` returns. While one caller's `f` runs, the others wait.
    ///
    /// # Panics
    /// If `f` panics; the cell stays empty then. If `f` fills this very cell, it waits for itself, for ever.
    #[inline]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        self.once.call_once_force(|_| {
            let value = f();
            // SAFETY: this is the run of `once`: nobody else is in here, and readers look only when it is complete.
            unsafe { *self.value.get() = Some(value) };
        });
        self.get().expect("a completed cell has a value")
    }

    /// Consumes the cell and returns the value, if there is one.
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out; the cell is empty again.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.once = Once::new();
        self.value.get_mut().take()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let cell = OnceLock::new();
        let _ = cell.set(value);
        cell
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get().map_or_else(OnceLock::new, |value| OnceLock::from(value.clone()))
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<uninit>")),
        };
        out.finish()
    }
}
