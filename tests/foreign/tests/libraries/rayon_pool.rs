//! rayon: its pool is OS threads, the green threads only ask it for something.

use std::sync::mpsc;
use std::time::Duration;

use foreign::check::{Check, many, timed};
use foreign::table::{RAYON, Verdict};
use rayon::ThreadPool;
use rayon::prelude::*;

fn pool() -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()
}

fn sum(pool: &ThreadPool, i: u64) -> u64 {
    pool.install(|| (0..1000).into_par_iter().map(|n: u64| n * i).sum())
}

/// All share the latch of their OS thread: with a switch in between, one would be told that another's job is done.
#[test]
fn installs() {
    Check::of(RAYON).run(|| {
        let pool = pool();
        let sums = many(20, move |i| {
            (0..5)
                .map(|_| {
                    let nap = || std::thread::sleep(Duration::from_millis(2));
                    pool.install(nap);
                    sum(&pool, i as u64)
                })
                .sum::<u64>()
        });
        let expected: Vec<u64> = (0..20).map(|i| 5 * i * 499_500).collect();
        assert_eq!(sums, expected);
    });
}

/// What to do instead: the wait is on sward's pool.
#[test]
fn in_blocking() {
    Check::of(RAYON).but(Verdict::Cooperative).run(|| {
        let pool = std::sync::Arc::new(pool());
        let sums =
            timed("20 x install of 10 ms in sward::blocking", Duration::from_secs(3), || {
                many(20, move |i| {
                    let pool = pool.clone();
                    sward::blocking(move || {
                        pool.install(|| std::thread::sleep(Duration::from_millis(10)));
                        sum(&pool, i as u64)
                    })
                })
            });
        assert_eq!(sums, (0..20).map(|i| i * 499_500).collect::<Vec<_>>());
    });
}

/// The other way: nobody waits in rayon, and a channel between an OS thread and a green thread brings the result.
#[test]
fn spawned() {
    Check::of(RAYON).but(Verdict::Cooperative).run(|| {
        let pool = pool();
        let sums = many(20, move |i| {
            let (sender, receiver) = mpsc::channel();
            pool.spawn(move || {
                let sum = (0..1000).into_par_iter().map(|n: u64| n * i as u64).sum::<u64>();
                sender.send(sum).unwrap();
            });
            receiver.recv().unwrap()
        });
        assert_eq!(sums, (0..20).map(|i| i * 499_500).collect::<Vec<_>>());
    });
}
