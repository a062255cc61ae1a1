//! Writing a response head into a buffer. Bytes only; no formatting machinery and no allocation, since
//! every response passes here.

#![forbid(unsafe_code)]

use http::{Method, StatusCode};

use super::config::Config;
use super::date;
use super::response::{Body, Response};
use crate::hub::clock::Moment;

/// What the head must know of the request it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// The request was HTTP/1.1.
    pub(crate) is_11: bool,
    /// The request was HEAD.
    pub(crate) is_head: bool,
    /// Another request may follow on this connection.
    pub(crate) keep_alive: bool,
}

impl Exchange {
    /// Of a request that could not be read, or not to its end: nothing follows it.
    pub(crate) const LAST: Exchange = Exchange { is_11: true, is_head: false, keep_alive: false };

    /// Of a request with this method and version.
    pub(crate) fn new(method: &Method, is_11: bool, keep_alive: bool) -> Exchange {
        Exchange { is_11, is_head: *method == Method::HEAD, keep_alive }
    }

    /// Whether a body follows the head at all.
    pub(crate) fn sends_body(&self, status: StatusCode) -> bool {
        !self.is_head && may_have_body(status)
    }
}

fn may_have_body(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
        && !status.is_informational()
}

/// Appends the head of `response` to `out`. A streamed body is announced as chunked to HTTP/1.1; to
/// HTTP/1.0 it ends with the connection, which the caller sees to.
pub(crate) fn head(
    out: &mut Vec<u8>,
    response: &Response,
    exchange: Exchange,
    config: &Config,
    now: Moment,
) {
    out.reserve(192 + response.headers.len());
    let is_ok = response.status == StatusCode::OK;
    if !is_ok {
        status_line(out, response.status);
    }
    let name = config
        .server_name
        .as_deref()
        .filter(|_| response.headers.is_empty() || response.get_header("server").is_none());
    date::append(out, !is_ok, name, response.content_type, now);
    if is_ok || may_have_body(response.status) {
        match (&response.body, response.body.len()) {
            (_, Some(len)) => content_length(out, len),
            (Body::Stream { .. } | Body::Follow(_), _) if exchange.is_11 => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            _ => {}
        }
    }
    if !response.headers.is_empty() {
        out.extend_from_slice(&response.headers);
    }
    match (exchange.keep_alive, exchange.is_11) {
        (true, true) => {}
        (true, false) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole response: what [`head`] makes of a 200 with no header lines of its own to an HTTP/1.1 client whose connection
/// stays, and its body.
pub(crate) fn usual(
    out: &mut Vec<u8>,
    content_type: Option<&'static str>,
    body: &[u8],
    config: &Config,
    now: Moment,
) {
    out.reserve(192 + body.len());
    date::append(out, false, config.server_name.as_deref(), content_type, now);
    let n = body.len();
    if (10..100).contains(&n) {
        // In one piece, as are the rest of the head and the body.
        let mut line = *b"Content-Length: 00\r\n\r\n";
        (line[16], line[17]) = (b'0' + (n / 10) as u8, b'0' + (n % 10) as u8);
        out.extend_from_slice(&line);
    } else {
        content_length(out, n as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(body);
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// No formatting, and for short bodies no call that copies two bytes.
fn content_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"Content-Length: ");
    if n < 100 {
        if n >= 10 {
            out.push(b'0' + (n / 10) as u8);
        }
        out.push(b'0' + (n % 10) as u8);
    } else {
        let (mut digits, mut at, mut rest) = ([0; 20], 20, n);
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits[at..]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::into_response::IntoResponse;
    use super::*;

    const NEXT: Exchange = Exchange { is_11: true, is_head: false, keep_alive: true };

    /// The head without its Date line.
    fn written(response: impl IntoResponse, exchange: Exchange) -> String {
        let mut out = Vec::new();
        head(
            &mut out,
            &response.into_response(),
            exchange,
            &Config::default(),
            Moment::about_now(),
        );
        let text = String::from_utf8(out).unwrap();
        let at = text.find("Date: ").unwrap();
        text[..at].to_string() + &text[at + date::LEN..]
    }

    /// The short way says the same as the long one.
    #[test]
    fn usual_bodies() {
        for server_name in [None, Some("lawn".to_string())] {
            let config = Config { server_name, ..Config::default() };
            for len in [0, 9, 10, 99, 100, 12_345] {
                let response = vec![7; len].into_response();
                let now = Moment::about_now();
                let (mut short, mut long) = (Vec::new(), Vec::new());
                let body = response.usual().unwrap();
                usual(&mut short, response.content_type, body, &config, now);
                head(&mut long, &response, NEXT, &config, now);
                long.extend_from_slice(body);
                assert_eq!(short.escape_ascii().to_string(), long.escape_ascii().to_string());
            }
        }
        for other in [
            StatusCode::NOT_FOUND.into_response(),
            Response::text("hi").header("A", "b"),
            Response { close: true, ..Response::text("hi") },
        ] {
            assert!(other.usual().is_none());
        }
    }

    #[test]
    fn fixed_bodies() {
        let text = "Content-Type: text/plain; charset=utf-8\r\n";
        let ok = format!("HTTP/1.1 200 OK\r\n{text}Content-Length: 2\r\n\r\n");
        assert_eq!(written("hi", NEXT), ok);
        assert_eq!(written("hi", Exchange { is_head: true, ..NEXT }), ok);
        assert_eq!(
            written(StatusCode::NOT_FOUND, Exchange::LAST),
            format!(
                "HTTP/1.1 404 Not Found\r\n{text}Content-Length: 9\r\nConnection: close\r\n\r\n"
            )
        );
        let odd = StatusCode::from_u16(799).unwrap();
        assert!(written(odd, NEXT).starts_with("HTTP/1.1 799 \r\n"));
    }

    #[test]
    fn name_of_the_server() {
        let config = Config { server_name: Some("lawn".into()), ..Config::default() };
        let written = |response: Response| {
            let mut out = Vec::new();
            head(&mut out, &response, NEXT, &config, Moment::about_now());
            String::from_utf8(out).unwrap()
        };
        let by_config = written(Response::text("hi").header("X", "y"));
        assert!(by_config.starts_with("HTTP/1.1 200 OK\r\nServer: lawn\r\nDate: "), "{by_config}");
        let by_handler = written(Response::text("hi").header("server", "moss"));
        assert!(!by_handler.contains("lawn") && by_handler.contains("\r\nserver: moss\r\n"));
    }

    #[test]
    fn statuses_without_body() {
        assert_eq!(written((), NEXT), "HTTP/1.1 204 No Content\r\n\r\n");
        let unchanged = Response::new(StatusCode::NOT_MODIFIED).header("ETag", "\"1\"").body("x");
        assert_eq!(written(unchanged, NEXT), "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
    }

    #[test]
    fn streams() {
        let stream = || Response::stream(|_| Ok(()));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(written(stream(), NEXT), chunked);
        let old = Exchange { is_11: false, keep_alive: false, ..NEXT };
        assert_eq!(written(stream(), old), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let old = Exchange { keep_alive: true, ..old };
        assert!(written("x", old).ends_with("Connection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn numbers() {
        for n in [0, 9, 10, 99, 12345, u64::MAX] {
            let mut out = Vec::new();
            content_length(&mut out, n);
            assert_eq!(out, format!("Content-Length: {n}\r\n").as_bytes());
        }
    }
}
