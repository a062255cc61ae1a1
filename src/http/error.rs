//! The one error of the HTTP server: a status, and a text that the client may read. It is also a response,
//! so that handlers can use `?`.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::io;

use http::StatusCode;

use crate::pubsub::BusError;
use crate::watch::Lost;

/// A request that cannot be served: the status to answer with, and why.
///
/// As a response it is plain text. The text of a 5xx is for the log, not for the client, who gets the
/// status only.
///
/// ```
/// use sward::http::{Error, StatusCode};
///
/// let error = Error::new(StatusCode::BAD_REQUEST, "the date is in the future");
/// assert_eq!(error.status(), 400);
/// assert_eq!(error.to_string(), "the date is in the future");
/// ```
#[derive(Debug)]
pub struct Error {
    /// What the client gets.
    status: StatusCode,
    /// Why, in words.
    message: Cow<'static, str>,
}

impl Error {
    /// An error with a status and a reason.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Error {
        Error { status, message: message.into() }
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// True if the client was too slow (408).
    pub fn is_timeout(&self) -> bool {
        self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// True if the body is over its limit (413).
    pub fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// The text that the client may see.
    pub(crate) fn public(self) -> Cow<'static, str> {
        if self.status.is_server_error() {
            Cow::Borrowed(self.status.canonical_reason().unwrap_or("error"))
        } else {
            self.message
        }
    }

    /// The same as an `io::Error`, for `Read`; [`Error::from`] takes it out again.
    pub(crate) fn into_io(self, kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// An error of reading the body becomes what it was (408, 413, 400); anything else is a 500.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// The error of [`Request::while_connected`](super::Request::while_connected): nobody is left to answer.
///
/// As an [`Error`] it has the status 499, which reaches nobody, but which logs can tell from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone(());

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has gone away")
    }
}

impl std::error::Error for ClientGone {}

impl From<Lost> for ClientGone {
    fn from(_: Lost) -> ClientGone {
        ClientGone(())
    }
}

impl From<ClientGone> for io::Error {
    fn from(gone: ClientGone) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionAborted, gone)
    }
}

impl From<ClientGone> for Error {
    fn from(gone: ClientGone) -> Error {
        // OK to expect: every number of three digits is one.
        let status = StatusCode::from_u16(499).expect("a status");
        Error::new(status, gone.to_string())
    }
}

/// A bus that cannot be reached is a 503.
impl From<BusError> for Error {
    fn from(error: BusError) -> Error {
        Error::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<StatusCode> for Error {
    fn from(status: StatusCode) -> Error {
        Error::new(status, status.canonical_reason().unwrap_or("error"))
    }
}
