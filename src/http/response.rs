//! What a handler answers: status, headers, body. Only data; `encode.rs` writes it and `turn.rs`
//! sends it.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::file_body::FileBody;
use super::follow::Following;
use super::stream::BodyWriter;
use super::upgrade::Upgraded;

/// The closure that writes a streamed body.
pub(crate) type Producer = Box<dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()>>;

/// Takes the connection over after the head of a 101.
pub(crate) type Takeover = Box<dyn FnOnce(Upgraded<'_>)>;

/// A response.
///
/// Handlers rarely need more than the constructors here, or the types that implement
/// [`IntoResponse`](super::IntoResponse).
///
/// The server adds `Date`, `Content-Length` or `Transfer-Encoding`, and `Connection`.
///
/// ```
/// use sward::http::{Response, StatusCode};
///
/// let made = Response::new(StatusCode::CREATED).header("Location", "/posts/7").body("made");
/// assert_eq!(made.status(), 201);
/// let page = Response::html("<h1>hi</h1>").header("Cache-Control", "no-store");
/// assert_eq!(page.status(), 200);
/// ```
pub struct Response {
    /// The status.
    pub(crate) status: StatusCode,
    /// The Content-Type that a constructor chose, kept apart so that the usual response needs no
    /// allocation for its headers.
    pub(crate) content_type: Option<&'static str>,
    /// Header lines as they go on the wire, each with its CR LF.
    pub(crate) headers: Vec<u8>,
    /// The body.
    pub(crate) body: Body,
    /// The handler asked for the connection to be closed.
    pub(crate) close: bool,
}

/// The body of a response.
pub(crate) enum Body {
    /// Bytes of the program itself.
    Static(&'static [u8]),
    /// Bytes made for this response.
    Bytes(Vec<u8>),
    /// Bytes shared with other responses.
    Shared(Arc<[u8]>),
    /// Of a file, sent from where it is.
    File(FileBody),
    /// Written piece by piece after the head.
    Stream {
        /// Writes it.
        producer: Producer,
        /// Send the head before the producer runs, rather than with what it writes first.
        head_first: bool,
    },
    /// What is published in a topic, sent without a thread of the connection's own where that is possible.
    Follow(Box<Following>),
    /// None: the connection leaves HTTP, if the status is 101.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who upgrades is a feature"))]
    Upgrade(Takeover),
}

impl Response {
    /// A response with an empty body.
    pub fn new(status: StatusCode) -> Response {
        Response {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Body::Static(b""),
            close: false,
        }
    }

    fn ok(content_type: &'static str, body: Body) -> Response {
        // Not by way of `new`, whose empty body would have to be dropped again.
        let (status, content_type) = (StatusCode::OK, Some(content_type));
        Response { status, content_type, headers: Vec::new(), body, close: false }
    }

    /// Plain text in UTF-8.
    pub fn text(text: impl Into<String>) -> Response {
        Response::ok("text/plain; charset=utf-8", Body::Bytes(text.into().into_bytes()))
    }

    /// A page.
    pub fn html(text: impl Into<String>) -> Response {
        Response::ok("text/html; charset=utf-8", Body::Bytes(text.into().into_bytes()))
    }

    /// A value as JSON; a 500 if it cannot be serialised.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Response {
        let mut body = Vec::with_capacity(128);
        match serde_json::to_writer(&mut body, value) {
            Ok(()) => Response::ok("application/json", Body::Bytes(body)),
            Err(_) => Response::new(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Bytes that are part of the program; they are never copied to the heap.
    ///
    /// The type is `application/octet-stream` unless the header is set.
    pub fn bytes_static(bytes: &'static [u8]) -> Response {
        Response::ok("application/octet-stream", Body::Static(bytes))
    }

    pub(crate) fn text_static(text: &'static str) -> Response {
        Response::ok("text/plain; charset=utf-8", Body::Static(text.as_bytes()))
    }

    pub(crate) fn octets(body: Body) -> Response {
        Response::ok("application/octet-stream", body)
    }

    /// 303 See Other: fetch `location` with GET. What may not stand in a URL is percent-encoded.
    pub fn redirect(location: impl AsRef<str>) -> Response {
        let mut encoded = String::with_capacity(location.as_ref().len());
        for byte in location.as_ref().bytes() {
            if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push('%');
                for digit in [byte >> 4, byte & 15] {
                    encoded.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
        Response::new(StatusCode::SEE_OTHER).header("Location", encoded)
    }

    /// A body that `producer` writes piece by piece, for as long as it likes, in plain blocking code.
    ///
    /// The head goes out with the first flush. The writer buffers: flush when the client should see
    /// what there is. To HTTP/1.1 it is sent in chunks, to HTTP/1.0 until the connection closes. If the
    /// producer returns an error or panics, the client sees a body that was cut off, never one that
    /// looks whole. The producer is not run for `HEAD`.
    ///
    /// In green mode a client that goes away ends whatever the producer waits for, as
    /// [`Request::while_connected`](super::Request::while_connected) says; a client that ends its sending side counts
    /// as gone. In the other modes the next flush fails.
    ///
    /// ```
    /// use std::io::Write;
    /// use sward::http::{BodyWriter, Response};
    ///
    /// let countdown = Response::stream(|w: &mut BodyWriter| {
    ///     for n in (0..3).rev() {
    ///         writeln!(w, "{n}")?;
    ///         w.flush()?;
    ///     }
    ///     Ok(())
    /// });
    /// # drop(countdown);
    /// ```
    pub fn stream<F>(producer: F) -> Response
    where
        F: FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + 'static,
    {
        let producer = Box::new(producer);
        Response {
            body: Body::Stream { producer, head_first: false },
            ..Response::new(StatusCode::OK)
        }
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = Body::Bytes(body.into());
        self
    }

    /// Sets the body to bytes that other responses share.
    pub fn body_shared(mut self, body: Arc<[u8]>) -> Response {
        self.body = Body::Shared(body);
        self
    }

    /// Keeps a value until the response is handed over: until its end, if it is a stream or leaves HTTP.
    pub(crate) fn hold(mut self, value: impl Sized + 'static) -> Response {
        self.body = match self.body {
            Body::Stream { producer, head_first } => {
                let producer = Box::new(move |writer: &mut BodyWriter<'_>| {
                    let _value = value;
                    producer(writer)
                });
                Body::Stream { producer, head_first }
            }
            Body::Follow(mut following) => {
                following.hold(value);
                Body::Follow(following)
            }
            Body::Upgrade(takeover) => Body::Upgrade(Box::new(move |upgraded| {
                let _value = value;
                takeover(upgraded);
            })),
            body => body,
        };
        self
    }

    /// Sets the status of a response at hand.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Bytes of the body, unless it is a stream.
    pub fn body_len(&self) -> Option<u64> {
        self.body.len()
    }

    /// Sets the status.
    pub fn with_status(mut self, status: StatusCode) -> Response {
        self.status = status;
        self
    }

    /// The body of what most responses are: a 200 with no header lines of the program's own and a body in memory, after which the
    /// connection stays.
    #[inline]
    pub(crate) fn usual(&self) -> Option<&[u8]> {
        let is_usual = self.status == StatusCode::OK && self.headers.is_empty() && !self.close;
        if is_usual { self.body.bytes() } else { None }
    }

    /// Takes out what is to have the connection. Only with 101: middleware may have changed its mind.
    pub(crate) fn take_upgrade(&mut self) -> Option<Takeover> {
        if self.status != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        match std::mem::replace(&mut self.body, Body::Static(b"")) {
            Body::Upgrade(takeover) => Some(takeover),
            body => {
                self.body = body;
                None
            }
        }
    }

    /// Takes out what is to be sent without a thread, if that is possible. If not, a thread sends it.
    #[inline]
    pub(crate) fn take_following(&mut self, possible: bool) -> Option<Box<Following>> {
        if !matches!(self.body, Body::Follow(_)) {
            return None;
        }
        match std::mem::replace(&mut self.body, Body::Static(b"")) {
            Body::Follow(following) if possible => {
                let producer = Box::new(|_: &mut BodyWriter<'_>| Ok(()));
                self.body = Body::Stream { producer, head_first: true };
                Some(following)
            }
            Body::Follow(following) => {
                self.body = Body::Stream { producer: following.producer(), head_first: true };
                None
            }
            body => {
                self.body = body;
                None
            }
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl Body {
    /// The bytes, if it is in memory.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Body::Static(bytes) => Some(bytes),
            Body::Bytes(bytes) => Some(bytes),
            Body::Shared(bytes) => Some(bytes),
            Body::Stream { .. } | Body::Follow(_) => None,
            Body::Upgrade(_) => Some(b""),
            Body::File(_) => None,
        }
    }

    /// Its length, if it is known before it is sent.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Body::File(file) => Some(file.len()),
            other => other.bytes().map(|bytes| bytes.len() as u64),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Response");
        f.field("status", &self.status);
        f.field("headers", &String::from_utf8_lossy(&self.headers));
        match self.body.len() {
            Some(len) => f.field("body_len", &len),
            None => f.field("body", &"stream"),
        };
        f.finish_non_exhaustive()
    }
}
