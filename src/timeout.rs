//! Time-outs as scopes around any code, as gevent's `Timeout` is.
//!
//! The deadline belongs to the thread while it is inside: everything that waits, however deep, honours the
//! nearest one. What it is not: a clock that interrupts computation. Code that never waits runs on.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::hub::park::{self, Unwind};

/// The error of a [`timeout`] whose time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time-out has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Runs `f` with `duration` to spend; works on green threads and on OS threads.
///
/// When the time is up while `f` waits in something of sward:
/// - I/O (sockets, `recv_timeout` and the like) returns an error of kind [`TimedOut`](io::ErrorKind::TimedOut),
///   and so does every later wait inside the scope; `f` decides what to return;
/// - what cannot return an error (`Mutex::lock`, `sleep`, `JoinHandle::join`, `Receiver::recv`) unwinds to the
///   scope, which returns [`Elapsed`]. Destructors run; sward's locks are not poisoned by it.
///
/// Scopes nest, and each knows its own: an outer deadline passes through inner scopes untouched, the earliest
/// one counts, an inner scope cannot extend it. If `f` returns, its value is returned, however late.
///
/// A duration of zero lets `f` run until its first wait.
///
/// # Errors
/// [`Elapsed`], as said.
///
/// # Panics
/// With the payload of `f`, if it panics. A program built with `panic = "abort"` cannot unwind: there only I/O
/// ends in time.
///
/// ```
/// use std::time::Duration;
/// use sward::{thread, timeout};
///
/// sward::run(|| {
///     let slow = timeout(Duration::from_millis(10), || thread::sleep(Duration::from_secs(10)));
///     assert!(slow.is_err());
///     let quick = timeout(Duration::from_secs(10), || 42);
///     assert_eq!(quick, Ok(42));
/// });
/// ```
pub fn timeout<T>(duration: Duration, f: impl FnOnce() -> T) -> Result<T, Elapsed> {
    // A deadline beyond the end of time never comes.
    let Some(deadline) = Instant::now().checked_add(duration) else { return Ok(f()) };
    let scope = park::open_scope(deadline);
    let result = catch_unwind(AssertUnwindSafe(f));
    park::close_scope(scope);
    match result {
        Ok(value) => Ok(value),
        Err(payload) if park::caught(&*payload) == Some(Unwind::Elapsed(scope)) => Err(Elapsed(())),
        Err(payload) => park::pass_on(payload),
    }
}
