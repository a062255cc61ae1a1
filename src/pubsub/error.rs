//! Why a subscriber has no message.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

/// Why receiving brought no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The topic was closed, or all its handles are gone, and everything before has been received.
    Closed,
    /// Messages between the last one received, or the one asked for, and the oldest that the topic still keeps are lost to this
    /// subscriber. The next call goes on with the oldest.
    Lagged {
        /// How many are lost. After [`Topic::subscribe_after`](super::Topic::subscribe_after) with an id that the topic has
        /// not given out: how many the topic no longer keeps, which can be 0; after
        /// [`subscribe_after_event`](super::Topic::subscribe_after_event) with one that it does not know: 0. Where a bus has lost
        /// messages and nobody knows how many, they count as 1.
        missed: u64,
    },
    /// No message came in time. Only where there is a time limit.
    Timeout,
    /// There is no message yet. Only from [`Subscriber::try_recv`](super::Subscriber::try_recv).
    Empty,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => f.write_str("the topic is closed"),
            RecvError::Lagged { missed } => {
                write!(f, "the subscriber was too late and missed {missed} messages")
            }
            RecvError::Timeout => f.write_str("no message came in time"),
            RecvError::Empty => f.write_str("there is no message yet"),
        }
    }
}

impl Error for RecvError {}
