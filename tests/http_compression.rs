//! Compressed responses over sockets: which, for whom, and that nothing is lost or held back. Each test runs in every
//! mode. With the features `brotli` and `zstd` it tries these codings too.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[allow(dead_code, reason = "the files' own tests use the rest")]
mod http_files_support;
#[macro_use]
mod http_support;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use http_files_support::Site;
use http_support::{Running, start, without_date};
use sward::http::middleware::Compression;
use sward::http::{
    BodyWriter, Config, Event, Html, Mode, Request, Response, Router, ServeDir, Sse, SseWriter,
    StatusCode,
};
use sward::sync::Semaphore;

fn text(len: usize) -> String {
    (0..).flat_map(|n: u32| format!("line {n}\n").into_bytes()).take(len).map(char::from).collect()
}

/// The codings of this build, the best first.
const CODINGS: &[&str] = &[
    #[cfg(feature = "zstd")]
    "zstd",
    #[cfg(feature = "brotli")]
    "br",
    "gzip",
];

fn decoder<'r>(coding: &str, packed: impl Read + 'r) -> Box<dyn Read + 'r> {
    match coding {
        "gzip" => Box::new(GzDecoder::new(packed)),
        #[cfg(feature = "brotli")]
        "br" => Box::new(brotli::Decompressor::new(packed, 4096)),
        #[cfg(feature = "zstd")]
        "zstd" => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
        other => panic!("{other}?"),
    }
}

static STATIC: [u8; 5000] = [b'x'; 5000];

/// `step` lets the streams that wait go on.
fn app(site: &Site, step: &Arc<Semaphore>) -> Router {
    site.put("page.html", text(9000).as_bytes());
    site.put("long.txt", text(400_000).as_bytes());
    let (one, two) = (step.clone(), step.clone());
    let plain = |_: &mut Request| text(2000);
    let events = Router::new()
        .get("/events", move |_: &mut Request| {
            let step = two.clone();
            Sse::new(move |tx: &mut SseWriter| {
                for n in 0..3 {
                    tx.send(&Event::data(format!("event {n}")))?;
                    step.acquire().forget();
                }
                Ok(())
            })
        })
        .with(Compression::new().events(true));
    Router::new()
        .get("/text", plain)
        .get("/short", |_: &mut Request| text(1023))
        .get("/just", |_: &mut Request| text(1024))
        .get("/empty", |_: &mut Request| "")
        .get("/html", |_: &mut Request| Html(text(70_000)))
        .get("/large", |_: &mut Request| text(200_000))
        .get("/static", |_: &mut Request| {
            Response::bytes_static(&STATIC).header("Content-Type", "image/svg+xml; charset=utf-8")
        })
        .get("/shared", |_: &mut Request| {
            let shared = Arc::<[u8]>::from(text(3000).into_bytes());
            Response::new(StatusCode::OK)
                .header("Content-Type", "Application/JSON")
                .body_shared(shared)
        })
        .get("/octets", |_: &mut Request| text(2000).into_bytes())
        .get("/image", |_: &mut Request| {
            Response::text(text(2000)).header("Content-Type", "image/png")
        })
        .get("/done", |_: &mut Request| Response::text(text(2000)).header("Content-Encoding", "br"))
        .get("/fixed", |_: &mut Request| {
            Response::text(text(2000)).header("Cache-Control", "no-store, No-Transform")
        })
        .get("/part", |_: &mut Request| (StatusCode::PARTIAL_CONTENT, text(2000)))
        .get("/missing", |_: &mut Request| (StatusCode::NOT_FOUND, text(2000)))
        .get("/tagged", |_: &mut Request| {
            Response::text(text(2000)).header("ETag", "\"1\"").header("Vary", "Cookie")
        })
        .get("/weak", |_: &mut Request| {
            Response::text(text(2000))
                .header("ETag", "W/\"1\"")
                .header("vary", "a, Accept-encoding")
        })
        .get("/stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                (0..20_000).try_for_each(|n| writeln!(w, "line {n}"))
            })
            .header("Content-Type", "text/plain")
        })
        .get("/nothing", |_: &mut Request| {
            Response::stream(|_: &mut BodyWriter| Ok(())).header("Content-Type", "text/plain")
        })
        .get("/broken", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                w.write_all(text(600_000).as_bytes())?;
                Err(std::io::Error::other("on purpose"))
            })
            .header("Content-Type", "text/plain")
        })
        .get("/stepwise", move |_: &mut Request| {
            let step = one.clone();
            Response::stream(move |w: &mut BodyWriter| {
                for n in 0..3 {
                    writeln!(w, "step {n}")?;
                    w.flush()?;
                    w.flush()?; // a second one adds nothing
                    step.acquire().forget();
                }
                Ok(())
            })
            .header("Content-Type", "text/plain")
        })
        .get("/plain-events", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| tx.send(&Event::data(text(3000))))
        })
        .mount("/files", ServeDir::new(site.root()).precompressed(true))
        .with(Compression::new())
        .nest("/more", events)
}

