//! [`Topic`]: the publishing side, and what both sides share.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed},
};
use std::sync::{Arc, Weak};

use super::event_id::EventId;
use super::subscriber::Subscriber;
use crate::sync::ring::{Cursor, Ring};

/// A stream of messages that keeps its newest ones. Clones are the same topic.
///
/// Usable from green threads and OS threads at once. When the last clone is dropped the topic is closed; those of a
/// [`Bus`](super::Bus) are kept by it for as long as anybody subscribes.
#[derive(Clone)]
pub struct Topic {
    handle: Arc<Handle>,
}

/// A message: its place in the topic, and the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The first message of a topic has 1, each further one 1 more. It is this process's count.
    pub id: u64,
    /// The same for everybody else: for `Last-Event-ID`.
    pub event_id: EventId,
    /// The bytes as they were published; shared by all who received them.
    pub data: Arc<[u8]>,
}

/// What all clones of a topic share; subscribers do not.
struct Handle {
    shared: Arc<Shared>,
}

/// What a topic and its subscribers share.
pub(super) struct Shared {
    pub(super) ring: Ring<Frame>,
    pub(super) subscribers: AtomicUsize,
    source: Source,
}

/// Where the messages come from.
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "then all come from here"))]
enum Source {
    /// From [`Topic::publish`]; they have this epoch.
    Here(u64),
    /// From elsewhere, with their ids.
    Bus(Weak<dyn Upstream>),
}

/// What feeds topics.
pub(super) trait Upstream: Send + Sync {
    /// Returns when everything that has been published anywhere until now has arrived, or after a while.
    fn settle(&self);
}

/// A message, as the ring has it.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) id: EventId,
    pub(super) data: Arc<[u8]>,
}

impl Frame {
    pub(super) fn message(self, id: u64) -> Message {
        Message { id, event_id: self.id, data: self.data }
    }
}

impl Topic {
    /// A topic that keeps its newest `capacity` messages; 0 counts as 1. They stay in memory until newer ones replace them.
    #[must_use]
    pub fn new(capacity: usize) -> Topic {
        Topic::from(capacity, Source::Here(0))
    }

    /// One that can be told from another life of itself.
    pub(super) fn with_epoch(capacity: usize, epoch: u64) -> Topic {
        Topic::from(capacity, Source::Here(epoch))
    }

    /// One whose messages come from elsewhere, by [`feed`](Topic::feed).
    #[cfg(feature = "redis")]
    pub(super) fn fed(capacity: usize, by: Weak<dyn Upstream>) -> Topic {
        Topic::from(capacity, Source::Bus(by))
    }

    fn from(capacity: usize, source: Source) -> Topic {
        let shared = Shared { ring: Ring::new(capacity), subscribers: AtomicUsize::new(0), source };
        Topic { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// Publishes a frame to all subscribers and returns its id. Never waits for them.
    ///
    /// When the topic is closed the frame is dropped, and the result is 0, which is no message's id.
    ///
    /// # Panics
    /// If the topic is a bus's end in this process, whose messages come from other machines too: publish by
    /// [`Bus::publish`](super::Bus::publish).
    #[track_caller]
    pub fn publish(&self, data: impl Into<Arc<[u8]>>) -> u64 {
        let Source::Here(epoch) = self.shared().source else {
            panic!("this topic is a bus's: publish by `Bus::publish`");
        };
        let data = data.into();
        let frame = |seq| Frame { id: EventId { epoch, seq }, data };
        self.shared().ring.push_with(frame).unwrap_or(0)
    }

    /// A message that was published elsewhere.
    #[cfg(feature = "redis")]
    pub(super) fn feed(&self, id: EventId, data: Arc<[u8]>) {
        self.shared().ring.push(Frame { id, data });
    }

    /// Messages that were published elsewhere and cannot be had; 0: nobody knows how many.
    #[cfg(feature = "redis")]
    pub(super) fn gap(&self, missed: u64) {
        self.shared().ring.gap(missed);
    }

    /// The epoch of what is published here.
    pub(super) fn epoch(&self) -> u64 {
        match self.shared().source {
            Source::Here(epoch) => epoch,
            Source::Bus(_) => 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared().ring.is_closed()
    }

    /// Nobody has it but one: its registry.
    pub(super) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.handle) == 1 && self.subscribers() == 0
    }

    /// A subscriber to what is published from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::new(self.shared(), self.shared().ring.now())
    }

