//! What the runtime's primitives cost, beside their peers, in one run: yield, spawn and join, park and unpark,
//! channel round trips, sleeps; a mutex that many want, time-outs that are set and cancelled, ten million short threads,
//! echoes over TCP (`micro/`).
//!
//! ```text
//! cargo bench --bench micro                       sward, OS threads and corosensei's bare switch
//! cargo bench --bench micro --features peers      and may, tokio and its current-thread runtime
//! cargo bench --bench micro -- yield chan         only these rows
//! cargo bench --bench micro -- --rounds=3         instead of 9
//! ```
//!
//! Rounds are interleaved (every runtime once per round) and the median is printed with its spread, because the
//! machine is rarely quiet. Differences under 10 % mean nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "peers run on OS threads")]

#[path = "micro/many.rs"]
mod many;
#[path = "micro/shared.rs"]
mod shared;
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Bench, Row};

const ROUNDS: usize = 9;

fn main() {
    let bench = Bench::from_args("micro", ROUNDS);
    yields(&bench);
    spawn_join(&bench);
    spawn_batch(&bench);
    park_unpark(&bench);
    channel(&bench);
    sleeps(&bench);
    sleep_together(&bench);
    shared::mutex(&bench);
    shared::timers(&bench);
    many::short_spawns(&bench);
    many::tcp_echo(&bench);
}

/// Nanoseconds per call of `f`, over `n` calls.
fn nanos(n: u64, mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..n {
        f();
    }
    start.elapsed().as_nanos() as f64 / n as f64
}

fn yields(bench: &Bench) {
    const N: u64 = 1_000_000;
    let rows: Vec<Row> = vec![
        Row::new("sward", || {
            sward::Builder::new().workers(1).run(|| nanos(N, sward::thread::yield_now))
        }),
        Row::new("sward, 2 threads take turns", || {
            sward::Builder::new().workers(1).run(|| {
                let other = sward::thread::spawn(|| nanos(N, sward::thread::yield_now));
                let mine = nanos(N, sward::thread::yield_now);
                (mine + other.join().unwrap()) / 4.0
            })
        }),
        Row::new("sward, 2 workers", || {
            sward::Builder::new().workers(2).run(|| nanos(N, sward::thread::yield_now))
        }),
        Row::new("corosensei's bare switch (floor)", || {
            use corosensei::{Coroutine, CoroutineResult};
            let mut coroutine = Coroutine::new(|yielder, ()| {
                loop {
                    yielder.suspend(());
                }
            });
            let result = nanos(N, || {
                let r: CoroutineResult<(), ()> = coroutine.resume(());
                black_box(r.as_yield());
            });
            // SAFETY: nothing on its stack has a destructor.
            unsafe { coroutine.force_reset() };
            result
        }),
        Row::new("OS thread (sched_yield)", || nanos(N / 10, std::thread::yield_now)),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::yields(N)).collect();
    bench.run("yield", "ns per switch", rows);
}

