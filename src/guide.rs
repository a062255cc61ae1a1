//! A guide to the HTTP server, in twelve short chapters. Every program in it is run by the tests.
//!
//! 1. [Hello](hello): a server, and handlers that wait.
//! 2. [A JSON API](json_api): routes, typed paths, queries and bodies, errors, middleware.
//! 3. [Server-Sent Events](events): answers that do not end.
//! 4. [Topics](pubsub) by name, and on many machines.
//! 5. [A WebSocket chat](chat): both directions at once.
//! 6. [Files](files).
//! 7. [TLS](tls).
//! 8. [Stopping and restarting](stopping): nobody's request is lost.
//! 9. [Testing](testing) handlers without a port.
//! 10. [Three modes](modes): green threads, OS threads, a pool.
//! 11. [Limits and time-outs](limits): what holds on the open internet, with all defaults.
//! 12. [Webhooks](webhooks): to other people's servers, durably, and from them.
//!
//! There is no code here: the modules are their texts, which are in `docs/guide/`. The reference is [`http`](crate::http).

#![forbid(unsafe_code)]

#[doc = include_str!("../docs/guide/hello.md")]
pub mod hello {}

#[doc = include_str!("../docs/guide/json_api.md")]
pub mod json_api {}

#[doc = include_str!("../docs/guide/events.md")]
pub mod events {}

#[doc = include_str!("../docs/guide/pubsub.md")]
pub mod pubsub {}

#[doc = include_str!("../docs/guide/chat.md")]
pub mod chat {}

#[doc = include_str!("../docs/guide/files.md")]
pub mod files {}

#[doc = include_str!("../docs/guide/tls.md")]
pub mod tls {}

#[doc = include_str!("../docs/guide/stopping.md")]
pub mod stopping {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/modes.md")]
pub mod modes {}

#[doc = include_str!("../docs/guide/limits.md")]
pub mod limits {}

#[doc = include_str!("../docs/guide/webhooks.md")]
pub mod webhooks {}
