//! Every rule that the HTML standard has for event streams (9.2.5 and 9.2.6), as far as a server can keep or break it:
//! a strict reader of streams, written to the standard, is checked first; then it reads what `Event` and `SseWriter` send
//! over a real connection, and must find just the events that were meant.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
#[path = "http_sse_support/reader.rs"]
mod reader;
mod support;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use http_support::{Running, get, start, status_of, without_date};
use reader::{Found, Reader, read};
use sward::http::{
    Config, Event, IntoResponse, Mode, Request, Response, Router, Sse, SseWriter, StatusCode,
};

fn found(kind: &str, data: &str, id: &str) -> Found {
    Found { kind: kind.into(), data: data.into(), id: id.into() }
}

/// What it is, bytes of a stream, the events in it, and the reconnection time at its end.
type Rule<'r> = (&'r str, &'r [u8], Vec<Found>, Option<u64>);

/// The reader itself, rule by rule.
#[test]
fn the_reader_keeps_the_rules() {
    let message = |data: &str| found("message", data, "");
    let long = "x".repeat(5000);
    let rules: &[Rule] = &[
        ("nothing", b"", vec![], None),
        ("an event", b"data: a\n\n", vec![message("a")], None),
        (
            "one BOM at the beginning is dropped",
            b"\xef\xbb\xbfdata: a\n\n",
            vec![message("a")],
            None,
        ),
        ("a second one is not", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", vec![], None),
        ("nor one further on", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", vec![message("a")], None),
        ("lines end with LF", b"data: a\ndata: b\n\n", vec![message("a\nb")], None),
        ("or CR LF", b"data: a\r\ndata: b\r\n\r\n", vec![message("a\nb")], None),
        ("or CR", b"data: a\rdata: b\r\r", vec![message("a\nb")], None),
        ("LF CR are two ends", b"data: a\n\rdata: b\n\r", vec![message("a"), message("b")], None),
        ("what is not UTF-8 is replaced", b"data: \xff\n\n", vec![message("\u{fffd}")], None),
        ("an empty line without data is no event", b"\n\nevent: x\n\n\n", vec![], None),
        ("the type is forgotten with it", b"event: x\n\ndata: a\n\n", vec![message("a")], None),
        (
            "one space is dropped",
            b"data: a\n\ndata:b\n\ndata:  c\n\n",
            vec![message("a"), message("b"), message(" c")],
            None,
        ),
        ("no tab is", b"data:\ta\n\n", vec![message("\ta")], None),
        ("empty data is data", b"data\n\ndata:\n\n", vec![message(""), message("")], None),
        ("two empty lines of it", b"data\ndata\n\n", vec![message("\n")], None),
        (
            "a type",
            b"event: x\ndata: a\n\ndata: b\n\n",
            vec![found("x", "a", ""), message("b")],
            None,
        ),
        (
            "the last type holds",
            b"event: x\nevent: y\ndata: a\n\n",
            vec![found("y", "a", "")],
            None,
        ),
        ("an empty one is none", b"event: x\nevent\ndata: a\n\n", vec![message("a")], None),
        (
            "an id stays",
            b"id: 1\ndata: a\n\ndata: b\n\n",
            vec![found("message", "a", "1"), found("message", "b", "1")],
            None,
        ),
        ("without data too", b"id: 1\n\ndata: a\n\n", vec![found("message", "a", "1")], None),
        (
            "an empty one takes it back",
            b"id: 1\ndata: a\n\nid\ndata: b\n\n",
            vec![found("message", "a", "1"), message("b")],
            None,
        ),
        (
            "one with NUL is ignored",
            b"id: 1\nid: 2\0\ndata: a\n\n",
            vec![found("message", "a", "1")],
            None,
        ),
        ("NUL in data is not", b"data: a\0b\n\n", vec![message("a\0b")], None),
        ("retry is of digits", b"retry: 1500\n\n", vec![], Some(1500)),
        (
            "of nothing else",
            b"retry: 1500\nretry: 15x\nretry: -1\nretry: 1.5\nretry:\nretry:  7\n",
            vec![],
            Some(1500),
        ),
        ("comments", b":\n: data: a\n:data: b\n\n", vec![], None),
        ("unknown fields", b"datum: a\nDATA: b\n data: c\nretry2: 1\n\n", vec![], None),
        ("a line without a colon is a name", b"x\ndata\n\n", vec![message("")], None),
        ("a colon in a value", b"data: a:b: c\n\n", vec![message("a:b: c")], None),
        (
            "an event without its empty line is none",
            b"data: a\n\ndata: b\n",
            vec![message("a")],
            None,
        ),
        ("nor in the middle of a line", b"data: a\n\ndata: b", vec![message("a")], None),
        (
            "but its id does not count either",
            b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
            vec![found("message", "a", "1")],
            None,
        ),
        ("and CR LF is one end", b"data: a\r\n\r\ndata: b\r\n", vec![message("a")], None),
    ];
    for (rule, bytes, events, retry) in rules {
        let whole = read(&[bytes]);
        assert_eq!((&whole.events, whole.retry), (events, *retry), "{rule}");
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]).events, *events, "{rule}, cut at {at}");
        }
    }
    let bytes = format!("data: {long}\ndata: {long}\n\n");
    assert_eq!(read(&[bytes.as_bytes()]).events, [message(&format!("{long}\n{long}"))]);
}

