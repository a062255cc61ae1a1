//! How a server stops: what happens between the end of accepting and the return of `serve`, and the signals that
//! begin it. What a stop does to connections is in `state`.

#![forbid(unsafe_code)]

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::mode::Mode;
use super::restart;
use super::server::workers;
use super::state::State;
use crate::blocking::os_thread;
use crate::io::end_idle;
use crate::signal::{Signal, Signals};
use crate::thread;

/// How long clients are waited for that have connected and not asked anything yet.
const FRESH: Duration = Duration::from_secs(1);

/// Nothing is accepted any more: waits for what runs, cuts what runs on after `timeout`.
pub(super) fn finish(mode: Mode, state: &State, timeout: Duration) {
    let now = Instant::now();
    if state.wait_empty(now.checked_add(timeout.min(FRESH))) {
        return;
    }
    state.end_fresh();
    end_all(mode, state.fresh);
    if !state.wait_empty(now.checked_add(timeout)) {
        state.cut();
        end_all(mode, state.ending);
    }
}

/// Ends whatever of `group` waits without a thread on any worker.
fn end_all(mode: Mode, group: usize) {
    if mode != Mode::Green {
        return;
    }
    for worker in 0..workers() {
        let builder = thread::Builder::new().name("http-end".into()).worker(worker);
        // OK to ignore the error: what waits then ends at its own deadline.
        let _ = builder.spawn(move || end_idle(group));
    }
}

/// Signals that are watched from when it is made.
pub(super) struct OnSignals(Signals);

impl OnSignals {
    pub(super) fn new(signals: &[Signal]) -> io::Result<OnSignals> {
        Signals::new(signals).map(OnSignals)
    }

    /// Stops the server on the first of them. The watch ends with that, so the next has its old effect; it ends too when
    /// what this returns is dropped.
    pub(super) fn stop(self, mode: Mode, state: &Arc<State>) -> io::Result<Watching> {
        let state = state.clone();
        watch(mode, self.0, move |signals| {
            let came = signals.wait();
            drop(signals);
            if came.is_ok() {
                state.stop();
            }
        })
    }
}

impl OnSignals {
    /// Restarts the program on each of them, until what this returns is dropped.
    pub(super) fn restart(self, mode: Mode) -> io::Result<Watching> {
        watch(mode, self.0, |signals| {
            while signals.wait().is_ok() {
                restart::by_signal();
            }
        })
    }
}

/// Runs `f` on a thread of the server's kind.
fn watch(
    mode: Mode,
    signals: Signals,
    f: impl FnOnce(Arc<Signals>) + Send + 'static,
) -> io::Result<Watching> {
    let signals = Arc::new(signals);
    let watching = Watching(Arc::downgrade(&signals));
    match mode {
        Mode::Green => {
            let builder = thread::Builder::new().name("http-signals".into());
            builder.spawn(move || f(signals)).map(drop)?;
        }
        Mode::Threads | Mode::Pool(_) => os_thread("sward-signals", move || f(signals))?,
    }
    Ok(watching)
}

/// A thread that waits for signals until this is dropped.
pub(super) struct Watching(Weak<Signals>);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(signals) = self.0.upgrade() {
            signals.end();
        }
    }
}
