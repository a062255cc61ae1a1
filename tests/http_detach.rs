//! Topics as responses: every subscriber gets every message once and in order, whatever becomes of the others, with a
//! thread of its connection's own or, in green mode, without one.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_support::{Client, Running, eventually, get, start};
use sward::http::middleware::{Compression, ConcurrencyLimit};
use sward::http::{Config, Event, Lagging, Mode, Request, Router, Sse};
use sward::pubsub::Topic;

/// `/` follows the topic as the query says.
fn app(topic: &Topic) -> Router {
    let topic = topic.clone();
    Router::new()
        .get("/", move |req: &mut Request| {
            let lagging = match req.query::<String>("lagging").unwrap().as_deref() {
                Some("oldest") => Lagging::DropOldest,
                Some("newest") => Lagging::DropNewest,
                Some("latest") => Lagging::Latest,
                _ => Lagging::Disconnect,
            };
            let beat = req.query::<u64>("beat").unwrap().map(Duration::from_secs);
            let after = req.query::<u64>("after").unwrap();
            let follow = Sse::follow(&topic).resume(req).lagging(lagging).heartbeat(beat);
            let follow = if after.is_some() { follow.after(after) } else { follow };
            follow.first(&Event::new().retry(Duration::from_secs(1)))
        })
        .get("/stats", |_: &mut Request| sward::stats().green_threads.to_string())
}

fn publish(topic: &Topic, n: u64) {
    let id = topic.publish(Event::data(n.to_string()).id(n.to_string()).encode());
    assert_eq!(id, n);
}

/// A client at the point where the stream begins.
fn follow(server: &Running, path: &str) -> Client {
    let mut client = server.client();
    client.send(get(path));
    let head = client.until("\r\n\r\n");
    assert!(head.contains("Content-Type: text/event-stream\r\n"), "{head}");
    client.until("retry: 1000\n\n\r\n");
    client
}

/// The chunk of such an event.
fn chunk(n: u64) -> String {
    let event = Event::data(n.to_string()).id(n.to_string()).encode();
    format!("{:x}\r\n{}\r\n", event.len(), String::from_utf8(event).unwrap())
}

/// Reads the numbers of a stream, to its end. `None` at the end if it was cut off.
fn numbers(stream: TcpStream) -> Vec<Option<u64>> {
    let mut lines = BufReader::new(stream);
    let (mut line, mut found) = (String::new(), Vec::new());
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(1..) if line == "0\r\n" => return found,
            Ok(1..) => found.extend(line.strip_prefix("id: ").map(|n| n.trim().parse().ok())),
            other => {
                eprintln!("{other:?} after {:?}", found.last());
                found.push(None);
                return found;
            }
        }
    }
}

fn in_order(mode: Mode) {
    support::alarm();
    let topic = Topic::new(1000);
    let server = start(mode, Config::default(), app(&topic));
    let mut clients: Vec<_> = (0..3).map(|_| follow(&server, "/")).collect();
    eventually("they are counted", || topic.subscribers() == 3);
    assert_eq!(server.handle.connections(), 3);
    for n in 1..=200 {
        publish(&topic, n);
    }
    for client in &mut clients {
        let expected: String = (1..=200).map(chunk).collect();
        let got = unchunked(&client.until(&chunk(200)[4..]));
        assert_eq!(got, unchunked(&expected));
    }
    topic.close();
    for client in &mut clients {
        assert_eq!(client.until("0\r\n\r\n"), "0\r\n\r\n");
    }
    drop(clients);
    eventually("nobody is left", || server.handle.connections() == 0 && topic.subscribers() == 0);
}

/// Without the sizes of chunks, which may hold several events.
fn unchunked(text: &str) -> String {
    let is_size = |line: &&str| !line.ends_with("\r\n");
    text.split_inclusive('\n').filter(is_size).collect()
}

