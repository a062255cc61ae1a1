//! [`LazyLock`]: std's, for green threads.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::once::Once;

/// A value made on first use, with the interface of [`std::sync::LazyLock`].
///
/// The initialiser can run only once. If it panics, or if a timeout or a cancel unwinds it, there is nothing left to try again, and
/// every later use panics.
///
/// ```
/// use sward::sync::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..4).map(|n| n * n).collect());
/// sward::run(|| assert_eq!(*SQUARES, [0, 1, 4, 9]));
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    /// `Value` from when `once` is complete; changed only inside its run.
    state: UnsafeCell<State<T, F>>,
}

enum State<T, F> {
    Start(F),
    Value(T),
    /// The initialiser is running, or it unwound.
    Spent,
}

// SAFETY: the value is shared as soon as it is made (hence T: Sync), it and the initialiser may have come from another thread
// (hence Send). The initialiser is never shared.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will make.
    #[inline]
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock { once: Once::new(), state: UnsafeCell::new(State::Start(f)) }
    }

    /// The value; made now if need be. While one caller makes it, the others wait. `*lazy` does the same.
    ///
    /// # Panics
    /// If the initialiser panics or has panicked. If it uses this very value, it waits for itself, for ever.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.once.call_once(|| {
            // SAFETY: this is the run of `once`: nobody else is in here, and readers look only when it is complete.
            let state = unsafe { &mut *this.state.get() };
            Self::make(state);
        });
        LazyLock::get(this).expect("a completed cell has a value")
    }

    /// As [`force`](LazyLock::force), to change the value.
    ///
    /// # Panics
    /// As [`force`](LazyLock::force).
    #[inline]
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        LazyLock::get_mut(this).expect("a completed cell has a value")
    }

    #[track_caller]
    fn make(state: &mut State<T, F>) {
        let State::Start(f) = mem::replace(state, State::Spent) else {
            panic!("LazyLock instance has previously been poisoned");
        };
        *state = State::Value(f());
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. Never waits.
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        if !this.once.is_completed() {
            return None;
        }
        // SAFETY: nobody changes it once it is complete, and everything before is visible then.
        match unsafe { &*this.state.get() } {
            State::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The value, if it has been made, to change it.
    #[inline]
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        match this.state.get_mut() {
            State::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<uninit>")),
        };
        out.finish()
    }
}
