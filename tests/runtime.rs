//! The runtime from outside: spawning, joining, waking across workers, ending.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sward::thread::{self, Cancelled};

mod support;

#[test]
fn returns_what_the_closure_returns_and_borrows() {
    support::alarm();
    let text = String::from("borrowed");
    assert_eq!(sward::run(|| text.len()), 8);
}

#[test]
fn many_threads_on_many_workers() {
    support::alarm();
    for workers in [1, 2, 4] {
        let total = sward::Builder::new().workers(workers).run(|| {
            let threads: Vec<_> = (0..10_000u64).map(|n| thread::spawn(move || n)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
        });
        assert_eq!(total, 49_995_000);
    }
}

#[test]
fn work_is_stolen_before_it_starts_and_stays_after() {
    support::alarm();
    sward::Builder::new().workers(2).run(|| {
        let workers: Vec<_> = (0..2_000)
            .map(|_| {
                thread::spawn(|| {
                    let first = thread::worker().unwrap().0;
                    let until = Instant::now() + Duration::from_micros(20);
                    while Instant::now() < until {}
                    for _ in 0..3 {
                        thread::yield_now();
                        assert_eq!(thread::worker().unwrap().0, first);
                    }
                    first
                })
            })
            .collect();
        let seen: std::collections::HashSet<usize> =
            workers.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(seen.len(), 2, "an idle worker takes what has not started");
    });
}

#[test]
fn yield_takes_turns() {
    support::alarm();
    let log = sward::Builder::new().workers(1).run(|| {
        let log = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
        let threads = ["1", "2"].map(|name| {
            let log = log.clone();
            thread::spawn_local(move || {
                log.borrow_mut().push_str(&format!("{name}A "));
                thread::yield_now();
                log.borrow_mut().push_str(&format!("{name}B "));
            })
        });
        threads.into_iter().for_each(|t| t.join().unwrap());
        log.take()
    });
    assert_eq!(log, "1A 2A 1B 2B ");
}

#[test]
fn park_and_unpark_across_workers_and_kinds() {
    support::alarm();
    sward::Builder::new().workers(2).run(|| {
        const ROUNDS: usize = 2_000;
        let turns = Arc::new(AtomicUsize::new(0));
        let me = thread::current();
        let theirs = turns.clone();
        let other = thread::Builder::new()
            .worker(1)
            .spawn(move || {
                for round in 0..ROUNDS {
                    while theirs.load(Ordering::SeqCst) != 2 * round + 1 {
                        thread::park();
                    }
                    theirs.store(2 * round + 2, Ordering::SeqCst);
                    me.unpark();
                }
            })
            .unwrap();
        for round in 0..ROUNDS {
            turns.store(2 * round + 1, Ordering::SeqCst);
            other.thread().unpark();
            while turns.load(Ordering::SeqCst) != 2 * round + 2 {
                thread::park();
            }
        }
        other.join().unwrap();

        let me = thread::current();
        std::thread::spawn(move || me.unpark());
        thread::park();
    });
}

#[test]
fn ten_thousand_sleepers_on_one_worker() {
    support::alarm();
    let late = sward::Builder::new().workers(1).run(|| {
        let start = Instant::now();
        let threads: Vec<_> = (0..10_000)
            .map(|_| thread::spawn(|| thread::sleep(Duration::from_millis(300))))
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        start.elapsed()
    });
    assert!(late >= Duration::from_millis(300), "{late:?}");
}

#[test]
fn a_panic_stays_inside() {
    support::alarm();
    sward::run(|| {
        let bad = thread::spawn(|| -> u32 { panic!("only this one") });
        let good = thread::spawn(|| 7);
        assert_eq!(*bad.join().unwrap_err().downcast::<&str>().unwrap(), "only this one");
        assert_eq!(good.join().unwrap(), 7);
    });
    let outer = std::panic::catch_unwind(|| sward::run(|| panic!("the main one")));
    assert_eq!(*outer.unwrap_err().downcast::<&str>().unwrap(), "the main one");
}

#[test]
fn what_still_runs_is_cancelled_at_the_end() {
    support::alarm();
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    sward::Builder::new().workers(2).run(|| {
        for _ in 0..100 {
            let count = Count(dropped.clone());
            drop(thread::spawn(move || {
                let _count = count;
                thread::sleep(Duration::from_secs(3600));
            }));
        }
        thread::sleep(Duration::from_millis(5));
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 100, "every destructor ran");
}

#[test]
fn cancel_ends_a_wait_and_prevents_a_start() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let sleeper = thread::spawn(|| thread::sleep(Duration::from_secs(3600)));
        thread::yield_now();
        sleeper.cancel();
        assert!(sleeper.join().unwrap_err().is::<Cancelled>());
        let never = thread::spawn(|| panic!("must not run"));
        never.cancel();
        assert!(never.join().unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn spawn_from_an_os_thread_uses_the_default_runtime() {
    support::alarm();
    assert!(thread::spawn(thread::is_green).join().unwrap());
    assert!(sward::stats().spawned > 0);
}

#[test]
fn stats_count() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let before = sward::stats();
        let sleepers: Vec<_> =
            (0..10).map(|_| thread::spawn(|| thread::sleep(Duration::from_secs(60)))).collect();
        thread::yield_now();
        let during = sward::stats();
        assert_eq!(during.green_threads, before.green_threads + 10);
        assert!(during.switches >= before.switches + 10);
        sleepers.iter().for_each(|s| s.cancel());
        sleepers.into_iter().for_each(|s| assert!(s.join().is_err()));
        assert_eq!(sward::stats().green_threads, before.green_threads);
    });
}

/// Found by a documentation example that took 13 GB: a loop that ignores every error must still end.
#[test]
fn a_cancelled_loop_that_ignores_errors_ends() {
    support::alarm();
    sward::Builder::new().workers(2).run(|| {
        let listener = sward::net::TcpListener::bind("127.0.0.1:0").unwrap();
        drop(thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || drop(stream));
            }
        }));
        thread::sleep(Duration::from_millis(5));
    });
    sward::run(|| {
        let (reader, _writer) = sward::os::unix::net::UnixStream::pair().unwrap();
        let result = sward::timeout(Duration::from_millis(5), || {
            use std::io::Read;
            loop {
                let _ = (&reader).read(&mut [0]);
            }
        });
        assert!(result.is_err());
    });
}

/// Every refused wait leaves its queue, however often it is refused: whoever wakes the queue later finds nobody.
#[test]
fn refused_waits_leave_nothing_behind() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let event = Arc::new(sward::sync::Event::new());
        let theirs = event.clone();
        let stubborn = thread::spawn(move || {
            for _ in 0..100 {
                let wait = std::panic::AssertUnwindSafe(|| theirs.wait());
                assert!(std::panic::catch_unwind(wait).is_err(), "cancelled waits are refused");
            }
        });
        thread::yield_now();
        stubborn.cancel();
        stubborn.join().unwrap();
        event.set();
        event.wait();
    });
}
