//! A channel on which every receiver sees every message.
//!
//! The channel keeps the newest messages, up to its capacity, and each receiver is a cursor into them, so a slow receiver
//! costs nothing and holds nobody up: it is told that it [lagged](RecvError::Lagged), and goes on. Sending never waits.
//!
//! What it is not: a queue, where each message goes to one receiver (that is [`mpsc`](super::mpsc)); nor a topic with ids and
//! replay (that is [`pubsub`](crate::pubsub)).
//!
//! ```
//! use sward::sync::broadcast;
//!
//! sward::run(|| {
//!     let (sender, one) = broadcast::channel(16);
//!     let two = sender.subscribe();
//!     sender.send("hello").unwrap();
//!     drop(sender);
//!     assert_eq!(one.recv(), Ok("hello"));
//!     assert_eq!(two.recv(), Ok("hello"));
//!     assert_eq!(two.recv(), Err(broadcast::RecvError::Closed));
//! });
//! ```

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::mpsc::SendError;
use std::time::{Duration, Instant};

use super::deadline;
use super::ring::{Cursor, Nothing, Ring, Unread};
use crate::hub::Interrupt;

/// A channel that keeps the newest `capacity` messages; 0 counts as 1. They stay in memory until newer ones replace them.
#[must_use]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        ring: Ring::new(capacity),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(0),
    });
    let sender = Sender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    ring: Ring<Arc<T>>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// The sending side. Clone it for more senders; when the last is dropped the channel is closed.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A receiver: a place in the stream of messages.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    cursor: Cursor,
}

impl<T: Clone> Sender<T> {
    /// Sends to every receiver there is, and returns how many that are. Never waits.
    ///
    /// # Errors
    /// If there are no receivers; the message is in the error.
    pub fn send(&self, message: T) -> Result<usize, SendError<T>> {
        let receivers = self.receiver_count();
        if receivers == 0 {
            return Err(SendError(message));
        }
        self.shared.ring.push(Arc::new(message));
        Ok(receivers)
    }

    /// One more receiver, of the messages that are sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Relaxed);
        Receiver { cursor: self.shared.ring.now(), shared: Arc::clone(&self.shared) }
    }
}

impl<T> Sender<T> {
    /// How many receivers there are, at this moment.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.receivers.load(Acquire)
    }
}

impl<T: Clone> Receiver<T> {
    /// The next message, waiting for it if need be.
    ///
    /// # Errors
    /// [`Lagged`](RecvError::Lagged) if messages were lost to this receiver; [`Closed`](RecvError::Closed) if all messages have been
    /// read and all senders are gone.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.read(None).map_err(|error| match error {
            RecvTimeoutError::Lagged(missed) => RecvError::Lagged(missed),
            RecvTimeoutError::Closed => RecvError::Closed,
            RecvTimeoutError::Timeout => unreachable!("there is no deadline"),
        })
    }

    /// The next message, if there is one already.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), and [`Empty`](TryRecvError::Empty).
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.shared.ring.try_read(&self.cursor) {
            Ok((_, message)) => Ok(Arc::unwrap_or_clone(message)),
            Err(Nothing::Empty) => Err(TryRecvError::Empty),
            Err(Nothing::Lagged(missed)) => Err(TryRecvError::Lagged(missed)),
            Err(Nothing::Closed) => Err(TryRecvError::Closed),
        }
    }

    /// The next message, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), and [`Timeout`](RecvTimeoutError::Timeout).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.read(deadline(timeout))
    }

    fn read(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        match self.shared.ring.read(&self.cursor, deadline) {
            Ok((_, message)) => Ok(Arc::unwrap_or_clone(message)),
            Err(Unread::Lagged(missed)) => Err(RecvTimeoutError::Lagged(missed)),
            Err(Unread::Closed) => Err(RecvTimeoutError::Closed),
            Err(Unread::Interrupted(Interrupt::TimedOut)) => Err(RecvTimeoutError::Timeout),
            Err(Unread::Interrupted(interrupt)) => interrupt.unwind(),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.fetch_add(1, Relaxed);
        Sender { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.ring.close();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, AcqRel);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Why [`Receiver::recv`] has no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// All messages have been read, and all senders are gone.
    Closed,
    /// So many messages were replaced before this receiver came to read them. The next call goes on with the oldest kept.
    Lagged(u64),
}

/// Why [`Receiver::try_recv`] has no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none yet.
    Empty,
    /// All messages have been read, and all senders are gone.
    Closed,
    /// So many messages were replaced before this receiver came to read them. The next call goes on with the oldest kept.
    Lagged(u64),
}

/// Why [`Receiver::recv_timeout`] has no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// None came in time.
    Timeout,
    /// All messages have been read, and all senders are gone.
    Closed,
    /// So many messages were replaced before this receiver came to read them. The next call goes on with the oldest kept.
    Lagged(u64),
}

const CLOSED: &str = "receiving on a closed broadcast channel";

fn lagged(f: &mut fmt::Formatter<'_>, missed: u64) -> fmt::Result {
    write!(f, "the receiver was too slow and missed {missed} messages")
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => f.write_str(CLOSED),
            RecvError::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("receiving on an empty broadcast channel"),
            TryRecvError::Closed => f.write_str(CLOSED),
            TryRecvError::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvTimeoutError::Timeout => f.write_str("timed out waiting on a broadcast channel"),
            RecvTimeoutError::Closed => f.write_str(CLOSED),
            RecvTimeoutError::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}
