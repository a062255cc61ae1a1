//! [`Bus`]: topics by name, wherever they are.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::event_id::EventId;
use super::topic::Topic;

/// Topics by name: in this process ([`Topics`](super::Topics)), or on many machines (`pubsub::redis::Redis`).
///
/// A program that is written to it runs on either:
///
/// ```
/// use std::sync::Arc;
/// use sward::pubsub::{Bus, BusError, Topics};
///
/// fn greet(bus: &dyn Bus) -> Result<String, BusError> {
///     let mine = bus.topic("account:42")?.subscribe();
///     bus.publish("account:42", b"hello"[..].into())?;
///     Ok(String::from_utf8_lossy(&mine.recv().unwrap().data).into_owned())
/// }
///
/// let bus: Arc<dyn Bus> = Arc::new(Topics::new(100));
/// assert_eq!(greet(&*bus).unwrap(), "hello");
/// ```
pub trait Bus: fmt::Debug + Send + Sync {
    /// Publishes a frame to all subscribers of a topic, wherever they are, and returns its id. What one thread publishes in a
    /// topic keeps its order.
    ///
    /// # Errors
    /// If the bus cannot take it. With [`TimedOut`](BusError::TimedOut) nobody knows whether it did.
    fn publish(&self, topic: &str, data: Arc<[u8]>) -> Result<EventId, BusError>;

    /// This process's end of a topic: for subscribing, history and `Sse::follow`.
    ///
    /// # Errors
    /// If the bus cannot be reached, and this process has not had the topic before.
    fn topic(&self, name: &str) -> Result<Topic, BusError>;

    /// How many subscribers a topic has, in all processes, at about this moment.
    ///
    /// # Errors
    /// If the bus cannot be reached.
    fn present(&self, topic: &str) -> Result<u64, BusError>;
}

/// Why a bus did not do something. A bus in this process always does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusError {
    /// What carries the messages could not be reached in time. Nothing was published.
    Unreachable,
    /// It was asked, and did not answer in time: what was to be published may be, now or later.
    TimedOut,
    /// More is waiting to be published than the bus holds. Nothing was published.
    Full,
    /// It was refused, with these words. Nothing was published.
    Refused(String),
    /// The bus has ended.
    Closed,
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::Unreachable => f.write_str("the bus cannot be reached"),
            BusError::TimedOut => f.write_str("the bus has not answered in time"),
            BusError::Full => f.write_str("too much is waiting to be published"),
            BusError::Refused(why) => write!(f, "the bus refuses: {why}"),
            BusError::Closed => f.write_str("the bus has ended"),
        }
    }
}

impl Error for BusError {}
