//! What only the green mode has: connections that wait for a request hold no green thread.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod http_support;
mod support;

use std::io::Write;
use std::time::Duration;

use http_support::{Client, Running, body_of, eventually, get, get_once, start, status_of};
use sward::http::{BodyWriter, Config, Event, Mode, Request, Response, Router, Sse, SseWriter};

fn serve() -> Running {
    support::alarm();
    let app = Router::new()
        .get("/green-threads", |_: &mut Request| sward::stats().green_threads.to_string())
        .get("/sleep", |_: &mut Request| {
            sward::thread::sleep(Duration::from_millis(300));
            "slept"
        })
        .post("/bytes", |req: &mut Request| req.bytes().map(|bytes| bytes.len().to_string()))
        .get("/endless", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(&[b'x'; 1000])?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .get("/flood", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(&[b'x'; 10_000])?;
                }
            })
        })
        .get("/ticks", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| {
                while !tx.is_stopping() {
                    tx.send(&Event::data("tick"))?;
                    sward::thread::sleep(Duration::from_millis(5));
                }
                tx.send(&Event::data("end"))
            })
        });
    start(Mode::Green, Config::default(), app)
}

/// Green threads of the runtime, as a handler sees them, itself included.
fn green_threads(client: &mut Client) -> u64 {
    client.send(get("/green-threads"));
    client.response().1.parse().unwrap()
}

/// Waits until all is up: the one that serves, an acceptor per worker, and the one that answers.
fn started(client: &mut Client) -> u64 {
    eventually("all acceptors run", || green_threads(client) == 4);
    4
}

#[test]
fn idle_connections_hold_no_green_thread() {
    let server = serve();
    let mut asking = server.client();
    let before = started(&mut asking);
    // Some that never sent anything, some between two requests.
    let silent: Vec<Client> = (0..50).map(|_| server.client()).collect();
    let mut between: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut between {
        green_threads(client);
    }
    eventually("101 connections", || server.handle.connections() == 101);
    eventually("green threads as before", || green_threads(&mut asking) == before);
    // And each of them is served when it asks again.
    for client in &mut between {
        assert!(green_threads(client) >= before);
    }
    drop((silent, between));
    eventually("one connection", || server.handle.connections() == 1);
    assert_eq!(green_threads(&mut asking), before);
}

/// What fills the server's buffer to its last byte, or was read straight into the handler's, says nothing about what is
/// behind it, and no event will: it came with the first one.
#[test]
fn what_is_behind_a_full_buffer_is_served() {
    let server = serve();
    let request = format!("{:-<60}\r\n\r\n", "GET /none HTTP/1.1\r\nHost: h");
    assert_eq!(request.len(), 64);
    let mut client = server.client();
    client.send(request.repeat(400));
    for _ in 0..400 {
        assert_eq!(status_of(&client.response().0), "404");
    }
    let mut client = server.client();
    let post = "POST /bytes HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n".to_string();
    client.send((post + &"x".repeat(40_000) + &request).repeat(4));
    for _ in 0..4 {
        assert_eq!(client.response().1, "40000");
        assert_eq!(status_of(&client.response().0), "404");
    }
}

/// A head that comes in pieces, and a refused client that still sends, cost no stack.
#[test]
fn slow_heads_hold_no_green_thread() {
    let server = serve();
    let mut client = server.client();
    let base = started(&mut client);
    let request = "GET /sleep HTTP/1.1\r\nHost: a\r\nX-Long: bbbbbbbbbb\r\n\r\n";
    let mut slow: Vec<_> = (0..50).map(|_| server.client()).collect();
    for at in 0..request.len() - 1 {
        for client in &mut slow {
            client.send(&request[at..=at]);
        }
        if at % 10 == 0 {
            eventually("the pieces were taken", || green_threads(&mut client) == base);
        }
    }
    let mut refused: Vec<_> = (0..50).map(|_| server.client()).collect();
    for client in &mut refused {
        client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
        client.until("\r\n\r\n");
    }
    eventually("they linger without a stack", || green_threads(&mut client) == base);
    assert_eq!(server.handle.connections(), 101);
    for client in &mut slow {
        client.send(&request[request.len() - 1..]);
    }
    for client in &mut slow {
        assert_eq!(client.response().1, "slept");
    }
    for client in &mut refused {
        assert!(client.rest().len() < 200);
    }
}

/// What has begun may finish; what does not finish goes with the end of the graceful stop.
#[test]
fn heads_under_way_survive_the_stop() {
    let mut server = serve();
    let mut client = server.client();
    started(&mut client);
    let (mut one, mut other) = (server.client(), server.client());
    for half in [&mut one, &mut other] {
        half.send("GET /green-threads HTTP/1.1\r\nHo");
    }
    eventually("both are there", || server.handle.connections() == 3);
    std::thread::sleep(Duration::from_millis(100));
    server.handle.shutdown();
    assert!(client.is_closed());
    one.send("st: a\r\n\r\n");
    let text = one.rest();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("Connection: close"), "{text}");
    drop(other);
    server.join();
}

#[test]
fn waiting_handlers_hold_one_each() {
    let server = serve();
    let mut asking = server.client();
    let before = started(&mut asking);
    let mut waiting: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut waiting {
        client.send(get("/sleep"));
    }
    eventually("20 more", || green_threads(&mut asking) == before + 20);
    for client in &mut waiting {
        assert_eq!(client.response().1, "slept");
    }
    eventually("as before", || green_threads(&mut asking) == before);
}

#[test]
fn killed_clients_free_their_green_threads() {
    let server = serve();
    let mut asking = server.client();
    let before = started(&mut asking);
    for path in ["/endless", "/flood", "/ticks"] {
        let mut clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(get(path));
            client.until("\r\n\r\n");
        }
        eventually("10 more", || green_threads(&mut asking) >= before + 10);
        drop(clients);
        eventually("as before", || green_threads(&mut asking) == before);
        eventually("one connection", || server.handle.connections() == 1);
    }
}

#[test]
fn serves_from_an_os_thread_without_a_runtime() {
    support::alarm();
    let server = sward::http::Server::bind("127.0.0.1:0").unwrap();
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let app = Router::new().get("/", |_: &mut Request| sward::thread::is_green().to_string());
    let serving = std::thread::spawn(move || server.serve(app));
    let mut client = Client(std::net::TcpStream::connect(addr).unwrap());
    client.send(get_once("/"));
    assert_eq!(body_of(&client.rest()), "true");
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

/// A descriptor's number keeps one timer, whoever has the number: a later deadline must not pass at the time of an
/// earlier one, and an earlier one must not wait for that of a connection before.
#[test]
fn deadlines_are_those_of_the_connection() {
    support::alarm();
    let mut config = Config::default();
    config.header_timeout = Duration::from_millis(200);
    let server = start(Mode::Green, config, |_: &mut Request| "here");
    let mut asking: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let ask_all = |asking: &mut Vec<Client>| {
        for client in asking {
            client.send(get("/"));
            assert_eq!(client.response().1, "here");
        }
    };
    ask_all(&mut asking);
    // Past the first deadline, which was the one of the head.
    std::thread::sleep(Duration::from_millis(500));
    ask_all(&mut asking);
    drop(asking);
    eventually("all are closed", || server.handle.connections() == 0);
    // These have the numbers of those before, whose timers by now pass in 75 s.
    let mut silent: Vec<Client> = (0..8).map(|_| server.client()).collect();
    assert!(silent.iter_mut().all(Client::is_closed), "silent clients are cut after 200 ms");
}
