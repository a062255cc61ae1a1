//! The same work on may and on tokio, for `--features peers`.
//!
//! may has one scheduler per process and is set to one worker here; its `spawn` is unsafe, because its coroutines
//! change OS threads. What runs on them below touches no thread-locals.

use std::hint::black_box;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use super::nanos;
use super::support::{self, Row};

/// Runs `f` on a may coroutine, on one worker.
pub(crate) fn on_may<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        may::config().set_workers(1);
    });
    spawn_may(f).join().expect("the coroutine does not panic")
}

pub(crate) fn spawn_may<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> may::coroutine::JoinHandle<T> {
    // SAFETY: the closures of this file use no thread-locals across a switch and need little stack.
    unsafe { may::coroutine::spawn(f) }
}

/// Runs `f` on tokio's current-thread runtime.
pub(crate) fn on_tokio<T>(f: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("tokio can start").block_on(f)
}

/// As `nanos`, for asynchronous work.
async fn nanos_async<F: Future<Output = ()>>(n: u64, mut f: impl FnMut() -> F) -> f64 {
    let start = Instant::now();
    for _ in 0..n {
        f().await;
    }
    start.elapsed().as_nanos() as f64 / n as f64
}

pub(crate) fn yields(n: u64) -> Vec<Row> {
    vec![
        Row::new("may", move || on_may(move || nanos(n, may::coroutine::yield_now))),
        Row::new("tokio, current thread", move || on_tokio(nanos_async(n, tokio::task::yield_now))),
    ]
}

pub(crate) fn spawn_join(n: u64) -> Vec<Row> {
    vec![
        Row::new("may", move || {
            on_may(move || nanos(n, || drop(spawn_may(|| black_box(1)).join())))
        }),
        Row::new("tokio, current thread", move || {
            on_tokio(nanos_async(n, || async {
                let _ = tokio::spawn(async { black_box(1) }).await;
            }))
        }),
    ]
}

pub(crate) fn spawn_batch(n: u64, batch: u64) -> Vec<Row> {
    vec![
        Row::new("may", move || {
            on_may(move || {
                nanos(n / batch, || {
                    let all: Vec<_> = (0..batch).map(|n| spawn_may(move || black_box(n))).collect();
                    all.into_iter().for_each(|one| drop(one.join()));
                }) / batch as f64
            })
        }),
        Row::new("tokio, current thread", move || {
            let per_batch = on_tokio(nanos_async(n / batch, || async {
                let all: Vec<_> =
                    (0..batch).map(|n| tokio::spawn(async move { black_box(n) })).collect();
                for one in all {
                    let _ = one.await;
                }
            }));
            per_batch / batch as f64
        }),
    ]
}

pub(crate) fn park(n: u64) -> Vec<Row> {
    let may = Row::new("may", move || {
        on_may(move || {
            let me = may::coroutine::current();
            let other = spawn_may(move || {
                for _ in 0..n {
                    may::coroutine::park();
                    me.unpark();
                }
            });
            let result = nanos(n, || {
                other.coroutine().unpark();
                may::coroutine::park();
            });
            let _ = other.join();
            result
        })
    });
    // tokio has no park; Notify keeps one token as park does.
    let tokio = Row::new("tokio Notify, current thread", move || on_tokio(notify(n)));
    let across = Row::new("tokio Notify, across threads", move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.expect("tokio can start").block_on(notify(n / 20))
    });
    vec![may, tokio, across]
}

async fn notify(n: u64) -> f64 {
    let tokens = Arc::new([tokio::sync::Notify::new(), tokio::sync::Notify::new()]);
    let theirs = tokens.clone();
    let other = tokio::spawn(async move {
        for _ in 0..n {
            theirs[0].notified().await;
            theirs[1].notify_one();
        }
    });
    let start = Instant::now();
    for _ in 0..n {
        tokens[0].notify_one();
        tokens[1].notified().await;
    }
    let result = start.elapsed().as_nanos() as f64 / n as f64;
    let _ = other.await;
    result
}

