//! Time-outs, sizes, the connection limit and the graceful stop, in every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod http_support;
mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use http_support::{Running, eventually, get, get_once, start, status_of};
use sward::http::{BodyWriter, Config, Event, Mode, Request, Response, Router, Sse, SseWriter};

const MODES: [Mode; 3] = [Mode::Green, Mode::Threads, Mode::Pool(4)];

fn serve(mode: Mode, change: impl FnOnce(&mut Config)) -> Running {
    support::alarm();
    let mut config = Config::default();
    change(&mut config);
    let app = Router::new()
        .get("/", |_: &mut Request| "hello")
        .post("/", |req: &mut Request| req.bytes().map(|bytes| bytes.len().to_string()))
        .post("/small", |req: &mut Request| {
            req.set_body_limit(3);
            req.bytes()
        })
        .get("/sleep", |_: &mut Request| {
            sward::thread::sleep(Duration::from_millis(300));
            "slept"
        })
        .get("/ticks", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| {
                while !tx.is_stopping() {
                    tx.send(&Event::data("tick"))?;
                    sward::thread::sleep(Duration::from_millis(5));
                }
                tx.send(&Event::data("end"))
            })
        })
        .get("/flood", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(&[b'x'; 10_000])?;
                }
            })
        })
        .get("/for-ever", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(b"x")?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(5));
                }
            })
        });
    start(mode, config, app)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn slow_heads() {
    for mode in MODES {
        let server = serve(mode, |config| config.header_timeout = ms(200));
        // Nothing at all: closed without a word.
        let start = Instant::now();
        assert_eq!(server.exchange(""), "");
        assert!(start.elapsed() >= ms(190), "{mode}: {:?}", start.elapsed());
        // Half a head, and a byte now and then: the time is for the whole of it.
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\n");
        let mut pace = client.0.try_clone().unwrap();
        std::thread::spawn(move || {
            for byte in "Host: a-name-that-takes-some-time".bytes() {
                std::thread::sleep(ms(20));
                if pace.write_all(&[byte]).is_err() {
                    break;
                }
            }
        });
        let text = client.rest();
        assert_eq!(status_of(&text), "408", "{mode}: {text}");
        assert!(start.elapsed() < ms(3000), "{mode}");
    }
}

/// Too slow in all, though never for long: the rate decides.
#[test]
fn dribbling_bodies() {
    for mode in MODES {
        let server = serve(mode, |config| {
            config.min_rate = 1000;
            config.min_rate_grace = ms(200);
        });
        let mut client = server.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
        let mut pace = client.0.try_clone().unwrap();
        let dribble = std::thread::spawn(move || {
            for _ in 0..899 {
                std::thread::sleep(ms(10));
                if pace.write_all(b"x").is_err() {
                    break;
                }
            }
        });
        let start = Instant::now();
        assert_eq!(status_of(&client.rest()), "408", "{mode}");
        assert!(start.elapsed() < ms(8000), "{mode}: {:?}", start.elapsed());
        dribble.join().unwrap();
        // One that keeps to it may take longer than the grace.
        let mut client = server.client();
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n",
        );
        for _ in 0..3 {
            client.send([b'x'; 1000]);
            std::thread::sleep(ms(100));
        }
        assert_eq!(status_of(&client.rest()), "200", "{mode}");
    }
}

/// Takes a little now and then, within each time-out.
#[test]
fn dribbling_readers() {
    for mode in MODES {
        let server = serve(mode, |config| {
            config.min_rate = 100 << 20;
            config.min_rate_grace = ms(300);
        });
        let mut client = server.client();
        client.send(get("/flood"));
        client.until("\r\n\r\n");
        let mut some = vec![0; 64 << 10];
        eventually("the connection is cut", || {
            let _ = client.0.read(&mut some);
            std::thread::sleep(ms(20));
            server.handle.connections() == 0
        });
    }
}

#[test]
fn slow_bodies() {
    for mode in MODES {
        let server = serve(mode, |config| config.body_timeout = ms(200));
        let mut client = server.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
        assert_eq!(status_of(&client.rest()), "408", "{mode}");
    }
}

#[test]
fn idle_connections() {
    for mode in MODES {
        let server = serve(mode, |config| config.keep_alive_timeout = ms(300));
        let mut client = server.client();
        client.send(get("/"));
        client.response();
        let start = Instant::now();
        assert!(client.is_closed(), "{mode}");
        let waited = start.elapsed();
        assert!(waited >= ms(250) && waited < ms(3000), "{mode}: {waited:?}");
    }
}

