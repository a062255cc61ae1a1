//! The end of a green thread: its result, who waits for it, and how it is brought about from outside.
#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Thread;
use crate::fiber::Body;
use crate::hub::park::Unwind;
use crate::hub::{self, runtime};
use crate::wait::Monitor;

/// What joining gives: the closure's value, or the payload of its panic. A green thread that was cancelled gives
/// [`Cancelled`] as its payload.
pub type Result<T> = std::thread::Result<T>;

/// The payload of a green thread that was cancelled, or that never ran because its runtime ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the green thread was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// A green thread's closure and, later, its result: one allocation for both. `E` is dropped when all is over.
pub(super) struct Task<F, T, E = ()> {
    state: Monitor<State<F, T, E>>,
    /// Of a scope: set if a panic is dropped unseen.
    unseen_panic: Option<Arc<AtomicBool>>,
}

enum State<F, T, E> {
    Waiting(F, E),
    Running,
    Done(Result<T>),
    Taken,
}

impl<F, T, E> Task<F, T, E> {
    pub(super) fn new(f: F, end: E, unseen_panic: Option<Arc<AtomicBool>>) -> Arc<Self> {
        Arc::new(Task { state: Monitor::new(State::Waiting(f, end)), unseen_panic })
    }

    fn take_closure(&self) -> Option<(F, E)> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Running) {
            State::Waiting(f, end) => Some((f, end)),
            other => {
                *state = other;
                None
            }
        }
    }

    fn complete(&self, result: Result<T>) {
        let mut state = self.state.lock();
        *state = State::Done(result);
        state.wake_all(0);
    }
}

impl<F, T, E> Drop for Task<F, T, E> {
    fn drop(&mut self) {
        if let (Some(flag), State::Done(Err(payload))) = (&self.unseen_panic, self.state.get_mut())
            && !payload.is::<Cancelled>()
        {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

impl<F: FnOnce() -> T, T, E> Body for Task<F, T, E> {
    fn run(self: Arc<Self>) {
        let Some((f, end)) = self.take_closure() else { return };
        let result = catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
            match hub::park::caught(&*payload) {
                Some(Unwind::Cancelled) => Box::new(Cancelled) as Box<dyn Any + Send>,
                // A scope that is not there any more can only mean a bug, but not one to hide.
                _ => payload,
            }
        });
        runtime::clear_locals();
        self.complete(result);
        // In this order: with our count of the task may go the result, and that may borrow what `end` guards.
        drop(self);
        drop(end);
    }

    fn abandon(self: Arc<Self>) {
        let Some((f, end)) = self.take_closure() else { return };
        drop(f);
        self.complete(Err(Box::new(Cancelled)));
        drop(self);
        drop(end);
    }
}

/// The result's side of a task.
pub(super) trait Outcome<T> {
    fn is_done(&self) -> bool;
    /// Waits for the end, unless interrupted.
    fn wait(&self) -> std::result::Result<(), hub::Interrupt>;
    fn take(&self) -> Result<T>;
}

impl<F, T, E> Outcome<T> for Task<F, T, E> {
    fn is_done(&self) -> bool {
        matches!(*self.state.lock(), State::Done(_) | State::Taken)
    }

    fn wait(&self) -> std::result::Result<(), hub::Interrupt> {
        let state = self.state.lock();
        match *state {
            State::Done(_) | State::Taken => Ok(()),
            State::Waiting(..) | State::Running => state.wait(0, None),
        }
    }

    fn take(&self) -> Result<T> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Taken);
        match state {
            State::Done(result) => result,
            // OK because `take` follows `wait`, and handles are consumed by it.
            _ => unreachable!("taken once, when done"),
        }
    }
}

fn join<T>(task: &dyn Outcome<T>) -> Result<T> {
    if let Err(why) = task.wait() {
        why.unwind();
    }
    task.take()
}

/// The right to join a green thread. Dropping it detaches the green thread, which goes on.
pub struct JoinHandle<T> {
    pub(super) thread: Thread,
    pub(super) task: Arc<dyn Outcome<T> + Send + Sync>,
}

/// The right to join a green thread of [`spawn_local`](super::spawn_local); stays on its worker.
pub struct LocalJoinHandle<T> {
    pub(super) thread: Thread,
    /// Not `Send`, like what it may hold.
    pub(super) task: Arc<dyn Outcome<T>>,
}

/// The right to join a green thread of a [`scope`](super::scope()).
pub struct ScopedJoinHandle<'scope, T> {
    pub(super) thread: Thread,
    pub(super) task: Arc<dyn Outcome<T> + Send + Sync + 'scope>,
}

pub(super) fn cancel(thread: &Thread) {
    if let hub::Thread::Green(fiber) = &thread.inner {
        fiber.cancelled.store(true, Ordering::SeqCst);
        thread.inner.wake();
    }
}

/// The three handles differ only in what their task may hold and where it may go.
macro_rules! handle {
    ($(($lifetime:lifetime))? $name:ident) => {
        impl<T> $name<$($lifetime,)? T> {
            /// Waits for the green thread to end and returns its result.
            ///
            /// # Errors
            /// With the payload of its panic, or with [`Cancelled`].
            ///
            /// # Panics
            /// Unwinds if the caller's time-out elapses or if it is cancelled; the green thread goes on then.
            pub fn join(self) -> Result<T> {
                join(&*self.task)
            }

            /// Whether it has ended: `join` would not wait.
            pub fn is_finished(&self) -> bool {
                self.task.is_done()
            }

            /// The green thread's handle.
            pub fn thread(&self) -> &Thread {
                &self.thread
            }

            /// Ends the green thread from outside, at its next wait or the present one: I/O returns ECANCELED,
            /// whatever cannot return an error unwinds. Its destructors run. Returns at once; `join` to see the end.
            ///
            /// One that has not started yet never runs its closure's body. Ending one that has ended does nothing.
            ///
            /// ```
            /// use sward::thread::{self, Cancelled};
            ///
            /// sward::run(|| {
            ///     let sleeper = thread::spawn(|| thread::sleep(std::time::Duration::from_secs(3600)));
            ///     sleeper.cancel();
            ///     assert!(sleeper.join().unwrap_err().is::<Cancelled>());
            /// });
            /// ```
            pub fn cancel(&self) {
                cancel(&self.thread);
            }
        }

        impl<T> fmt::Debug for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("thread", &self.thread).finish_non_exhaustive()
            }
        }
    };
}

handle!(JoinHandle);
handle!(LocalJoinHandle);
handle!(('_) ScopedJoinHandle);
