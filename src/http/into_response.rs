//! What a handler may return.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::error::{ClientGone, Error};
use super::response::{Body, Response};

/// What a handler may return.
///
/// | type | answer |
/// |---|---|
/// | `&'static str`, `String` | 200, plain text |
/// | `Vec<u8>`, `&'static [u8]`, `Arc<[u8]>` | 200, `application/octet-stream` |
/// | [`Html`], [`Json`] | 200 |
/// | [`StatusCode`] | that status, with its name as plain text |
/// | `(StatusCode, R)` | `R` with that status |
/// | `Option<R>` | `R`, or 404 |
/// | `Result<R, E>` | either; so `?` works with [`Error`] |
/// | `()` | 204 |
/// | [`Response`], [`Sse`](super::Sse) | itself |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a response",
    label = "a handler or middleware returned this",
    note = "handlers return text, `Html`, `Json`, `StatusCode`, `Response`, `Sse`, or an `Option` or `Result` of these",
    note = "a `Result` also needs an error that can be sent, such as `sward::http::Error`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

/// A page: `text/html; charset=utf-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html<T>(pub T);

/// A value that is sent as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text_static(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(text) => text.into_response(),
            Cow::Owned(text) => text.into_response(),
        }
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::octets(Body::Bytes(self))
    }
}

impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::octets(Body::Static(self))
    }
}

impl IntoResponse for Arc<[u8]> {
    fn into_response(self) -> Response {
        Response::octets(Body::Shared(self))
    }
}

impl<T: IntoResponse> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response { content_type: Some("text/html; charset=utf-8"), ..self.0.into_response() }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::json(&self.0)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        let name = self.canonical_reason().unwrap_or("");
        Response { status: self, ..name.into_response() }
    }
}

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    fn into_response(self) -> Response {
        Response { status: self.0, ..self.1.into_response() }
    }
}

impl<R: IntoResponse> IntoResponse for Option<R> {
    fn into_response(self) -> Response {
        match self {
            Some(inner) => inner.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

impl<R: IntoResponse, E: IntoResponse> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(inner) => inner.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(StatusCode::NO_CONTENT)
    }
}

impl IntoResponse for ClientGone {
    fn into_response(self) -> Response {
        Error::from(self).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        Response { status, ..self.public().into_response() }
    }
}

impl IntoResponse for io::Error {
    fn into_response(self) -> Response {
        Error::from(self).into_response()
    }
}