struct Server {
    running: Running,
    step: Arc<Semaphore>,
    _site: Site,
}

fn serve(mode: Mode) -> Server {
    support::alarm();
    let site = Site::new();
    let step = Arc::new(Semaphore::new(0));
    let running = start(mode, Config::default(), app(&site, &step));
    Server { running, step, _site: site }
}

struct Got {
    head: String,
    body: Vec<u8>,
    /// The body ended as it should.
    whole: bool,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn unpacked(&self, coding: &str) -> String {
        assert_eq!(self.header("Content-Encoding"), Some(coding), "{}", self.head);
        let mut packed = &self.body[..];
        let mut text = String::new();
        decoder(coding, &mut packed).read_to_string(&mut text).unwrap();
        assert!(packed.is_empty(), "bytes behind the end");
        text
    }
}

impl Server {
    /// Asks on a fresh connection that is closed afterwards. `headers` are whole lines.
    fn ask(&self, request: &str, headers: &str) -> Got {
        let mut client = self.running.client().0;
        let request = format!("{request}\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = client.read_to_end(&mut bytes); // a body that is cut off may end with a reset
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let head = without_date(std::str::from_utf8(&bytes[..end]).unwrap());
        let got = Got { head, body: bytes.split_off(end), whole: true };
        if let Some(length) = got.header("Content-Length") {
            let whole = got.body.len() == length.parse::<usize>().unwrap();
            return Got { whole, ..got };
        }
        if got.header("Transfer-Encoding") == Some("chunked") && !request.starts_with("HEAD") {
            let (body, whole) = unchunked(&got.body);
            return Got { body, whole, ..got };
        }
        got
    }

    fn get(&self, path: &str) -> Got {
        self.get_as(path, "gzip")
    }

    fn get_as(&self, path: &str, accept: &str) -> Got {
        self.ask(&format!("GET {path} HTTP/1.1"), &format!("Accept-Encoding: {accept}\r\n"))
    }
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, rest[end..] == *b"\r\n\r\n");
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..).unwrap_or(b"");
    }
    (body, false)
}

fn bodies(mode: Mode) {
    let server = serve(mode);
    for (path, expected) in [
        ("/text", text(2000)),
        ("/just", text(1024)),
        ("/html", text(70_000)),
        ("/large", text(200_000)),
        ("/static", "x".repeat(5000)),
        ("/shared", text(3000)),
        ("/missing", text(2000)),
        ("/stream", (0..20_000).map(|n| format!("line {n}\n")).collect()),
        ("/nothing", String::new()),
        ("/files/page.html", text(9000)),
        ("/files/long.txt", text(400_000)),
    ] {
        for coding in CODINGS {
            let got = server.get_as(path, coding);
            assert!(got.whole && got.unpacked(coding) == expected, "{path}: {}", got.head);
            assert_eq!(got.header("Vary"), Some("Accept-Encoding"), "{path}");
            assert_eq!(got.header("Accept-Ranges"), None, "{path}");
            assert!(expected.len() < 2 * 64 || got.body.len() < expected.len() / 2, "{path}");
        }
        // For others it is as it was, but for Vary.
        let got =
            server.ask(&format!("GET {path} HTTP/1.1"), "Accept-Encoding: *;q=0, identity\r\n");
        assert!(got.whole && got.body == expected.as_bytes(), "{path}: {}", got.head);
        let plain = (got.header("Content-Encoding"), got.header("Vary"));
        assert_eq!(plain, (None, Some("Accept-Encoding")), "{path}");
    }
    // To an old client, without chunks.
    for coding in CODINGS {
        let accept = format!("Accept-Encoding: {coding}\r\n");
        let got = server.ask("GET /stream HTTP/1.0", &accept);
        assert!(got.unpacked(coding).ends_with("line 19999\n"));
    }
}

