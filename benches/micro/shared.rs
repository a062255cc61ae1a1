//! What several threads want at the same time: a mutex that is asked for by eight, and time-outs that are set and cancelled.
//! Rows for `micro.rs`, which says how to run them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::nanos;
use super::support::{Bench, Row};

/// Who want the mutex.
const THREADS: u64 = 8;

/// Every so many times it is kept over a yield, so that the others have to queue.
const KEPT: u64 = 8;

/// Eight threads lock one mutex, add, and unlock it; an eighth of the time its holder yields meanwhile.
pub(crate) fn mutex(bench: &Bench) {
    const N: u64 = 400_000;
    let rows = vec![
        Row::new("sward, one worker", || sward_mutex(N, 1)),
        Row::new("sward, 2 workers", || sward_mutex(N / 4, 2)),
        Row::new("OS threads, std's mutex", || {
            let (n, count) = (N / 8 / THREADS, std::sync::Mutex::new(0_u64));
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for _ in 0..n {
                            let mut count = count.lock().unwrap();
                            *count += 1;
                            if count.is_multiple_of(KEPT) {
                                std::thread::yield_now();
                            }
                        }
                    });
                }
            });
            start.elapsed().as_nanos() as f64 / black_box(count.into_inner().unwrap()) as f64
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::mutex(N)).collect();
    bench.run("mutex", "ns per lock and unlock, 8 threads at one mutex", rows);
}

fn sward_mutex(n: u64, workers: usize) -> f64 {
    sward::Builder::new().workers(workers).run(move || {
        let count = sward::sync::Mutex::new(0_u64);
        let start = Instant::now();
        sward::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..n / THREADS {
                        let mut count = count.lock().unwrap();
                        *count += 1;
                        if count.is_multiple_of(KEPT) {
                            sward::thread::yield_now();
                        }
                    }
                });
            }
        });
        start.elapsed().as_nanos() as f64 / black_box(count.into_inner().unwrap()) as f64
    })
}

/// A round trip through two channels of which each receive has a time-out: two timers set and cancelled, while 1,000 others
/// are pending.
pub(crate) fn timers(bench: &Bench) {
    const N: u64 = 100_000;
    let rows = vec![
        Row::new("sward, one worker", || sward::Builder::new().workers(1).run(|| sward_timers(N))),
        Row::new("OS threads, std mpsc", || {
            use std::sync::mpsc::channel;
            let n = N / 20;
            let ((to, inbox), (back, replies)) = (channel::<u64>(), channel::<u64>());
            let other = std::thread::spawn(move || {
                while let Ok(value) = inbox.recv_timeout(LONG) {
                    back.send(value).unwrap();
                }
            });
            let result = nanos(n, || {
                to.send(1).unwrap();
                black_box(replies.recv_timeout(LONG).unwrap());
            });
            drop(to);
            other.join().unwrap();
            result
        }),
    ];
    #[cfg(feature = "peers")]
    let rows: Vec<Row> = rows.into_iter().chain(peers::timers(N)).collect();
    bench.run("timer", "ns per round trip with 2 time-outs set and cancelled", rows);
}

/// Never elapses.
const LONG: Duration = Duration::from_secs(60);

/// Timers that are pending meanwhile.
const PENDING: u64 = 1000;

fn sward_timers(n: u64) -> f64 {
    use sward::sync::mpsc::channel;

    let pending: Vec<_> =
        (0..PENDING).map(|_| sward::thread::spawn(|| sward::thread::sleep(LONG))).collect();
    sward::thread::yield_now();
    let ((to, inbox), (back, replies)) = (channel::<u64>(), channel::<u64>());
    let other = sward::thread::spawn(move || {
        while let Ok(value) = inbox.recv_timeout(LONG) {
            back.send(value).unwrap();
        }
    });
    let result = nanos(n, || {
        to.send(1).unwrap();
        black_box(replies.recv_timeout(LONG).unwrap());
    });
    drop(to);
    other.join().unwrap();
    pending.iter().for_each(|thread| thread.cancel());
    result
}

