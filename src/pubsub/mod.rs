//! Topics: one message to any number of subscribers, with ids, history and replay; by name, and on many machines.
//!
//! A message is a frame of bytes that was encoded once, by the publisher; every subscriber gets the same allocation. A
//! [`Topic`] keeps the newest frames in a ring, and a [`Subscriber`] is a cursor into it, so a subscriber costs a few words
//! however slow it is, and a slow one holds nobody up: [`Lagging`] says what becomes of it.
//!
//! [`Topics`] are topics by name, say one per account, that come into being when they are used and go away when they are not.
//! It is a [`Bus`], and so is `pubsub::redis::Redis` (feature `redis`), which carries the same topics between
//! the processes of several machines; a program that says `Arc<dyn Bus>` runs on either.
//!
//! Within a topic ids are the places in the order of publishing, from 1. An [`EventId`] says the same in a way that means
//! something to other processes and after a restart: it is what `Last-Event-ID` should carry.
//!
//! What is promised:
//! - History and live messages join without a gap and without a double: a subscriber is one cursor, wherever it starts.
//! - A replay is never partial without saying so: what is no longer kept is reported as [`RecvError::Lagged`] before
//!   anything else, and so is an id that nobody knows, from before a restart.
//! - Publishing never waits for a subscriber.
//!
//! What it is not: a queue (a message goes to all), durable ([`Topics`] live in this process's memory; Redis keeps as much as it
//! is told to), or a channel of values (that is [`sync::broadcast`](crate::sync::broadcast)). To read on: `topic.rs`, then
//! `subscriber.rs`, `topics.rs`, `bus.rs`; the ring itself is in `sync/ring.rs`.
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

mod bus;
mod error;
mod event_id;
mod lagging;
#[cfg(feature = "redis")]
pub mod redis;
mod subscriber;
mod topic;
mod topics;

pub use self::bus::{Bus, BusError};
pub use self::error::RecvError;
pub use self::event_id::{EventId, NotAnEventId};
pub use self::lagging::Lagging;
pub use self::subscriber::Subscriber;
pub use self::topic::{Message, Topic};
pub use self::topics::Topics;