#[test]
fn clients_that_do_not_read() {
    for mode in MODES {
        let server = serve(mode, |config| config.write_timeout = ms(200));
        let mut client = server.client();
        client.send(get("/flood"));
        client.until("\r\n\r\n");
        eventually("the connection is cut", || server.handle.connections() == 0);
        // What is on the way still comes, but no end.
        let mut bytes = Vec::new();
        let _ = client.0.read_to_end(&mut bytes);
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{mode}");
    }
}

#[test]
fn body_sizes() {
    for mode in MODES {
        let server = serve(mode, |config| config.max_body = 1000);
        let post = |path: &str, headers: &str, body: &str| {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
            status_of(&server.exchange(head + body)).to_string()
        };
        let long = "x".repeat(1001);
        assert_eq!(post("/", "Content-Length: 1000\r\n", &long[1..]), "200", "{mode}");
        assert_eq!(post("/", "Content-Length: 1001\r\n", &long), "413", "{mode}");
        let chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
        let chunked = "Transfer-Encoding: chunked\r\n";
        let halves = chunk(&long[..500]) + &chunk(&long[501..]) + "0\r\n\r\n";
        assert_eq!(post("/", chunked, &halves), "200", "{mode}");
        assert_eq!(post("/", chunked, &(chunk(&long[..1]) + &halves)), "413", "{mode}");
        assert_eq!(post("/small", "Content-Length: 4\r\n", "1234"), "413", "{mode}");
        assert_eq!(post("/small", "Content-Length: 3\r\n", "123"), "200", "{mode}");
        assert_eq!(post("/", "Content-Length: 99999999999999\r\n", "123"), "413", "{mode}");
    }
}

#[test]
fn connection_limit() {
    for mode in MODES {
        let server = serve(mode, |config| config.max_connections = 2);
        let mut first = server.client();
        let mut second = server.client();
        for client in [&mut first, &mut second] {
            client.send(get("/"));
            client.response();
        }
        let mut third = server.client();
        third.send(get("/"));
        third.0.set_read_timeout(Some(ms(150))).unwrap();
        assert!(third.0.read(&mut [0]).is_err(), "{mode}: it waits");
        drop(first);
        third.0.set_read_timeout(Some(ms(5000))).unwrap();
        assert_eq!(third.response().1, "hello", "{mode}");
    }
}

#[test]
fn graceful_stop() {
    for mode in MODES {
        let mut server = serve(mode, |_| {});
        let mut idle = server.client();
        idle.send(get("/"));
        idle.response();
        let mut running = server.client();
        running.send(get("/sleep") + &get("/"));
        let mut stream = server.client();
        stream.send(get("/ticks"));
        stream.until("data: tick");
        std::thread::sleep(ms(50));
        let start = Instant::now();
        server.handle.shutdown();
        // The idle one closes at once, the running one is answered, the stream ends properly.
        assert!(idle.is_closed(), "{mode}");
        assert!(start.elapsed() < ms(200), "{mode}: {:?}", start.elapsed());
        let text = running.rest();
        assert!(text.contains("Connection: close\r\n\r\nslept"), "{mode}: {text}");
        assert!(!text.contains("hello"), "{mode}: {text}");
        assert!(stream.rest().ends_with("data: end\n\n\r\n0\r\n\r\n"), "{mode}");
        server.join();
        assert!(start.elapsed() < ms(5000), "{mode}");
        assert_eq!(server.handle.connections(), 0);
        assert!(std::net::TcpStream::connect(server.addr).is_err(), "{mode}: still listens");
    }
}

#[test]
fn stop_with_a_deadline() {
    for mode in MODES {
        let mut server = serve(mode, |config| config.shutdown_timeout = ms(200));
        let mut stream = server.client();
        stream.send(get("/for-ever"));
        stream.until("\r\n\r\n");
        let start = Instant::now();
        server.handle.shutdown();
        server.join();
        let took = start.elapsed();
        assert!(took >= ms(190) && took < ms(5000), "{mode}: {took:?}");
        let mut bytes = Vec::new();
        let _ = stream.0.read_to_end(&mut bytes);
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{mode}");
    }
}

#[test]
fn stop_before_and_without_any_client() {
    for mode in MODES {
        let mut server = serve(mode, |_| {});
        server.handle.shutdown();
        server.join();
        let mut server = serve(mode, |_| {});
        assert_eq!(status_of(&server.exchange(get_once("/"))), "200");
        server.handle.shutdown();
        server.handle.shutdown();
        server.join();
    }
}
