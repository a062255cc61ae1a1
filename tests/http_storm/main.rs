//! Storms: slow clients, idle ones, resets, garbage, no descriptors left. Others are served as in calm weather
//! meanwhile, and afterwards connections, green threads, descriptors and memory are as before.
//!
//! The server is a process of its own; the clients are here. 15,000 connections want as many descriptors in each of
//! the two: with a lower hard limit there are fewer connections, and it is said on stderr.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod clients;
mod garbage;
#[path = "../http_support/mod.rs"]
mod http_support;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod wrecks;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clients::{Latency, open, rest};
use garbage::garbage;
use http_support::{eventually, get, status_of};
use server::{Case, Stormed, raise_limit};
use sward::http::Mode;
use wrecks::{no_descriptors, resets};

/// Makes a test of each `fn name(case: Case)`, in green mode and with OS threads.
macro_rules! in_both_modes {
    ($($test:ident)*) => {
        in_both_modes!(green Mode::Green => $($test)*);
        in_both_modes!(threads Mode::Threads => $($test)*);
    };
    ($module:ident $mode:expr => $($test:ident)*) => {
        mod $module {
            use super::{Case, Mode};
            $(#[test] fn $test() {
                let name = concat!(stringify!($module), "::", stringify!($test));
                super::$test(Case { name, mode: $mode });
            })*
        }
    };
}

in_both_modes! { slow_heads slow_bodies slow_readers idle resets no_descriptors garbage }

/// Each connection gets a byte of `bytes` now and then, until `stop`.
fn drip(streams: &mut [TcpStream], byte: u8, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for some in streams.chunks_mut(50) {
            for stream in some {
                // OK to ignore: it is cut, which is looked at later.
                let _ = stream.write(&[byte]);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// All are answered 408 or cut, most of them answered.
fn assert_timed_out(case: Case, streams: &mut [TcpStream]) {
    let mut answered = 0;
    for stream in &mut *streams {
        let (bytes, ended) = rest(stream);
        let text = String::from_utf8_lossy(&bytes);
        assert!(ended, "{}: neither answered nor cut: {text:?}", case.name);
        assert!(text.is_empty() || status_of(&text) == "408", "{}: {text}", case.name);
        answered += usize::from(!text.is_empty());
    }
    println!("{}: {answered} of {} answered 408, the others cut", case.name, streams.len());
    assert!(answered * 10 >= streams.len() * 9, "{}: only {answered} answered", case.name);
}

/// A head that comes byte by byte costs nobody anything, and in green mode no stack.
fn slow_heads(case: Case) {
    let limit = Duration::from_secs(3);
    let mut server = Stormed::start(case, |config| config.header_timeout = Duration::from_secs(3));
    let calm = Latency::measure(server.addr);
    let count = case.many(2000, 200);
    let half = "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ";
    let base = server.warm_up(open(server.addr, count, half));

    let began = Instant::now();
    let mut streams = open(server.addr, count, half);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dripping = scope.spawn(|| drip(&mut streams, b'x', &stop));
        Latency::measure(server.addr).assert_like(calm, case.name);
        if case.is_green() {
            // One that has just got its byte has one for a moment.
            let most = server.calm_green_threads() + count / 20;
            eventually("no green threads for heads", || server.figures().green_threads <= most);
        }
        assert!(began.elapsed() > limit || server.figures().connections > count, "too early");
        while began.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        dripping.join().unwrap();
    });
    assert_timed_out(case, &mut streams);
    let took = began.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(10), "{}: {took:?}", case.name);
    drop(streams);
    server.settle_memory(base);
    server.stop();
}

/// Half a body and then nothing, and bodies byte by byte.
fn slow_bodies(case: Case) {
    let mut server = Stormed::start(case, |config| {
        config.body_timeout = Duration::from_secs(2);
        config.min_rate_grace = Duration::from_secs(3);
    });
    let calm = Latency::measure(server.addr);
    let count = case.many(1000, 200);
    let half = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\nhalf";
    let base = server.warm_up(open(server.addr, count, half));

    let mut streams = open(server.addr, count, half);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (_, some) = streams.split_at_mut(count / 2);
        let dripping = scope.spawn(|| drip(some, b'x', &stop));
        Latency::measure(server.addr).assert_like(calm, case.name);
        eventually("all are given up", || server.figures().connections == 1);
        stop.store(true, Ordering::Relaxed);
        dripping.join().unwrap();
    });
    assert_timed_out(case, &mut streams);
    drop(streams);
    server.settle_memory(base);
    server.stop();
}

/// Big answers that nobody takes, or a byte at a time.
fn slow_readers(case: Case) {
    let mut server = Stormed::start(case, |config| {
        config.write_timeout = Duration::from_secs(2);
        config.min_rate_grace = Duration::from_secs(3);
    });
    let calm = Latency::measure(server.addr);
    let count = case.many(200, 50);
    let big = get("/big");
    let base = server.warm_up(open(server.addr, count, &big));

    let mut streams = open(server.addr, count, &big);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (_, some) = streams.split_at_mut(count / 2);
        let reading = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for stream in &mut *some {
                    stream.set_nonblocking(true).unwrap();
                    let _ = stream.read(&mut [0]);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Latency::measure(server.addr).assert_like(calm, case.name);
        eventually("all are cut", || server.figures().connections == 1);
        stop.store(true, Ordering::Relaxed);
        reading.join().unwrap();
    });
    // They see that it is not the whole.
    for stream in &mut streams[..20] {
        let (bytes, ended) = rest(stream);
        assert!(ended && bytes.len() < 8 << 20, "{}: {} bytes", case.name, bytes.len());
    }
    drop(streams);
    server.settle_memory(base);
    server.stop();
}

/// 15,000 connections, half of them between two requests and half that never sent one.
fn idle(case: Case) {
    let mut server = Stormed::start(case, |config| {
        config.header_timeout = Duration::from_secs(300);
        config.keep_alive_timeout = Duration::from_secs(300);
    });
    let calm = Latency::measure(server.addr);
    let (wanted, possible) = (case.many(15_000, 500), raise_limit() - 200);
    let count = wanted.min(possible);
    if count < wanted {
        // Not by the macro, whose text the harness keeps to itself.
        let text = format!("{}: {count} connections, not {wanted}: descriptor limit\n", case.name);
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    let addr = server.addr;
    let hold = || {
        let mut streams = open(addr, count, "");
        let (_, between) = streams.split_at_mut(count / 2);
        for some in between.chunks_mut(100) {
            for stream in &mut *some {
                stream.write_all(get("/").as_bytes()).unwrap();
            }
            for stream in some {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let mut answer = [0; 300];
                let n = stream.read(&mut answer).unwrap();
                assert!(answer[..n].ends_with(b"hello"));
            }
        }
        streams
    };
    let base = server.warm_up(hold());

    let streams = hold();
    eventually("all are open", || server.figures().connections == count + 1);
    if case.is_green() {
        let calm = server.calm_green_threads();
        eventually("no green threads for them", || server.figures().green_threads == calm);
    }
    let each = server.memory().saturating_sub(base) / count;
    println!("{}: {count} held, {each} bytes each", case.name);
    Latency::measure(server.addr).assert_like(calm, case.name);
    drop(streams);
    server.settle_memory(base);
    server.stop();
}
