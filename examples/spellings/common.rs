//! What the three spellings share: asking a backend, the backend itself, and counting lines.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use sward::http::{Request, Router};

/// The request for `path`.
pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n")
}

/// Asks for `path` and waits for the whole answer.
pub(crate) fn text_of(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    stream.write_all(request(path).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    body_of(answer)
}

/// What a 200 says.
pub(crate) fn body_of(answer: String) -> io::Result<String> {
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.into()),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "the backend did not answer with 200")),
    }
}

/// The bytes of an answer, for the server that has no library to make them.
pub(crate) fn response(answer: io::Result<String>) -> String {
    let (status, body) = match answer {
        Ok(body) => ("200 OK", body),
        Err(error) => ("502 Bad Gateway", error.to_string()),
    };
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The slow service behind the page: each answer takes `wait`.
pub(crate) fn backend(wait: Duration) -> Router {
    let slowly = move |text: &'static str| {
        move |_: &mut Request| {
            sward::thread::sleep(wait);
            text
        }
    };
    Router::new()
        .get("/may-read", slowly("yes"))
        .get("/today", slowly("sunny"))
        .get("/tomorrow", slowly("rain"))
}

/// The lines of code of the handler in a source: between its marks, without comments and blank lines.
pub(crate) fn handler_lines(source: &str) -> Vec<&str> {
    let handler = source.split("// --- the handler\n").nth(1).unwrap_or_default();
    let handler = handler.split("// --- the end of it").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    handler.lines().filter(is_code).collect()
}
