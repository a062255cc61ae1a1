//! Ten million green threads one after the other, and echoes over TCP. Rows for `micro.rs`, which says how to run them.

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::support::{Bench, Row};

/// How many are spawned before they get a turn.
const WAVE: u64 = 1000;

/// 10,000,000 short green threads, a thousand at a time: nobody joins them, each counts itself.
pub(crate) fn short_spawns(bench: &Bench) {
    const N: u64 = 10_000_000;
    let rows = vec![
        Row::new("sward, one worker", || sward_spawns(N, 1)),
        Row::new("sward, 2 workers", || sward_spawns(N, 2)),
        Row::new("corosensei: a coroutine on a kept stack (floor)", || bare_coroutines(N / 10)),
        Row::new("OS threads (10,000)", || {
            let n = N / 1000;
            let start = Instant::now();
            let threads: Vec<_> = (0..n).map(|_| std::thread::spawn(|| ())).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            start.elapsed().as_nanos() as f64 / n as f64
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::short_spawns(N)).collect();
    bench.run_rounds("short_spawns", "ns each, 10,000,000 short ones in waves of 1,000", rows, 1);
}

fn sward_spawns(n: u64, workers: usize) -> f64 {
    sward::Builder::new().workers(workers).run(move || {
        let (count, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
        for wave in 1..=n / WAVE {
            for _ in 0..WAVE {
                let count = count.clone();
                drop(sward::thread::spawn(move || count.fetch_add(1, Ordering::Relaxed)));
            }
            while count.load(Ordering::Relaxed) < wave * WAVE {
                sward::thread::yield_now();
            }
        }
        start.elapsed().as_nanos() as f64 / n as f64
    })
}

/// No scheduler, no record, no result: what entering and leaving a fresh coroutine costs.
fn bare_coroutines(n: u64) -> f64 {
    use corosensei::stack::DefaultStack;
    use corosensei::{Coroutine, CoroutineResult};

    let mut stack = DefaultStack::new(64 << 10).expect("a stack");
    let start = Instant::now();
    for n in 0..n {
        let mut coroutine =
            Coroutine::<(), (), u64, _>::with_stack(stack, move |_, ()| black_box(n));
        assert!(matches!(coroutine.resume(()), CoroutineResult::Return(_)));
        stack = coroutine.into_stack();
    }
    start.elapsed().as_nanos() as f64 / n as f64
}

/// Connections that send 64 bytes and get them back, all at the same time.
const PAIRS: u64 = 64;

/// Round trips of 64 bytes over 64 TCP connections, both ends in this program.
pub(crate) fn tcp_echo(bench: &Bench) {
    const N: u64 = 64_000;
    let rows = vec![
        Row::new("sward, one worker", || sward_echo(N, 1)),
        Row::new("sward, 2 workers", || sward_echo(N, 2)),
        Row::new("OS threads", || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..PAIRS {
                    let mut stream = std::net::TcpStream::connect(addr).unwrap();
                    let (other, _) = listener.accept().unwrap();
                    scope.spawn(move || echo(other));
                    scope.spawn(move || ask(&mut stream, N / PAIRS));
                }
            });
            start.elapsed().as_nanos() as f64 / N as f64
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::tcp_echo(N)).collect();
    bench.run("tcp_echo", "ns per round trip of 64 bytes, 64 connections", rows);
}

fn sward_echo(n: u64, workers: usize) -> f64 {
    sward::Builder::new().workers(workers).run(move || {
        let listener = sward::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let start = Instant::now();
        let asking: Vec<_> = (0..PAIRS)
            .map(|_| {
                let mut stream = sward::net::TcpStream::connect(addr).unwrap();
                let (other, _) = listener.accept().unwrap();
                sward::thread::spawn(move || echo(other));
                sward::thread::spawn(move || ask(&mut stream, n / PAIRS))
            })
            .collect();
        asking.into_iter().for_each(|asking| asking.join().unwrap());
        start.elapsed().as_nanos() as f64 / n as f64
    })
}

fn echo(mut stream: impl Read + Write) {
    let mut bytes = [0; 64];
    while stream.read_exact(&mut bytes).is_ok() {
        stream.write_all(&bytes).unwrap();
    }
}

fn ask(stream: &mut (impl Read + Write), n: u64) {
    let mut bytes = [7; 64];
    for _ in 0..n {
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
    }
}

#[cfg(feature = "peers")]
mod peers {
    use super::*;
    use crate::peers::{on_may, on_tokio, spawn_may};

    pub(crate) fn short_spawns(n: u64) -> Vec<Row> {
        // Joined, as who only yields may keep the others from their turn.
        let may = Row::new("may, one worker (1,000,000, joined)", move || {
            on_may(move || {
                let (n, start) = (n / 10, Instant::now());
                for _ in 0..n / WAVE {
                    let all: Vec<_> = (0..WAVE).map(|one| spawn_may(move || one)).collect();
                    all.into_iter().for_each(|one| drop(black_box(one.join())));
                }
                start.elapsed().as_nanos() as f64 / n as f64
            })
        });
        let tokio = Row::new("tokio, current thread", move || {
            on_tokio(async move {
                let (count, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
                for wave in 1..=n / WAVE {
                    for _ in 0..WAVE {
                        let count = count.clone();
                        tokio::spawn(async move { count.fetch_add(1, Ordering::Relaxed) });
                    }
                    while count.load(Ordering::Relaxed) < wave * WAVE {
                        tokio::task::yield_now().await;
                    }
                }
                start.elapsed().as_nanos() as f64 / n as f64
            })
        });
        vec![may, tokio]
    }

    pub(crate) fn tcp_echo(n: u64) -> Vec<Row> {
        let may = Row::new("may, one worker", move || {
            on_may(move || {
                let listener = may::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let addr = listener.local_addr().unwrap();
                let start = Instant::now();
                let asking: Vec<_> = (0..PAIRS)
                    .map(|_| {
                        let mut stream = may::net::TcpStream::connect(addr).unwrap();
                        let (other, _) = listener.accept().unwrap();
                        drop(spawn_may(move || echo(other)));
                        spawn_may(move || ask(&mut stream, n / PAIRS))
                    })
                    .collect();
                asking.into_iter().for_each(|asking| drop(asking.join()));
                start.elapsed().as_nanos() as f64 / n as f64
            })
        });
        let tokio = Row::new("tokio, current thread", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.expect("tokio can start").block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let (start, mut asking) = (Instant::now(), Vec::new());
                for _ in 0..PAIRS {
                    let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                    let (other, _) = listener.accept().await.unwrap();
                    tokio::spawn(echo_async(other));
                    asking.push(tokio::spawn(ask_async(stream, n / PAIRS)));
                }
                for asking in asking {
                    let _ = asking.await;
                }
                start.elapsed().as_nanos() as f64 / n as f64
            })
        });
        vec![may, tokio]
    }

    async fn echo_async(mut stream: tokio::net::TcpStream) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut bytes = [0; 64];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(&bytes).await.unwrap();
        }
    }

    async fn ask_async(mut stream: tokio::net::TcpStream, n: u64) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut bytes = [7; 64];
        for _ in 0..n {
            stream.write_all(&bytes).await.unwrap();
            stream.read_exact(&mut bytes).await.unwrap();
        }
    }
}
