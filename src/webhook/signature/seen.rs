//! [`Seen`]: which messages have come already, within bounds.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::sync::Mutex;

/// A bounded memory of messages that were received, by their `webhook-id`: for a [`Verifier`](super::Verifier).
///
/// Who sends at least once sends some messages again, under the same id with a new timestamp: such a message is answered with
/// 200 and not handled. Who copies a request from the wire sends it with the same timestamp: it is answered with 409. A
/// message whose handler failed is forgotten, so that the next attempt is handled.
///
/// It holds so many ids; the oldest goes for the newest. It is the memory of one process: instances that share the work
/// need one that they share, a unique key in their database, say.
pub struct Seen {
    most: usize,
    ids: Mutex<Ids>,
}

#[derive(Default)]
struct Ids {
    by_id: HashMap<Arc<str>, Mark>,
    /// The same by age.
    by_age: BTreeMap<u64, Arc<str>>,
    next: u64,
}

struct Mark {
    age: u64,
    timestamp: String,
    done: bool,
}

/// What is known of a message that has just come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing. It is being handled from now on.
    New,
    /// It is being handled.
    Underway,
    /// It has been handled; this is another attempt.
    Done,
    /// This very request has come already.
    Copy,
}

impl Seen {
    /// For at most so many messages; one takes some 200 bytes.
    #[must_use]
    pub fn new(most: usize) -> Seen {
        Seen { most: most.max(1), ids: Mutex::new(Ids::default()) }
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.ids.lock().unwrap_or_else(|e| e.into_inner()).by_id.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks, and holds the message if it is new.
    pub(super) fn begin(&self, id: &str, timestamp: &str) -> Known {
        let mut ids = self.ids.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(mark) = ids.by_id.get_mut(id) {
            if mark.timestamp == timestamp {
                return Known::Copy;
            }
            if !mark.done {
                return Known::Underway;
            }
            mark.timestamp = timestamp.to_owned();
            return Known::Done;
        }
        if ids.by_id.len() >= self.most
            && let Some((_, oldest)) = ids.by_age.pop_first()
        {
            ids.by_id.remove(&oldest);
        }
        let (age, id) = (ids.next, Arc::<str>::from(id));
        ids.next += 1;
        ids.by_age.insert(age, id.clone());
        ids.by_id.insert(id, Mark { age, timestamp: timestamp.to_owned(), done: false });
        Known::New
    }

    /// It was handled, or it was not and the next attempt shall be.
    pub(super) fn end(&self, id: &str, done: bool) {
        let mut ids = self.ids.lock().unwrap_or_else(|e| e.into_inner());
        if done {
            if let Some(mark) = ids.by_id.get_mut(id) {
                mark.done = true;
            }
        } else if let Some(mark) = ids.by_id.remove(id) {
            ids.by_age.remove(&mark.age);
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Seen};

    #[test]
    fn attempts_copies_and_failures() {
        let seen = Seen::new(10);
        assert_eq!(seen.begin("a", "1"), Known::New);
        assert_eq!(seen.begin("a", "1"), Known::Copy);
        assert_eq!(seen.begin("a", "2"), Known::Underway);
        seen.end("a", false);
        assert!(seen.is_empty());
        assert_eq!(seen.begin("a", "2"), Known::New);
        seen.end("a", true);
        assert_eq!(seen.begin("a", "3"), Known::Done);
        assert_eq!(seen.begin("a", "3"), Known::Copy);
        assert_eq!(seen.begin("b", "3"), Known::New);
    }

    #[test]
    fn the_oldest_goes_for_the_newest() {
        let seen = Seen::new(3);
        for id in ["a", "b", "c", "d"] {
            assert_eq!(seen.begin(id, "1"), Known::New);
            seen.end(id, true);
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(seen.begin("a", "2"), Known::New, "it was forgotten");
        assert_eq!(seen.begin("c", "2"), Known::Done);
        assert_eq!(seen.ids.lock().unwrap().by_age.len(), 3);
    }
}
