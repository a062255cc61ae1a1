//! Values that belong to a green thread: `green_local!`, the counterpart of `thread_local!`.
//!
//! A `thread_local!` belongs to the OS thread, so all green threads of a worker share it. A `green_local!` is one
//! value per green thread, made at first use, dropped when the green thread ends, on the green thread itself. On
//! an OS thread it is one value per OS thread.
#![forbid(unsafe_code)]

use std::fmt;
use std::rc::Rc;

use crate::hub::park::with_locals;

/// The key of a value per green thread; made by [`green_local!`](crate::green_local).
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        LocalKey { init }
    }

    /// Calls `f` with the calling thread's value, which is made first if this is its first use. The value may be
    /// used across waits: it stays until the thread ends.
    ///
    /// # Panics
    /// If making the value panics.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.value())
    }

    fn value(&'static self) -> Rc<T> {
        // Keys are statics and never move, so the address is an identity. Types of no size can share one, hence
        // the field `init`, which has a size.
        let key = std::ptr::from_ref(self).addr();
        if let Some(value) = with_locals(|locals| locals.get(key)) {
            return value.downcast::<T>().expect("a key has one type");
        }
        // Made outside the store: `init` may use other keys, or wait.
        let value = Rc::new((self.init)());
        with_locals(|locals| locals.set(key, value.clone()));
        value
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// A copy of the calling thread's value.
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// Declares values that each green thread has for itself; see [`thread::local`](crate::thread::local).
///
/// ```
/// use std::cell::Cell;
///
/// sward::green_local! {
///     static VISITS: Cell<u32> = Cell::new(0);
/// }
///
/// sward::run(|| {
///     VISITS.with(|visits| visits.set(7));
///     let theirs = sward::thread::spawn(|| VISITS.with(|visits| visits.get())).join().unwrap();
///     assert_eq!(theirs, 0);
///     assert_eq!(VISITS.with(|visits| visits.get()), 7);
/// });
/// ```
#[macro_export]
macro_rules! green_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident : $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::green_local!($(#[$attr])* $vis static $name: $t = $init);
        $crate::green_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident : $t:ty = $init:expr) => {
        $(#[$attr])*
        $vis static $name: $crate::thread::LocalKey<$t> = $crate::thread::LocalKey::new(|| $init);
    };
}
