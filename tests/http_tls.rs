//! Requests over TLS: what handlers do works as it does without, and what they can learn of the client.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;
mod tls_support;
mod ws_support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_support::{body_of, eventually, get, get_once};
use sward::http::ws::Message;
use sward::http::{
    Config, Error, Event, Mode, Request, Response, Router, ServeDir, Sse, StatusCode, WebSocket,
};
use sward::pubsub::Topic;
use tls_support::{Secure, Wishes, client_config, server_tls, start};

in_each_mode! {
    requests_in_a_row
    pipelined
    big_bodies
    chunked_and_continue
    streams
    a_stream_without_length_ends_properly
    an_aborted_stream_is_cut
    files
    split_at_every_byte
    tls12
    events
    topics
    what_the_client_said
    graceful_stop
    a_client_that_vanishes
    a_key_update
    websockets
}

fn app() -> Router {
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .post("/echo", |req: &mut Request| -> Result<Response, Error> {
            req.set_body_limit(64 << 20);
            Ok(Response::new(StatusCode::OK).body(req.bytes()?))
        })
        .post("/length", |req: &mut Request| -> Result<String, Error> {
            req.set_body_limit(64 << 20);
            let mut buf = [0; 3000];
            let mut total = 0;
            loop {
                match req.body().read(&mut buf) {
                    Ok(0) => return Ok(total.to_string()),
                    Ok(n) => total += n,
                    Err(error) => return Err(error.into()),
                }
            }
        })
        .get("/big", |_: &mut Request| pattern(3_000_000))
        .get("/stream", |_: &mut Request| {
            Response::stream(|w| {
                for n in 0..10 {
                    write!(w, "{n};")?;
                    w.flush()?;
                }
                Ok(())
            })
        })
        .get("/broken", |_: &mut Request| {
            Response::stream(|w| {
                w.write_all(b"begin")?;
                w.flush()?;
                Err(std::io::Error::other("on purpose"))
            })
        })
        .get("/who", |req: &mut Request| {
            let tls = req.tls().expect("it came over TLS");
            let (name, protocol) = (tls.server_name(), tls.protocol());
            format!("{} {name:?} {protocol:?} {}", req.is_tls(), tls.version())
        })
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| b'a' + (n % 23) as u8).collect()
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
    bytes.reserve(body.len());
    [bytes.as_bytes(), body].concat()
}

fn requests_in_a_row(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.get("/"), "hello");
    }
    client.send(get_once("/"));
    assert_eq!(body_of(&client.rest()), "hello");
}

/// More in one record than an input buffer takes, so that plaintext is left over when the socket has nothing.
fn pipelined(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    for _ in 0..3 {
        client.send(get("/").repeat(400));
        for _ in 0..400 {
            assert_eq!(client.response().1, "hello");
        }
    }
    // In the middle of the last one's head.
    let many = get("/").repeat(300) + "GET / HT";
    client.send(many);
    for _ in 0..300 {
        assert_eq!(client.response().1, "hello");
    }
    client.send("TP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().1, "hello");
}

fn big_bodies(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    for len in [0, 1, 8191, 8192, 16_383, 16_384, 16_385, 40_000, 3_000_000] {
        let body = pattern(len);
        client.send(post("/length", &body));
        assert_eq!(client.response().1, len.to_string());
        let (sent, mut receiver) = (post("/echo", &body), Vec::new());
        client.send(sent);
        receiver.extend(client.response().1.into_bytes());
        assert!(receiver == body, "{len}");
    }
    assert!(client.get("/big").into_bytes() == pattern(3_000_000));
}

fn chunked_and_continue(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    for byte in b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().1, "hello, world");
    assert_eq!(client.get("/"), "hello");
}

fn streams(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    for _ in 0..2 {
        client.send(get("/stream"));
        let text = client.until("\r\n0\r\n\r\n");
        assert!(body_of(&text).starts_with("2\r\n0;\r\n2\r\n1;\r\n"), "{text}");
    }
}

/// What ends by the close alone must end by a close_notify: the client cannot tell it from a cut otherwise.
fn a_stream_without_length_ends_properly(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!(body_of(&client.rest()), "0;1;2;3;4;5;6;7;8;9;");
}

fn an_aborted_stream_is_cut(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    client.send("GET /broken HTTP/1.0\r\n\r\n");
    let mut text = Vec::new();
    // Reset, or ended without close_notify.
    client.0.read_to_end(&mut text).unwrap_err();
}

