//! [`Subscriber`]: a cursor into a topic.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use super::error::RecvError;
use super::lagging::Lagging;
use super::topic::{Frame, Message, Shared};
use crate::hub::Interrupt;
use crate::sync::ring::{Cursor, Nothing, Ring, Unread};

/// One reader of a [`Topic`](super::Topic). It may move to another thread, but two threads cannot use it at once.
///
/// It costs a few words and no buffer. Waiting parks a green thread and blocks an OS thread.
pub struct Subscriber {
    shared: Arc<Shared>,
    cursor: Cursor,
    lagging: Lagging,
    /// With `DropNewest`: the newest message when it fell behind, else 0. With `Disconnect`: `CUT` when it is cut off.
    until: Cell<u64>,
    /// It is one of the topic's subscribers, rather than the reader for several that count themselves.
    counted: bool,
}

const CUT: u64 = u64::MAX;

impl Subscriber {
    pub(super) fn new(shared: &Arc<Shared>, cursor: Cursor) -> Subscriber {
        Subscriber::with(shared.enter(), cursor, true)
    }

    fn with(shared: Arc<Shared>, cursor: Cursor, counted: bool) -> Subscriber {
        let (lagging, until) = (Lagging::DropOldest, Cell::new(0));
        Subscriber { shared, cursor, lagging, until, counted }
    }

    /// Sets what becomes of it if it is too slow. Default [`Lagging::DropOldest`].
    ///
    /// ```
    /// use sward::pubsub::{Lagging, RecvError, Topic};
    ///
    /// let prices = Topic::new(2);
    /// let (all, last) = (prices.subscribe(), prices.subscribe().lagging(Lagging::Latest));
    /// for price in ["10", "11", "12"] {
    ///     prices.publish(price.as_bytes());
    /// }
    /// assert_eq!(all.try_recv(), Err(RecvError::Lagged { missed: 1 }));
    /// assert_eq!(&*all.try_recv().unwrap().data, b"11");
    /// assert_eq!(&*last.try_recv().unwrap().data, b"12");
    /// ```
    #[must_use]
    pub fn lagging(mut self, lagging: Lagging) -> Subscriber {
        self.lagging = lagging;
        self.until.set(0);
        self
    }

    /// A further reader at the same place, who does not count as a subscriber.
    pub(crate) fn reader(&self) -> Subscriber {
        let shared = self.shared.clone();
        let cursor = shared.ring.after(self.seen());
        Subscriber::with(shared, cursor, false)
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
        loop {
            self.judge()?;
            let missed = match self.ring().try_read(&self.cursor) {
                Ok((id, frame)) => return Ok(frame.message(id)),
                Err(Nothing::Empty) => return Err(RecvError::Empty),
                Err(Nothing::Lagged(missed)) => missed,
                Err(Nothing::Closed) => return Err(RecvError::Closed),
            };
            self.lost(missed)?;
        }
    }

    fn read(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        loop {
            self.judge()?;
            let missed = match self.ring().read(&self.cursor, deadline) {
                Ok((id, frame)) => return Ok(frame.message(id)),
                Err(Unread::Lagged(missed)) => missed,
                Err(Unread::Closed) => return Err(RecvError::Closed),
                Err(Unread::Interrupted(Interrupt::TimedOut)) => return Err(RecvError::Timeout),
                Err(Unread::Interrupted(interrupt)) => interrupt.unwind(),
            };
            self.lost(missed)?;
        }
    }

    /// What its policy has to say before it gets the next message.
    fn judge(&self) -> Result<(), RecvError> {
        match self.lagging {
            Lagging::DropOldest => return Ok(()),
            Lagging::Disconnect => {
                return if self.until.get() == CUT { Err(RecvError::Closed) } else { Ok(()) };
            }
            Lagging::DropNewest | Lagging::Latest => {}
        }
        let (newest, seen, until) = (self.newest(), self.seen(), self.until.get());
        let behind = newest.saturating_sub(seen);
        if self.lagging == Lagging::Latest {
            if behind > 1 {
                self.cursor.skip_to(newest - 1);
            }
        } else if until == 0 {
            if behind > self.ring().capacity() as u64 / 2 {
                self.until.set(newest);
            }
        } else if seen >= until {
            self.until.set(0);
            if behind > 0 {
                self.cursor.skip_to(newest);
                return Err(RecvError::Lagged { missed: behind });
            }
        }
        Ok(())
    }

    /// What its policy has to say of a loss; nothing: it goes on.
    fn lost(&self, missed: u64) -> Result<(), RecvError> {
        match self.lagging {
            Lagging::Latest => return Ok(()),
            Lagging::Disconnect => self.until.set(CUT),
            Lagging::DropOldest | Lagging::DropNewest => {}
        }
        Err(RecvError::Lagged { missed })
    }

    fn ring(&self) -> &Ring<Frame> {
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
