//! Sward is gevent for Rust: green threads with std's blocking API, and servers on them.
//!
//! ```
//! use sward::thread;
//! use std::time::Duration;
//!
//! let words = sward::run(|| {
//!     let hello = thread::spawn(|| {
//!         thread::sleep(Duration::from_millis(10));
//!         "hello"
//!     });
//!     let world = thread::spawn(|| "world");
//!     format!("{} {}", hello.join().unwrap(), world.join().unwrap())
//! });
//! assert_eq!(words, "hello world");
//! ```
//!
//! # The words
//! - A *green thread* is what [`thread::spawn`] starts: a closure on a stack of its own. It costs about a page of
//!   memory and switches in nanoseconds, so a server can have one per connection.
//! - A *worker* is an OS thread that runs green threads; by default there is one per core. A green thread that has
//!   started never leaves its worker.
//! - To *park* is the one way in which a green thread stops: everything here that waits (sockets, locks, channels,
//!   sleep, join) parks it and lets others run.
//!
//! # What is here
//! [`run`] and [`Builder`] start a runtime. [`thread`], [`sync`], [`net`] and [`os`] have std's names and behave as
//! std's do, on green threads and on OS threads alike, and across the two. [`timeout()`] puts a deadline around any
//! code, [`blocking()`] takes a blocking call to a pool of OS threads, [`block_on()`] waits for a future, [`green_local!`]
//! is `thread_local!` for green threads, [`pubsub`] hands messages to many, `http` serves.
//!
//! # What is not here
//! - Preemption: a green thread that computes without ever waiting keeps its worker; [`thread::yield_now`] helps.
//! - Windows and macOS: Linux only, from 5.11, on x86-64 and aarch64.
//!
//! # Minimum Rust version
//! 1.88, checked by the manifest; raised only in minor releases.
#![cfg_attr(
    feature = "full",
    doc = "\n# To begin with\nThe [`guide`] teaches the HTTP server in eleven short chapters."
)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "unit tests are not library code"
    )
)]

// Lowest first; tests/layers.rs holds the table of who may use whom.
mod list;
mod sys;
mod timer;

mod driver;
mod inbox;
#[cfg(feature = "http")]
mod lent;
mod stack;

mod fiber;

mod hub;

mod block_on;
mod blocking;
mod inspect;
mod io;
mod wait;

mod socket;

pub mod net;
pub mod os;
pub mod signal;
pub mod sync;
pub mod thread;

mod timeout;
#[cfg(feature = "http")]
mod watch;

pub mod pubsub;

#[cfg(feature = "http")]
pub mod http;

#[cfg(feature = "webhook")]
pub mod webhook;

#[cfg(all(feature = "patch", target_os = "linux", target_env = "gnu", not(miri)))]
pub mod patch;

// In the documentation only, and tested with it.
#[cfg(all(any(doc, doctest), feature = "full"))]
pub mod guide;

pub use block_on::block_on;
pub use blocking::run as blocking;
pub use hub::runtime::{Builder, run};
pub use hub::stats::{Stats, stats};
pub use inspect::dump;
pub use stack::Guard as StackGuard;
pub use timeout::{Elapsed, timeout};

/// The programs in README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
