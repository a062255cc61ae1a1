//! What a page that listens costs: 10,000 subscribers to one topic over Server-Sent Events, every one receiving every
//! post. Each with a green thread that loops over `recv` and writes; and, in green mode, again without (`Sse::follow`).
//!
//! ```text
//! cargo bench --bench subscribers                       10,000 in green mode, both ways
//! cargo bench --bench subscribers -- 2000 threads       as many as you like, in another mode
//! cargo bench --bench subscribers -- followed           one of the ways: looped or followed
//! ```
//!
//! The server is a process of its own, so that its memory is its own and its descriptors suffice; its resident
//! memory, page tables and CPU are the kernel's figures, after minus before. The clients are green threads too.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::Measured;
use sward::http::{Event, Mode, Request, Router, Server, Sse, SseWriter};
use sward::net::TcpStream;
use sward::pubsub::Topic;
use sward::thread;

/// Tells the child what it is, and in which mode.
const ROLE: &str = "SWARD_BENCH_SERVER";
/// Posts to everybody, after one that is not measured.
const POSTS: usize = 20;
/// About what a post of the tweet feed weighs.
const PADDING: usize = 400;

fn main() {
    if let Ok(mode) = std::env::var(ROLE) {
        sward::run(|| serve(mode.parse().expect("a mode")));
        return;
    }
    println!("subscribers: {}", support::machine());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let mode = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(Mode::Green);
    for (way, path) in [("looped", "/events"), ("followed", "/followed")] {
        let asked = ["looped", "followed"].iter().find(|way| args.iter().any(|arg| arg == *way));
        if asked.map_or(mode == Mode::Green || way == "looped", |asked| *asked == way) {
            sward::run(|| measure(count, mode, way, path));
        }
    }
}

/// The server: what anybody would write.
fn serve(mode: Mode) {
    let topic = Topic::new(64);
    let server = Server::bind("127.0.0.1:0").expect("a port").mode(mode);
    println!("{}", server.local_addr().expect("bound"));
    let (subscribers, followed) = (topic.clone(), topic.clone());
    let app = Router::new()
        .get("/events", move |_: &mut Request<'_>| {
            let posts = topic.subscribe();
            Sse::new(move |tx: &mut SseWriter<'_, '_>| {
                tx.comment("hello")?;
                while let Ok(post) = posts.recv() {
                    tx.send_raw(&post.data)?;
                }
                Ok(())
            })
        })
        .get("/followed", move |_: &mut Request<'_>| {
            // What the client waits for.
            Sse::follow(&followed).first(&Event::data("hello"))
        })
        .post("/publish", move |req: &mut Request<'_>| {
            let frame = Event::data(req.text().unwrap_or_default()).encode();
            subscribers.publish(frame).to_string()
        });
    server.serve(app).expect("it serves");
}

/// What all subscribers have received, and whether any saw something else than the next post.
#[derive(Default)]
struct Received {
    posts: AtomicUsize,
    wrong: AtomicUsize,
}

fn measure(count: usize, mode: Mode, way: &str, path: &str) {
    let (server, addr) = Measured::start(ROLE, &mode.to_string());

    publish(&addr, 0); // what everything costs once is paid now
    let (rss, tables) = (server.status("VmRSS:"), server.status("VmPTE:"));
    let received = Arc::new(Received::default());
    let start = Instant::now();
    for n in 0..count {
        subscribe(&addr, path, &received);
        if n % 100 == 99 {
            thread::yield_now();
        }
    }
    let connected = start.elapsed();
    publish(&addr, 0);
    wait_for(&received, count);

    let (cpu, mut worst, start) = (server.cpu(), Duration::ZERO, Instant::now());
    for n in 1..=POSTS {
        let sent = Instant::now();
        publish(&addr, n);
        wait_for(&received, count * (n + 1));
        worst = worst.max(sent.elapsed());
    }
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    let wrong = received.wrong.load(Ordering::Relaxed);
    assert_eq!(wrong, 0, "subscribers that missed a post or got one twice");

    let each = |bytes: u64| bytes as f64 / count as f64;
    let deliveries = (count * POSTS) as f64;
    println!("{count} subscribers in {mode} mode, {way}, {POSTS} posts, every post to every one:");
    println!("  resident memory     {:>10.0} bytes each", each(server.status("VmRSS:") - rss));
    println!("  page tables         {:>10.0} bytes each", each(server.status("VmPTE:") - tables));
    println!("  connect             {:>10.1} us each", connected.as_micros() as f64 / count as f64);
    println!("  server CPU          {:>10.2} us per delivery", cpu.as_micros() as f64 / deliveries);
    println!(
        "  publish until read  {:>10.1} ms for all, in the mean",
        took.as_millis() as f64 / POSTS as f64
    );
    println!(
        "                      {:>10.1} ms for all, at most",
        worst.as_micros() as f64 / 1000.0
    );
}

/// Connects, waits for the stream to begin, and leaves a green thread that reads on.
fn subscribe(addr: &str, path: &str, received: &Arc<Received>) {
    let mut stream = TcpStream::connect(addr).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").expect("sent");
    let mut lines = BufReader::with_capacity(1024, stream);
    let mut line = String::new();
    while !line.trim_end().ends_with(": hello") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("an answer") > 0, "the server closed");
    }
    let received = received.clone();
    thread::spawn(move || {
        let mut expected = 0;
        loop {
            line.clear();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some(post) = line.strip_prefix("data: ") else {
                continue;
            };
            let number = post.split(' ').next().and_then(|n| n.parse::<usize>().ok());
            if number != Some(expected) {
                received.wrong.fetch_add(1, Ordering::Relaxed);
            }
            expected += 1;
            received.posts.fetch_add(1, Ordering::Relaxed);
        }
    });
}

fn publish(addr: &str, number: usize) {
    let body = format!("{number} {}", "x".repeat(PADDING));
    let mut stream = TcpStream::connect(addr).expect("a connection");
    write!(
        stream,
        "POST /publish HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn wait_for(received: &Received, posts: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while received.posts.load(Ordering::Relaxed) < posts {
        assert!(Instant::now() < deadline, "only {:?} of {posts}", received.posts);
        thread::sleep(Duration::from_millis(1));
    }
}
