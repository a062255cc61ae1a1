//! The WebSocket that a handler has in its hands, whole or as reader and writer; and its life from the handshake to
//! the end.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};

use http::StatusCode;

use super::config::Config;
use super::frame::Opcode;
use super::handshake::{self, Agreed};
use super::message::{Close, Limits, Message};
use super::receiving::Incoming;
use super::sending::{Shared, Terms};
use crate::http::request::Request;
use crate::http::response::{Body, Response};
use crate::http::turn::pass_quiet_unwind;
use crate::http::upgrade::Upgraded;

/// A WebSocket. See the [module](crate::http::ws) for how one is opened and what happens by itself.
///
/// # Errors
///
/// Reading and sending fail when the client went away or broke the protocol, when it takes nothing for the
/// server's write time-out, or after the socket was closed. Return that error: `?` is enough.
///
/// ```
/// use std::time::Duration;
/// use sward::http::{Request, Router, WebSocket};
/// use sward::pubsub::{RecvError, Topic};
///
/// // Sends what is published, and looks after the client in between.
/// fn follow(ws: &mut WebSocket<'_>, news: &Topic) -> std::io::Result<()> {
///     let news = news.subscribe();
///     loop {
///         match news.recv_timeout(Duration::from_secs(15)) {
///             Ok(message) => ws.send_raw(&message.data)?, // encoded once, for everybody
///             Err(RecvError::Closed) => return Ok(()),
///             Err(_) => {}
///         }
///         loop {
///             match ws.try_read() {
///                 Ok(Some(message)) => println!("{message:?}"),
///                 Ok(None) => return Ok(()),
///                 Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
///                 Err(error) => return Err(error),
///             }
///         }
///     }
/// }
///
/// let news = Topic::new(100);
/// let app = Router::new().get("/news", move |req: &mut Request| {
///     let news = news.clone();
///     WebSocket::upgrade(req, move |ws: &mut WebSocket| follow(ws, &news))
/// });
/// # drop(app);
/// ```
pub struct WebSocket<'c> {
    incoming: Incoming,
    shared: Shared<'c>,
    protocol: Option<Box<str>>,
}

