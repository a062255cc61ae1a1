//! An HTTP/1.1 server whose handlers are plain blocking functions.
//!
//! ```no_run
//! use sward::http::{Html, Request, Router, Server};
//!
//! fn main() -> std::io::Result<()> {
//!     let app = Router::new()
//!         .get("/", |_: &mut Request| Html("<h1>hi</h1>"))
//!         .get("/hello/{name}", |req: &mut Request| {
//!             req.param::<String>("name").map(|name| format!("hello, {name}\n"))
//!         });
//!     sward::run(|| Server::bind("127.0.0.1:8080")?.serve(app))
//! }
//! ```
//!
//! A handler takes a [`Request`], which borrows from the connection, and returns anything that is
//! [`IntoResponse`]. It may block: on sockets, locks, channels and sleeps of this crate it parks its green
//! thread. To answer piece by piece it returns a closure that does so: [`Response::stream`], [`Sse::new`].
//!
//! The same handlers run on green threads, on an OS thread per connection, or on a pool of OS threads:
//! [`Mode`]. Limits and time-outs are on by default: [`Config`].
//!
//! Around handlers goes [`middleware`], yours or what comes with it: logs, ids, CORS, logins, limits, metrics.
//! [`testing`] calls handlers without a server.
//!
//! What it does: keep-alive, pipelining, chunked bodies both ways, `HEAD`, `Expect: 100-continue` (answered
//! when the handler reads the body), HTTP/1.0, graceful stop. It is strict with requests that two servers in a
//! row might read differently. A handler that panics answers 500, and the server goes on. [`ServeDir`] serves files.
//!
//! WebSockets are in `http::ws`, with feature `ws`.
//!
//! `Tls` (feature `tls`) makes it speak TLS.
//!
//! What it does not do yet: HTTP/2.
//!
//! # What a waiting client costs
//!
//! In green mode, beside its socket in the kernel:
//!
//! - No stack, some hundred bytes: a connection between two requests or in the middle of a head, and one that follows
//!   a topic ([`Sse::follow`]) as long as it takes what is sent at once.
//! - A stack, which is a page or two that were touched: a handler that waits, [`LongPoll`] among them, the producer of
//!   [`Response::stream`] or [`Sse::new`], a WebSocket; and a follower that is behind, whose stream is compressed, or goes
//!   over TLS.
//!
//! Whatever of these waits for something else ends when the client goes away: streams always, handlers where they ask for
//! it ([`Request::while_connected`], [`LongPoll`]). In the other modes each of them holds an OS thread, whose wait nobody can
//! end: there the next write fails.
//!
//! Good to know: requests that a client pipelines are answered together, so a handler that waits delays the
//! answers to the requests before it in the same packet.
#![cfg_attr(
    feature = "full",
    doc = "\nA guide, chapter by chapter, is in [`guide`](crate::guide)."
)]
#![forbid(unsafe_code)]

// Reading order. Bytes only: token, head, target, chunked, event, date, encode. What handlers see: request, body, response,
// into_response, fields, stream, heartbeat, sse, follow, long_poll, route, methods, router, verbs, middleware, cookie,
// multipart, typed, error. What moves: link, pace, buffer, turn, answer, repeat, per_address, state, announced, announce,
// socket_file, inherited, listener, connection, detached, held, accept, stop, restart, server. Beyond HTTP: upgrade, ws. Files:
// accept_encoding, files, file_body, coding. TLS: tls, or no_tls in its place.
mod accept;
mod accept_encoding;
mod announce;
mod announced;
mod answer;
mod body;
mod buffer;
mod chunked;
#[cfg(feature = "compression")]
mod coding;
mod config;
mod connection;
mod cookie;
mod date;
mod detached;
mod encode;
mod error;
mod event;
mod fields;
mod file_body;
mod files;
mod follow;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod heartbeat;
mod held;
mod inherited;
mod into_response;
mod link;
mod listener;
mod long_poll;
mod methods;
pub mod middleware;
mod mode;
mod multipart;
pub(crate) mod nesting;
mod pace;
mod per_address;
mod repeat;
mod request;
mod response;
mod restart;
mod route;
mod router;
mod server;
mod socket_file;
mod sse;
#[cfg(test)]
mod stack_tests;
mod state;
mod stop;
mod stream;
mod target;
pub mod testing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod token;
mod turn;
mod typed;
mod upgrade;
mod verbs;
#[cfg(feature = "ws")]
pub mod ws;

#[doc(no_inline)]
pub use http::{Extensions, Method, StatusCode, Version};
/// The very rustls that [`Tls`] uses, for [`Tls::from_config`].
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use rustls;

/// What becomes of clients that are too slow for a topic.
pub use crate::pubsub::Lagging;
pub use body::Body;
pub use config::Config;
pub use cookie::{Cookie, SameSite};
pub use error::{ClientGone, Error};
pub use event::Event;
pub use files::{ServeDir, ServeFile};
pub use follow::Follow;
pub use into_response::{Html, IntoResponse, Json};
pub use listener::Listener;
pub use long_poll::{LongPoll, Polled};
pub use middleware::{Middleware, Next};
pub use mode::{Mode, ParseModeError};
pub use multipart::{Multipart, Part};
pub use request::Request;
pub use response::Response;
pub use router::{Handler, Router};
pub use server::{Server, ServerHandle};
pub use sse::{Sse, SseWriter};
pub use stream::BodyWriter;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsClient};
#[cfg(feature = "ws")]
pub use ws::WebSocket;
