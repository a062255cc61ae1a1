//! [`Subscriber`]: a cursor into a topic.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use super::error::RecvError;
use super::topic::{Message, Shared};
use crate::hub::Interrupt;
use crate::sync::ring::{Cursor, Nothing, Ring, Unread};

/// One reader of a [`Topic`](super::Topic). It may move to another thread, but two threads cannot use it at once.
///
/// It costs a few words and no buffer. Waiting parks a green thread and blocks an OS thread.
pub struct Subscriber {
    shared: Arc<Shared>,
    cursor: Cursor,
    /// It is one of the topic's subscribers, rather than the reader for several that count themselves.
    counted: bool,
}

impl Subscriber {
    pub(super) fn new(shared: &Arc<Shared>, cursor: Cursor) -> Subscriber {
        Subscriber { shared: shared.enter(), cursor, counted: true }
    }

    /// A further reader at the same place, who does not count as a subscriber.
    pub(crate) fn reader(&self) -> Subscriber {
        let shared = self.shared.clone();
        Subscriber { cursor: shared.ring.after(self.seen()), shared, counted: false }
    }

    /// The id of the last message received.
    pub(crate) fn seen(&self) -> u64 {
        self.cursor.seen()
    }

    /// The id of the topic's newest message.
    pub(crate) fn newest(&self) -> u64 {
        self.ring().newest()
    }

    /// Goes on after the message `id`.
    pub(crate) fn skip_to(&self, id: u64) {
        self.cursor.skip_to(id);
    }

    /// Tells topics apart, as long as one of their subscribers is there.
    pub(crate) fn topic(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// The next message, waiting for it if need be.
    ///
    /// # Errors
    /// [`Lagged`](RecvError::Lagged) if messages were lost to this subscriber, [`Closed`](RecvError::Closed) at the end.
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.read(None)
    }

    /// The next message, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Subscriber::recv), and [`Timeout`](RecvError::Timeout).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.read(Instant::now().checked_add(timeout))
    }

    /// The next message, waiting for it until `deadline`. A message that is there already is received however late it is.
    ///
    /// # Errors
    /// As [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message, RecvError> {
        self.read(Some(deadline))
    }

    /// The next message, if there is one already.
    ///
    /// # Errors
    /// As [`recv`](Subscriber::recv), and [`Empty`](RecvError::Empty).
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        match self.ring().try_read(&self.cursor) {
            Ok((id, data)) => Ok(Message { id, data }),
            Err(Nothing::Empty) => Err(RecvError::Empty),
            Err(Nothing::Lagged(missed)) => Err(RecvError::Lagged { missed }),
            Err(Nothing::Closed) => Err(RecvError::Closed),
        }
    }

    fn read(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        match self.ring().read(&self.cursor, deadline) {
            Ok((id, data)) => Ok(Message { id, data }),
            Err(Unread::Lagged(missed)) => Err(RecvError::Lagged { missed }),
            Err(Unread::Closed) => Err(RecvError::Closed),
            Err(Unread::Interrupted(Interrupt::TimedOut)) => Err(RecvError::Timeout),
            Err(Unread::Interrupted(interrupt)) => interrupt.unwind(),
        }
    }

    fn ring(&self) -> &Ring<Arc<[u8]>> {
        &self.shared.ring
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.counted {
            self.shared.subscribers.fetch_sub(1, Release);
        }
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}
