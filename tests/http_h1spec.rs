//! The cases of h1spec, uNetworking's check of HTTP/1.1 servers, as wire transcripts: the same requests, and answers within
//! the same bounds. In every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::ErrorKind;

use http_support::{Running, get, start, status_of};
use sward::http::{Config, Mode, Request, Router};

fn serve(mode: Mode) -> Running {
    support::alarm();
    let app = Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/hello", |_: &mut Request| "hello")
        .post("/", |req: &mut Request| req.bytes());
    start(mode, Config::default(), app)
}

/// Beginnings of a request: the server waits for the rest.
const FRAGMENTS: &[(&str, &str)] = &[
    ("fragmented method", "G"),
    ("fragmented URL 1", "GET "),
    ("fragmented URL 2", "GET /hello"),
    ("fragmented URL 3", "GET /hello "),
    ("fragmented HTTP version", "GET /hello HTTP"),
    ("fragmented request line", "GET /hello HTTP/1.1"),
    ("fragmented request line newline 1", "GET /hello HTTP/1.1\r"),
    ("fragmented request line newline 2", "GET /hello HTTP/1.1\r\n"),
    ("fragmented field name", "GET /hello HTTP/1.1\r\nHos"),
    ("fragmented field value 1", "GET /hello HTTP/1.1\r\nHost:"),
    ("fragmented field value 2", "GET /hello HTTP/1.1\r\nHost: "),
    ("fragmented field value 3", "GET /hello HTTP/1.1\r\nHost: localhost"),
    ("fragmented field value 4", "GET /hello HTTP/1.1\r\nHost: localhost\r"),
    ("fragmented request", "GET /hello HTTP/1.1\r\nHost: localhost\r\n"),
    ("fragmented request termination", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r"),
];

fn fragments(mode: Mode) {
    const WHOLE: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let server = serve(mode);
    for (name, fragment) in FRAGMENTS {
        let mut client = server.client();
        client.send(fragment);
        // Another client is answered meanwhile, and this one is not.
        let mut other = server.client();
        other.send(get("/"));
        assert_eq!(other.response().1, "hello", "{name}");
        client.0.set_nonblocking(true).unwrap();
        let early = client.0.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(early, Err(ErrorKind::WouldBlock), "{name}");
        client.0.set_nonblocking(false).unwrap();
        client.send(&WHOLE[fragment.len()..]);
        assert_eq!(client.response().1, "hello", "{name}");
    }
}

/// Whole requests, and the statuses that may come back first.
const REQUESTS: &[(&str, &str, &[u16])] = &[
    ("request without HTTP version", "GET / \r\n\r\n", CLIENT_OR_SERVER),
    (
        "request with Expect header",
        "GET / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n\r\n",
        &[1, 2],
    ),
    ("valid GET request", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", &[2]),
    (
        "valid GET request with edge cases",
        "GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n",
        &[2],
    ),
    (
        "invalid header characters",
        "GET / HTTP/1.1\r\nHost: example.com\r\nX-Invalid[]: test\r\n\r\n",
        &[4],
    ),
    ("missing Host header", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", &[4]),
    (
        "multiple Host headers",
        "GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.org\r\n\r\n",
        &[4],
    ),
    (
        "overflowing negative Content-Length header",
        "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: -123456789123456789123456789\r\n\r\n",
        &[4],
    ),
    (
        "negative Content-Length header",
        "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: -1234\r\n\r\n",
        &[4],
    ),
    (
        "non-numeric Content-Length header",
        "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: abc\r\n\r\n",
        &[4],
    ),
    ("empty header value", "GET / HTTP/1.1\r\nHost: example.com\r\nX-Empty-Header: \r\n\r\n", &[2]),
    (
        "header containing invalid control character",
        "GET / HTTP/1.1\r\nHost: example.com\r\nX-Bad-Control-Char: test\x07\r\n\r\n",
        &[4],
    ),
    ("invalid HTTP version", "GET / HTTP/9.9\r\nHost: example.com\r\n\r\n", CLIENT_OR_SERVER),
    (
        "invalid prefix of request",
        "Extra lineGET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        CLIENT_OR_SERVER,
    ),
    (
        "invalid line ending",
        "GET / HTTP/1.1\r\nHost: example.com\r\n\rSome-Header: Test\r\n\r\n",
        &[4],
    ),
    (
        "valid POST request with body",
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
        &[2],
    ),
    (
        "conflicting Transfer-Encoding and Content-Length",
        "GET / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        &[4],
    ),
];

const CLIENT_OR_SERVER: &[u16] = &[4, 5];

fn requests(mode: Mode) {
    let server = serve(mode);
    for (name, request, classes) in REQUESTS {
        let mut client = server.client();
        client.send(request);
        let (head, body) = client.response();
        let status: u16 = status_of(&head).parse().unwrap();
        assert!(classes.contains(&(status / 100)), "{name}: {head}");
        if status == 200 {
            assert_eq!(body, "hello", "{name}");
        } else {
            // Nothing that follows could be understood.
            assert!(head.contains("Connection: close\r\n") && client.is_closed(), "{name}: {head}");
        }
    }
}

#[test]
fn none_is_missing() {
    assert_eq!(FRAGMENTS.len() + REQUESTS.len(), 32);
}

in_each_mode! { fragments requests }