pub(crate) fn channel(n: u64) -> Vec<Row> {
    vec![
        Row::new("may mpsc", move || {
            on_may(move || {
                let (to, inbox) = may::sync::mpsc::channel::<u64>();
                let (back, replies) = may::sync::mpsc::channel::<u64>();
                let other = spawn_may(move || {
                    while let Ok(value) = inbox.recv() {
                        let _ = back.send(value);
                    }
                });
                let result = nanos(n, || {
                    let _ = to.send(1);
                    black_box(replies.recv().unwrap_or(0));
                });
                drop(to);
                let _ = other.join();
                result
            })
        }),
        Row::new("tokio mpsc, current thread", move || {
            on_tokio(async move {
                let (to, mut inbox) = tokio::sync::mpsc::unbounded_channel::<u64>();
                let (back, mut replies) = tokio::sync::mpsc::unbounded_channel::<u64>();
                let other = tokio::spawn(async move {
                    while let Some(value) = inbox.recv().await {
                        let _ = back.send(value);
                    }
                });
                let start = Instant::now();
                for _ in 0..n {
                    let _ = to.send(1);
                    black_box(replies.recv().await);
                }
                let result = start.elapsed().as_nanos() as f64 / n as f64;
                drop(to);
                let _ = other.await;
                result
            })
        }),
    ]
}

pub(crate) fn sleeps(n: u64) -> Vec<Row> {
    vec![
        Row::new("may: median lateness, us", move || sleepers_may(n).0),
        Row::new("may: CPU per sleeper, us", move || sleepers_may(n).1),
        Row::new("tokio: median lateness, us", move || sleepers_tokio(n).0),
        Row::new("tokio: CPU per sleeper, us", move || sleepers_tokio(n).1),
    ]
}

fn figures(late: Vec<f64>, cpu: Duration, n: u64) -> (f64, f64) {
    (support::median(late), cpu.as_nanos() as f64 / 1e3 / n as f64)
}

fn sleepers_may(n: u64) -> (f64, f64) {
    let cpu = support::cpu_time();
    let late = on_may(move || {
        let late = Arc::new(Mutex::new(Vec::with_capacity(n as usize)));
        let all: Vec<_> = (0..n)
            .map(|i| {
                let late = late.clone();
                spawn_may(move || {
                    let wait = Duration::from_millis(1000 + i * 7919 % 1000);
                    let until = Instant::now() + wait;
                    may::coroutine::sleep(wait);
                    late.lock().unwrap().push(until.elapsed().as_nanos() as f64 / 1e3);
                })
            })
            .collect();
        all.into_iter().for_each(|one| drop(one.join()));
        std::mem::take(&mut *late.lock().unwrap())
    });
    figures(late, support::cpu_time() - cpu, n)
}

fn sleepers_tokio(n: u64) -> (f64, f64) {
    let cpu = support::cpu_time();
    let late = on_tokio(async move {
        let all: Vec<_> = (0..n)
            .map(|i| {
                tokio::spawn(async move {
                    let until = Instant::now() + Duration::from_millis(1000 + i * 7919 % 1000);
                    tokio::time::sleep_until(until.into()).await;
                    until.elapsed().as_nanos() as f64 / 1e3
                })
            })
            .collect();
        let mut late = Vec::with_capacity(n as usize);
        for one in all {
            late.push(one.await.unwrap_or(f64::NAN));
        }
        late
    });
    figures(late, support::cpu_time() - cpu, n)
}

pub(crate) fn sleep_together(n: u64, each: Duration) -> Vec<Row> {
    vec![
        Row::new("may, one worker", move || {
            on_may(move || {
                let start = Instant::now();
                let all: Vec<_> =
                    (0..n).map(|_| spawn_may(move || may::coroutine::sleep(each))).collect();
                all.into_iter().for_each(|one| drop(one.join()));
                start.elapsed().as_nanos() as f64 / 1e6
            })
        }),
        Row::new("tokio, current thread", move || {
            on_tokio(async move {
                let start = Instant::now();
                let all: Vec<_> = (0..n).map(|_| tokio::spawn(tokio::time::sleep(each))).collect();
                for one in all {
                    let _ = one.await;
                }
                start.elapsed().as_nanos() as f64 / 1e6
            })
        }),
    ]
}