/// Something that a handler does, and what of it a client is to see.
#[derive(Debug, Clone)]
enum Act {
    Send(Event),
    Queue(Event),
    Raw(Vec<Event>),
    Comment(String),
    Retry(u64),
}

/// What the client must end up with.
#[derive(Debug, Clone, Default, PartialEq)]
struct Meant {
    events: Vec<Found>,
    id: String,
    retry: Option<u64>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }

    /// Text of pieces that a careless writer would let through as fields, line ends or comments.
    fn text(&mut self, line_ends: bool) -> String {
        const PIECES: &[&str] = &[
            "", " ", "\t", ":", "data: x", "id: 9", "event", "retry: 1", "\u{feff}", "é", "🌱",
            "x", "  two", "%0a", "\u{2028}", "\u{85}",
        ];
        const ENDS: &[&str] = &["\n", "\r", "\r\n", "\n\n", "\r\r\n", "\0"];
        let mut text = String::new();
        for _ in 0..self.below(6) {
            text += PIECES[self.below(PIECES.len())];
            if line_ends && self.below(3) == 0 {
                text += ENDS[self.below(ENDS.len())];
            }
        }
        text
    }

    /// An event, and what it means to a client that has seen those before.
    fn event(&mut self, meant: &mut Meant) -> Event {
        let has_data = self.below(8) > 0;
        let text = self.text(true);
        let mut event = if has_data { Event::data(&text) } else { Event::new() };
        let mut kind = String::new();
        // In any order, and more than once.
        for _ in 0..self.below(4) {
            match self.below(3) {
                0 => {
                    meant.id = self.text(false);
                    event = event.id(&meant.id);
                }
                1 => {
                    kind = self.text(false);
                    event = event.event(&kind);
                }
                _ => {
                    let ms = self.below(100_000) as u64;
                    meant.retry = Some(ms);
                    event = event.retry(Duration::from_millis(ms));
                }
            }
        }
        if has_data {
            // A line end is a line end, whichever.
            let data = text.replace("\r\n", "\n").replace('\r', "\n");
            let kind = if kind.is_empty() { "message".to_string() } else { kind };
            meant.events.push(Found { kind, data, id: meant.id.clone() });
        }
        event
    }

    fn act(&mut self, meant: &mut Meant) -> Act {
        match self.below(6) {
            0 | 1 => Act::Send(self.event(meant)),
            2 => Act::Queue(self.event(meant)),
            3 => Act::Raw((0..self.below(4)).map(|_| self.event(meant)).collect()),
            4 => Act::Comment(self.text(true)),
            _ => {
                let ms = self.below(100_000) as u64;
                meant.retry = Some(ms);
                Act::Retry(ms)
            }
        }
    }
}

fn perform(tx: &mut SseWriter, acts: &[Act]) -> std::io::Result<()> {
    for act in acts {
        match act {
            Act::Send(event) => tx.send(event)?,
            Act::Queue(event) => tx.queue(event)?,
            Act::Raw(events) => {
                tx.send_raw(events.iter().flat_map(Event::encode).collect::<Vec<_>>())?;
            }
            Act::Comment(text) => tx.comment(text)?,
            Act::Retry(ms) => tx.retry(Duration::from_millis(*ms))?,
        }
    }
    Ok(())
}

/// The body of a chunked response, and nothing behind it.
fn unchunked(wire: &[u8]) -> Vec<u8> {
    let (mut body, mut rest) = (Vec::new(), wire);
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        body.extend_from_slice(&rest[..size]);
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
        if size == 0 {
            assert_eq!(rest, b"");
            return body;
        }
    }
}

/// One stream for each seed: what comes is what was meant.
fn random_events(mode: Mode) {
    support::alarm();
    let waiting: &'static Mutex<VecDeque<Vec<Act>>> = Box::leak(Box::default());
    let app = Router::new().get("/", move |_: &mut Request| {
        let acts = waiting.lock().unwrap().pop_front().unwrap();
        Sse::new(move |tx: &mut SseWriter| perform(tx, &acts))
    });
    let server = start(mode, Config::default(), app);
    let mut dispatched = 0;
    for seed in 1..=150 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut meant = Meant::default();
        let acts: Vec<_> = (0..1 + random.below(20)).map(|_| random.act(&mut meant)).collect();
        waiting.lock().unwrap().push_back(acts.clone());
        let text = server.exchange(get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        let (_, wire) = text.split_once("\r\n\r\n").unwrap();
        let stream = unchunked(wire.as_bytes());
        let came = read(&[&stream]);
        assert_eq!(came.events, meant.events, "seed {seed}: {acts:?}\n{wire:?}");
        assert_eq!(
            (came.retry, &came.id),
            (meant.retry, &meant.id),
            "seed {seed}: {acts:?}\n{wire:?}"
        );
        assert!(came.is_whole(), "seed {seed}: a line or an event is cut off");
        dispatched += came.events.len();
    }
    assert!(dispatched > 500, "{dispatched}");
}

