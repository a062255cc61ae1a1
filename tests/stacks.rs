//! The memory of stacks goes back to the system when those who used them have ended, whatever the workers do then.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "patch_support/mod.rs"]
mod child;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::sync::Barrier;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[inline(never)]
fn touch_stack() {
    std::hint::black_box([1_u8; 24 << 10]);
}

#[test]
fn workers_that_fall_asleep_give_back_what_many_have_used() {
    const COUNT: usize = 2000;
    child::case(
        "workers_that_fall_asleep_give_back_what_many_have_used",
        Duration::from_secs(60),
        || {
            sward::Builder::new().workers(2).run(|| {
                let before = resident();
                let all_there = Arc::new(Barrier::new(COUNT + 1));
                let all_go = Arc::new(Barrier::new(COUNT + 1));
                let all: Vec<_> = (0..COUNT)
                    .map(|_| {
                        let (there, go) = (all_there.clone(), all_go.clone());
                        sward::thread::spawn(move || {
                            touch_stack();
                            there.wait();
                            go.wait();
                        })
                    })
                    .collect();
                all_there.wait();
                let peak = resident() - before;
                assert!(peak > COUNT * (24 << 10), "{peak} bytes: the stacks were not in use");
                all_go.wait();
                all.into_iter().for_each(|thread| thread.join().unwrap());
                // An OS thread looks, so that no worker has a reason to wake.
                let (sender, receiver) = sward::sync::mpsc::channel();
                let start = Instant::now();
                std::thread::spawn(move || {
                    let mut left = peak;
                    while left > peak / 5 && start.elapsed() < Duration::from_secs(10) {
                        std::thread::sleep(Duration::from_millis(20));
                        left = resident().saturating_sub(before);
                    }
                    sender.send(left).unwrap();
                });
                let left = receiver.recv().unwrap();
                assert!(left <= peak / 5, "{left} bytes are left of {peak}");
            });
        },
    );
}

/// How many bytes each of many handlers holds that wait for news. `requests`: what each client sends.
#[cfg(feature = "http")]
fn waiting_handlers(requests: fn(usize) -> String) -> usize {
    use std::io::Write;
    use sward::http::{Mode, Request, Router, Server};
    use sward::pubsub::Topic;

    const COUNT: usize = 800;
    let news = Topic::new(8);
    let (polled, waiting) = (news.clone(), news.clone());
    let app = Router::new().get("/poll/{who}", move |_: &mut Request| {
        let news = polled.subscribe();
        news.recv().map(|message| message.data).map_err(std::io::Error::other)
    });
    let server = Server::bind("127.0.0.1:0").unwrap().mode(Mode::Green);
    let addr = server.local_addr().unwrap();
    let stop = server.handle();
    let client = std::thread::spawn(move || {
        let mut clients = Vec::with_capacity(2 * COUNT);
        let mut measured = Vec::new();
        // The first half warms everything up.
        for round in 1..=2 {
            for n in 0..COUNT {
                let mut client = std::net::TcpStream::connect(addr).unwrap();
                client.write_all(requests(n).as_bytes()).unwrap();
                clients.push(client);
            }
            let start = Instant::now();
            while waiting.subscribers() < round * COUNT {
                assert!(start.elapsed() < Duration::from_secs(20), "they do not all wait");
                std::thread::sleep(Duration::from_millis(5));
            }
            measured.push(resident());
        }
        waiting.publish(&b"over"[..]);
        stop.shutdown();
        (measured[1] - measured[0]) / COUNT
    });
    sward::Builder::new().workers(1).run(|| server.serve(app).unwrap());
    client.join().unwrap()
}

/// Runs it in a process of its own.
#[cfg(feature = "http")]
fn case(name: &str, requests: fn(usize) -> String) {
    child::case(name, Duration::from_secs(60), move || {
        let bytes = waiting_handlers(requests);
        // A page, and what is not stack: 800 bytes. One stack in eight on a second page would be 500 more. Without
        // optimisation frames are several times as large.
        let most = if cfg!(debug_assertions) { 20_000 } else { 4096 + 800 + 300 };
        assert!(bytes <= most, "{bytes} bytes for each handler that waits");
    });
}

#[cfg(feature = "http")]
#[test]
fn a_handler_that_waits_holds_one_page_of_stack() {
    case("a_handler_that_waits_holds_one_page_of_stack", |n| {
        format!("GET /poll/{n:03} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
    });
}

#[cfg(feature = "http")]
#[test]
fn and_so_it_does_if_its_request_came_before() {
    case("and_so_it_does_if_its_request_came_before", |_| {
        "GET /poll/1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".into()
    });
}
