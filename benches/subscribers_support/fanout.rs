//! CPU for a delivery, beside others: interleaved rounds, each kind with a fresh server and fresh clients.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sward::thread;

use crate::client::{Received, Target};
use crate::support::{Measured, median};
use crate::{POSTS, ROLE};

const KINDS: &[(&str, &str)] = &[
    ("bare", "nothing but the send calls"),
    ("followed", "sward, Sse::follow"),
    ("looped", "sward, a green thread each"),
    #[cfg(feature = "peers")]
    ("may", "may, a coroutine and a channel each"),
    #[cfg(feature = "peers")]
    ("axum", "axum, tokio's broadcast"),
    ("redis", "redis-server, subscribed sockets"),
];

/// One round warms up.
pub(crate) fn compare(count: usize, args: &[String]) {
    let rounds = args.iter().find_map(|arg| arg.strip_prefix("rounds=")?.parse().ok()).unwrap_or(5);
    let asked = |name: &str| args.iter().any(|arg| arg == name);
    let all = !KINDS.iter().any(|(name, _)| asked(name));
    let redis =
        Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    let kinds: Vec<_> = KINDS
        .iter()
        .filter(|(name, _)| all || asked(name))
        .filter(|(name, _)| *name != "redis" || redis)
        .collect();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{count} subscribers, {POSTS} posts to all, one worker; load before: {}", load.trim());
    if !redis {
        println!("no redis-server here: without it");
    }
    let mut figures = vec![Vec::new(); kinds.len()];
    for round in 0..=rounds {
        for ((name, _), figures) in kinds.iter().zip(&mut figures) {
            let figure = sward::run(|| one(name, count));
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    let first = figures[0].clone();
    println!(
        "server CPU, us for a delivery: median of {rounds} rounds, and in each round times the first (least to most)"
    );
    for ((_, what), figures) in kinds.iter().zip(figures) {
        let ratios: Vec<_> = figures.iter().zip(&first).map(|(one, first)| one / first).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let (figure, ratio) = (median(figures), median(ratios));
        println!("  {what:<38} {figure:>7.2}   {ratio:.2}x ({least:.2} to {most:.2})");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load after: {}", load.trim());
}

/// The server's CPU for a delivery, in us.
fn one(kind: &str, count: usize) -> f64 {
    let (server, target) = start(kind, count);
    let received = Arc::new(Received::default());
    for n in 0..count {
        target.subscribe(&received);
        if n % 100 == 99 {
            thread::yield_now();
        }
    }
    target.publish(0);
    received.wait_for(count);
    let cpu = server.cpu();
    for n in 1..=POSTS {
        target.publish(n);
        received.wait_for(count * (n + 1));
    }
    let cpu = server.cpu() - cpu;
    let wrong = received.wrong.load(Ordering::Relaxed);
    assert_eq!(wrong, 0, "subscribers of {kind} that missed a post or got one twice");
    cpu.as_nanos() as f64 / 1000.0 / (count * POSTS) as f64
}

fn start(kind: &str, count: usize) -> (Measured, Target) {
    if kind == "redis" {
        return start_redis(count);
    }
    let role = if matches!(kind, "followed" | "looped") { "one" } else { kind };
    let (server, addr) = Measured::start(ROLE, role);
    let path = if kind == "looped" { "/looped" } else { "/followed" }.to_owned();
    (server, Target::Http { addr, path })
}

fn start_redis(count: usize) -> (Measured, Target) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
        .args(["--maxclients", &(count + 100).to_string(), "--loglevel", "warning"])
        .args(["--tcp-backlog", "511"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts");
    let (server, addr) = (Measured::of(child), format!("127.0.0.1:{port}"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(&addr).is_err() {
        assert!(Instant::now() < deadline, "redis-server does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    (server, Target::Redis { addr })
}
