//! The webhook stores that need a server: Redis, and MongoDB by its wire protocol. Each test starts the server that it needs,
//! on a free port and in a folder of its own.
//!
//! Ignored, as the servers are not everywhere: `cargo test --features full,redis,mongodb --test webhook_stores -- --ignored`, with
//! `redis-server` on the path and `NX_27017` naming the program of the PyPI package nx-27017.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "../webhook/battery/mod.rs"]
mod battery;
mod kill;
#[cfg(feature = "mongodb")]
mod mongodb;
mod redis;
mod server;

/// Runs the whole battery, each case over a store that `open` makes, with its number, on green threads.
pub(crate) fn battery(open: impl Fn(u32) -> std::sync::Arc<dyn sward::webhook::store::Store>) {
    let mut number = 0;
    macro_rules! case {
        ($subject:ident::$case:ident) => {
            number += 1;
            eprintln!("{} {}", stringify!($subject), stringify!($case));
            battery::run(|| open(number), battery::$subject::$case);
        };
    }
    battery::each_case!(case);
}