impl WebSocket<'_> {
    /// Answers a handshake: with 101, after which `run` has the connection, or with what is wrong.
    ///
    /// 426 for a request that asks for no WebSocket or for another version than 13, 403 for a page of
    /// another site ([`Config::origins`]), 400 for a malformed handshake, 405 for another method than GET.
    ///
    /// What `run` keeps from the request it must own: the request is over when `run` begins.
    ///
    /// ```
    /// use sward::http::{Request, Router, WebSocket};
    ///
    /// let app = Router::new().get("/hello/{name}", |req: &mut Request| {
    ///     let name: String = req.param("name")?;
    ///     Ok::<_, sward::http::Error>(WebSocket::upgrade(req, move |ws: &mut WebSocket| {
    ///         ws.send(format!("hello, {name}"))
    ///     }))
    /// });
    /// # drop(app);
    /// ```
    pub fn upgrade<F>(request: &Request<'_>, run: F) -> Response
    where
        F: FnOnce(&mut WebSocket<'_>) -> io::Result<()> + 'static,
    {
        WebSocket::upgrade_with(&Config::default(), request, run)
    }

    /// The same, configured.
    ///
    /// ```
    /// use sward::http::ws::Config;
    /// use sward::http::{Request, Router, WebSocket};
    ///
    /// let mut config = Config::default();
    /// config.deflate = true;
    /// let app = Router::new().get("/echo", move |req: &mut Request| {
    ///     WebSocket::upgrade_with(&config, req, |ws: &mut WebSocket| {
    ///         while let Some(message) = ws.read()? {
    ///             ws.send(message)?;
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// # drop(app);
    /// ```
    pub fn upgrade_with<F>(config: &Config, request: &Request<'_>, run: F) -> Response
    where
        F: FnOnce(&mut WebSocket<'_>) -> io::Result<()> + 'static,
    {
        let Agreed { accept, protocol, deflate } = match handshake::agree(request, config) {
            Ok(agreed) => agreed,
            Err(refusal) => return refusal,
        };
        let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Accept", accept);
        if let Some(protocol) = &protocol {
            response = response.header("Sec-WebSocket-Protocol", protocol);
        }
        if let Some(deflate) = &deflate {
            response = response.header("Sec-WebSocket-Extensions", deflate.answer());
        }
        let limits = Limits {
            max_message: config.max_message,
            max_frame: config.max_frame,
            deflate: deflate.is_some(),
        };
        let terms = Terms {
            window_bits: deflate.map(|deflate| deflate.window_bits),
            ping_after: config.ping_after,
            pong_timeout: config.pong_timeout,
        };
        let protocol = protocol.map(String::into_boxed_str);
        response.body = Body::Upgrade(Box::new(move |upgraded: Upgraded<'_>| {
            let Upgraded { link, stopping, ahead } = upgraded;
            let incoming = Incoming::new(limits, ahead);
            let shared = Shared::new(link, stopping, terms);
            WebSocket { incoming, shared, protocol }.live(run);
        }));
        response
    }

    /// Runs the handler's closure, and ends the WebSocket.
    fn live(mut self, run: impl FnOnce(&mut WebSocket<'_>) -> io::Result<()>) {
        let ran = panic::catch_unwind(AssertUnwindSafe(|| run(&mut self)));
        let (code, reason) = match ran {
            Ok(Ok(())) if self.shared.is_stopping() => (1001, "the server stops"),
            Ok(Ok(())) => (1000, ""),
            Ok(Err(_)) => (1011, "the handler failed"),
            Err(payload) => {
                pass_quiet_unwind(payload);
                (1011, "the handler failed")
            }
        };
        if self.shared.close(Some(code), reason).is_ok() {
            self.incoming.finish(&self.shared);
        }
    }

    /// The next message; waits for it. `None` when the client has closed, or the server stops.
    ///
    /// A time-out around it ([`timeout`](crate::timeout())) loses nothing: read again.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors). `UnexpectedEof` if the client went away without a Close, `TimedOut`
    /// if it did not answer a ping, `InvalidData` if it broke the protocol.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        self.incoming.read(&self.shared)
    }

    /// The next message if it has come. For a loop that mostly sends: call it now and then, until it says
    /// `WouldBlock`, so that pings are answered and a client that closed or fell silent is noticed.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; otherwise as [`read`](WebSocket::read).
    pub fn try_read(&mut self) -> io::Result<Option<Message>> {
        self.incoming.try_read(&self.shared)
    }

    /// Sends a message: text, bytes, or what `read` returned.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors).
    pub fn send(&mut self, message: impl Into<Message>) -> io::Result<()> {
        self.writer().send(message)
    }

    /// Sends text, without a copy of it.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors).
    pub fn send_text(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.writer().send_text(text)
    }

    /// Sends bytes, without a copy of them.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors).
    pub fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer().send_binary(bytes)
    }

    /// Sends a message that is encoded already, by [`Message::encode`]; or several, one after the other.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors).
    pub fn send_raw(&mut self, encoded: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer().send_raw(encoded)
    }

    /// Sends a ping. [`read`](WebSocket::read) does so by itself when the client is silent.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors), and `InvalidInput` for more than 125 bytes.
    pub fn ping(&mut self, payload: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer().ping(payload)
    }

    /// Sends a Close. Nothing can be sent after it, but the client's last messages still can be read, up to its own
    /// Close. Returning from the closure closes too, with 1000.
    ///
    /// # Errors
    ///
    /// See [above](WebSocket#errors), and `InvalidInput` if the code is not one that may be sent (1000 to
    /// 1003, 1007 to 1014, 3000 to 4999) or the reason has more than 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.writer().close(code, reason)
    }

    /// The client's Close, once [`read`](WebSocket::read) has returned `None` for it.
    pub fn closed(&self) -> Option<&Close> {
        self.incoming.close.as_ref()
    }

    /// The subprotocol that was agreed on ([`Config::protocols`]).
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// True once the server was told to stop. `read` says so itself; for a loop that only sends.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    fn writer(&self) -> Writer<'_> {
        Writer { shared: &self.shared }
    }

    /// Reader and writer, for two green threads of a [`scope`](crate::thread::scope()).
    ///
    /// The reader still answers pings and Close frames by itself. To end both, let one close:
    /// [`Writer::close`] makes the client close too, which ends the reader.
    ///
    /// ```
    /// use sward::http::{Request, Router, WebSocket};
    ///
    /// let app = Router::new().get("/clock", |req: &mut Request| {
    ///     WebSocket::upgrade(req, |ws: &mut WebSocket| {
    ///         let (mut reader, writer) = ws.split();
    ///         sward::thread::scope(|s| {
    ///             let ticking = s.spawn(move || -> std::io::Result<()> {
    ///                 for n in 0..10 {
    ///                     writer.send_text(format!("{n}"))?;
    ///                     sward::thread::sleep(std::time::Duration::from_secs(1));
    ///                 }
    ///                 writer.close(1000, "that is all")
    ///             });
    ///             while let Some(message) = reader.read()? {
    ///                 println!("{message:?}");
    ///             }
    ///             ticking.join().unwrap_or(Ok(()))
    ///         })
    ///     })
    /// });
    /// # drop(app);
    /// ```
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        let shared = &self.shared;
        (Reader { incoming: &mut self.incoming, shared }, Writer { shared })
    }
}

