//! Compressed responses: which ones, and for whom. `coding` does the compressing.

#![forbid(unsafe_code)]

use http::StatusCode;

use super::{Middleware, Next};
use crate::blocking;
use crate::http::accept_encoding::Accepted;
use crate::http::coding::{BUILT, Built, PIECE};
use crate::http::request::Request;
use crate::http::response::{Body, Response};
use crate::http::stream::BodyWriter;

/// Sends text compressed to clients that accept it.
///
/// ```
/// use sward::http::middleware::Compression;
/// use sward::http::{Router, ServeDir};
///
/// let app = Router::new().mount("/", ServeDir::new("public")).with(Compression::new());
/// # drop(app);
/// ```
///
/// By gzip; with feature `brotli` also by Brotli, with feature `zstd` also by Zstandard. A client gets what it likes best,
/// and of what it likes the same Zstandard (it takes by far the least time), then Brotli.
///
/// Compressed is what is of a type that gains by it (`text/*`, JSON, XML, JavaScript, SVG, WebAssembly), at least as long
/// as [`Compression::min_size`], and not compressed already. Streams too: what they flush goes out at once. Left alone are
/// parts (206), and whatever the handler marks with `Cache-Control: no-transform`.
///
/// Such responses get `Vary: Accept-Encoding`, compressed or not, and a compressed one's `ETag` becomes weak.
///
/// Other codings are better for files that do not change: compress these once, as well as possible, and have them served
/// by [`ServeDir::precompressed`](crate::http::ServeDir::precompressed).
///
/// # Secrets
///
/// The length of a compressed page tells something of what is in it. If a page holds a secret (a CSRF token, say)
/// together with text that an attacker chose, he can find the secret out by trying (BREACH). Mark such pages with
/// `Cache-Control: no-transform`.
#[derive(Debug, Clone)]
pub struct Compression {
    min_size: u64,
    events: bool,
}

impl Default for Compression {
    fn default() -> Compression {
        Compression::new()
    }
}

impl Compression {
    /// With the defaults: from 1 KiB on, and no event streams.
    pub fn new() -> Compression {
        Compression { min_size: 1 << 10, events: false }
    }

    /// Sends shorter bodies as they are. Streams have no length and are compressed. Default 1 KiB.
    pub fn min_size(mut self, bytes: u64) -> Compression {
        self.min_size = bytes;
        self
    }

    /// Compresses `text/event-stream`, event by event. Default off: each event is compressed again for each client, which
    /// costs far more than it saves unless events are long.
    pub fn events(mut self, on: bool) -> Compression {
        self.events = on;
        self
    }

    fn gains(&self, response: &Response) -> bool {
        let no_transform = |value: &str| {
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case("no-transform"))
        };
        response.status() != StatusCode::PARTIAL_CONTENT
            && response.body_len().is_none_or(|len| len >= self.min_size.max(1))
            && response.get_header("content-encoding").is_none()
            && !response.get_header("cache-control").is_some_and(no_transform)
            && response.get_header("content-type").is_some_and(|mime| self.is_text(mime))
    }

    fn is_text(&self, mime: &str) -> bool {
        const KINDS: &[&str] = &[
            "application/json",
            "application/javascript",
            "application/xml",
            "application/wasm",
            "application/toml",
            "application/yaml",
            "application/x-ndjson",
            "application/vnd.apple.mpegurl",
            "application/vnd.ms-fontobject",
            "font/ttf",
            "font/otf",
            "image/bmp",
            "image/x-icon",
        ];
        let mime = mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match mime.as_str() {
            "text/event-stream" => self.events,
            mime => {
                mime.starts_with("text/")
                    || mime.ends_with("+json")
                    || mime.ends_with("+xml")
                    || KINDS.contains(&mime)
            }
        }
    }
}

impl Middleware for Compression {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let best = Accepted::of(request).best(BUILT.iter().map(|built| built.coding));
        let mut response = next.run(request);
        if response.status() == StatusCode::NOT_MODIFIED {
            // Of what we sent compressed the client knows the weak form.
            let knows = |tag: &str| {
                let known = |(name, value): (&str, &[u8])| {
                    name.eq_ignore_ascii_case("if-none-match")
                        && String::from_utf8_lossy(value).contains(&format!("W/{tag}"))
                };
                request.headers().any(known)
            };
            if response.get_header("etag").is_some_and(knows) {
                weaken(&mut response);
            }
            return response;
        }
        if !self.gains(&response) {
            return response;
        }
        vary(&mut response);
        match BUILT.iter().find(|built| Some(built.coding) == best) {
            Some(built) => compress(response, built),
            None => response,
        }
    }
}

/// Adds Accept-Encoding to what the response depends on.
fn vary(response: &mut Response) {
    let known = response.headers().any(|(name, value)| {
        let is = |part: &[u8]| {
            let part = part.trim_ascii();
            part == b"*" || part.eq_ignore_ascii_case(b"accept-encoding")
        };
        name.eq_ignore_ascii_case("vary") && value.split(|&b| b == b',').any(is)
    });
    if !known {
        response.add_header("Vary", "Accept-Encoding");
    }
}

/// The bytes are others now; only what they stand for is the same.
fn weaken(response: &mut Response) {
    if let Some(etag) = response.get_header("etag").filter(|etag| etag.starts_with('"')) {
        let weak = format!("W/{etag}");
        response.set_header("ETag", weak);
    }
}

fn whole(bytes: impl AsRef<[u8]> + Send + 'static, built: &'static Built) -> Body {
    // A long one takes milliseconds, which others of this worker shall not wait for.
    let long = bytes.as_ref().len() > PIECE;
    let pack = move || (built.whole)(bytes.as_ref());
    Body::Bytes(if long { blocking::run(pack) } else { pack() })
}

fn compress(mut response: Response, built: &'static Built) -> Response {
    let body = std::mem::replace(&mut response.body, Body::Static(b""));
    response.body = match body {
        Body::Stream { producer, head_first } => Body::Stream {
            producer: Box::new(|writer: &mut BodyWriter<'_>| {
                writer.encode_with((built.stream)());
                producer(writer)
            }),
            head_first,
        },
        Body::Follow(following) => Body::Stream {
            // Compressed for each client anew, by a thread of its own.
            producer: Box::new(|writer: &mut BodyWriter<'_>| {
                writer.encode_with((built.stream)());
                following.producer()(writer)
            }),
            head_first: true,
        },
        Body::File(file) => Body::Stream {
            producer: Box::new(move |writer: &mut BodyWriter<'_>| {
                writer.encode_with((built.stream)());
                file.copy_to(writer)
            }),
            head_first: false,
        },
        Body::Static(bytes) => whole(bytes, built),
        Body::Bytes(bytes) => whole(bytes, built),
        Body::Shared(bytes) => whole(bytes, built),
        Body::Upgrade(takeover) => Body::Upgrade(takeover),
    };
    response.add_header("Content-Encoding", built.coding.name());
    weaken(&mut response);
    // A range would be one of other bytes.
    response.remove_header("Accept-Ranges");
    response
}
