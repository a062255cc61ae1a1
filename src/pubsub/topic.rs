//! [`Topic`]: the publishing side, and what both sides share.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed},
};

use super::subscriber::Subscriber;
use crate::sync::ring::Ring;

/// A stream of messages that keeps its newest ones. Clones are the same topic.
///
/// Usable from green threads and OS threads at once. When the last clone is dropped the topic is closed.
#[derive(Clone)]
pub struct Topic {
    handle: Arc<Handle>,
}

/// A message: its place in the topic, and the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The first message of a topic has 1, each further one 1 more.
    pub id: u64,
    /// The bytes as they were published; shared by all who received them.
    pub data: Arc<[u8]>,
}

/// What all clones of a topic share; subscribers do not.
struct Handle {
    shared: Arc<Shared>,
}

/// What a topic and its subscribers share.
pub(super) struct Shared {
    pub(super) ring: Ring<Arc<[u8]>>,
    pub(super) subscribers: AtomicUsize,
}

impl Topic {
    /// A topic that keeps its newest `capacity` messages; 0 counts as 1. They stay in memory until newer ones replace them.
    #[must_use]
    pub fn new(capacity: usize) -> Topic {
        let shared = Shared { ring: Ring::new(capacity), subscribers: AtomicUsize::new(0) };
        Topic { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// Publishes a frame to all subscribers and returns its id. Never waits for them.
    ///
    /// When the topic is closed the frame is dropped, and the result is 0, which is no message's id.
    pub fn publish(&self, data: impl Into<Arc<[u8]>>) -> u64 {
        self.shared().ring.push(data.into()).unwrap_or(0)
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

    /// The newest `n` messages, oldest first; fewer if fewer are kept.
    #[must_use]
    pub fn history(&self, n: usize) -> Vec<Message> {
        let newest = self.shared().ring.last(n);
        newest.into_iter().map(|(id, data)| Message { id, data }).collect()
    }

    /// The id of the newest message; 0 if there was none yet.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.shared().ring.newest()
    }

    /// How many subscribers there are, at this moment.
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
