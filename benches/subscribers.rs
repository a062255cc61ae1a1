//! What a page that listens costs: 10,000 subscribers to one topic over Server-Sent Events, every one receiving every
//! post. Each with a green thread that loops over `recv` and writes; and, in green mode, again without (`Sse::follow`).
//!
//! ```text
//! cargo bench --bench subscribers                       10,000 in green mode, both ways
//! cargo bench --bench subscribers -- 2000 threads       as many as you like, in another mode
//! cargo bench --bench subscribers -- followed           one of the ways: looped or followed
//! cargo bench --bench subscribers --features peers -- fanout          beside others: CPU for a delivery, 2 minutes
//! cargo bench --bench subscribers --features peers -- fanout 2000 rounds=9 bare followed
//! ```
//!
//! The server is a process of its own, so that its memory is its own and its descriptors suffice; its resident
//! memory, page tables and CPU are the kernel's figures, after minus before. The clients are green threads too.
//!
//! `fanout` compares, all with one worker: `bare`, which does nothing but call `send` for one subscriber after the other; both
//! ways of sward; may with a channel and a coroutine for each; axum on tokio's current-thread runtime with its broadcast channel;
//! and redis-server with clients that have subscribed. Rounds are interleaved, and ratios are of one round.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

#[path = "subscribers_support/client.rs"]
mod client;
#[path = "subscribers_support/fanout.rs"]
mod fanout;
#[cfg(feature = "peers")]
#[path = "subscribers_support/peers.rs"]
mod peers;
#[path = "subscribers_support/servers.rs"]
mod servers;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::{Received, Target};
use support::Measured;
use sward::http::Mode;
use sward::thread;

/// Tells the child what it is.
const ROLE: &str = "SWARD_BENCH_SERVER";
/// Posts to everybody, after one that is not measured.
const POSTS: usize = 20;

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        return servers::serve(&role);
    }
    println!("subscribers: {}", support::machine());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    if args.iter().any(|arg| arg == "fanout") {
        return fanout::compare(count, &args);
    }
    let mode = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(Mode::Green);
    for way in ["looped", "followed"] {
        let asked = ["looped", "followed"].iter().find(|way| args.iter().any(|arg| arg == *way));
        if asked.map_or(mode == Mode::Green || way == "looped", |asked| *asked == way) {
            sward::run(|| measure(count, mode, way));
        }
    }
}

fn measure(count: usize, mode: Mode, way: &str) {
    let (server, addr) = Measured::start(ROLE, &format!("sward {mode}"));
    let target = Target::Http { addr, path: format!("/{way}") };

    target.publish(0); // what everything costs once is paid now
    let (rss, tables) = (server.status("VmRSS:"), server.status("VmPTE:"));
    let received = Arc::new(Received::default());
    let start = Instant::now();
    for n in 0..count {
        target.subscribe(&received);
        if n % 100 == 99 {
            thread::yield_now();
        }
    }
    let connected = start.elapsed();
    target.publish(0);
    received.wait_for(count);

    let (cpu, mut worst, start) = (server.cpu(), Duration::ZERO, Instant::now());
    for n in 1..=POSTS {
        let sent = Instant::now();
        target.publish(n);
        received.wait_for(count * (n + 1));
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
