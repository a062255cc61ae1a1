//! `std::sync` for green threads: the same names, signatures and errors, and a few types more.
//!
//! Every type works from a green thread, where waiting parks it and lets the worker run others, from a plain OS thread,
//! where waiting blocks that thread, and between the two: a [`Condvar`] may have both kinds of waiters.
//!
//! What is std's: [`Mutex`], [`RwLock`], [`Condvar`], [`Barrier`], [`Once`], [`OnceLock`], [`LazyLock`], [`mpsc`].
//! What std lacks: [`Semaphore`], [`Event`], [`broadcast`].
//!
//! What is promised beyond std:
//! - Waiters are served in the order in which they came, and what is released is handed to the waiter, so that nobody can
//!   take it on the way. A waiter that gave up (timed out or cancelled) takes nothing with it.
//! - A wait ends early when an enclosing [`timeout`](crate::timeout()) elapses or the green thread is cancelled: it unwinds to the
//!   scope, destructors run, and no lock is poisoned by it. Poisoning is for panics, as in std.
//! - Nothing here waits when there is nothing to wait for: an uncontended call is never a point of cancellation.
//!
//! What this is not: a lock for use inside signal handlers, or between processes. To read on: [`Mutex`] is two words of state
//! and a queue; `raw.rs` has the whole protocol and the others follow it.
//!
//! ```
//! use sward::sync::{Arc, Mutex, mpsc};
//!
//! sward::run(|| {
//!     let total = Arc::new(Mutex::new(0));
//!     let (done, all_done) = mpsc::channel();
//!     for n in 1..=10 {
//!         let (total, done) = (Arc::clone(&total), done.clone());
//!         sward::thread::spawn(move || {
//!             *total.lock().unwrap() += n;
//!             done.send(()).unwrap();
//!         });
//!     }
//!     drop(done);
//!     assert_eq!(all_done.iter().count(), 10);
//!     assert_eq!(*total.lock().unwrap(), 55);
//! });
//! ```

mod barrier;
pub mod broadcast;
mod condvar;
mod event;
mod lazy_lock;
pub mod mpsc;
mod mutex;
mod once;
mod once_lock;
mod poison;
mod raw;
pub(crate) mod ring;
mod rwlock;
mod semaphore;

pub use self::barrier::{Barrier, BarrierWaitResult};
pub use self::condvar::{Condvar, WaitTimeoutResult};
pub use self::event::Event;
pub use self::lazy_lock::LazyLock;
pub use self::mutex::{Mutex, MutexGuard};
pub use self::once::{Once, OnceState};
pub use self::once_lock::OnceLock;
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::semaphore::{OwnedPermit, Permit, Semaphore};

// So that `use sward::sync::...` can stand where `use std::sync::...` stood. None of these waits.
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

use std::time::{Duration, Instant};

use crate::hub::Interrupt;

/// When a timeout that starts now ends. `None`: too far away to be told from never.
fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// For waits without a deadline of their own: granted, or unwind to whoever interrupted.
fn granted(wait: Result<(), Interrupt>) {
    if let Err(interrupt) = wait {
        interrupt.unwind();
    }
}

/// For waits with the caller's deadline: whether it was granted in time.
fn granted_in_time(wait: Result<(), Interrupt>) -> bool {
    match wait {
        Ok(()) => true,
        Err(Interrupt::TimedOut) => false,
        Err(interrupt) => interrupt.unwind(),
    }
}
