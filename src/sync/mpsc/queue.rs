//! A channel with a buffer. Without a bound it is the same thing with room for `usize::MAX`.
//!
//! A receiver that waits gets its message without the buffer: the sender takes it off the monitor's queue and puts the
//! message into its hands, so that it need not take the lock once more. Order is kept, since it waits only when the
//! buffer is empty.
//!
//! Room is handed over: taking a message from a full channel promises its place to the longest waiting sender, and until
//! that one has run the place counts as taken. So a sender that was woken always finds its place, and is woken once. A
//! sender that gave up was promised nothing.

use std::cell::UnsafeCell;
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
    /// The message that a waiting receiver is woken with. Written with the monitor locked by who is about to wake it, taken
    /// without the lock by the receiver that was woken, so never by two at once: there is one receiver, and it waits again
    /// only after it has taken this.
    handed: UnsafeCell<Option<T>>,
}

// SAFETY: `handed` passes from a sender to the receiver as said there; the rest is in a monitor. Messages are sent, not shared.
unsafe impl<T: Send> Sync for Queue<T> {}

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
        Queue { bound, state: Monitor::new(state), handed: UnsafeCell::new(None) }
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
        let state = self.state.lock();
        if state.receiver_gone {
            return Err(TrySendError::Disconnected(message));
        }
        if state.messages.len() + state.promised >= self.bound {
            return Err(TrySendError::Full(message));
        }
        self.put(state, message);
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
        self.put(state, message);
        Ok(())
    }

    /// There is room, and a receiver.
    #[inline]
    fn put(&self, mut state: Guard<'_, State<T>, 2>, message: T) {
        if state.waiting(MESSAGES) == 0 {
            state.messages.push_back(message);
            return;
        }
        // SAFETY: the receiver is in the queue, and leaves it only by our hand or by taking the lock that we hold; what it
        // was handed before it has taken.
        unsafe { *self.handed.get() = Some(message) };
        state.wake_one(MESSAGES);
        // The place that we came for is not used, so it is the next one's.
        self.promise_room(&mut state);
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
            state.wait(MESSAGES, deadline).map_err(Nothing::Interrupted)?;
            // SAFETY: we were woken, and whoever did that is done with it; the next one comes when we wait again.
            let handed = unsafe { &mut *self.handed.get() };
            if let Some(message) = handed.take() {
                return Ok(message);
            }
            // The senders have gone.
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
        self.promise_room(state);
        Some(message)
    }

    /// There is room for one more: the longest waiting sender's, if there is one.
    #[inline]
    fn promise_room(&self, state: &mut Guard<'_, State<T>, 2>) {
        if self.bound != usize::MAX && state.wake_one(ROOM) {
            state.promised += 1;
        }
    }
}