impl fmt::Debug for WebSocket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// The reading half of a [`WebSocket`]. From [`WebSocket::split`].
pub struct Reader<'w> {
    incoming: &'w mut Incoming,
    shared: &'w Shared<'w>,
}

impl Reader<'_> {
    /// As [`WebSocket::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        self.incoming.read(self.shared)
    }

    /// As [`WebSocket::try_read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_read(&mut self) -> io::Result<Option<Message>> {
        self.incoming.try_read(self.shared)
    }

    /// As [`WebSocket::closed`].
    pub fn closed(&self) -> Option<&Close> {
        self.incoming.close.as_ref()
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// The writing half of a [`WebSocket`]. From [`WebSocket::split`]; copies of it share the socket, and each message
/// goes out whole.
///
/// # Errors
///
/// All methods, as [those of `WebSocket`](WebSocket#errors).
#[derive(Clone, Copy)]
pub struct Writer<'w> {
    shared: &'w Shared<'w>,
}

impl Writer<'_> {
    /// As [`WebSocket::send`].
    pub fn send(&self, message: impl Into<Message>) -> io::Result<()> {
        let message = message.into();
        self.shared.message(message.opcode(), message.as_bytes())
    }

    /// As [`WebSocket::send_text`].
    pub fn send_text(&self, text: impl AsRef<str>) -> io::Result<()> {
        self.shared.message(Opcode::Text, text.as_ref().as_bytes())
    }

    /// As [`WebSocket::send_binary`].
    pub fn send_binary(&self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.shared.message(Opcode::Binary, bytes.as_ref())
    }

    /// As [`WebSocket::send_raw`].
    pub fn send_raw(&self, encoded: impl AsRef<[u8]>) -> io::Result<()> {
        self.shared.raw(encoded.as_ref())
    }

    /// As [`WebSocket::ping`].
    pub fn ping(&self, payload: impl AsRef<[u8]>) -> io::Result<()> {
        self.shared.ping(payload.as_ref())
    }

    /// As [`WebSocket::close`].
    pub fn close(&self, code: u16, reason: &str) -> io::Result<()> {
        self.shared.close_by_handler(code, reason)
    }

    /// As [`WebSocket::is_stopping`].
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("open", &self.shared.is_open()).finish()
    }
}
