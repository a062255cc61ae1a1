//! A channel with a buffer. Without a bound it is the same thing with room for `usize::MAX`.
//!
//! Room is handed over: taking a message from a full channel promises its place to the longest waiting sender, and until
//! that one has run the place counts as taken. So a sender that was woken always finds its place, and is woken once. A
//! sender that gave up was promised nothing.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::{SendError, TryRecvError, TrySendError};
use std::time::Instant;

use super::Nothing;
use crate::sync::granted;
use crate::wait::{Guard, Monitor};

/// Where the receiver waits.
const MESSAGES: usize = 0;
/// Where senders wait.
const ROOM: usize = 1;

pub(super) struct Queue<T> {
    bound: usize,
    state: Monitor<State<T>, 2>,
}

struct State<T> {
    messages: VecDeque<T>,
    /// Places that belong to senders which have been woken and have not run yet.
    promised: usize,
    receiver_gone: bool,
    senders_gone: bool,
}

impl<T> Queue<T> {
    /// `bound` is not 0; that is [`Zero`](super::zero::Zero).
    pub(super) fn new(bound: usize) -> Queue<T> {
        let state = State {
            messages: VecDeque::new(),
            promised: 0,
            receiver_gone: false,
            senders_gone: false,
        };
        Queue {
            bound,
            state: Monitor::new(state),
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(message)) => Err(SendError(message)),
            Err(TrySendError::Full(message)) => self.send_waiting(message),
        }
    }

    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state.lock();
        if state.receiver_gone {
            return Err(TrySendError::Disconnected(message));
        }
        if state.messages.len() + state.promised >= self.bound {
            return Err(TrySendError::Full(message));
        }
        state.messages.push_back(message);
        state.wake_one(MESSAGES);
        Ok(())
    }

    #[cold]
    fn send_waiting(&self, message: T) -> Result<(), SendError<T>> {
        let mut state = self.state.lock();
        // Between the attempt and here there may have come room.
        if !state.receiver_gone && state.messages.len() + state.promised >= self.bound {
            granted(state.wait(ROOM, None));
            state = self.state.lock();
            // If the receiver has gone this is wrong, and nobody will ask.
            state.promised = state.promised.saturating_sub(1);
        }
        if state.receiver_gone {
            return Err(SendError(message));
        }
        state.messages.push_back(message);
        state.wake_one(MESSAGES);
        Ok(())
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.state.lock();
        match self.take(&mut state) {
            Some(message) => Ok(message),
            None if state.senders_gone => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    #[inline]
    pub(super) fn recv(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        loop {
            let mut state = self.state.lock();
            if let Some(message) = self.take(&mut state) {
                return Ok(message);
            }
            if state.senders_gone {
                return Err(Nothing::Disconnected);
            }
            state
                .wait(MESSAGES, deadline)
                .map_err(Nothing::Interrupted)?;
        }
    }

    pub(super) fn senders_gone(&self) {
        let mut state = self.state.lock();
        state.senders_gone = true;
        state.wake_one(MESSAGES);
    }

    pub(super) fn receiver_gone(&self) {
        let mut state = self.state.lock();
        state.receiver_gone = true;
        let unread = mem::take(&mut state.messages);
        state.wake_all(ROOM);
        drop(state);
        // Only now: messages have destructors of their own, which may use this very channel.
        drop(unread);
    }

    #[inline]
    fn take(&self, state: &mut Guard<'_, State<T>, 2>) -> Option<T> {
        let message = state.messages.pop_front()?;
        if self.bound != usize::MAX && state.wake_one(ROOM) {
            state.promised += 1;
        }
        Some(message)
    }
}