/// What the client likes best of what there is; of what it likes the same, what we like best.
fn negotiated(mode: Mode) {
    let server = serve(mode);
    let ours = |among: &[&str]| CODINGS.iter().find(|coding| among.contains(coding)).copied();
    for (accept, expected) in [
        ("", None),
        ("identity", None),
        ("compress, deflate", None),
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some(CODINGS[0])),
        ("*", Some(CODINGS[0])),
        ("gzip, br", ours(&["gzip", "br"])),
        ("br", ours(&["br"])),
        ("zstd", ours(&["zstd"])),
        ("zstd;q=0, *", ours(&["br", "gzip"])),
        ("zstd;q=0.5, br;q=0.5, gzip;q=0.7", Some("gzip")),
        ("zstd;q=0.5, br;q=0.9, gzip;q=0.5", ours(&["br"]).or(Some("gzip"))),
        ("zstd;q=0, br;q=0, gzip;q=0", None),
        ("zstd;q=0.1, br;q=0.1, gzip;q=0.1, identity", None),
    ] {
        let got = server.get_as("/text", accept);
        assert_eq!(got.header("Content-Encoding"), expected, "{accept}");
        assert_eq!(got.header("Vary"), Some("Accept-Encoding"), "{accept}");
    }
}

fn left_alone(mode: Mode) {
    let server = serve(mode);
    for path in ["/short", "/empty", "/octets", "/image", "/fixed", "/part", "/plain-events"] {
        let got = server.get(path);
        let headers = (got.header("Content-Encoding"), got.header("Vary"));
        assert!(headers == (None, None) && got.whole, "{path}: {}", got.head);
    }
    let got = server.get("/done");
    assert_eq!((got.header("Content-Encoding"), got.body.len()), (Some("br"), 2000));
    // What is there already is better.
    let got = server.get_as("/files/app.js", "gzip, br");
    assert_eq!((got.header("Content-Encoding"), &got.body[..]), (Some("br"), &b"brotli"[..]));
    assert_eq!(got.head.matches("Vary").count(), 1);
}

fn validators(mode: Mode) {
    let server = serve(mode);
    CODINGS.iter().for_each(|coding| validators_of(&server, coding));
}

fn validators_of(server: &Server, coding: &str) {
    let got = server.get_as("/tagged", coding);
    assert_eq!(got.header("ETag"), Some("W/\"1\""));
    assert!(
        got.head.contains("Vary: Cookie\r\n") && got.head.contains("Vary: Accept-Encoding\r\n")
    );
    let got = server.ask("GET /tagged HTTP/1.1", "");
    assert_eq!(got.header("ETag"), Some("\"1\""));
    let got = server.get_as("/weak", coding);
    assert_eq!(
        (got.header("ETag"), got.header("vary")),
        (Some("W/\"1\""), Some("a, Accept-encoding"))
    );
    assert_eq!(got.head.to_lowercase().matches("vary").count(), 1);
    // What a browser does with a page: it has the weak tag, and it is told that its copy is good.
    let etag = server.get_as("/files/page.html", coding).header("ETag").unwrap().to_string();
    assert!(etag.starts_with("W/\""), "{etag}");
    let headers = format!("Accept-Encoding: {coding}\r\nIf-None-Match: {etag}\r\n");
    let got = server.ask("GET /files/page.html HTTP/1.1", &headers);
    assert!(got.head.starts_with("HTTP/1.1 304 "), "{}", got.head);
    assert_eq!(got.header("ETag"), Some(&*etag));
    // And one that has the plain one.
    let headers = format!("If-None-Match: {}\r\n", &etag[2..]);
    let got = server.ask("GET /files/page.html HTTP/1.1", &headers);
    assert_eq!((&got.head[9..12], got.header("ETag")), ("304", Some(&etag[2..])));
    // A range is one of the plain bytes.
    let headers = format!("Accept-Encoding: {coding}\r\nRange: bytes=0-5\r\n");
    let got = server.ask("GET /files/page.html HTTP/1.1", &headers);
    assert_eq!((&got.body[..], got.header("Content-Encoding")), (&b"line 0"[..], None));
}

