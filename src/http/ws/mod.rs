//! WebSockets (RFC 6455) as a blocking loop: read a message, send a message.
//!
//! ```no_run
//! use sward::http::{Request, Router, Server, WebSocket};
//!
//! fn main() -> std::io::Result<()> {
//!     let app = Router::new().get("/echo", |req: &mut Request| {
//!         WebSocket::upgrade(req, |ws: &mut WebSocket| {
//!             while let Some(message) = ws.read()? {
//!                 ws.send(message)?;
//!             }
//!             Ok(())
//!         })
//!     });
//!     sward::run(|| Server::bind("127.0.0.1:8080")?.serve(app))
//! }
//! ```
//!
//! The closure runs on the connection's own green thread (or OS thread, by the server's
//! [`Mode`](crate::http::Mode)), after the handler and all middleware have returned. When it returns, the socket is
//! closed properly: with code 1000, or 1011 if it returned an error or panicked.
//!
//! What happens by itself, in [`WebSocket::read`]: pings are answered; a silent client is pinged and given up if it
//! does not answer; a Close is answered; what breaks the protocol, is no UTF-8 or too large closes with the right code.
//! When the server stops, `read` sends 1001 and returns `None`.
//!
//! Limits, time-outs, subprotocols, compression, and whose pages may connect (those of the same host, by default):
//! [`Config`].
//!
//! A WebSocket that waits holds no buffer: it costs its green thread's stack and little else.
//!
//! What it does not do: sending a message in pieces, keeping a compression window from message to message, HTTP/2.

#![forbid(unsafe_code)]

// Reading order. Bytes only: frame, message, deflate, extension, config. Then handshake, sending, receiving, socket.
mod config;
mod deflate;
mod extension;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handshake;
mod message;
mod receiving;
mod sending;
mod socket;

pub use config::{Config, Origins};
pub use message::{Close, Message};
pub use socket::{Reader, WebSocket, Writer};
