//! [`Topics`]: topics by name, in this process.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bus::{Bus, BusError};
use super::event_id::{EventId, new_epoch};
use super::topic::Topic;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Topics by name. Clones are the same topics.
///
/// A topic comes into being when somebody publishes in it or subscribes to it. It goes away, with its history, when nobody has
/// had a handle or a subscriber of it, nor published, for a while (see [`keep_for`](Topics::keep_for)); so the names may be as
/// many as there are accounts (but not whatever a stranger makes up: look whether there is such an account). If it comes
/// again it has another epoch, so that ids of before are recognised as such.
///
/// ```
/// use sward::pubsub::Topics;
///
/// let accounts = Topics::new(100);
/// let (ann, bob) = (accounts.topic("7").subscribe(), accounts.topic("7").subscribe());
/// let other = accounts.topic("8").subscribe();
/// accounts.publish("7", &b"result"[..]);
/// assert_eq!(ann.try_recv().unwrap(), bob.try_recv().unwrap());
/// assert!(other.try_recv().is_err());
/// assert_eq!((accounts.len(), accounts.subscribers("7")), (2, 2));
/// ```
#[derive(Clone)]
pub struct Topics {
    shared: Arc<Mutex<Registry>>,
}

struct Registry {
    topics: HashMap<Box<str>, Entry>,
    history: usize,
    keep_for: Duration,
    swept: Instant,
}

struct Entry {
    topic: Topic,
    used: Instant,
}

impl Topics {
    /// Topics that keep their newest `history` messages each; 0 counts as 1.
    #[must_use]
    pub fn new(history: usize) -> Topics {
        let (keep_for, swept) = (Duration::from_secs(300), Instant::now());
        let registry = Registry { topics: HashMap::new(), history, keep_for, swept };
        Topics { shared: Arc::new(Mutex::new(registry)) }
    }

    /// Sets how long a topic that nobody uses keeps its history. Default 5 min.
    ///
    /// It goes when other topics are used after that: nothing runs for it meanwhile.
    #[must_use]
    pub fn keep_for(self, time: Duration) -> Topics {
        self.lock().keep_for = time;
        self
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Topic {
        let now = Instant::now();
        let mut registry = self.lock();
        let gone = registry.sweep(now);
        let topic = match registry.topics.get_mut(name) {
            Some(entry) if !entry.topic.is_closed() => {
                entry.used = now;
                entry.topic.clone()
            }
            _ => {
                let topic = Topic::with_epoch(registry.history, new_epoch());
                let entry = Entry { topic: topic.clone(), used: now };
                registry.topics.insert(name.into(), entry);
                topic
            }
        };
        drop(registry);
        drop(gone); // their messages, without the lock
        topic
    }

    /// Publishes a frame to all subscribers of the topic of that name and returns its id. Never waits for them.
    pub fn publish(&self, name: &str, data: impl Into<Arc<[u8]>>) -> EventId {
        let topic = self.topic(name);
        EventId { epoch: topic.epoch(), seq: topic.publish(data) }
    }

    /// How many subscribers a topic has; 0 if there is no such topic. It does not come into being by that.
    #[must_use]
    pub fn subscribers(&self, name: &str) -> usize {
        self.lock().topics.get(name).map_or(0, |entry| entry.topic.subscribers())
    }

    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().topics.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their names and how many subscribers each has, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<(String, usize)> {
        let registry = self.lock();
        let each = registry.topics.iter();
        each.map(|(name, entry)| (name.to_string(), entry.topic.subscribers())).collect()
    }

    /// Ends a topic, and forgets it. Its subscribers receive what there is and then `Closed`.
    pub fn close(&self, name: &str) {
        let gone = self.lock().topics.remove(name);
        if let Some(entry) = gone {
            entry.topic.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Takes out what nobody has used for long. All are looked at, so not at every turn.
    fn sweep(&mut self, now: Instant) -> Vec<Topic> {
        if now.duration_since(self.swept) < self.keep_for / 4 {
            return Vec::new();
        }
        self.swept = now;
        let mut gone = Vec::new();
        let keep_for = self.keep_for;
        self.topics.retain(|_, entry| {
            if !entry.topic.is_unused() {
                entry.used = now;
            } else if now.duration_since(entry.used) >= keep_for {
                gone.push(entry.topic.clone());
                return false;
            }
            true
        });
        gone
    }
}

impl Bus for Topics {
    fn publish(&self, topic: &str, data: Arc<[u8]>) -> Result<EventId, BusError> {
        Ok(Topics::publish(self, topic, data))
    }

    fn topic(&self, name: &str) -> Result<Topic, BusError> {
        Ok(Topics::topic(self, name))
    }

    fn present(&self, topic: &str) -> Result<u64, BusError> {
        Ok(self.subscribers(topic) as u64)
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("len", &self.len()).finish_non_exhaustive()
    }
}
