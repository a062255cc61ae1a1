//! [`EventId`]: which message of which life of a topic.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A message's id for others than this process: for `Last-Event-ID`, and for cursors that clients keep.
///
/// The numbers of a topic begin anew when it does: after a restart, or when it had gone away. So a number alone could mean
/// two messages; the epoch tells the two apart, and [`Topic::subscribe_after_event`](super::Topic::subscribe_after_event) can
/// say that it does not know where the client was, rather than take one for the other.
///
/// As text it is `epoch-seq`, which is what Redis calls the entries of a stream, or the number alone for a topic without an
/// epoch ([`Topic::new`](super::Topic::new)). Later messages of a topic have greater ids.
///
/// ```
/// use sward::pubsub::EventId;
///
/// let id: EventId = "1763733600000-57".parse().unwrap();
/// assert_eq!((id.epoch, id.seq), (1_763_733_600_000, 57));
/// assert_eq!(id.to_string(), "1763733600000-57");
/// assert_eq!("57".parse(), Ok(EventId::from(57)));
/// assert!("57-".parse::<EventId>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// When the topic began, in milliseconds since 1970; 0 for one that does not say.
    pub epoch: u64,
    /// The place in the topic, from 1.
    pub seq: u64,
}

impl EventId {
    /// Before all messages of every topic: who asks for what came after it asks for everything.
    pub const START: EventId = EventId { epoch: 0, seq: 0 };
}

/// That a text is no [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAnEventId;

impl From<u64> for EventId {
    /// Without an epoch.
    fn from(seq: u64) -> EventId {
        EventId { epoch: 0, seq }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            0 => write!(f, "{}", self.seq),
            epoch => write!(f, "{epoch}-{}", self.seq),
        }
    }
}

impl FromStr for EventId {
    type Err = NotAnEventId;

    /// # Errors
    /// If it is not one or two decimal numbers, without signs.
    fn from_str(text: &str) -> Result<EventId, NotAnEventId> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(NotAnEventId)
        };
        match text.split_once('-') {
            Some((epoch, seq)) => Ok(EventId { epoch: number(epoch)?, seq: number(seq)? }),
            None => Ok(EventId { epoch: 0, seq: number(text)? }),
        }
    }
}

impl fmt::Display for NotAnEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the id of an event")
    }
}

impl Error for NotAnEventId {}

/// An epoch that this process has not used yet.
pub(super) fn new_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_millis() as u64);
    let next = |last: u64| Some(now.max(last + 1));
    // Relaxed: the number is all there is to it.
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    now.max(last.unwrap_or(0) + 1)
}
