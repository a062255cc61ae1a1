//! Scopes that end when a peer goes away, as those of `timeout` end at a deadline.
//!
//! For work that is done for one client: whatever waits inside, however deep, stops waiting when the client is gone.
//! Nobody reads from the socket for that, so bytes that the client sends meanwhile stay where they are.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::hub::park::{self, Unwind};
use crate::io::Descriptor;

/// The peer was gone before the closure had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// Runs `f`. On a green thread what waits inside of it ends when the peer of `socket` ends its sending side, or the
/// connection breaks: I/O fails with `ConnectionAborted`, and what cannot fail unwinds to here. On an OS thread nothing
/// ends a wait.
pub(crate) fn while_connected<T>(socket: &Descriptor, f: impl FnOnce() -> T) -> Result<T, Lost> {
    let Some(scope) = socket.watch() else { return Ok(f()) };
    let result = catch_unwind(AssertUnwindSafe(f));
    socket.unwatch(scope);
    match result {
        Ok(value) => Ok(value),
        Err(payload) if park::caught(&*payload) == Some(Unwind::Lost(scope)) => Err(Lost),
        Err(payload) => park::pass_on(payload),
    }
}
