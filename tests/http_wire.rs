//! The rules of the wire, one row each: bytes of a request, and what comes back. Every row is sent in one piece in every
//! mode, then byte by byte, then cut in two at every byte: where the pieces end must not matter. The first rows are what
//! makes two servers in a row see different requests (smuggling).
//!
//! Behind each row's request stands another: where the row is refused, it must not be answered.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
#[path = "http_wire_support/rows.rs"]
mod rows;
mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use http_support::{Client, Running, get, get_once, start, without_date};
use rows::{Row, rows};
use sward::http::{BodyWriter, Config, Mode, Request, Response, Router, StatusCode};

/// What each row is followed by.
const AFTER: &str = "GET /after HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

fn serve(mode: Mode) -> Running {
    support::alarm();
    let app = Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/after", |_: &mut Request| "after")
        .get("/name/{name}", |req: &mut Request| req.param::<String>("name"))
        .get("/late", |_: &mut Request| {
            sward::thread::sleep(std::time::Duration::from_millis(20));
            "late"
        })
        .get("/query", |req: &mut Request| format!("{:?}", req.query_str()))
        .get("/nothing", |_: &mut Request| StatusCode::NO_CONTENT)
        .get("/no-stream", |_: &mut Request| {
            let stream = Response::stream(|w: &mut BodyWriter| w.write_all(b"never seen"));
            (StatusCode::NO_CONTENT, stream)
        })
        .get("/unchanged", |_: &mut Request| {
            Response::new(StatusCode::NOT_MODIFIED).header("ETag", "\"1\"").body("never seen")
        })
        .get("/stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| w.write_all(b"streamed"))
        })
        .post("/echo", |req: &mut Request| req.bytes())
        .post("/ignore", |_: &mut Request| "ignored")
        .post("/trailers", |req: &mut Request| {
            let body = req.bytes()?.len();
            let names: Vec<_> = req.headers().map(|(name, _)| name.to_lowercase()).collect();
            Ok::<_, sward::http::Error>(format!("{body} {}", names.join(",")))
        });
    start(mode, Config::default(), app)
}

/// All that comes until the server closes. A reset in the middle of it is seen as an answer that is missing.
fn rest(client: &mut Client) -> String {
    let mut bytes = Vec::new();
    let _ = client.0.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Each answer in a line: the status, the body of a good one, and whether it is the last.
fn summary(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let status = head.strip_prefix("HTTP/1.1 ").unwrap_or("???").get(..3).unwrap_or("???");
        let length = line("Content-Length: ").map_or(0, |n| n.parse().unwrap());
        // An answer to HEAD tells a length, and has no body: another answer follows, or nothing.
        let length = if after.is_empty() || after.starts_with("HTTP/1.1 ") { 0 } else { length };
        let Some((body, after)) = after.split_at_checked(length) else {
            found.push(format!("{status} cut off"));
            break;
        };
        let (mut body, mut after) = (body, after);
        if line("Transfer-Encoding: chunked").is_some() {
            let end = after.find("0\r\n\r\n").map_or(after.len(), |at| at + 5);
            (body, after) = after.split_at(end);
        }
        let mut line = status.to_string();
        if status < "400" && !body.is_empty() {
            line += &format!(" {body}");
        }
        if head.contains("\r\nConnection: close") {
            line += " close";
        }
        found.push(line);
        rest = after;
    }
    if !rest.is_empty() {
        found.push(format!("and {rest:?}"));
    }
    found
}

#[track_caller]
fn check(row: &Row, text: &str, how: &str) {
    assert_eq!(summary(text), row.answers, "{}, {how}: {text}", row.name);
}

fn bytes_of(row: &Row) -> Vec<u8> {
    [&row.request, AFTER.as_bytes()].concat()
}

fn in_one_piece(mode: Mode) {
    let server = serve(mode);
    for row in rows() {
        let mut client = server.client();
        client.send(bytes_of(&row));
        client.finish();
        check(&row, &rest(&mut client), "whole");
    }
}

fn byte_by_byte(mode: Mode) {
    let server = serve(mode);
    for row in rows().iter().filter(|row| row.request.len() < 300) {
        let mut client = server.client();
        for byte in bytes_of(row) {
            // Where the answer is a refusal the server may be gone before the end.
            let _ = client.0.write_all(&[byte]);
        }
        let _ = client.0.shutdown(Shutdown::Write);
        check(row, &rest(&mut client), "byte by byte");
    }
}

