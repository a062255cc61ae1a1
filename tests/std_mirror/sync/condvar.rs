//! Condvar: who is woken, what timing out means, and that no notification is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rt::sync::mpsc::channel;
use super::rt::sync::{Condvar, Mutex};
use super::rt::{case, thread};

type Shared<T> = Arc<(Mutex<T>, Condvar)>;

fn shared<T>(value: T) -> Shared<T> {
    Arc::new((Mutex::new(value), Condvar::new()))
}

#[test]
fn notifying_nobody() {
    case(|| {
        let condvar = Condvar::new();
        condvar.notify_one();
        condvar.notify_all();
        assert_eq!(format!("{condvar:?}"), "Condvar { .. }");
    });
}

#[test]
fn notify_one_wakes() {
    case(|| {
        let pair = shared(());
        let theirs = Arc::clone(&pair);
        let guard = pair.0.lock().unwrap();
        let other = thread::spawn(move || {
            let _guard = theirs.0.lock().unwrap();
            theirs.1.notify_one();
        });
        // The other has the lock only once we wait, so the notification cannot come too early.
        drop(pair.1.wait(guard).unwrap());
        other.join().unwrap();
    });
}

#[test]
fn notify_all_wakes_all() {
    case(|| {
        const WAITERS: usize = 8;
        let pair = shared((0usize, false));
        let all: Vec<_> = (0..WAITERS)
            .map(|_| {
                let pair = Arc::clone(&pair);
                thread::spawn(move || {
                    let mut guard = pair.0.lock().unwrap();
                    guard.0 += 1;
                    pair.1.notify_all();
                    let guard = pair.1.wait_while(guard, |(_, go)| !*go).unwrap();
                    assert!(guard.1);
                })
            })
            .collect();
        let guard = pair.0.lock().unwrap();
        let mut guard = pair.1.wait_while(guard, |(come, _)| *come < WAITERS).unwrap();
        // All of them wait now: each gave up the lock by waiting only.
        guard.1 = true;
        drop(guard);
        pair.1.notify_all();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn notify_one_wakes_each() {
    case(|| {
        const WAITERS: usize = 5;
        // How many have come, and how many tickets there are.
        let pair = shared((0usize, 0usize));
        let (served, served_by) = channel();
        let all: Vec<_> = (0..WAITERS)
            .map(|_| {
                let (pair, served) = (Arc::clone(&pair), served.clone());
                thread::spawn(move || {
                    let mut guard = pair.0.lock().unwrap();
                    guard.0 += 1;
                    let mut guard = pair.1.wait_while(guard, |(_, tickets)| *tickets == 0).unwrap();
                    guard.1 -= 1;
                    drop(guard);
                    served.send(()).unwrap();
                })
            })
            .collect();
        while pair.0.lock().unwrap().0 < WAITERS {
            thread::yield_now();
        }
        for _ in 0..WAITERS {
            pair.0.lock().unwrap().1 += 1;
            pair.1.notify_one();
            served_by.recv().unwrap();
        }
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn ping_pong() {
    case(|| {
        const TURNS: usize = 500;
        let pair = shared(0usize);
        let player = |me: usize| {
            let pair = Arc::clone(&pair);
            thread::spawn(move || {
                for _ in 0..TURNS {
                    let guard = pair.0.lock().unwrap();
                    let mut guard = pair.1.wait_while(guard, |turn| *turn % 2 != me).unwrap();
                    *guard += 1;
                    drop(guard);
                    pair.1.notify_one();
                }
            })
        };
        let (one, two) = (player(0), player(1));
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(*pair.0.lock().unwrap(), 2 * TURNS);
    });
}

#[test]
fn wait_times_out() {
    case(|| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        let mut guard = mutex.lock().unwrap();
        loop {
            let (again, result) = condvar.wait_timeout(guard, limit).unwrap();
            guard = again;
            if result.timed_out() {
                break;
            }
            // A spurious wake-up, which std allows.
        }
        assert!(start.elapsed() >= limit);
    });
}

#[test]
fn wait_timeout_of_nothing() {
    case(|| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let guard = mutex.lock().unwrap();
        let (_guard, result) = condvar.wait_timeout(guard, Duration::ZERO).unwrap();
        assert!(result.timed_out());
    });
}

#[test]
fn wait_timeout_is_notified() {
    case(|| {
        let pair = shared(false);
        let theirs = Arc::clone(&pair);
        let guard = pair.0.lock().unwrap();
        let other = thread::spawn(move || {
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_one();
        });
        let long = Duration::from_secs(1000);
        let (guard, result) = pair.1.wait_timeout_while(guard, long, |set| !*set).unwrap();
        assert!(*guard);
        assert!(!result.timed_out());
        drop(guard);
        other.join().unwrap();
    });
}

#[test]
fn wait_timeout_beyond_the_clock() {
    case(|| {
        let pair = shared(false);
        let theirs = Arc::clone(&pair);
        let guard = pair.0.lock().unwrap();
        let other = thread::spawn(move || {
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_one();
        });
        let (guard, result) =
            pair.1.wait_timeout_while(guard, Duration::MAX, |set| !*set).unwrap();
        assert!(*guard && !result.timed_out());
        drop(guard);
        other.join().unwrap();
    });
}

#[test]
fn wait_timeout_while_runs_out() {
    case(|| {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        let guard = mutex.lock().unwrap();
        let (guard, result) = condvar.wait_timeout_while(guard, limit, |_| true).unwrap();
        assert!(result.timed_out());
        assert!(start.elapsed() >= limit);
        assert_eq!(*guard, 0);
    });
}

#[test]
fn false_condition_never_waits() {
    case(|| {
        let (mutex, condvar) = (Mutex::new(1), Condvar::new());
        let guard = condvar.wait_while(mutex.lock().unwrap(), |n| *n == 0).unwrap();
        let (guard, result) = condvar.wait_timeout_while(guard, Duration::ZERO, |n| *n == 0).unwrap();
        assert!(!result.timed_out());
        assert_eq!(*guard, 1);
    });
}

#[test]
fn poison_while_waiting() {
    case(|| {
        let pair = shared(());
        let theirs = Arc::clone(&pair);
        let guard = pair.0.lock().unwrap();
        let other = thread::spawn(move || {
            let _guard = theirs.0.lock().unwrap();
            theirs.1.notify_one();
            panic!("on purpose, with the lock held");
        });
        assert!(pair.1.wait(guard).is_err());
        assert!(other.join().is_err());
    });
}

#[test]
fn waiting_is_no_poison() {
    case(|| {
        let pair = shared(false);
        let theirs = Arc::clone(&pair);
        let other = thread::spawn(move || {
            let guard = theirs.0.lock().unwrap();
            drop(theirs.1.wait_while(guard, |go| !*go).unwrap());
            panic!("on purpose, after the lock");
        });
        *pair.0.lock().unwrap() = true;
        pair.1.notify_all();
        assert!(other.join().is_err());
        assert!(!pair.0.is_poisoned());
    });
}
