//! Testing handlers without a server: a client in the same process. Requests are encoded, parsed, answered, encoded
//! and parsed as they are over a network, time-outs and limits included; only the port is left out.
//!
//! ```
//! use sward::http::{Request, Router, testing::Client};
//!
//! let app = Router::new().get("/hello/{name}", |req: &mut Request| {
//!     req.param::<String>("name").map(|name| format!("hello, {name}"))
//! });
//! let client = Client::new(app);
//! let reply = client.get("/hello/ann").send();
//! assert_eq!(reply.status(), 200);
//! assert_eq!(reply.text(), "hello, ann");
//! assert_eq!(client.get("/nowhere").send().status(), 404);
//! ```
//!
//! The handler runs on a green thread of its own, whoever calls. What this is not: a client for anything else. For
//! tests, it panics where a client would return an error.

#![forbid(unsafe_code)]

mod reply;

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::Method;
use serde::Serialize;

use super::config::Config;
use super::connection::Service;
use super::link::{Holder, Link};
use super::router::Handler;
use super::state::State;
use super::turn::{Context, turn};
use crate::os::unix::net::UnixStream;
use crate::thread;

pub use reply::{Open, Reply};

/// Sends requests to handlers in the same process.
pub struct Client {
    service: Arc<Service>,
    peer: SocketAddr,
}

impl Client {
    /// A client of these handlers.
    pub fn new(app: impl Handler) -> Client {
        Client::with_config(app, Config::default())
    }

    /// The same, with limits and time-outs other than the default ones.
    pub fn with_config(app: impl Handler, config: Config) -> Client {
        let context = Context { config, state: Arc::new(State::new()) };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Client { service: Arc::new(Service { context, app: Box::new(app) }), peer }
    }

    /// Sets whom handlers see as [`Request::peer_addr`](super::Request::peer_addr). Default: 127.0.0.1:1.
    pub fn peer_addr(mut self, peer: SocketAddr) -> Client {
        self.peer = peer;
        self
    }

    /// A request with any method. The path may have a query; it is sent as it is, so it must be encoded.
    pub fn request(&self, method: Method, path: &str) -> Call<'_> {
        let head = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        Call { client: self, method, head, body: Vec::new(), has_host: false }
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> Call<'_> {
        self.request(Method::GET, path)
    }

    /// A `HEAD`.
    pub fn head(&self, path: &str) -> Call<'_> {
        self.request(Method::HEAD, path)
    }

    /// A `POST`.
    pub fn post(&self, path: &str) -> Call<'_> {
        self.request(Method::POST, path)
    }

    /// A `PUT`.
    pub fn put(&self, path: &str) -> Call<'_> {
        self.request(Method::PUT, path)
    }

    /// A `PATCH`.
    pub fn patch(&self, path: &str) -> Call<'_> {
        self.request(Method::PATCH, path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> Call<'_> {
        self.request(Method::DELETE, path)
    }

    /// Starts the handler on one end of a pair of sockets; `request` is in its buffer when it looks first.
    fn serve(&self, request: &[u8]) -> io::Result<UnixStream> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let at_once = request.len().min(AT_ONCE);
        ours.write_all(&request[..at_once])?;
        let (service, peer) = (self.service.clone(), self.peer);
        let builder = thread::Builder::new().name("http-testing".into());
        builder.spawn(move || {
            let socket = theirs.0.into_descriptor();
            let Service { context, app } = &*service;
            let link = Link::new(&socket, context, Holder::Green);
            // The request asks for the connection to be closed, so there is one turn.
            drop(turn(context, &**app, &link, &peer, None, None));
        })?;
        // OK to ignore the error: a handler may answer without reading all of a body.
        let _ = ours.write_all(&request[at_once..]);
        Ok(ours)
    }
}

/// What certainly fits into a socket's buffer without anybody reading.
const AT_ONCE: usize = 16 << 10;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peer_addr", &self.peer).finish_non_exhaustive()
    }
}

/// A request that is being put together.
#[must_use = "nothing is sent before `send` or `open`"]
pub struct Call<'c> {
    client: &'c Client,
    method: Method,
    head: Vec<u8>,
    body: Vec<u8>,
    has_host: bool,
}

impl Call<'_> {
    /// Adds a header, unchecked: a test may want to send a wrong one. `Host`, `Content-Length` and
    /// `Connection: close` are added without being asked for.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.has_host |= name.eq_ignore_ascii_case("host");
        for part in [name.as_bytes(), b": ", value.as_ref(), b"\r\n"] {
            self.head.extend_from_slice(part);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and its type.
    ///
    /// # Panics
    ///
    /// If it cannot be serialised.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("a value that can be JSON");
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sets the body to a form with these fields, and its type.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Panics
    ///
    /// If there is none, or it was cut off: as by a handler that failed in the middle of a stream.
    #[track_caller]
    pub fn send(self) -> Reply {
        match self.try_send() {
            Ok(reply) => reply,
            Err(error) => panic!("no whole response: {error}"),
        }
    }

    /// Sends the request and reads the whole response, if it is whole.
    ///
    /// # Errors
    ///
    /// What a client would see of it: [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the response was cut off.
    pub fn try_send(self) -> io::Result<Reply> {
        self.open()?.read_all()
    }

    /// Sends the request and reads the head of the response; the body is to be read as it comes. For streams.
    ///
    /// # Errors
    ///
    /// As [`Call::try_send`].
    pub fn open(mut self) -> io::Result<Open> {
        if !self.has_host {
            self = self.header("Host", "test");
        }
        if !self.body.is_empty() || [Method::POST, Method::PUT].contains(&self.method) {
            let length = self.body.len().to_string();
            self = self.header("Content-Length", length);
        }
        let mut request = self.header("Connection", "close");
        request.head.extend_from_slice(b"\r\n");
        request.head.append(&mut request.body);
        let stream = request.client.serve(&request.head)?;
        Open::read_head(stream, request.method == Method::HEAD)
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("head", &String::from_utf8_lossy(&self.head))
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}
