//! Once: one run, everybody waits for it, a panic poisons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::Once;
use super::rt::sync::mpsc::channel;
use super::rt::{case, thread};

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn runs_once() {
    case(|| {
        let once = Once::new();
        let mut runs = 0;
        assert!(!once.is_completed());
        once.call_once(|| runs += 1);
        assert!(once.is_completed());
        once.call_once(|| runs += 1);
        once.call_once_force(|_| runs += 1);
        assert_eq!(runs, 1);
    });
}

#[test]
fn stampede() {
    static ONCE: Once = Once::new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    case(|| {
        let all: Vec<_> = (0..10)
            .map(|_| {
                thread::spawn(|| {
                    for _ in 0..4 {
                        thread::yield_now();
                    }
                    ONCE.call_once(|| {
                        thread::yield_now();
                        RUNS.fetch_add(1, SeqCst);
                        thread::yield_now();
                    });
                    assert_eq!(RUNS.load(SeqCst), 1);
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn others_wait_for_the_run() {
    case(|| {
        let once = Arc::new(Once::new());
        let (started, has_started) = channel();
        let (go, may_go) = channel();
        let theirs = Arc::clone(&once);
        let runner = thread::spawn(move || {
            theirs.call_once(|| {
                started.send(()).unwrap();
                may_go.recv().unwrap();
            });
        });
        has_started.recv().unwrap();
        assert!(!once.is_completed());
        let theirs = Arc::clone(&once);
        let other = thread::spawn(move || {
            theirs.call_once(|| unreachable!("the other one runs"));
            assert!(theirs.is_completed());
        });
        let theirs = Arc::clone(&once);
        let waiter = thread::spawn(move || theirs.wait());
        for _ in 0..10 {
            thread::yield_now();
        }
        go.send(()).unwrap();
        for one in [runner, other, waiter] {
            one.join().unwrap();
        }
    });
}

#[test]
fn panic_poisons() {
    case(|| {
        let once = Once::new();
        assert!(panics(|| once.call_once(|| panic!("on purpose"))));
        assert!(!once.is_completed());
        assert!(panics(|| once.call_once(|| unreachable!("poisoned"))));
        assert!(panics(|| once.wait()));

        let mut told = false;
        once.call_once_force(|state| told = state.is_poisoned());
        assert!(told);
        once.call_once(|| unreachable!("done"));
        once.wait();
    });
}

#[test]
fn force_on_a_fresh_one() {
    case(|| {
        let once = Once::new();
        once.call_once_force(|state| assert!(!state.is_poisoned()));
        assert!(once.is_completed());
    });
}

#[test]
fn wait_force_outlasts_poison() {
    case(|| {
        let once = Arc::new(Once::new());
        assert!(panics(|| once.call_once(|| panic!("on purpose"))));
        let theirs = Arc::clone(&once);
        let waiter = thread::spawn(move || theirs.wait_force());
        for _ in 0..10 {
            thread::yield_now();
        }
        once.call_once_force(|_| {});
        waiter.join().unwrap();
    });
}

#[test]
fn panic_lets_the_next_one_try() {
    case(|| {
        let once = Arc::new(Once::new());
        let (started, has_started) = channel();
        let (go, may_go) = channel::<()>();
        let theirs = Arc::clone(&once);
        let first = thread::spawn(move || {
            theirs.call_once_force(|_| {
                started.send(()).unwrap();
                let _ = may_go.recv();
                panic!("on purpose");
            });
        });
        has_started.recv().unwrap();
        let theirs = Arc::clone(&once);
        let second = thread::spawn(move || {
            theirs.call_once_force(|state| assert!(state.is_poisoned()));
        });
        for _ in 0..10 {
            thread::yield_now();
        }
        drop(go);
        assert!(first.join().is_err());
        second.join().unwrap();
        assert!(once.is_completed());
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let once = Once::new();
        assert_eq!(format!("{once:?}"), "Once { .. }");
        once.call_once_force(|state| {
            assert_eq!(format!("{state:?}"), "OnceState { poisoned: false }");
        });
    });
}
