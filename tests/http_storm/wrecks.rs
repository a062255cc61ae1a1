//! Connections that break off at every stage, and a server that has run out of descriptors.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clients::{Latency, connect, open, reset, rest};
use crate::http_support::{eventually, get};
use crate::server::{Case, Stormed, one_shot};

/// What a client sends before it goes, and whether it reads something first.
fn stages() -> Vec<(String, bool)> {
    let handshake = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: h\r\n";
    vec![
        (String::new(), false),
        ("GET / HT".into(), false),
        (get("/"), false),
        (get("/"), true),
        (get("/").repeat(50), false),
        (format!("{post}Content-Length: 100000\r\n\r\nthe beginning"), false),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nthe"), false),
        (format!("{post}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"), true),
        (get("/big"), false),
        (get("/big"), true),
        (get("/drip"), true),
        (get("/events"), false),
        (get("/events"), true),
        (handshake.into(), false),
        (handshake.into(), true),
        // Half a frame after the handshake.
        (format!("{handshake}\u{1}"), true),
    ]
}

fn storm(addr: SocketAddr, each: usize) {
    for (first, reads) in stages() {
        let mut streams = open(addr, each, &first);
        if reads {
            for stream in &mut streams {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                assert!(stream.read(&mut [0; 100]).unwrap() > 0, "nothing for {first:?}");
            }
        }
        streams.into_iter().for_each(reset);
    }
}

/// Resets at every stage: others do not notice, and nothing is left of them.
pub(crate) fn resets(case: Case) {
    let mut server = Stormed::start(case, |_| {});
    let calm = Latency::measure(server.addr);
    let each = case.many(100, 50);
    storm(server.addr, each);
    server.settle();
    let base = server.steady_memory();

    let addr = server.addr;
    std::thread::scope(|scope| {
        let storms: Vec<_> = (0..2).map(|_| scope.spawn(move || storm(addr, each))).collect();
        let is_over = || storms.iter().all(|storm| storm.is_finished());
        Latency::measure_until(addr, 300, is_over).assert_like(calm, case.name);
    });
    server.settle_memory(base);
    server.stop();
}

/// At its descriptor limit the server serves those that it has, waits without burning CPU, and accepts again when
/// there are descriptors again.
pub(crate) fn no_descriptors(case: Case) {
    const LIMIT: usize = 100;
    let mut server = Stormed::start_with(case, LIMIT, |_| {});
    let mut streams = open(server.addr, LIMIT * 2, &get("/"));
    eventually("none is left", || server.descriptors_below(LIMIT) == LIMIT);
    let (before, time) = (server.cpu(), Duration::from_millis(500));
    std::thread::sleep(time);
    let cpu = server.cpu() - before;
    assert!(cpu < time / 2, "{}: {cpu:?} of CPU in {time:?}", case.name);
    assert!(server.figures().connections <= LIMIT);
    // In turns: each that goes makes room for one that waits.
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0; 300];
        let n = stream.read(&mut answer).unwrap();
        assert!(answer[..n].ends_with(b"hello"), "{}", case.name);
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    drop(streams);
    one_shot(server.addr).unwrap();
    server.settle();
    assert_served(&mut connect(server.addr), case);
    server.stop();
}

fn assert_served(stream: &mut TcpStream, case: Case) {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(stream).0.ends_with(b"hello"), "{}", case.name);
}