fn files(mode: Mode) {
    support::alarm();
    let dir = std::env::temp_dir()
        .join(format!("sward-tls-{}-{mode}", std::process::id()).replace(':', "-"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("large.txt"), pattern(1_000_000)).unwrap();
    let app = Router::new().mount("/files", ServeDir::new(&dir));
    let server = start(mode, server_tls(), Config::default(), app);
    let mut client = server.client();
    assert!(client.get("/files/large.txt").into_bytes() == pattern(1_000_000));
    client.send("GET /files/large.txt HTTP/1.1\r\nHost: test\r\nRange: bytes=70000-199999\r\n\r\n");
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert!(body.as_bytes() == &pattern(1_000_000)[70_000..200_000]);
    std::fs::remove_dir_all(dir).unwrap();
}

/// All that a client ever sends, byte by byte, handshake and all.
fn split_at_every_byte(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    let mut text = Vec::new();
    client.0.conn.writer().write_all(get_once("/").as_bytes()).unwrap();
    loop {
        let mut out = Vec::new();
        while client.0.conn.wants_write() {
            client.0.conn.write_tls(&mut out).unwrap();
        }
        for byte in out {
            client.0.sock.write_all(&[byte]).unwrap();
        }
        if client.0.conn.wants_read() && client.0.conn.read_tls(&mut client.0.sock).unwrap() == 0 {
            break;
        }
        let state = client.0.conn.process_new_packets().unwrap();
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        client.0.conn.reader().read_exact(&mut plain).unwrap();
        text.extend(plain);
        if state.peer_has_closed() {
            break;
        }
    }
    assert!(text.ends_with(b"\r\n\r\nhello"), "{}", String::from_utf8_lossy(&text));
}

fn tls12(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let config = client_config(&Wishes { only_tls12: true, ..Wishes::default() });
    // The second time with a ticket.
    for _ in 0..2 {
        let mut client = server.client_by(&config, "localhost");
        assert_eq!(client.get("/who"), r#"true Some("localhost") None TLSv1.2"#);
        assert!(client.get("/big").into_bytes() == pattern(3_000_000));
        client.send(get_once("/"));
        assert_eq!(body_of(&client.rest()), "hello");
    }
}

fn events(mode: Mode) {
    support::alarm();
    let app = Router::new().get("/events", |_: &mut Request| {
        Sse::new(|sse| {
            sward::thread::sleep(Duration::from_millis(2500));
            for n in 0..5 {
                sse.send(&Event::data(n.to_string()))?;
                sward::thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        })
        .heartbeat(Duration::from_millis(100))
    });
    let server = start(mode, server_tls(), Config::default(), app);
    let mut client = server.client();
    client.send(get("/events"));
    // The heartbeat is another thread's.
    let text = client.until("\r\n:\n\n\r\n");
    assert!(!text.contains("data"), "{text}");
    let mut events = String::new();
    for n in 0..5 {
        let wanted = format!("data: {n}\n\n");
        while !events.contains(&wanted) {
            events += &client.until("\n\n");
        }
    }
}

/// A topic as a response: over TLS by a thread of the connection's own, as nobody else may send on the socket.
fn topics(mode: Mode) {
    let topic = Topic::new(10);
    let theirs = topic.clone();
    let app = Router::new().get("/events", move |_: &mut Request| Sse::follow(&theirs).after(0));
    let publish = |n: u32| assert!(topic.publish(Event::data(n.to_string()).encode()) > 0);
    publish(1);
    let server = start(mode, server_tls(), Config::default(), app);
    let mut client = server.client();
    client.send(get("/events"));
    let history = client.until("data: 1\n\n\r\n");
    assert!(history.starts_with("HTTP/1.1 200 OK\r\n"), "{history}");
    (2..5).for_each(publish);
    client.until("data: 4\n\n\r\n");
    topic.close();
    assert_eq!(client.until("0\r\n\r\n"), "0\r\n\r\n");
}

fn what_the_client_said(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let config = client_config(&Wishes { alpn: &[b"h2", b"http/1.1"], ..Wishes::default() });
    // Resumed the second time, which must not lose anything.
    for _ in 0..2 {
        let mut client = server.client_by(&config, "localhost");
        let said = r#"true Some("localhost") Some("http/1.1") TLSv1.3"#;
        assert_eq!(client.get("/who"), said);
        assert_eq!(client.get("/who"), said);
    }
    // Who is told to speak no more than 1.0 may offer no more.
    let config = client_config(&Wishes { alpn: &[b"http/1.0"], ..Wishes::default() });
    let said = server.client_by(&config, "localhost").get("/who");
    assert_eq!(said, r#"true Some("localhost") Some("http/1.0") TLSv1.3"#);
    // By address there is no name to ask for.
    let mut client = server.client_by(&client_config(&Wishes::default()), "127.0.0.1");
    assert_eq!(client.get("/who"), "true None None TLSv1.3");
}

fn graceful_stop(mode: Mode) {
    support::alarm();
    let at_work = Arc::new(AtomicUsize::new(0));
    let working = at_work.clone();
    let app = app().get("/slow", move |_: &mut Request| {
        working.fetch_add(1, Ordering::SeqCst);
        sward::thread::sleep(Duration::from_millis(300));
        "done"
    });
    let mut server = start(mode, server_tls(), Config::default(), app);
    let mut idle = server.client();
    assert_eq!(idle.get("/"), "hello");
    let mut busy = server.client();
    busy.send(get("/slow"));
    eventually("a request is served", || at_work.load(Ordering::SeqCst) == 1);
    server.handle.shutdown();
    // An end, and not a cut.
    assert_eq!(idle.rest(), "");
    assert_eq!(body_of(&busy.rest()), "done");
    server.join();
}

fn a_client_that_vanishes(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let gone = |mut client: Secure| {
        client.send(get("/"));
        assert_eq!(client.response().1, "hello");
    };
    for _ in 0..10 {
        gone(server.client());
    }
    eventually("all connections are closed", || server.handle.connections() == 0);
    assert_eq!(server.client().get("/"), "hello");
}

/// The halves of it on two green threads, or on a green and an OS thread; much at once, both ways.
fn websockets(mode: Mode) {
    support::alarm();
    let app = Router::new().get("/echo", |req: &mut Request| {
        WebSocket::upgrade(req, |ws: &mut WebSocket| {
            let (mut reader, writer) = ws.split();
            let (messages, echoes) = sward::sync::mpsc::channel::<Message>();
            sward::thread::scope(|s| {
                s.spawn(move || -> std::io::Result<()> {
                    while let Ok(message) = echoes.recv() {
                        writer.send(message)?;
                    }
                    writer.close(1000, "that is all")
                });
                while let Some(message) = reader.read()? {
                    if message.as_bytes() == b"end" {
                        break;
                    }
                    if messages.send(message).is_err() {
                        break;
                    }
                }
                drop(messages);
                while reader.read()?.is_some() {}
                Ok(())
            })
        })
    });
    let server = start(mode, server_tls(), Config::default(), app);
    let mut client = server.client();
    client.send(ws_support::handshake("/echo", ""));
    client.until("\r\n\r\n");
    let sizes = [1, 100, 125, 126, 5000, 20_000, 70_000, 0, 300_000];
    // Sent and received at the same time, with pings in between, which the reading half answers.
    let mut sent = Vec::new();
    for round in 0..20 {
        for size in sizes {
            sent.extend(ws_support::frame(0x81, pattern(size)));
        }
        sent.extend(ws_support::frame(0x89, format!("ping {round}")));
        if round % 5 == 0 {
            client.0.conn.refresh_traffic_keys().unwrap();
        }
        let mut out = std::mem::take(&mut sent);
        // As much as is due back in this round, so that neither side's buffers have to take it all.
        client.send(&out);
        out.clear();
        let mut pongs = 0;
        let mut texts = Vec::new();
        while pongs < 1 || texts.len() < sizes.len() {
            match frame(&mut client) {
                (0x81, payload) => texts.push(payload.len()),
                (0x8a, payload) => {
                    assert_eq!(payload, format!("ping {round}").into_bytes());
                    pongs += 1;
                }
                (other, _) => panic!("a frame that begins with {other:#x}"),
            }
        }
        assert_eq!(texts, sizes);
    }
    client.send(ws_support::frame(0x81, "end"));
    assert_eq!(frame(&mut client), (0x88, [&[3, 232][..], b"that is all"].concat()));
    client.send(ws_support::close(1000));
    // The end is said.
    assert_eq!(client.rest(), "");
}

/// A frame of the server's: its first byte and its payload.
fn frame(client: &mut Secure) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    client.0.read_exact(&mut head).unwrap();
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            client.0.read_exact(&mut len).unwrap();
            u64::from(u16::from_be_bytes(len))
        }
        127 => {
            let mut len = [0; 8];
            client.0.read_exact(&mut len).unwrap();
            u64::from_be_bytes(len)
        }
        len => u64::from(len),
    };
    let mut payload = vec![0; len as usize];
    client.0.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// The client changes its keys and wants ours to be changed.
fn a_key_update(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let mut client = server.client();
    for _ in 0..5 {
        assert_eq!(client.get("/"), "hello");
        client.0.conn.refresh_traffic_keys().unwrap();
        assert_eq!(client.get("/big").len(), 3_000_000);
    }
}