/// History first, then what is published meanwhile and after, without a gap or a double.
fn replay(mode: Mode) {
    let topic = Topic::new(1000);
    (1..=50).for_each(|n| publish(&topic, n));
    let server = start(mode, Config::default(), app(&topic));
    let publisher = {
        let topic = topic.clone();
        std::thread::spawn(move || {
            for n in 51..=600 {
                publish(&topic, n);
                if n % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        })
    };
    let mut readers = Vec::new();
    for after in [0, 1, 25, 49, 50] {
        for by_header in [true, false] {
            let mut client = server.client();
            client.send(match by_header {
                true => format!("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {after}\r\n\r\n"),
                false => get(&format!("/?after={after}")),
            });
            let reader = std::thread::spawn(move || numbers(client.0));
            readers.push((after, reader));
            if mode == Mode::Pool(4) && readers.len() == 4 {
                break; // each has a thread
            }
        }
        if mode == Mode::Pool(4) && readers.len() >= 4 {
            break;
        }
    }
    let expected = readers.len();
    eventually("they are there", || topic.subscribers() == expected);
    publisher.join().unwrap();
    topic.close();
    for (after, reader) in readers {
        let expected: Vec<_> = (after + 1..=600).map(Some).collect();
        assert!(reader.join().unwrap() == expected, "after {after}");
    }
}

/// What is no longer kept is said, first.
fn replay_that_comes_too_late(mode: Mode) {
    let topic = Topic::new(10);
    (1..=30).for_each(|n| publish(&topic, n));
    let server = start(mode, Config::default(), app(&topic));
    for (lagging, after, missed) in
        [("disconnect", 5, 15), ("oldest", 0, 20), ("newest", 19, 1), ("latest", 77, 20)]
    {
        let mut client = server.client();
        client.send(get(&format!("/?after={after}&lagging={lagging}")));
        client.until("retry: 1000\n\n");
        let told = client.until("\n\n");
        assert!(
            told.ends_with(&format!("data: {{\"missed\":{missed}}}\nevent: lagged\n\n")),
            "{told}"
        );
        let rest = client.until("id: 30\n\n");
        assert!(rest.contains("id: 21\n"), "{rest}");
    }
    topic.close();
}

fn old_clients(mode: Mode) {
    let topic = Topic::new(10);
    publish(&topic, 1);
    let server = start(mode, Config::default(), app(&topic));
    let mut client = server.client();
    client.send("GET /?after=0&beat=1 HTTP/1.0\r\n\r\n");
    let head = client.until("\r\n\r\n");
    assert!(head.contains("Connection: close\r\n") && !head.contains("chunked"), "{head}");
    assert_eq!(client.until("id: 1\n\n"), "retry: 1000\n\ndata: 1\nid: 1\n\n");
    assert_eq!(client.until(":\n\n"), ":\n\n");
    publish(&topic, 2);
    assert_eq!(client.until("id: 2\n\n"), "data: 2\nid: 2\n\n");
    topic.close();
    assert_eq!(client.rest(), "");
    let head = server.exchange("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("chunked"), "{head}");
    eventually("nobody is left", || topic.subscribers() == 0);
}

fn heartbeats(mode: Mode) {
    let topic = Topic::new(10);
    let server = start(mode, Config::default(), app(&topic));
    let mut client = follow(&server, "/?beat=1");
    assert_eq!(client.until("\n\n\r\n"), "3\r\n:\n\n\r\n");
    publish(&topic, 1);
    assert_eq!(client.until("id: 1\n\n\r\n"), chunk(1));
    assert_eq!(client.until("\n\n\r\n"), "3\r\n:\n\n\r\n");
    topic.close();
}

/// The graceful stop ends streams properly, with all that was published.
fn stop(mode: Mode) {
    let topic = Topic::new(1000);
    let mut server = start(mode, Config::default(), app(&topic));
    let clients: Vec<_> = (0..4).map(|_| follow(&server, "/")).collect();
    eventually("they are there", || topic.subscribers() == 4);
    (1..=100).for_each(|n| publish(&topic, n));
    server.handle.shutdown();
    for client in clients {
        let expected: Vec<_> = (1..=100).map(Some).collect();
        assert_eq!(numbers(client.0), expected);
    }
    server.join();
    assert_eq!(topic.subscribers(), 0);
}

/// Middleware that changes the bytes, or counts who is there.
fn behind_middleware(mode: Mode) {
    let topic = Topic::new(10);
    let app = app(&topic).with(Compression::new().events(true)).with(ConcurrencyLimit::new(1));
    let server = start(mode, Config::default(), app);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    let head = client.until("\r\n\r\n");
    assert!(head.contains("Content-Encoding: gzip\r\n"), "{head}");
    eventually("it is there", || topic.subscribers() == 1);
    let full = server.exchange("GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(full.starts_with("HTTP/1.1 503 "), "{full}");
    publish(&topic, 1);
    topic.close();
    let mut bytes = Vec::new();
    client.0.read_to_end(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"0\r\n\r\n"));
    drop(client);
    let plain = |server: &Running| {
        let mut client = server.client();
        client.send(http_support::get_once("/"));
        let head = client.until("\r\n\r\n");
        head.starts_with("HTTP/1.1 200").then(|| client.rest())
    };
    let mut got = None;
    eventually("there is room again", || {
        got = plain(&server);
        got.is_some()
    });
    assert!(got.unwrap().ends_with("0\r\n\r\n"), "of a topic that is closed");
}

in_each_mode! {
    in_order replay replay_that_comes_too_late old_clients heartbeats stop behind_middleware
}

/// Without stacks: green threads are as few with 500 subscribers as with one.
#[test]
fn they_have_no_green_threads() {
    support::alarm();
    let topic = Topic::new(100);
    let server = start(Mode::Green, Config::default(), app(&topic));
    let threads = || -> usize {
        let stats = server.exchange("GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        http_support::body_of(&stats).parse().unwrap()
    };
    let mut clients: Vec<_> = (0..500).map(|_| follow(&server, "/")).collect();
    publish(&topic, 1);
    clients.iter_mut().for_each(|client| drop(client.until("id: 1\n\n\r\n")));
    // main, two acceptors, two pumps, and the one that tells.
    eventually("there are few threads", || threads() <= 6);
    assert_eq!(topic.subscribers(), 500);
    eventually("they are counted", || server.handle.connections() == 500);
    // Closed, and half closed; noticed without anything being sent.
    for client in clients.drain(..250) {
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        let (mut rest, mut client) = (Vec::new(), client);
        // OK to ignore: it may be a reset.
        let _ = client.0.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    drop(clients);
    eventually("nobody is left", || server.handle.connections() == 0 && topic.subscribers() == 0);
    eventually("no thread is left", || threads() <= 4);
    // And again, with a new pump.
    let mut client = follow(&server, "/");
    publish(&topic, 2);
    client.until("id: 2\n\n\r\n");
}

/// What clients say while they listen is dropped, and no end.
#[test]
fn clients_that_talk() {
    let topic = Topic::new(100);
    let server = start(Mode::Green, Config::default(), app(&topic));
    let mut client = server.client();
    client.send(get("/") + &get("/stats"));
    client.until("retry: 1000\n\n\r\n");
    for n in 1..=20 {
        client.send("x".repeat(1000));
        publish(&topic, n);
        assert_eq!(client.until("\n\n\r\n"), chunk(n));
    }
    client.finish();
    eventually("it is gone", || topic.subscribers() == 0);
}

/// A big event, so that few of them fill what lies between server and client.
fn big(n: u64) -> Vec<u8> {
    [b"data: ", &[b'x'; 100_000][..], format!("\nid: {n}\n\n").as_bytes()].concat()
}

/// One that does not read does not hold up the others, and gets all of it when it reads again.
#[test]
fn slow_clients_catch_up() {
    support::alarm();
    let topic = Topic::new(1000);
    let server = start(Mode::Green, Config::default(), app(&topic));
    let slow: Vec<_> = (0..8).map(|_| follow(&server, "/")).collect();
    let quick = follow(&server, "/").0;
    let quick = std::thread::spawn(move || numbers(quick));
    eventually("they are there", || topic.subscribers() == 9);
    for n in 1..=200 {
        topic.publish(big(n));
    }
    let quick_topic = topic.clone();
    // Each is stuck somewhere in 20 MB, while the quick one gets all of it and more.
    let slow: Vec<_> = slow
        .into_iter()
        .map(|client| {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                numbers(client.0)
            })
        })
        .collect();
    for n in 201..=300 {
        quick_topic.publish(big(n));
        std::thread::sleep(Duration::from_millis(2));
    }
    topic.close();
    let expected: Vec<_> = (1..=300).map(Some).collect();
    assert!(quick.join().unwrap() == expected, "the quick one");
    for slow in slow {
        assert!(slow.join().unwrap() == expected, "a slow one");
    }
    eventually("nobody is left", || server.handle.connections() == 0 && topic.subscribers() == 0);
}

/// What becomes of a client that reads nothing while the topic forgets what it is waiting for.
fn stuck(lagging: &str) -> Vec<Option<u64>> {
    support::alarm();
    let topic = Topic::new(20);
    let server = start(Mode::Green, Config::default(), app(&topic));
    let client = follow(&server, &format!("/?lagging={lagging}"));
    eventually("it is there", || topic.subscribers() == 1);
    // 40 MB, far more than sockets hold; slowly enough for a client that reads.
    for n in 1..=400 {
        topic.publish(big(n));
        std::thread::sleep(Duration::from_millis(1));
    }
    let reader = std::thread::spawn(move || numbers(client.0));
    eventually("it is where it was, or gone", || {
        topic.publish(big(topic.last_id() + 1));
        topic.last_id() > 420
    });
    std::thread::sleep(Duration::from_millis(200));
    topic.close();
    let found = reader.join().unwrap();
    eventually("nobody is left", || server.handle.connections() == 0 && topic.subscribers() == 0);
    found
}

fn gaps(found: &[Option<u64>]) -> usize {
    found.windows(2).filter(|pair| pair[0].map(|n| n + 1) != pair[1]).count()
}

#[test]
fn stuck_and_disconnected() {
    let found = stuck("disconnect");
    let (end, whole) = found.split_last().unwrap();
    assert_eq!(*end, None, "it must not look whole");
    assert_eq!(gaps(whole), 0, "{whole:?}");
    assert!(whole.len() < 300, "{whole:?}");
}

#[test]
fn stuck_and_told() {
    for lagging in ["oldest", "newest"] {
        let found = stuck(lagging);
        assert_eq!(found.last(), Some(&Some(421)), "{lagging}: {found:?}");
        let numbers: Vec<_> = found.iter().map(|n| n.unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{lagging}: {numbers:?}");
        assert!(gaps(&found) >= 1 && found.len() < 400, "{lagging}: {found:?}");
    }
}

#[test]
fn stuck_and_brought_up_to_date() {
    let found = stuck("latest");
    assert_eq!(found.last(), Some(&Some(421)), "{found:?}");
    assert!(found.len() < 300, "{found:?}");
}

/// One that takes nothing at all is cut after the write time-out.
#[test]
fn stuck_for_good() {
    let topic = Topic::new(1000);
    let config = || {
        let mut config = Config::default();
        config.write_timeout = Duration::from_millis(300);
        config
    };
    let server = start(Mode::Green, config(), app(&topic));
    let client = follow(&server, "/");
    eventually("it is there", || topic.subscribers() == 1);
    (1..=200).for_each(|n| assert_eq!(topic.publish(big(n)), n));
    eventually("it was cut", || topic.subscribers() == 0 && server.handle.connections() == 0);
    assert_eq!(numbers(client.0).last(), Some(&None));
}

/// A thousand of everything, in an order that a seed makes: some leave, some come late, some are slow for a while, and
/// nobody misses a message or gets one twice.
#[test]
fn a_thousand_subscribers_and_messages() {
    support::alarm();
    const SUBSCRIBERS: usize = 1000;
    const MESSAGES: u64 = 1000;
    let topic = Topic::new(MESSAGES as usize);
    // A machine may be so busy with a thousand of them that one seems slow.
    let mut config = Config::default();
    (config.header_timeout, config.min_rate) = (Duration::from_secs(60), 0);
    let server = start(Mode::Green, config, app(&topic));
    let faults = Arc::new(Mutex::new(Vec::new()));
    let done = Arc::new(AtomicUsize::new(0));
    let published = topic.clone();
    let publisher = std::thread::spawn(move || {
        for n in 1..=MESSAGES {
            publish(&published, n);
            if n % 4 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let (addr, found, over) = (server.addr, faults.clone(), done.clone());
    let clients = std::thread::spawn(move || {
        sward::Builder::new().workers(1).run(move || {
            let mut threads = Vec::new();
            for who in 0..SUBSCRIBERS {
                let (found, over) = (found.clone(), over.clone());
                threads.push(sward::thread::spawn(move || {
                    if let Err(fault) = subscriber(addr, who as u64) {
                        found.lock().unwrap().push(format!("{who}: {fault}"));
                    }
                    over.fetch_add(1, Ordering::SeqCst);
                }));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
    publisher.join().unwrap();
    // Those that stay to the end have everything before it closes.
    clients.join().unwrap();
    let faults = faults.lock().unwrap().clone();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(done.load(Ordering::SeqCst), SUBSCRIBERS);
    eventually("nobody is left", || server.handle.connections() == 0 && topic.subscribers() == 0);

    /// Follows from some message on, until it has the last one; may leave and resume on the way.
    fn subscriber(addr: std::net::SocketAddr, seed: u64) -> Result<(), String> {
        use std::io::Write;
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: u64| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word % below
        };
        sward::thread::sleep(Duration::from_millis(random(100)));
        let mut last = 0;
        while last < MESSAGES {
            let mut stream = sward::net::TcpStream::connect(addr).map_err(|e| e.to_string())?;
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {last}\r\n\r\n");
            stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
            let leaves_at = if random(2) == 0 { last + 1 + random(MESSAGES) } else { MESSAGES };
            let mut lines = BufReader::with_capacity(512, stream);
            let mut line = String::new();
            while last < leaves_at.min(MESSAGES) {
                line.clear();
                if lines.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
                    return Err(format!("the end after {last}"));
                }
                let Some(id) = line.strip_prefix("id: ") else {
                    if line.contains("lagged") {
                        return Err(format!("lagged after {last}"));
                    }
                    continue;
                };
                if id.trim().parse() != Ok(last + 1) {
                    return Err(format!("{id:?} after {last}"));
                }
                last += 1;
                if random(500) == 0 {
                    sward::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Ok(())
    }
}
