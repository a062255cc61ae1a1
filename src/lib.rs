//! Sward: gevent for Rust.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Lowest first; tests/layers.rs holds the table of who may use whom.
mod sys;
mod list;
mod timer;

mod stack;
mod driver;
mod inbox;

mod fiber;

mod hub;

mod wait;
mod io;
pub mod blocking;

pub mod thread;
pub mod sync;
pub mod net;
pub mod os;
pub mod timeout;

pub mod pubsub;

#[cfg(feature = "http")]
pub mod http;
