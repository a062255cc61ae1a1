//! Counters: what the runtime does, for `/stats` pages and tests.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::runtime;

/// What one worker counts. Only the worker writes, hence plain load and store; anybody may read.
#[derive(Debug, Default)]
#[repr(align(64))] // a cache line of its own: the worker writes it on every switch
pub(crate) struct Counters {
    switches: AtomicU64,
    adopted: AtomicU64,
    ended: AtomicU64,
    pins: AtomicU64,
}

fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Counters {
    #[inline]
    pub(crate) fn switched(&self) {
        bump(&self.switches);
    }

    pub(crate) fn adopted(&self) {
        bump(&self.adopted);
    }

    pub(crate) fn ended(&self) {
        bump(&self.ended);
    }

    pub(crate) fn pinned(&self) {
        bump(&self.pins);
    }
}

/// What a runtime has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Worker threads.
    pub workers: usize,
    /// Green threads that have been given to a worker and have not ended.
    pub green_threads: u64,
    /// Green threads that have been given to a worker, ever.
    pub spawned: u64,
    /// Times a green thread was entered, ever.
    pub switches: u64,
    /// Times a green thread had to block its whole worker, because switching would have been unsound.
    pub pins: u64,
}

/// The counters of the caller's runtime: of the one that runs the calling green thread, or of the default one
/// on an OS thread that belongs to none (all zero if that was never started).
///
/// The figures are read one by one while the workers go on, so they are close, not exact, to each other.
pub fn stats() -> Stats {
    let Some(runtime) = runtime::of_caller() else { return Stats::default() };
    let mut stats = Stats { workers: runtime.workers.len(), ..Stats::default() };
    for worker in &runtime.workers {
        let counters = &worker.counters;
        let ended = counters.ended.load(Ordering::Relaxed);
        let adopted = counters.adopted.load(Ordering::Relaxed);
        stats.spawned += adopted;
        stats.green_threads += adopted.saturating_sub(ended);
        stats.switches += counters.switches.load(Ordering::Relaxed);
        stats.pins += counters.pins.load(Ordering::Relaxed);
    }
    stats
}