/// Many connections at once, each with the first piece sent; then another client's request is answered, so that the
/// server has had a look at the pieces; then the rest.
fn cut_in_two(mode: Mode) {
    // A connection with half a request holds one of a pool's threads.
    let (at_once, most) = match mode {
        Mode::Green => (64, 300),
        Mode::Pool(_) => (2, 60),
        _ => (16, 90),
    };
    let server = serve(mode);
    let mut other = server.client();
    for row in rows().iter().filter(|row| row.request.len() < most) {
        let bytes = bytes_of(row);
        let places: Vec<usize> = (1..=row.request.len()).collect();
        for places in places.chunks(at_once) {
            let mut clients: Vec<_> = places
                .iter()
                .map(|&at| {
                    let mut client = server.client();
                    client.send(&bytes[..at]);
                    (client, at)
                })
                .collect();
            other.send(get("/"));
            assert_eq!(other.response().1, "hello");
            for (client, at) in &mut clients {
                // After a `Connection: close` the server may be gone already.
                let _ = client.0.write_all(&bytes[*at..]);
                let _ = client.0.shutdown(Shutdown::Write);
            }
            for (client, at) in &mut clients {
                check(row, &rest(client), &format!("cut at {at}"));
            }
        }
    }
}

/// Answers that have no body, whatever the handler returned, to the byte.
fn without_body(mode: Mode) {
    let server = serve(mode);
    let text = "Content-Type: text/plain; charset=utf-8\r\n";
    for (request, answer) in [
        ("HEAD /", format!("200 OK\r\n{text}Content-Length: 5\r\n")),
        ("HEAD /stream", "200 OK\r\nTransfer-Encoding: chunked\r\n".to_string()),
        ("HEAD /nothing", format!("204 No Content\r\n{text}")),
        ("GET /nothing", format!("204 No Content\r\n{text}")),
        ("GET /no-stream", "204 No Content\r\n".to_string()),
        ("GET /unchanged", "304 Not Modified\r\nETag: \"1\"\r\n".to_string()),
        ("OPTIONS *", format!("204 No Content\r\n{text}")),
    ] {
        let bytes = format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n{}", get_once("/after"));
        let came = without_date(&server.exchange(bytes));
        let (head, next) = came.split_once("\r\n\r\n").unwrap();
        let head: String =
            head.split_inclusive("\r\n").filter(|line| !line.starts_with("Allow: ")).collect();
        assert_eq!(head + "\r\n", format!("HTTP/1.1 {answer}"), "{request}");
        // At once the next answer.
        assert!(
            next.starts_with("HTTP/1.1 200 OK\r\n") && next.ends_with("after"),
            "{request}: {next}"
        );
    }
}

/// The body is asked for when the handler reads it, once, and never in vain.
fn expectations(mode: Mode) {
    let server = serve(mode);
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let head = |path: &str, lines: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{lines}\r\n")
    };
    for (lines, body) in [
        ("Content-Length: 4\r\n", "body"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let head = head("/echo", lines);
        for at in 1..head.len() {
            let mut client = server.client();
            client.send(&head[..at]);
            client.send(&head[at..]);
            assert_eq!(client.until("\r\n\r\n"), CONTINUE, "cut at {at}");
            client.send(body);
            assert_eq!(client.response().1, "body", "cut at {at}");
        }
        // What was asked before is answered before.
        let mut client = server.client();
        client.send(get("/") + &head);
        assert_eq!(client.response().1, "hello");
        assert_eq!(client.until("\r\n\r\n"), CONTINUE);
        client.send(body.to_string() + &get_once("/after"));
        assert_eq!(client.response().1, "body");
        assert_eq!(client.response().1, "after");
        // The body came without being asked for.
        let text = server.exchange(head + body + &get_once("/after"));
        assert_eq!(summary(&text), ["200 body", "200 after close"]);
    }
    for (request, answers) in [
        (head("/echo", ""), &["200", "200 after close"][..]),
        // HTTP/1.0 knows no 100 (RFC 9110, 10.1.1).
        (
            head("/echo", "Content-Length: 4\r\n")
                .replace("1.1\r\n", "1.0\r\nConnection: keep-alive\r\n")
                + "body",
            &["200 body", "200 after close"],
        ),
        (head("/echo", "").replace("100-continue", "200-perhaps"), &["417 close"]),
        (head("/echo", "Expect: more\r\n"), &["417 close"]),
    ] {
        let mut client = server.client();
        client.send(request.clone() + AFTER);
        client.finish();
        assert_eq!(summary(&rest(&mut client)), answers, "{request}");
    }
    // Nobody asks for it: what follows may be the body or the next request.
    let mut client = server.client();
    client.send(head("/ignore", "Content-Length: 4\r\n"));
    assert_eq!(summary(&rest(&mut client)), ["200 ignored close"]);
}

/// What nobody reads has to be read over, for the next request to be found. If that fails there is none.
fn a_bad_rest(mode: Mode) {
    let server = serve(mode);
    let head = "POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = server.exchange(format!("{head}x\r\n{AFTER}"));
    assert_eq!(summary(&text), ["200 ignored close"]);
    let mut client = server.client();
    client.send(head);
    assert_eq!(client.response().1, "ignored");
    client.send(format!("x\r\n{AFTER}"));
    assert_eq!(rest(&mut client), "");
}

in_each_mode! { in_one_piece byte_by_byte cut_in_two without_body expectations a_bad_rest }
