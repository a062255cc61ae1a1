//! The end of a worker: every green thread that is left is cancelled, and runs until it has ended.
//!
//! Not the end of a runtime as a whole, which is `runtime::Stop`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{HERE, Hub};

/// How long a runtime that ends waits if only green threads are left that cannot be told.
const DEAF_FOR: Duration = Duration::from_millis(500);

impl Hub {
    /// Ends what is left when the runtime stops: every green thread is cancelled and run until it has ended, for
    /// `grace` at most.
    pub(super) fn wind_down(&self, grace: Duration) {
        let before = HERE.replace(self);
        let give_up = Instant::now() + grace;
        let mut deaf_since = None;
        loop {
            while let Some(fiber) = self.local.pop() {
                self.enqueue(self.adopt(fiber));
            }
            self.end_idle(None);
            while let Some(fiber) = self.next_start() {
                self.enqueue(fiber);
            }
            self.live.for_each(|fiber| {
                // SAFETY: members of `live` are alive.
                let fiber = unsafe { &*fiber };
                fiber.cancelled.store(true, Ordering::SeqCst);
                self.wake_local(fiber);
            });
            for _ in 0..self.run.len() {
                let Some(fiber) = self.run.pop_front() else { break };
                self.run_one(fiber);
            }
            self.read_mail();
            if self.live.is_empty() {
                break;
            }
            let now = Instant::now();
            // Nobody left but those who wait for a lock or the like in code that cannot be interrupted: whoever held
            // it has ended, or is an OS thread that takes its time.
            deaf_since = if self.all_are_deaf() { deaf_since.or(Some(now)) } else { None };
            if now >= give_up || deaf_since.is_some_and(|since| now >= since + DEAF_FOR) {
                self.abandon_all();
                break;
            }
            if self.run.is_empty() {
                self.wait_for_events(Some(Duration::from_millis(1)));
            }
        }
        HERE.set(before);
    }

    /// Whether everybody here is parked, and deaf to cancellation.
    fn all_are_deaf(&self) -> bool {
        let mut deaf = true;
        self.live.for_each(|fiber| {
            // SAFETY: members of `live` are alive.
            let state = unsafe { &(*fiber).state };
            deaf &= state.parked.get() && state.masked.get();
        });
        deaf
    }

    fn abandon_all(&self) {
        eprintln!(
            "sward: {} green thread(s) of worker {} did not end when the runtime stopped; they are left where they are",
            self.live.len(),
            self.index
        );
        self.live.for_each(|fiber| {
            // SAFETY: alive; and from here on nothing enters it, while its record and its stack stay for ever.
            let fiber = unsafe { &*fiber };
            fiber.state.done.set(true);
            fiber.abandon();
        });
    }
}
