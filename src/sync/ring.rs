//! The last so many messages, numbered, and readers that are no more than a cursor: under [`broadcast`](super::broadcast) and
//! [`pubsub`](crate::pubsub).
//!
//! A message's id is its place in the order of publishing, from 1. A cursor is the id of the last message that its reader
//! has seen. A reader that falls behind by more than the ring keeps is told how many it missed, once, and goes on with the
//! oldest that is left.
//!
//! ```text
//!    ids   1  2  3 | 4  5  6  7          capacity 4, newest 7
//!          forgotten ^ oldest    ^ a reader with cursor 7 waits
//!             ^ cursor 2: missed 1 (the 3), then reads 4
//! ```

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Instant;

use crate::hub::Interrupt;
use crate::wait::Monitor;

/// `M` is cloned with the lock held, so make it an `Arc`.
pub(crate) struct Ring<M> {
    capacity: usize,
    state: Monitor<State<M>>,
}

struct State<M> {
    /// The newest ones, oldest first.
    kept: VecDeque<M>,
    /// The id of the newest, or 0.
    newest: u64,
    closed: bool,
}

/// Where a reader is. Belongs to one reader, which belongs to one thread at a time.
pub(crate) struct Cursor {
    seen: Cell<u64>,
    /// What to report as missed at the next reading, whatever the ring says: for a start that was already too late.
    late: Cell<Option<u64>>,
}

/// Why there was nothing to read.
pub(crate) enum Nothing {
    /// No message yet.
    Empty,
    /// So many messages are gone. The cursor stands before the oldest that is left.
    Lagged(u64),
    /// Everything has been read, and no more will come.
    Closed,
}

/// Why waiting brought no message.
pub(crate) enum Unread {
    Lagged(u64),
    Closed,
    Interrupted(Interrupt),
}

impl Cursor {
    /// The id of the last message that its reader has seen.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.get()
    }

    /// Its reader has seen that one, in whatever way, and all before it.
    pub(crate) fn skip_to(&self, id: u64) {
        self.seen.set(id);
        self.late.set(None);
    }
}

impl<M> State<M> {
    /// The cursor of somebody who wants all that is kept.
    fn before_oldest(&self) -> u64 {
        self.newest - self.kept.len() as u64
    }
}

impl<M: Clone> Ring<M> {
    /// A capacity of 0 counts as 1.
    pub(crate) fn new(capacity: usize) -> Ring<M> {
        let state = State { kept: VecDeque::new(), newest: 0, closed: false };
        Ring { capacity: capacity.max(1), state: Monitor::new(state) }
    }

    /// The id of the message, or `None` if the ring is closed. Wakes all who wait.
    pub(crate) fn push(&self, message: M) -> Option<u64> {
        self.push_with(|_| message)
    }

    /// The same, of a message that knows its id. It is made with the lock held.
    pub(crate) fn push_with(&self, message: impl FnOnce(u64) -> M) -> Option<u64> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let full = state.kept.len() == self.capacity;
        let forgotten = if full { state.kept.pop_front() } else { None };
        let id = state.newest + 1;
        state.kept.push_back(message(id));
        state.newest = id;
        state.wake_all(0);
        drop(state);
        // Only now: what is in a message may have a destructor of its own.
        drop(forgotten);
        Some(id)
    }

    /// Here are `missed` messages that nobody gets, or, if that is 0, who knows how many. Nothing from before is kept, so
    /// that every reader is told of it.
    #[cfg(feature = "redis")]
    pub(crate) fn gap(&self, missed: u64) {
        let mut state = self.state.lock();
        let forgotten = std::mem::take(&mut state.kept);
        state.newest += missed.max(1);
        state.wake_all(0);
        drop(state);
        drop(forgotten);
    }

    /// No more messages; those that are kept can still be read.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.wake_all(0);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn newest(&self) -> u64 {
        self.state.lock().newest
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A cursor for what is yet to come.
    pub(crate) fn now(&self) -> Cursor {
        Cursor { seen: Cell::new(self.newest()), late: Cell::new(None) }
    }

    /// A cursor for what came after `id`. An id that has not been given out yet is one that we know nothing of: the reader
    /// gets all that is kept, and is told first that it may have missed something.
    pub(crate) fn after(&self, id: u64) -> Cursor {
        let state = self.state.lock();
        if id <= state.newest {
            return Cursor { seen: Cell::new(id), late: Cell::new(None) };
        }
        let seen = state.before_oldest();
        Cursor { seen: Cell::new(seen), late: Cell::new(Some(seen)) }
    }

    /// A cursor before the kept message that `find` says, by its place among them, and what to report first.
    pub(crate) fn find(&self, find: impl FnOnce(&VecDeque<M>) -> (usize, Option<u64>)) -> Cursor {
        let state = self.state.lock();
        let (at, late) = find(&state.kept);
        let seen = state.before_oldest() + at.min(state.kept.len()) as u64;
        Cursor { seen: Cell::new(seen), late: Cell::new(late) }
    }

    /// The newest `n` with their ids, oldest first; fewer if fewer are kept.
    pub(crate) fn last(&self, n: usize) -> Vec<(u64, M)> {
        let mut out = Vec::with_capacity(n.min(self.capacity));
        let state = self.state.lock();
        let n = n.min(state.kept.len());
        let before = state.newest - n as u64;
        let newest = state.kept.iter().skip(state.kept.len() - n);
        out.extend((before + 1..).zip(newest.cloned()));
        out
    }

    pub(crate) fn try_read(&self, cursor: &Cursor) -> Result<(u64, M), Nothing> {
        Self::next(&self.state.lock(), cursor)
    }

    pub(crate) fn read(
        &self,
        cursor: &Cursor,
        deadline: Option<Instant>,
    ) -> Result<(u64, M), Unread> {
        loop {
            let state = self.state.lock();
            match Self::next(&state, cursor) {
                Ok(message) => return Ok(message),
                Err(Nothing::Lagged(missed)) => return Err(Unread::Lagged(missed)),
                Err(Nothing::Closed) => return Err(Unread::Closed),
                Err(Nothing::Empty) => state.wait(0, deadline).map_err(Unread::Interrupted)?,
            }
        }
    }

    fn next(state: &State<M>, cursor: &Cursor) -> Result<(u64, M), Nothing> {
        if let Some(missed) = cursor.late.take() {
            return Err(Nothing::Lagged(missed));
        }
        let (seen, before_oldest) = (cursor.seen.get(), state.before_oldest());
        if seen < before_oldest {
            cursor.seen.set(before_oldest);
            return Err(Nothing::Lagged(before_oldest - seen));
        }
        match state.kept.get((seen - before_oldest) as usize) {
            Some(message) => {
                cursor.seen.set(seen + 1);
                Ok((seen + 1, message.clone()))
            }
            None if state.closed => Err(Nothing::Closed),
            None => Err(Nothing::Empty),
        }
    }
}
