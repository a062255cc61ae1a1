//! The webhook registry: one program for all its tests, a module per subject.
//!
//! What needs an outside server (Redis, MongoDB) is in `tests/webhook_stores`, which runs the same battery.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod api;
mod apl;
mod battery;
mod calls;
mod client;
mod counting;
mod delivery;
mod flaky;
mod guard;
mod heard;
mod kill;
mod kill_registry;
mod life;
mod limits;
mod memory;
mod poster;
mod receiver;
mod receivers;
mod registry;
mod signature;
mod sky;
mod sqlite;
mod tls;
