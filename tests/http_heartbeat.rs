//! Event streams that have nothing to say send a comment now and then: between events, to clients that are there.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use http_support::{eventually, get, start};
use sward::http::middleware::Compression;
use sward::http::{Config, Event, Mode, Request, Router, Sse, SseWriter};
use sward::pubsub::Topic;

const SECOND: Duration = Duration::from_secs(1);
const COMMENT: &str = "3\r\n:\n\n\r\n";

/// A stream of what is published, with a heartbeat.
fn feed(topic: &Topic, every: impl Into<Option<Duration>>) -> Router {
    let (topic, every) = (topic.clone(), every.into());
    Router::new().get("/", move |_: &mut Request| {
        let news = topic.subscribe();
        let stream = Sse::new(move |tx: &mut SseWriter| {
            while let Ok(message) = news.recv() {
                tx.send_raw(&message.data)?;
            }
            tx.send(&Event::data("last"))
        });
        stream.heartbeat(every)
    })
}

fn silence_is_filled(mode: Mode) {
    support::alarm();
    let topic = Topic::new(4);
    let server = start(mode, Config::default(), feed(&topic, SECOND));
    let mut client = server.client();
    client.send(get("/"));
    client.until("\r\n\r\n");
    let start = Instant::now();
    assert_eq!(client.until(COMMENT), COMMENT);
    assert!(start.elapsed() >= SECOND * 9 / 10, "{:?}", start.elapsed());
    assert_eq!(client.until(COMMENT), COMMENT);
    topic.publish(&b"data: x\n\n"[..]);
    assert_eq!(client.until("x\n\n\r\n"), "9\r\ndata: x\n\n\r\n");
    assert_eq!(client.until(COMMENT), COMMENT);
    topic.close();
    assert_eq!(client.until("0\r\n\r\n"), "c\r\ndata: last\n\n\r\n0\r\n\r\n");
    eventually("nobody listens", || topic.subscribers() == 0);
}

/// To HTTP/1.0 there are no chunks.
fn old_clients(mode: Mode) {
    let topic = Topic::new(4);
    let server = start(mode, Config::default(), feed(&topic, SECOND));
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.until("\r\n\r\n");
    assert_eq!(client.until(":\n\n"), ":\n\n");
    topic.publish(&b"data: x\n\n"[..]);
    assert_eq!(client.until("x\n\n"), "data: x\n\n");
    topic.close();
    assert_eq!(client.rest(), "data: last\n\n");
}

/// A compressed stream gets bytes that decompress to nothing.
fn compressed(mode: Mode) {
    let topic = Topic::new(4);
    let app = feed(&topic, SECOND).with(Compression::new().events(true));
    let server = start(mode, Config::default(), app);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    client.until("\r\n\r\n");
    let mut packed = Vec::new();
    let mut chunks = Vec::new();
    let mut chunk = |client: &mut http_support::Client, packed: &mut Vec<u8>| {
        let size = usize::from_str_radix(client.until("\r\n").trim_end(), 16).unwrap();
        let mut bytes = vec![0; size + 2];
        client.0.read_exact(&mut bytes).unwrap();
        packed.extend_from_slice(&bytes[..size]);
        chunks.push(size);
        size
    };
    assert!(chunk(&mut client, &mut packed) > 10, "the beginning");
    assert_eq!(chunk(&mut client, &mut packed), 5);
    topic.publish(&b"data: x\n\n"[..]);
    while chunk(&mut client, &mut packed) == 5 {}
    assert_eq!(chunk(&mut client, &mut packed), 5);
    topic.close();
    while chunk(&mut client, &mut packed) > 0 {}
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, ":\n\ndata: x\n\ndata: last\n\n");
}

/// Who talks is not interrupted: no comment while events come, and none inside of one.
fn no_comment_in_between(mode: Mode) {
    let app = Router::new().get("/", |_: &mut Request| {
        let stream = Sse::new(|tx: &mut SseWriter| {
            // Begun, and finished when a heartbeat would be due.
            tx.queue_raw(b"data: be")?;
            sward::thread::sleep(SECOND * 3);
            tx.send_raw(b"gun\n\n")?;
            // Events more often than the interval.
            for n in 0..20 {
                tx.send(&Event::data(n.to_string()))?;
                sward::thread::sleep(SECOND / 10);
            }
            Ok(())
        });
        stream.heartbeat(SECOND)
    });
    let server = start(mode, Config::default(), app);
    let mut client = server.client();
    client.send(get("/"));
    client.until("\r\n\r\n");
    let text = client.until("0\r\n\r\n");
    assert!(text.starts_with("d\r\ndata: begun\n\n\r\n"), "{text}");
    assert!(!text.contains(COMMENT), "{text}");
}

fn none_if_not_wanted(mode: Mode) {
    let topic = Topic::new(4);
    let server = start(mode, Config::default(), feed(&topic, None));
    let mut client = server.client();
    client.send(get("/"));
    client.until("\r\n\r\n");
    client.0.set_read_timeout(Some(SECOND * 3)).unwrap();
    let nothing = client.0.read(&mut [0]).unwrap_err();
    assert!(matches!(nothing.kind(), std::io::ErrorKind::WouldBlock), "{nothing}");
    topic.close(); // an OS thread would wait on
}

// Silence takes its time, and a pool's threads are threads.
in_each_mode!(green Mode::Green =>
    silence_is_filled old_clients compressed no_comment_in_between none_if_not_wanted);
in_each_mode!(threads Mode::Threads =>
    silence_is_filled old_clients compressed no_comment_in_between none_if_not_wanted);
in_each_mode!(pool Mode::Pool(4) => silence_is_filled);