/// The head is the one that GET has, as far as it is known without producing the body.
fn heads(mode: Mode) {
    let server = serve(mode);
    for path in ["/text", "/large", "/static", "/stream", "/files/long.txt", "/short"] {
        for coding in CODINGS {
            let accept = format!("Accept-Encoding: {coding}\r\n");
            let head = server.ask(&format!("HEAD {path} HTTP/1.1"), &accept);
            assert_eq!(head.head, server.get_as(path, coding).head, "{path}");
            assert!(head.body.is_empty());
        }
    }
}

/// What was flushed arrives and can be read, though the stream goes on.
fn flushes(mode: Mode) {
    let server = serve(mode);
    CODINGS.iter().for_each(|coding| flushes_of(&server, coding));
}

fn flushes_of(server: &Server, coding: &str) {
    for (path, pieces) in [
        ("/stepwise", ["step 0\n", "step 1\n", "step 2\n"]),
        ("/more/events", ["data: event 0\n\n", "data: event 1\n\n", "data: event 2\n\n"]),
    ] {
        let mut client = server.running.client().0;
        let accept = format!("Accept-Encoding: {coding}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{accept}\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains(&format!("Content-Encoding: {coding}\r\n")), "{head}");
        let mut decoder = decoder(coding, Chunks { stream: client, left: 0, first: true });
        if path == "/more/events" {
            // A heartbeat needs something compressed before it.
            let mut got = [0; 3];
            decoder.read_exact(&mut got).unwrap();
            assert_eq!(&got, b":\n\n");
        }
        for piece in pieces {
            let mut got = vec![0; piece.len()];
            decoder.read_exact(&mut got).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), piece);
            server.step.release();
        }
        let mut rest = Vec::new();
        decoder.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}

/// The data of a chunked body, as it comes.
struct Chunks {
    stream: TcpStream,
    left: usize,
    first: bool,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            if !std::mem::take(&mut self.first) {
                self.stream.read_exact(&mut [0; 2])?;
            }
            let mut line = String::new();
            while !line.ends_with('\n') {
                let mut byte = [0];
                self.stream.read_exact(&mut byte)?;
                line.push(char::from(byte[0]));
            }
            self.left = usize::from_str_radix(line.trim(), 16).unwrap();
        }
        let most = self.left.min(buf.len());
        let n = self.stream.read(&mut buf[..most])?;
        self.left -= n;
        Ok(n)
    }
}

/// A stream that fails is cut off for those who get it compressed too.
fn broken_stream(mode: Mode) {
    let server = serve(mode);
    for coding in CODINGS {
        let got = server.get_as("/broken", coding);
        assert_eq!(got.header("Content-Encoding"), Some(*coding));
        let mut all = Vec::new();
        let ended = decoder(coding, &got.body[..]).read_to_end(&mut all);
        // Zstandard's frames are whole each, and how many there should be only the chunks can tell.
        assert!(!got.whole && (ended.is_err() || *coding == "zstd"), "it looks whole");
        assert!(all.len() < 600_000, "{coding}: nothing is missing");
    }
}

in_each_mode! { bodies negotiated left_alone validators heads flushes broken_stream }
