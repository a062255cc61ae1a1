//! Topics: one publisher's messages to any number of subscribers, with ids, history and replay.
//!
//! A message is a frame of bytes that was encoded once, by the publisher; every subscriber gets the same allocation. The
//! [`Topic`] keeps the newest frames in a ring, and a [`Subscriber`] is a cursor into it, so a subscriber costs a few words
//! however slow it is, and a slow one holds nobody up. Ids are the places in the order of publishing, from 1: that is what
//! `Last-Event-ID` needs.
//!
//! What is promised:
//! - History and live messages join without a gap and without a double: a subscriber is one cursor, wherever it starts.
//! - A replay is never partial without saying so: what has fallen out of the ring is reported as [`RecvError::Lagged`] before
//!   anything else.
//! - Publishing never waits for a subscriber.
//!
//! What it is not: a queue (a message goes to all), durable (it lives in this process's memory), or a channel of values (that is
//! [`sync::broadcast`](crate::sync::broadcast)). To read on: `topic.rs`, then `subscriber.rs`; the ring itself is in
//! `sync/ring.rs`.
//!
//! ```
//! use sward::pubsub::{RecvError, Topic};
//!
//! sward::run(|| {
//!     let topic = Topic::new(100);
//!     topic.publish(&b"one"[..]);
//!
//!     let live = topic.subscribe();
//!     let resumed = topic.subscribe_after(0);
//!     assert_eq!(topic.publish(&b"two"[..]), 2);
//!     topic.close();
//!
//!     assert_eq!(&*live.recv().unwrap().data, b"two");
//!     assert_eq!(live.recv().unwrap_err(), RecvError::Closed);
//!     let ids: Vec<u64> = std::iter::from_fn(|| resumed.recv().ok()).map(|m| m.id).collect();
//!     assert_eq!(ids, [1, 2]);
//! });
//! ```

#![forbid(unsafe_code)]

mod error;
mod subscriber;
mod topic;

pub use self::error::RecvError;
pub use self::subscriber::Subscriber;
pub use self::topic::{Message, Topic};
