//! Delivering: [`Dispatcher`], which takes what is due from the store and posts it.
//!
//! What it is not: the only one. Any number of processes may deliver from one store; each claims what it takes, for longer than an
//! attempt can last, so that what a process had claimed when it died is taken by another later. Limits, rates and breakers are each
//! process's own.
//!
//! To read on: `flight.rs` is one delivery from claim to record, and `judge.rs` what an answer means; `engine.rs` finds what is due;
//! `board.rs` and `lane.rs` decide who may have how many at once; `sweep.rs` cleans up.

#![forbid(unsafe_code)]

mod board;
mod engine;
mod flight;
mod judge;
mod lane;
mod post;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registry::Webhooks;
use crate::sync::Event;
use crate::thread::{self, JoinHandle};

pub(in crate::webhook) use self::engine::Engine;
pub(in crate::webhook) use self::post::{ByHttp, Post};

/// What delivers, as long as it is there. Dropping it stops it at once, as [`stop`](Dispatcher::stop) without time does; in a panic it
/// is told to stop, and nobody waits.
#[must_use = "dropping it stops it"]
pub struct Dispatcher {
    engine: Arc<Engine>,
    /// Set when there is nothing more to sweep.
    over: Arc<Event>,
    threads: Vec<JoinHandle<()>>,
}

impl Webhooks {
    /// Delivers from now on, on green threads of the caller's runtime: what is in the store, and what is put in.
    ///
    /// # Panics
    /// If it delivers already; a [`stop`](Dispatcher::stop) must have ended first.
    pub fn start(&self) -> Dispatcher {
        let engine = Engine::new(Arc::clone(&self.inner));
        assert!(self.inner.attach(&engine), "this registry delivers already");
        let over = Arc::new(Event::new());
        let (runs, sweeps, end) = (Arc::clone(&engine), Arc::clone(&engine), Arc::clone(&over));
        let threads = vec![
            thread::spawn(move || runs.run()),
            thread::spawn(move || sweep::sweep(&sweeps, &end)),
        ];
        Dispatcher { engine, over, threads }
    }
}

impl Dispatcher {
    /// Claims nothing more and waits for what is in flight, for at most `deadline`. What is still being posted then is broken off and
    /// given back to the store: it counts as not attempted, and is due at once for whoever delivers next.
    pub fn stop(mut self, deadline: Duration) {
        self.end(deadline);
    }

    fn end(&mut self, deadline: Duration) {
        let threads = std::mem::take(&mut self.threads);
        if threads.is_empty() {
            return;
        }
        let now = Instant::now();
        self.engine.stop_claiming();
        self.over.set();
        for thread in threads {
            // A panic of theirs has been counted.
            let _ = thread.join();
        }
        self.engine.drain(now.checked_add(deadline).unwrap_or(now + Duration::from_secs(1 << 30)));
        self.engine.inner.detach();
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return self.end(Duration::ZERO);
        }
        // Who panics cannot wait for green threads of its own worker. What is in flight ends by itself, or lapses.
        self.engine.stop_claiming();
        self.over.set();
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").finish_non_exhaustive()
    }
}