#[cfg(feature = "peers")]
mod peers {
    use std::sync::Arc;

    use super::*;
    use crate::peers::{on_may, on_tokio, spawn_may};

    pub(crate) fn mutex(n: u64) -> Vec<Row> {
        let may = Row::new("may, one worker", move || {
            on_may(move || {
                let (count, start) = (Arc::new(may::sync::Mutex::new(0_u64)), Instant::now());
                let all: Vec<_> = (0..THREADS)
                    .map(|_| {
                        let count = count.clone();
                        spawn_may(move || {
                            for _ in 0..n / THREADS {
                                let mut count = count.lock().unwrap();
                                *count += 1;
                                if count.is_multiple_of(KEPT) {
                                    may::coroutine::yield_now();
                                }
                            }
                        })
                    })
                    .collect();
                all.into_iter().for_each(|one| drop(one.join()));
                let done = *count.lock().unwrap();
                start.elapsed().as_nanos() as f64 / done as f64
            })
        });
        let tokio = Row::new("tokio, current thread", move || {
            on_tokio(async move {
                let (count, start) = (Arc::new(tokio::sync::Mutex::new(0_u64)), Instant::now());
                let all: Vec<_> = (0..THREADS)
                    .map(|_| {
                        let count = count.clone();
                        tokio::spawn(async move {
                            for _ in 0..n / THREADS {
                                let mut count = count.lock().await;
                                *count += 1;
                                if count.is_multiple_of(KEPT) {
                                    tokio::task::yield_now().await;
                                }
                            }
                        })
                    })
                    .collect();
                for one in all {
                    let _ = one.await;
                }
                let done = *count.lock().await;
                start.elapsed().as_nanos() as f64 / done as f64
            })
        });
        vec![may, tokio]
    }

    pub(crate) fn timers(n: u64) -> Vec<Row> {
        let may = Row::new("may, one worker", move || {
            on_may(move || {
                use may::sync::mpsc::channel;
                let pending: Vec<_> =
                    (0..PENDING).map(|_| spawn_may(|| may::coroutine::sleep(LONG))).collect();
                let ((to, inbox), (back, replies)) = (channel::<u64>(), channel::<u64>());
                let other = spawn_may(move || {
                    while let Ok(value) = inbox.recv_timeout(LONG) {
                        let _ = back.send(value);
                    }
                });
                let result = nanos(n, || {
                    let _ = to.send(1);
                    black_box(replies.recv_timeout(LONG).unwrap_or(0));
                });
                drop(to);
                let _ = other.join();
                for one in &pending {
                    // SAFETY: what is cancelled only sleeps.
                    unsafe { one.coroutine().cancel() };
                }
                result
            })
        });
        let tokio = Row::new("tokio, current thread", move || {
            on_tokio(async move {
                use tokio::sync::mpsc::unbounded_channel;
                use tokio::time::timeout;
                let pending: Vec<_> =
                    (0..PENDING).map(|_| tokio::spawn(tokio::time::sleep(LONG))).collect();
                tokio::task::yield_now().await;
                let ((to, mut inbox), (back, mut replies)) =
                    (unbounded_channel::<u64>(), unbounded_channel::<u64>());
                let other = tokio::spawn(async move {
                    while let Ok(Some(value)) = timeout(LONG, inbox.recv()).await {
                        let _ = back.send(value);
                    }
                });
                let start = Instant::now();
                for _ in 0..n {
                    let _ = to.send(1);
                    let _ = black_box(timeout(LONG, replies.recv()).await);
                }
                let result = start.elapsed().as_nanos() as f64 / n as f64;
                drop(to);
                let _ = other.await;
                pending.iter().for_each(|one| one.abort());
                result
            })
        });
        vec![may, tokio]
    }
}
