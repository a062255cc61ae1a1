//! Webhooks: who wants to hear of what, kept durably, and every accepted message delivered to each of them at least once.
//!
//! An *endpoint* is a URL that messages are posted to. It subscribes to *keys*: names with values, such as `account_id` 42. A
//! *message* is published under keys, and goes to every endpoint that subscribes to one of them: that is one *delivery* per
//! message and endpoint, each tried until it succeeds or its schedule is at its end, each *attempt* kept with its answer.
//! A message is accepted when its deliveries are in the store; what is accepted survives `kill -9`.
//!
//! What it is not: a queue for workers (a message goes to all who subscribe), or exactly-once (a receiver that answers too late
//! hears the message again, under the same `webhook-id`).
//!
//! To read on: the nouns are in `model.rs`, what a store must do in [`store`].

#![forbid(unsafe_code)]

pub mod api;
mod breaker;
mod client;
mod delivery;
mod guard;
pub mod hooks;
mod id;
mod json;
mod metrics;
mod model;
mod problem;
mod rate;
mod registry;
mod schedule;
mod signature;
pub mod store;
mod time;

pub use self::breaker::Breaking;
pub use self::client::{
    Answer, Client, ClientConfig, Failure, Reply, Resolve, Roots, SystemResolver,
};
pub use self::delivery::Dispatcher;
pub use self::guard::{BadNetwork, Guard, Host, Refused, Target};
pub use self::hooks::Hooks;
pub use self::id::{DeliveryId, EndpointId, MessageId};
pub use self::model::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Health, Keys, Message, Rate,
    Settings, SigningKey, Subscription,
};
pub use self::registry::{Config, Error, Publication, Registration, Webhooks};
pub use self::schedule::Schedule;
pub use self::signature::{Incoming, KeyError, Secret, Seen, Verifier, VerifyError, sign};
pub use self::time::Time;
