//! What this worker's green threads are doing: one line each, with a backtrace where they are parked if asked for.
//!
//! A parked green thread's frames cannot be walked from outside, so it is entered, captures its own backtrace and
//! parks again; nothing else sees that. Called on the worker itself; `crate::inspect` asks all workers.

use std::backtrace::Backtrace;
use std::fmt::Write;
use std::time::Duration;

use super::{Hub, here};
use crate::fiber::Fiber;
use crate::fiber::state::Waiting;

impl Hub {
    /// Asks a parked fiber where it is.
    fn ask(&self, fiber: &Fiber) -> Option<Backtrace> {
        let before = self.current.replace(fiber);
        fiber.state.asked.set(true);
        // SAFETY: ours, started, parked: it runs until it has answered, and leaves again in the same place. We are
        // on the worker's stack or on another fiber, to which it returns.
        let ended = unsafe { fiber.enter() };
        debug_assert!(ended.is_none(), "a fiber that is asked does not go on");
        self.current.set(before);
        self.said.borrow_mut().take()
    }

    /// The answer, on the fiber that was asked.
    #[inline(never)]
    pub(super) fn say_where(&self) {
        // It takes a lock of std's: with the patch, a wait for that must not switch here.
        let Some((_, fiber)) = super::here_green() else { return };
        fiber.state.forbid_switching();
        let backtrace = Backtrace::force_capture();
        fiber.state.allow_switching();
        *self.said.borrow_mut() = Some(backtrace);
    }

    /// A line per green thread of this worker.
    pub(super) fn describe(&self, backtraces: bool) -> String {
        let mut text = String::new();
        let mut fibers = Vec::with_capacity(self.live.len());
        self.live.for_each(|fiber| fibers.push(fiber));
        // OK because nobody else runs on this worker meanwhile: those that are asked park again at once.
        for fiber in fibers {
            // SAFETY: members of `live` are alive, and none ends while we are here.
            let fiber = unsafe { &*fiber };
            let name = fiber.name.as_deref().unwrap_or("<unnamed>");
            let age =
                Duration::from_nanos(super::clock::now().saturating_sub(fiber.state.since.get()));
            let state = &fiber.state;
            let doing = if std::ptr::eq(self.current.get(), fiber) {
                "runs".into()
            } else if !fiber.is_started() {
                "has not started".into()
            } else if !state.parked.get() {
                "is ready to run".into()
            } else {
                match state.waiting.get() {
                    Waiting::Other => "waits for a lock, a channel, an event or a thread".into(),
                    Waiting::Sleep => "sleeps".into(),
                    Waiting::Token => "waits to be unparked".into(),
                    Waiting::Readable(fd) => format!("waits until descriptor {fd} is readable"),
                    Waiting::Writable(fd) => format!("waits until descriptor {fd} is writable"),
                }
            };
            // OK to ignore: writing to a String does not fail.
            let _ = writeln!(
                text,
                "green thread {} '{name}', worker {}, {:.1} s old: {doing}",
                fiber.id,
                self.index,
                age.as_secs_f64()
            );
            if backtraces
                && state.parked.get()
                && let Some(backtrace) = self.ask(fiber)
            {
                let _ = writeln!(text, "{backtrace}");
            }
        }
        text
    }
}

/// The green threads of the caller's worker; empty on an OS thread.
pub(crate) fn describe_here(backtraces: bool) -> String {
    here().map_or_else(String::new, |hub| hub.describe(backtraces))
}
