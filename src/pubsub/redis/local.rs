//! This process's end of the topics: what it has, what it waits for. The reader fills it; it does no I/O.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pubsub::{BusError, EventId, Topic};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Local {
    state: Mutex<State>,
    /// A topic was joined, a ticket settled, or all is over.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    topics: HashMap<Arc<str>, Place>,
    /// Topics that the reader has not heard of.
    wanted: Vec<Arc<str>>,
    /// Tickets: how many were given out, and up to which everything has arrived that had been published before.
    asked: u64,
    settled: u64,
    connected: bool,
    closed: bool,
}

struct Place {
    topic: Topic,
    /// It has its history, and gets what comes.
    joined: bool,
    /// The last message that it got.
    last: EventId,
    used: Instant,
}

impl Local {
    /// A topic that is joined already.
    pub(super) fn get(&self, name: &str) -> Result<Option<Topic>, BusError> {
        let mut state = self.lock();
        if state.closed {
            return Err(BusError::Closed);
        }
        let place = state.topics.get_mut(name).filter(|place| place.joined);
        Ok(place.map(|place| {
            place.used = Instant::now();
            place.topic.clone()
        }))
    }

    /// A topic that the reader is to join.
    pub(super) fn want(
        &self,
        name: &str,
        fresh: impl FnOnce() -> Topic,
    ) -> Result<Topic, BusError> {
        let mut state = self.lock();
        if state.closed {
            return Err(BusError::Closed);
        }
        if let Some(place) = state.topics.get(name) {
            return Ok(place.topic.clone());
        }
        let (name, topic): (Arc<str>, _) = (name.into(), fresh());
        let (last, used) = (EventId::START, Instant::now());
        let place = Place { topic: topic.clone(), joined: false, last, used };
        state.topics.insert(name.clone(), place);
        state.wanted.push(name);
        Ok(topic)
    }

    /// Waits until it is joined. The caller has a handle, so it does not go meanwhile.
    pub(super) fn wait_for(&self, name: &str, deadline: Instant) -> Result<(), BusError> {
        self.wait(deadline, |state| {
            state.closed || state.topics.get(name).is_some_and(|place| place.joined)
        })
    }

    /// A ticket, for [`wait_until_settled`](Local::wait_until_settled).
    pub(super) fn ask(&self) -> u64 {
        let mut state = self.lock();
        state.asked += 1;
        state.asked
    }

    pub(super) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// Waits until everything has arrived that was published before the ticket was given out; or until the deadline.
    pub(super) fn wait_until_settled(&self, ticket: u64, deadline: Instant) {
        // OK to ignore: then it is not known.
        let _ = self.wait(deadline, |state| state.closed || state.settled >= ticket);
    }

    fn wait(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> Result<(), BusError> {
        let mut state = self.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(BusError::Unreachable);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closed { Err(BusError::Closed) } else { Ok(()) }
    }

    pub(super) fn subscribers(&self, name: &str) -> usize {
        self.lock().topics.get(name).map_or(0, |place| place.topic.subscribers())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.lock().connected
    }

    /// All is over.
    pub(super) fn close(&self) {
        let topics = {
            let mut state = self.lock();
            state.closed = true;
            self.changed.notify_all();
            std::mem::take(&mut state.topics)
        };
        topics.values().for_each(|place| place.topic.close());
    }

    // What follows is the reader's.

    /// Waits for that long; true if all is over.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = self.wait(Instant::now() + time, |state| state.closed);
        end != Err(BusError::Unreachable)
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.lock().connected = connected;
    }

    /// All there is to join over a new connection, and the last ticket that was given out before.
    pub(super) fn begin(&self) -> (Vec<Arc<str>>, u64) {
        let mut state = self.lock();
        state.wanted.clear();
        (state.topics.keys().cloned().collect(), state.asked)
    }

    /// What is new to join; `None` if all is over.
    pub(super) fn wanted(&self) -> Option<Vec<Arc<str>>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        Some(std::mem::take(&mut state.wanted))
    }

    /// A topic, and the last message that it got, if it has joined.
    pub(super) fn place(&self, name: &str) -> Option<(Topic, Option<EventId>)> {
        let state = self.lock();
        let place = state.topics.get(name)?;
        Some((place.topic.clone(), place.joined.then_some(place.last)))
    }

    /// It has got everything up to that one.
    pub(super) fn advance(&self, name: &str, last: EventId) {
        let mut state = self.lock();
        if let Some(place) = state.topics.get_mut(name) {
            place.last = last;
            if !place.joined {
                place.joined = true;
                self.changed.notify_all();
            }
        }
    }

    /// Everything has arrived that was published before that ticket was given out.
    pub(super) fn settle(&self, ticket: u64) {
        let mut state = self.lock();
        if ticket > state.settled {
            state.settled = ticket;
            self.changed.notify_all();
        }
    }

    /// Forgets topics that nobody has used for that long; their names.
    pub(super) fn sweep(&self, unused_for: Duration) -> Vec<Arc<str>> {
        let now = Instant::now();
        let mut gone = Vec::new();
        self.lock().topics.retain(|name, place| {
            if !place.topic.is_unused() {
                place.used = now;
            } else if now.duration_since(place.used) >= unused_for {
                gone.push((name.clone(), place.topic.clone()));
                return false;
            }
            true
        });
        // Their messages go without the lock.
        gone.into_iter().map(|(name, _)| name).collect()
    }

    /// How many subscribers each has.
    pub(super) fn counts(&self) -> Vec<(Arc<str>, usize)> {
        let state = self.lock();
        let each = state.topics.iter();
        each.map(|(name, place)| (name.clone(), place.topic.subscribers())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