/// The head of a stream (9.2.3: anything but 200 and this type fails the connection).
fn heads(mode: Mode) {
    let server = numbers(mode);
    for (request, head) in [
        (get("/numbers"), "Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\n"),
        (get("/numbers").replace("1.1", "1.0"), "Cache-Control: no-cache\r\nConnection: close\r\n"),
        (
            get("/numbers").replace("GET", "HEAD"),
            "Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\n",
        ),
    ] {
        let mut client = server.client();
        client.send(&request);
        let came = without_date(&client.until("\r\n\r\n"));
        let wanted = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}\r\n");
        assert_eq!(came, wanted, "{request}");
    }
    // As it is on the wire for a version without chunks: to the end of the connection.
    let text = server.exchange(get("/numbers").replace("1.1", "1.0"));
    let (_, stream) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(read(&[stream.as_bytes()]).events[0], found("message", "event 1", "1"));
}

const LAST: u32 = 25;

/// Numbered events, a few per connection; when all were seen, there is no more to come.
fn numbers(mode: Mode) -> Running {
    support::alarm();
    let app = Router::new()
        .get("/numbers", |req: &mut Request| -> Response {
            let seen = match req.header("last-event-id").map(str::parse::<u32>) {
                None => 0,
                Some(Ok(seen)) => seen,
                Some(Err(_)) => return StatusCode::BAD_REQUEST.into_response(),
            };
            if seen == LAST {
                return StatusCode::NO_CONTENT.into_response();
            }
            let stream = Sse::new(move |tx: &mut SseWriter| {
                tx.retry(Duration::from_millis(1))?;
                for n in seen + 1..=(seen + 4).min(LAST) {
                    tx.send(&Event::data(format!("event {n}")).id(n.to_string()))?;
                }
                Ok(())
            });
            stream.into_response()
        })
        .get("/echo-id", |req: &mut Request| req.header("last-event-id").map(str::to_string));
    start(mode, Config::default(), app)
}

/// As a browser does it: connect, read, connect again with the last id, until the answer is 204.
fn reconnecting(mode: Mode) {
    let server = numbers(mode);
    let (mut id, mut seen, mut connections) = (String::new(), Vec::new(), 0);
    loop {
        connections += 1;
        assert!(connections < 50, "it never says 204");
        let header = if id.is_empty() { String::new() } else { format!("Last-Event-ID: {id}\r\n") };
        let lines = "Accept: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n";
        let text =
            server.exchange(format!("GET /numbers HTTP/1.1\r\nHost: h\r\n{lines}{header}\r\n"));
        if status_of(&text) == "204" {
            assert!(text.ends_with("\r\n\r\n"), "{text}");
            break;
        }
        let (head, wire) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
        let mut reader = Reader::with_id(&id);
        reader.push(&unchunked(wire.as_bytes()));
        assert_eq!(reader.retry, Some(1));
        seen.extend(reader.events.iter().map(|event| event.data.clone()));
        id = reader.id.clone();
    }
    let all: Vec<_> = (1..=LAST).map(|n| format!("event {n}")).collect();
    assert_eq!(seen, all, "each of them once, in order");
    assert_eq!(connections, LAST.div_ceil(4) + 1);
    // An id comes back as it was: browsers send it as UTF-8.
    for id in ["7", "é🌱", "a, b", "a:b"] {
        let text = server.exchange(format!(
            "GET /echo-id HTTP/1.1\r\nHost: h\r\nConnection: close\r\nLast-Event-ID: {id}\r\n\r\n"
        ));
        assert!(text.ends_with(&format!("\r\n\r\n{id}")), "{text}");
    }
}

/// What would end a line, or an id for the client, never gets on the wire.
#[test]
fn what_no_event_may_hold() {
    for text in ["a\nb", "a\rb", "a\0b"] {
        assert!(std::panic::catch_unwind(|| Event::new().id(text)).is_err(), "{text:?}");
        assert!(std::panic::catch_unwind(|| Event::new().event(text)).is_err(), "{text:?}");
    }
    let longest = Event::new().retry(Duration::MAX).encode();
    let text = String::from_utf8(longest).unwrap();
    let digits = text.strip_prefix("retry: ").unwrap().strip_suffix("\n\n").unwrap();
    assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{text}");
}

in_each_mode! { random_events heads reconnecting }
