//! A channel without a buffer: a message goes from hand to hand.
//!
//! If the receiver waits, a sender leaves the message for it and goes on. If not, the sender puts the message into a packet
//! of its own, queues the packet and waits on it; the receiver empties it and wakes that sender. A sender that gives up takes
//! its message back out of the packet, if it is still there; whoever empties the packet has the message, so it is never lost
//! and never received twice.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{SendError, TryRecvError, TrySendError};
use std::time::Instant;

use super::Nothing;
use crate::wait::Monitor;

pub(super) struct Zero<T> {
    state: Monitor<State<T>>,
}

struct State<T> {
    /// Left for the receiver, which has been woken for it. Nobody else may take it.
    left: Option<T>,
    /// Of senders that wait, the longest first. Packets of senders that gave up may still be among them, empty.
    packets: VecDeque<Arc<Packet<T>>>,
    receiver_gone: bool,
    senders_gone: bool,
}

struct Packet<T> {
    content: Monitor<Content<T>>,
}

enum Content<T> {
    Message(T),
    /// Received, or taken back.
    Empty,
    /// The receiver has gone; the message is the sender's again.
    Refused(T),
}

impl<T> Zero<T> {
    pub(super) fn new() -> Zero<T> {
        let state = State {
            left: None,
            packets: VecDeque::new(),
            receiver_gone: false,
            senders_gone: false,
        };
        Zero { state: Monitor::new(state) }
    }

    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state.lock();
        if state.receiver_gone {
            return Err(TrySendError::Disconnected(message));
        }
        if !state.wake_one(0) {
            return Err(TrySendError::Full(message));
        }
        state.left = Some(message);
        Ok(())
    }

    pub(super) fn send(&self, message: T) -> Result<(), SendError<T>> {
        let mut state = self.state.lock();
        if state.receiver_gone {
            return Err(SendError(message));
        }
        if state.wake_one(0) {
            state.left = Some(message);
            return Ok(());
        }
        let packet = Arc::new(Packet { content: Monitor::new(Content::Message(message)) });
        state.packets.push_back(Arc::clone(&packet));
        drop(state);

        let content = packet.content.lock();
        let wait = match *content {
            Content::Message(_) => content.wait(0, None),
            _ => {
                drop(content);
                Ok(())
            }
        };
        match (packet.take(), wait) {
            (Content::Empty, _) => Ok(()),
            (Content::Refused(message), _) => Err(SendError(message)),
            (Content::Message(message), Err(interrupt)) => {
                self.state.lock().packets.retain(|other| !Arc::ptr_eq(other, &packet));
                drop(message);
                interrupt.unwind()
            }
            (Content::Message(_), Ok(())) => unreachable!("woken before the packet was emptied"),
        }
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        loop {
            let mut state = self.state.lock();
            let Some(packet) = state.packets.pop_front() else {
                let gone = state.senders_gone;
                return Err(if gone { TryRecvError::Disconnected } else { TryRecvError::Empty });
            };
            drop(state);
            if let Some(message) = packet.receive() {
                return Ok(message);
            }
        }
    }

    pub(super) fn recv(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        loop {
            let mut state = self.state.lock();
            if let Some(packet) = state.packets.pop_front() {
                drop(state);
                if let Some(message) = packet.receive() {
                    return Ok(message);
                }
                continue;
            }
            if state.senders_gone {
                return Err(Nothing::Disconnected);
            }
            state.wait(0, deadline).map_err(Nothing::Interrupted)?;
            if let Some(message) = self.state.lock().left.take() {
                return Ok(message);
            }
        }
    }

    pub(super) fn senders_gone(&self) {
        let mut state = self.state.lock();
        state.senders_gone = true;
        state.wake_one(0);
    }

    pub(super) fn receiver_gone(&self) {
        let mut state = self.state.lock();
        state.receiver_gone = true;
        let packets = mem::take(&mut state.packets);
        drop(state);
        for packet in packets {
            packet.refuse();
        }
    }
}

impl<T> Packet<T> {
    /// What is in it; leaves it empty.
    fn take(&self) -> Content<T> {
        mem::replace(&mut *self.content.lock(), Content::Empty)
    }

    /// For the receiver. `None` if the sender has given up.
    fn receive(&self) -> Option<T> {
        let mut content = self.content.lock();
        match mem::replace(&mut *content, Content::Empty) {
            Content::Message(message) => {
                content.wake_one(0);
                Some(message)
            }
            _ => None,
        }
    }

    fn refuse(&self) {
        let mut content = self.content.lock();
        if let Content::Message(message) = mem::replace(&mut *content, Content::Empty) {
            *content = Content::Refused(message);
            content.wake_one(0);
        }
    }
}
