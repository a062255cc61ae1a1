//! Deadlock: every green thread waits, and nothing is left that could wake one.
//!
//! Certain only if no deadline is pending on any worker, no green thread waits on a descriptor, no blocking call is
//! out, and the process has no OS threads but this runtime's own (any other one might hold a sender or a handle).
//! Then the report names every green thread on stderr, and the main one is cancelled, so that `run` panics instead
//! of hanging for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Hub;
use super::inspect::describe_here;
use super::runtime::{Place, detached, spawn};
use crate::fiber::Fiber;

/// How long everything must have been still before it is looked into.
const STILL_FOR: Duration = Duration::from_millis(500);

/// OS threads of the crate that wake nobody by themselves (idle ones of the pool), and calls that they are in.
pub(crate) static POOL_THREADS: AtomicUsize = AtomicUsize::new(0);
pub(crate) static POOL_CALLS: AtomicUsize = AtomicUsize::new(0);

impl Hub {
    /// Publishes whether this worker, about to sleep for `timeout`, has anything to wait for; true if it should look
    /// up after a while because it has not.
    pub(super) fn looks_deadlocked(&self, timeout: Option<Duration>) -> bool {
        let nothing = timeout.is_none() && self.outside.get() == 0 && !self.has_idle();
        // Relaxed: who reads it has seen everybody still for half a second.
        self.runtime.workers[self.index].hopeless.store(nothing, Ordering::Relaxed);
        nothing && self.index == 0 && !self.live.is_empty()
    }

    /// Waits as ever, but looks up after a while.
    pub(super) fn wait_in_a_deadlock(&self) {
        let start = Instant::now();
        self.wait_for_events(Some(STILL_FOR));
        // The bell ends the wait early, with mail that has not been read; nobody has woken us only if it says so.
        let still = start.elapsed() >= STILL_FOR && self.mailbox.is_asleep();
        if still && self.run.is_empty() && self.is_deadlocked() {
            self.report_deadlock();
        }
    }

    fn is_deadlocked(&self) -> bool {
        let runtime = &self.runtime;
        let all_idle = runtime.idle.load(Ordering::SeqCst) == runtime.workers.len();
        let all_hopeless =
            runtime.workers.iter().all(|worker| worker.hopeless.load(Ordering::SeqCst));
        all_idle
            && all_hopeless
            && !runtime.is_stopping()
            && !runtime.has_work()
            && self.timers.borrow().next().is_none()
            && POOL_CALLS.load(Ordering::SeqCst) == 0
            && os_threads() == runtime.workers.len() + POOL_THREADS.load(Ordering::SeqCst)
            && self.main_is_ours()
    }

    /// Whether the main green thread is here and not cancelled yet: a default runtime has none, and is none to judge.
    fn main_is_ours(&self) -> bool {
        let main = self.runtime.main.load(Ordering::SeqCst);
        let mut found = false;
        self.live.for_each(|fiber| {
            // SAFETY: members of `live` are alive.
            let fiber = unsafe { &*fiber };
            found |= fiber.id.get() == main && !fiber.cancelled.load(Ordering::SeqCst);
        });
        found
    }

    fn report_deadlock(&self) {
        eprintln!(
            "sward: deadlock: every green thread waits, and no deadline, descriptor or other thread can wake one"
        );
        eprint!("{}", self.describe(false));
        // The others describe their own; nobody is busy, so that takes no time.
        let described = Arc::new(AtomicUsize::new(1));
        for worker in 1..self.runtime.workers.len() {
            let described = described.clone();
            let job = detached(move || {
                eprint!("{}", describe_here(false));
                described.fetch_add(1, Ordering::SeqCst);
            });
            let fiber = Fiber::new(Some("report".into()), self.runtime.config.stack_size, job);
            // OK to ignore: the number is in range.
            let _ = spawn(fiber, Place::Worker(worker));
        }
        let give_up = Instant::now() + STILL_FOR;
        while described.load(Ordering::SeqCst) < self.runtime.workers.len()
            && Instant::now() < give_up
        {
            self.wait_for_events(Some(Duration::from_millis(1)));
        }
        self.runtime.deadlocked.store(true, Ordering::SeqCst);
        let main = self.runtime.main.load(Ordering::SeqCst);
        self.live.for_each(|fiber| {
            // SAFETY: members of `live` are alive.
            let fiber = unsafe { &*fiber };
            if fiber.id.get() == main {
                fiber.cancelled.store(true, Ordering::SeqCst);
                self.wake_local(fiber);
            }
        });
    }
}

/// How many OS threads the process has, by the kernel's count.
fn os_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count)
}