fn spawn_join(bench: &Bench) {
    const N: u64 = 100_000;
    let rows: Vec<Row> = vec![
        Row::new("sward", || {
            sward::Builder::new().workers(1).run(|| {
                nanos(N, || {
                    sward::thread::spawn(|| black_box(1)).join().unwrap();
                })
            })
        }),
        Row::new("sward, 2 workers", || {
            sward::Builder::new().workers(2).run(|| {
                nanos(N, || {
                    sward::thread::spawn(|| black_box(1)).join().unwrap();
                })
            })
        }),
        Row::new("OS threads", || {
            nanos(N / 100, || {
                std::thread::spawn(|| black_box(1)).join().unwrap();
            })
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::spawn_join(N)).collect();
    bench.run("spawn_join", "ns per spawn and join", rows);
}

fn spawn_batch(bench: &Bench) {
    const N: u64 = 100_000;
    const BATCH: u64 = 100;
    let rows: Vec<Row> = vec![Row::new("sward", || {
        sward::Builder::new().workers(1).run(|| {
            nanos(N / BATCH, || {
                let threads: Vec<_> =
                    (0..BATCH).map(|n| sward::thread::spawn(move || black_box(n))).collect();
                for thread in threads {
                    thread.join().unwrap();
                }
            }) / BATCH as f64
        })
    })];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::spawn_batch(N, BATCH)).collect();
    bench.run("spawn_batch", "ns each, 100 spawned, then joined", rows);
}

fn park_unpark(bench: &Bench) {
    const N: u64 = 200_000;
    let rows: Vec<Row> = vec![
        Row::new("sward, one worker", || {
            sward::Builder::new().workers(1).run(|| ping_pong_park(N, 0))
        }),
        Row::new("sward, across 2 workers", || {
            sward::Builder::new().workers(2).run(|| ping_pong_park(N / 20, 1))
        }),
        Row::new("OS threads", || {
            let n = N / 20;
            let me = std::thread::current();
            let other = std::thread::spawn(move || {
                for _ in 0..n {
                    std::thread::park();
                    me.unpark();
                }
            });
            let result = nanos(n, || {
                other.thread().unpark();
                std::thread::park();
            });
            other.join().unwrap();
            result
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::park(N)).collect();
    bench.run("park", "ns per round trip (2 parks, 2 unparks)", rows);
}

fn ping_pong_park(n: u64, worker: usize) -> f64 {
    let me = sward::thread::current();
    let other = sward::thread::Builder::new()
        .worker(worker)
        .spawn(move || {
            for _ in 0..n {
                sward::thread::park();
                me.unpark();
            }
        })
        .unwrap();
    let result = nanos(n, || {
        other.thread().unpark();
        sward::thread::park();
    });
    other.join().unwrap();
    result
}

fn channel(bench: &Bench) {
    const N: u64 = 200_000;
    let rows: Vec<Row> = vec![
        Row::new("sward mpsc", || sward::Builder::new().workers(1).run(|| round_trip(N, 0))),
        Row::new("sward mpsc, across 2 workers", || {
            sward::Builder::new().workers(2).run(|| round_trip(N / 20, 1))
        }),
        Row::new("OS threads, std mpsc", || {
            let n = N / 20;
            let (to, inbox) = std::sync::mpsc::channel::<u64>();
            let (back, replies) = std::sync::mpsc::channel::<u64>();
            let other = std::thread::spawn(move || {
                for value in inbox {
                    back.send(value).unwrap();
                }
            });
            let result = nanos(n, || {
                to.send(1).unwrap();
                black_box(replies.recv().unwrap());
            });
            drop(to);
            other.join().unwrap();
            result
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::channel(N)).collect();
    bench.run("chan", "ns per round trip", rows);
}

fn round_trip(n: u64, worker: usize) -> f64 {
    use sward::sync::mpsc;
    let (to, inbox) = mpsc::channel::<u64>();
    let (back, replies) = mpsc::channel::<u64>();
    let other = sward::thread::Builder::new()
        .worker(worker)
        .spawn(move || {
            for value in inbox {
                back.send(value).unwrap();
            }
        })
        .unwrap();
    let result = nanos(n, || {
        to.send(1).unwrap();
        black_box(replies.recv().unwrap());
    });
    drop(to);
    other.join().unwrap();
    result
}

/// 10,000 threads sleep 1000 to 1999 ms: how late the median one wakes, in µs.
fn sleeps(bench: &Bench) {
    const N: u64 = 10_000;
    if !bench.wants("sleep") {
        return;
    }
    let rows: Vec<Row> = vec![
        Row::new("sward: median lateness, us", || sleepers_sward(N).0),
        Row::new("sward: CPU per sleeper, us", || sleepers_sward(N).1),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::sleeps(N)).collect();
    bench.run_rounds("sleep", "10,000 sleepers of 1000..1999 ms", rows, 1);
}

/// 10,000 threads that sleep 1 s each: when the last one is back, in ms after the first was spawned.
fn sleep_together(bench: &Bench) {
    const N: u64 = 10_000;
    let second = Duration::from_secs(1);
    let rows: Vec<Row> = vec![Row::new("sward, one worker", move || {
        sward::Builder::new().workers(1).run(|| {
            let start = Instant::now();
            let threads: Vec<_> = (0..N)
                .map(|_| sward::thread::spawn(move || sward::thread::sleep(second)))
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            start.elapsed().as_nanos() as f64 / 1e6
        })
    })];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::sleep_together(N, second)).collect();
    bench.run_rounds("together", "ms until 10,000 sleeps of 1 s are over", rows, 3);
}

fn sleepers_sward(n: u64) -> (f64, f64) {
    let cpu = support::cpu_time();
    let late = sward::Builder::new().workers(1).run(|| {
        let late = Arc::new(sward::sync::Mutex::new(Vec::with_capacity(n as usize)));
        let threads: Vec<_> = (0..n)
            .map(|i| {
                let late = late.clone();
                sward::thread::spawn(move || {
                    let until = Instant::now() + Duration::from_millis(1000 + i * 7919 % 1000);
                    sward::thread::sleep_until(until);
                    let lateness = until.elapsed();
                    late.lock().unwrap().push(lateness.as_nanos() as f64 / 1e3);
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        std::mem::take(&mut *late.lock().unwrap())
    });
    (support::median(late), (support::cpu_time() - cpu).as_nanos() as f64 / 1e3 / n as f64)
}

#[cfg(feature = "peers")]
#[path = "support/peers.rs"]
mod peers;
