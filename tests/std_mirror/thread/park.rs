//! park and unpark: one token, never lost, from anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::rt::sync::mpsc::channel;
use super::rt::{case, thread};

#[test]
fn token_before_park() {
    case(|| {
        // However many tokens are given, there is one.
        thread::current().unpark();
        thread::current().unpark();
        thread::park();
        let limit = Duration::from_millis(10);
        let start = Instant::now();
        while start.elapsed() < limit {
            // Returns early only if spurious.
            thread::park_timeout(limit.saturating_sub(start.elapsed()));
        }
    });
}

#[test]
fn unpark_wakes() {
    case(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&flag);
        let parked = thread::spawn(move || {
            while !theirs.load(SeqCst) {
                thread::park();
            }
        });
        for _ in 0..10 {
            thread::yield_now();
        }
        flag.store(true, SeqCst);
        parked.thread().unpark();
        parked.join().unwrap();
    });
}

#[test]
fn park_times_out() {
    case(|| {
        for limit in [Duration::ZERO, Duration::from_millis(10)] {
            thread::park_timeout(limit);
        }
    });
}

#[test]
fn timeout_is_cut_short() {
    case(|| {
        let (ready, is_ready) = channel();
        let parked = thread::spawn(move || {
            ready.send(thread::current()).unwrap();
            let start = Instant::now();
            thread::park_timeout(Duration::from_secs(1000));
            assert!(start.elapsed() < Duration::from_secs(500));
        });
        is_ready.recv().unwrap().unpark();
        parked.join().unwrap();
    });
}

#[test]
fn hand_to_hand() {
    case(|| {
        // On std's park word, shared by green threads, each turn takes some 30 ms (tests/patch_std_mirror).
        const TURNS: usize = 60;
        let turn = Arc::new(AtomicUsize::new(0));
        let me = thread::current();
        let theirs = Arc::clone(&turn);
        let other = thread::spawn(move || {
            for n in 0..TURNS {
                while theirs.load(SeqCst) != 2 * n + 1 {
                    thread::park();
                }
                theirs.store(2 * n + 2, SeqCst);
                me.unpark();
            }
        });
        for n in 0..TURNS {
            turn.store(2 * n + 1, SeqCst);
            other.thread().unpark();
            while turn.load(SeqCst) != 2 * n + 2 {
                thread::park();
            }
        }
        other.join().unwrap();
    });
}

#[test]
fn unpark_after_the_end() {
    case(|| {
        let handle = thread::spawn(thread::current);
        let ended = handle.join().unwrap();
        ended.unpark();
        assert_eq!(ended.name(), None);
    });
}

#[test]
fn unpark_from_a_plain_thread() {
    case(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let (theirs, me) = (Arc::clone(&flag), thread::current());
        let plain = std::thread::spawn(move || {
            theirs.store(true, SeqCst);
            me.unpark();
        });
        while !flag.load(SeqCst) {
            thread::park();
        }
        plain.join().unwrap();
    });
}
