//! Green threads, with the names and the behaviour of `std::thread`.
//!
//! A green thread is a closure on a stack of its own, run by a worker. It costs about a page of memory while it
//! waits, and a few nanoseconds to switch to. It is cooperative: it runs until it waits in something of sward, or
//! calls [`yield_now`]. Once started it never leaves its worker.
//!
//! Everything here also works on OS threads: there [`sleep`], [`park`] and the rest mean the OS thread.
//!
//! Beyond std: [`spawn_local`], [`sleep_until`], [`JoinHandle::cancel`], [`Builder::worker`].
//!
//! Not here: `available_parallelism` and whatever else of std's does not wait; use std's.

mod builder;
mod join;
pub mod local;
mod scope;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::fiber::state::Waiting;
use crate::hub::{self, Interrupt};

pub use builder::Builder;
pub use join::{Cancelled, JoinHandle, LocalJoinHandle, Result, ScopedJoinHandle};
pub use local::LocalKey;
pub use scope::{Scope, scope};

/// Starts `f` on a green thread and returns a handle to join it.
///
/// The closure starts later, on this worker or on an idle one; the caller goes on. Dropping the handle detaches
/// the green thread. On an OS thread outside any [`run`](crate::run) it goes to a default runtime in the
/// background, which is started then.
///
/// ```
/// let sum = sward::run(|| {
///     let thread = sward::thread::spawn(|| (1..=10).sum::<u32>());
///     thread.join().unwrap()
/// });
/// assert_eq!(sum, 55);
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // OK to unwrap: only a wrong place is an error.
    Builder::new().spawn(f).expect("a green thread can be spawned anywhere")
}

/// As [`spawn`], for closures that are not `Send`: the green thread runs on the caller's worker.
///
/// # Panics
/// On an OS thread: it has no worker.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// sward::run(|| {
///     let count = Rc::new(Cell::new(0));
///     let theirs = count.clone();
///     sward::thread::spawn_local(move || theirs.set(1)).join().unwrap();
///     assert_eq!(count.get(), 1);
/// });
/// ```
pub fn spawn_local<F, T>(f: F) -> LocalJoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    match Builder::new().spawn_local(f) {
        Ok(handle) => handle,
        Err(error) => panic!("{error}"),
    }
}

/// Lets the other runnable green threads of this worker run before it goes on.
#[inline]
pub fn yield_now() {
    hub::yield_now();
}

/// Sleeps for at least `duration`; only the calling thread.
///
/// A duration of zero yields.
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return yield_now();
    }
    match Instant::now().checked_add(duration) {
        Some(deadline) => sleep_until(deadline),
        None => loop {
            park_until(None);
        },
    }
}

/// Sleeps until `deadline`; returns at once if it has passed.
pub fn sleep_until(deadline: Instant) {
    loop {
        hub::park::about_to_wait_for(Waiting::Sleep);
        match hub::park(Some(deadline)) {
            Ok(()) if Instant::now() < deadline => {}
            Ok(()) | Err(Interrupt::TimedOut) => return,
            Err(why) => why.unwind(),
        }
    }
}

/// Waits until the thread's token is there, and takes it; see [`Thread::unpark`]. As `std::thread::park`.
pub fn park() {
    wait_for_token(None);
}

/// As [`park`], for at most `duration`.
pub fn park_timeout(duration: Duration) {
    wait_for_token(Instant::now().checked_add(duration));
}

fn wait_for_token(deadline: Option<Instant>) {
    while !hub::park::take_token() {
        hub::park::about_to_wait_for(Waiting::Token);
        if !park_until(deadline) {
            // The token may have come with the deadline.
            hub::park::take_token();
            return;
        }
    }
}

/// False: the deadline has passed.
fn park_until(deadline: Option<Instant>) -> bool {
    match hub::park(deadline) {
        Ok(()) => true,
        Err(Interrupt::TimedOut) => false,
        Err(why) => why.unwind(),
    }
}

/// A handle to the calling thread, green or not.
pub fn current() -> Thread {
    Thread { inner: hub::Thread::current() }
}

/// Whether the caller runs on a green thread.
pub fn is_green() -> bool {
    hub::is_green()
}

/// The number of the caller's worker (from 0) and the number of workers; `None` on an OS thread.
pub fn worker() -> Option<(usize, usize)> {
    hub::runtime::worker()
}

/// A handle to a thread: its name, its id, its token.
#[derive(Clone)]
pub struct Thread {
    inner: hub::Thread,
}

impl Thread {
    /// The id, unique in the process over both kinds of thread and never used again.
    pub fn id(&self) -> ThreadId {
        ThreadId(self.inner.id())
    }

    /// The name given to [`Builder::name`], if any.
    pub fn name(&self) -> Option<&str> {
        self.inner.name()
    }

    /// Makes the thread's token available: its present or next [`park`] returns. Tokens do not add up.
    pub fn unpark(&self) {
        self.inner.token().swap(true, Ordering::SeqCst);
        self.inner.wake();
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Names a thread, green or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(NonZeroU64);
