//! The lot by itself: whom a wake finds, and what happens if it comes together with a deadline.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::fiber::Fiber;
use crate::hub::runtime::{Builder, Place, detached, spawn};
use crate::hub::{here_green, yield_now};

fn green() -> Green {
    // OK because it is called on green threads.
    let (hub, fiber) = here_green().expect("on a green thread");
    Green { hub, fiber }
}

/// Runs `f` on a green thread of the caller's worker.
fn start(f: impl FnOnce() + Send + 'static) {
    let fiber = Fiber::new(None, 256 << 10, detached(f));
    spawn(fiber, Place::Here).expect("on a worker");
}

/// Never, if all goes well; but a test that fails should end.
fn long() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(10))
}

/// Lets others run until `counter` is there.
fn reach(counter: &AtomicUsize, value: usize) {
    while counter.load(Ordering::SeqCst) < value {
        yield_now();
    }
}

const ROUNDS: usize = 300;
const WAITERS: usize = 64;

/// Wakes a few at a time, from another OS thread, while the waiters' time runs out one by one: as many are woken as the
/// waker says.
#[test]
fn a_grant_beats_the_deadline() {
    static WORD: AtomicUsize = AtomicUsize::new(0);
    static OVER: AtomicBool = AtomicBool::new(false);

    let address = (&raw const WORD).addr();
    let waker = std::thread::spawn(move || {
        let mut woken = 0;
        while !OVER.load(Ordering::SeqCst) {
            woken += take_and_grant(address, 3, 1);
            let end = Instant::now() + Duration::from_micros(20);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        woken
    });
    let granted = Builder::new().workers(1).run(move || {
        let (granted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for round in 1..=ROUNDS {
            for n in 0..WAITERS as u64 {
                let (granted, ended) = (granted.clone(), ended.clone());
                start(move || {
                    // One waits for the waker alone.
                    let deadline = Instant::now() + Duration::from_micros(10 * n);
                    let deadline = (n > 0).then_some(deadline);
                    if sleep(green(), address, 1, deadline, || true) == Slept::Woken {
                        granted.fetch_add(1, Ordering::SeqCst);
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
            reach(&ended, round * WAITERS);
        }
        OVER.store(true, Ordering::SeqCst);
        granted.load(Ordering::SeqCst)
    });
    let woken = waker.join().unwrap();
    assert_eq!(granted, woken);
    assert!((ROUNDS..ROUNDS * WAITERS).contains(&woken), "{woken}: no time ran out");
    assert!(first(address).is_none());
}

/// Bits, order and number; and who finds the word changed does not wait.
#[test]
fn wakes_whom_it_should() {
    static WORDS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    static ORDER: Lock<Vec<u32>> = Lock::new(Vec::new());

    let [one, two] = [0, 1].map(|n| (&raw const WORDS).addr() + n);
    Builder::new().workers(1).run(move || {
        assert_eq!(sleep(green(), one, 1, None, || false), Slept::Changed);
        for (id, address, bits) in
            [(0, one, 1), (1, two, 1), (2, one, 2), (3, one, 1), (4, one, 3), (5, one, 1)]
        {
            start(move || {
                assert_eq!(sleep(green(), address, bits, long(), || true), Slept::Woken);
                ORDER.lock().push(id);
            });
            yield_now();
        }
        let wakes =
            [(one, 1, 2, 1), (one, 0, 1, 0), (one, 2, 1, 2), (one, 9, 1, 2), (two, 9, 3, 1)];
        for (address, n, bits, expected) in wakes {
            assert_eq!(take_and_grant(address, n, bits), expected);
            yield_now();
            yield_now();
        }
        assert_eq!(*ORDER.lock(), [2, 0, 3, 4, 5, 1]);
    });
}

/// Who leaves the queue again before it parks hands on what it may have been given meanwhile.
#[test]
fn hands_on_what_it_does_not_use() {
    static WORD: AtomicUsize = AtomicUsize::new(0);
    static WOKEN: AtomicUsize = AtomicUsize::new(0);

    let address = (&raw const WORD).addr();
    Builder::new().workers(1).run(move || {
        let give_up = |woken: usize| {
            // Another is behind us when a wake comes that is for us.
            let queued = || {
                start(move || {
                    assert_eq!(sleep(green(), address, 1, long(), || true), Slept::Woken);
                    WOKEN.fetch_add(1, Ordering::SeqCst);
                });
                yield_now();
                assert_eq!(take_and_grant(address, woken, 1), woken);
                false
            };
            assert_eq!(sleep_after(green(), address, 1, None, || true, queued), Slept::Changed);
        };
        give_up(1);
        reach(&WOKEN, 1);
        give_up(0);
        assert!(first(address).is_some(), "the other one");
        assert_eq!(take_and_grant(address, 9, 1), 1, "and nobody else");
        reach(&WOKEN, 2);
    });
}