    /// A subscriber to what was published after the message `id`, and then to what is published from now on, without a gap or
    /// a double. 0 asks for everything.
    ///
    /// If some of it is no longer kept, the first reception is [`Lagged`](super::RecvError::Lagged), and the following begin
    /// with the oldest message kept. So it is, too, if this topic has not given out `id` yet, because it then comes from before a
    /// restart.
    #[must_use]
    pub fn subscribe_after(&self, id: u64) -> Subscriber {
        Subscriber::new(self.shared(), self.shared().ring.after(id))
    }

    /// The same for an id that others have kept, such as a browser; [`EventId::START`] asks for everything.
    ///
    /// If something between it and the oldest message kept is lost, or if this topic does not know the id, because it is from
    /// another life of the topic, the first reception is [`Lagged`](super::RecvError::Lagged), with 0 if nobody knows how many
    /// are missing, and then comes what is kept after it.
    ///
    /// ```
    /// use sward::pubsub::{RecvError, Topics};
    ///
    /// let before = Topics::new(10).publish("news", &b"one"[..]);
    ///
    /// // Another process, or another day.
    /// let topics = Topics::new(10);
    /// topics.publish("news", &b"two"[..]);
    /// let resumed = topics.topic("news").subscribe_after_event(before);
    /// assert_eq!(resumed.try_recv(), Err(RecvError::Lagged { missed: 0 }));
    /// assert_eq!(&*resumed.try_recv().unwrap().data, b"two");
    /// ```
    #[must_use]
    pub fn subscribe_after_event(&self, id: EventId) -> Subscriber {
        match &self.shared().source {
            Source::Here(epoch) if id.epoch == *epoch || id == EventId::START => {
                self.subscribe_after(id.seq)
            }
            Source::Here(_) => Subscriber::new(self.shared(), self.find(id).0),
            Source::Bus(upstream) => {
                let (mut cursor, is_new) = self.find(id);
                if let (true, Some(upstream)) = (is_new, upstream.upgrade()) {
                    // Who told the client of it was quicker than we are.
                    upstream.settle();
                    cursor = self.find(id).0;
                }
                Subscriber::new(self.shared(), cursor)
            }
        }
    }

    /// A cursor after `id`, and whether that is newer than all there is.
    fn find(&self, id: EventId) -> (Cursor, bool) {
        let is_new = Cell::new(false);
        let cursor = self.shared().ring.find(|kept| {
            is_new.set(kept.back().map_or(id.seq > 0, |newest| newest.id < id));
            place_after(kept, id)
        });
        (cursor, is_new.get())
    }

    /// The newest `n` messages, oldest first; fewer if fewer are kept.
    #[must_use]
    pub fn history(&self, n: usize) -> Vec<Message> {
        let newest = self.shared().ring.last(n);
        newest.into_iter().map(|(id, frame)| frame.message(id)).collect()
    }

    /// The id of the newest message; 0 if there was none yet.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.shared().ring.newest()
    }

    /// How many subscribers there are in this process, at this moment.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.shared().subscribers.load(Acquire)
    }

    /// Ends the topic. Subscribers receive what there is and then [`Closed`](super::RecvError::Closed).
    pub fn close(&self) {
        self.shared().ring.close();
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// Where somebody goes on who has seen `id`, and how many he has missed, if any: 0 if nobody knows. Ids grow, and within an
/// epoch numbers grow by 1.
fn place_after(kept: &VecDeque<Frame>, id: EventId) -> (usize, Option<u64>) {
    let (Some(oldest), Some(newest)) = (kept.front(), kept.back()) else {
        return (0, (id.seq > 0).then_some(0));
    };
    if id.epoch > newest.id.epoch {
        return (0, Some(0)); // of a life that is not known here
    }
    let at = kept.partition_point(|frame| frame.id <= id);
    let late = match at.checked_sub(1).map(|before| kept[before].id) {
        Some(before) if before == id => None,
        // It is not among them, but between two of them, or after all: its life ended otherwise than is known here.
        Some(_) => Some(0),
        // All of it, or all of a life that is known.
        None if id.epoch == oldest.id.epoch || id.seq == 0 => {
            Some(oldest.id.seq - id.seq - 1).filter(|missed| *missed > 0)
        }
        None => Some(0),
    };
    (at, late)
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.ring.close();
    }
}

impl Shared {
    pub(super) fn enter(self: &Arc<Shared>) -> Arc<Shared> {
        self.subscribers.fetch_add(1, Relaxed);
        Arc::clone(self)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("last_id", &self.last_id())
            .field("subscribers", &self.subscribers())
            .finish_non_exhaustive()
    }
}
