//! `std::sync::mpsc` for green threads: many senders, one receiver.
//!
//! The names, signatures and errors are std's; the errors are std's very types. Unlike std's and crossbeam's, these channels
//! also work between two green threads of one worker: those compare the identities of OS threads.
//!
//! Two kinds of channel stand behind the handles, in files of their own: `queue.rs` has a buffer, with or without a bound;
//! `zero.rs` has none, and a sender waits until its message is taken. `iter.rs` has the iterators.
//!
//! ```
//! use sward::sync::mpsc;
//!
//! sward::run(|| {
//!     let (sender, receiver) = mpsc::sync_channel(1);
//!     sward::thread::spawn(move || {
//!         for n in 0..3 {
//!             sender.send(n).unwrap(); // waits while the receiver is behind
//!         }
//!     });
//!     assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
//! });
//! ```

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::time::{Duration, Instant};

mod iter;
mod queue;
mod zero;

pub use self::iter::{IntoIter, Iter, TryIter};
pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use self::queue::Queue;
use self::zero::Zero;
use super::deadline;
use crate::hub::Interrupt;

/// A channel without a bound: sending never waits.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (channel, receiver) = open(Kind::Queue(Queue::new(usize::MAX)));
    (Sender { channel }, receiver)
}

/// A channel that holds `bound` messages: sending waits while it is full. With a bound of 0 sending waits until the message is
/// received.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (channel, receiver) = open(match bound {
        0 => Kind::Zero(Zero::new()),
        _ => Kind::Queue(Queue::new(bound)),
    });
    (SyncSender { channel }, receiver)
}

fn open<T>(kind: Kind<T>) -> (Arc<Channel<T>>, Receiver<T>) {
    let channel = Arc::new(Channel { senders: AtomicUsize::new(1), kind });
    let receiver = Receiver { channel: Arc::clone(&channel), not_sync: PhantomData };
    (channel, receiver)
}

struct Channel<T> {
    senders: AtomicUsize,
    kind: Kind<T>,
}

enum Kind<T> {
    Queue(Queue<T>),
    Zero(Zero<T>),
}

/// Why there was nothing to receive.
enum Nothing {
    Disconnected,
    Interrupted(Interrupt),
}

impl<T> Channel<T> {
    #[inline]
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        match &self.kind {
            Kind::Queue(queue) => queue.send(message),
            Kind::Zero(zero) => zero.send(message),
        }
    }

    fn add_sender(self: &Arc<Channel<T>>) -> Arc<Channel<T>> {
        self.senders.fetch_add(1, Relaxed);
        Arc::clone(self)
    }

    fn remove_sender(&self) {
        if self.senders.fetch_sub(1, AcqRel) == 1 {
            match &self.kind {
                Kind::Queue(queue) => queue.senders_gone(),
                Kind::Zero(zero) => zero.senders_gone(),
            }
        }
    }
}

/// The sending side of [`channel`]. Clone it for more senders.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// The sending side of [`sync_channel`]. Clone it for more senders.
pub struct SyncSender<T> {
    channel: Arc<Channel<T>>,
}

/// The receiving side. It may move to another thread, but two threads cannot use it at once.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T> Sender<T> {
    /// Sends; never waits.
    ///
    /// # Errors
    /// If the receiver is gone; the message is in the error.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.channel.send(message)
    }
}

impl<T> SyncSender<T> {
    /// Sends, waiting for room if need be. Who waits longest gets room first.
    ///
    /// # Errors
    /// If the receiver is gone, or goes while we wait; the message is in the error.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.channel.send(message)
    }

    /// Sends if that needs no waiting.
    ///
    /// # Errors
    /// `Full` if there is no room, or, with a bound of 0, no receiver waiting; `Disconnected` if the receiver is gone. The message
    /// is in the error.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match &self.channel.kind {
            Kind::Queue(queue) => queue.try_send(message),
            Kind::Zero(zero) => zero.try_send(message),
        }
    }
}

impl<T> Receiver<T> {
    /// The next message, waiting for it if need be.
    ///
    /// # Errors
    /// If there is no message and all senders are gone.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.wait(None) {
            Ok(message) => Ok(message),
            Err(Nothing::Disconnected) => Err(RecvError),
            Err(Nothing::Interrupted(interrupt)) => interrupt.unwind(),
        }
    }

    /// The next message, if there is one already.
    ///
    /// # Errors
    /// `Empty` if there is none yet; `Disconnected` if there is none and all senders are gone.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.channel.kind {
            Kind::Queue(queue) => queue.try_recv(),
            Kind::Zero(zero) => zero.try_recv(),
        }
    }

    /// The next message, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// `Timeout` if none came in time; `Disconnected` if there is none and all senders are gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.wait(deadline(timeout)) {
            Ok(message) => Ok(message),
            Err(Nothing::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(Nothing::Interrupted(Interrupt::TimedOut)) => Err(RecvTimeoutError::Timeout),
            Err(Nothing::Interrupted(interrupt)) => interrupt.unwind(),
        }
    }

    /// The messages as they come, until all senders are gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The messages that are there already.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    #[inline]
    fn wait(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        match &self.channel.kind {
            Kind::Queue(queue) => queue.recv(deadline),
            Kind::Zero(zero) => zero.recv(deadline),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { channel: self.channel.add_sender() }
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        SyncSender { channel: self.channel.add_sender() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        match &self.channel.kind {
            Kind::Queue(queue) => queue.receiver_gone(),
            Kind::Zero(zero) => zero.receiver_gone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

// As in std: a channel hands messages over whole or not at all.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for SyncSender<T> {}
impl<T> RefUnwindSafe for SyncSender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}
