//! What sward's primitives do beyond std's: broadcast, hand-over between readers and writers, interrupted initialisers.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sward::sync::broadcast::{self, RecvError, RecvTimeoutError, TryRecvError};
use sward::sync::{LazyLock, Mutex, OnceLock, RwLock, RwLockWriteGuard, mpsc};
use sward::{thread, timeout};

#[path = "std_mirror/alarm.rs"]
mod alarm;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(10);

fn case(workers: usize, body: impl FnOnce()) {
    alarm::watch(|| sward::Builder::new().workers(workers).run(body));
}

/// Lets all others run until they wait; on one worker.
fn settle() {
    for _ in 0..10 {
        thread::yield_now();
    }
}

#[test]
fn broadcast_to_all() {
    case(1, || {
        let (sender, one) = broadcast::channel(4);
        let two = sender.subscribe();
        assert_eq!(sender.receiver_count(), 2);
        assert_eq!(sender.send("a"), Ok(2));
        let late = sender.subscribe();
        sender.send("b").unwrap();
        for receiver in [one, two] {
            assert_eq!((receiver.recv(), receiver.recv()), (Ok("a"), Ok("b")));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
        assert_eq!(late.recv(), Ok("b"));
        assert_eq!(sender.receiver_count(), 1);
        drop(late);
        assert_eq!(sender.send("c"), Err(mpsc::SendError("c")));
    });
}

#[test]
fn broadcast_lags() {
    case(1, || {
        let (sender, receiver) = broadcast::channel(2);
        (0..5).for_each(|n| assert_eq!(sender.send(n), Ok(1)));
        assert_eq!(receiver.recv(), Err(RecvError::Lagged(3)));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(3), Ok(4)));
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        let second = sender.clone();
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(second);
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    });
}

/// The ring keeps messages for those who are slow, and drops them when newer ones come.
#[test]
fn broadcast_drops_what_it_forgets() {
    #[derive(Clone)]
    struct Holds(#[allow(dead_code, reason = "held only")] Arc<()>);
    case(1, || {
        let (sender, receiver) = broadcast::channel(2);
        let token = Arc::new(());
        for _ in 0..5 {
            assert!(sender.send(Holds(Arc::clone(&token))).is_ok());
        }
        assert_eq!(Arc::strong_count(&token), 3);
        drop((sender, receiver));
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

#[test]
fn broadcast_wakes_both_kinds() {
    case(1, || {
        let (sender, first) = broadcast::channel(64);
        let second = sender.subscribe();
        let sum = |receiver: broadcast::Receiver<u32>| {
            move || std::iter::from_fn(|| receiver.recv().ok()).sum::<u32>()
        };
        let green = thread::spawn(sum(first));
        let os = std::thread::spawn(sum(second));
        for n in 1..=50 {
            sender.send(n).unwrap();
            thread::yield_now();
        }
        drop(sender);
        assert_eq!(green.join().unwrap(), 1275);
        assert_eq!(sward::blocking(move || os.join().unwrap()), 1275);
    });
}

/// A writer that leaves lets in all readers that wait; the last of these lets in the next writer; nobody overtakes.
#[test]
fn readers_and_writers_alternate() {
    case(1, || {
        let lock = Arc::new(RwLock::new(()));
        let (sender, receiver) = mpsc::channel();
        let first = lock.write().unwrap();
        for name in ["r1", "w1", "r2", "w2", "r3"] {
            let (lock, sender) = (Arc::clone(&lock), sender.clone());
            thread::spawn(move || {
                if name.starts_with('r') {
                    let _guard = lock.read().unwrap();
                    sender.send(name).unwrap();
                    thread::yield_now();
                } else {
                    let _guard = lock.write().unwrap();
                    sender.send(name).unwrap();
                    thread::yield_now();
                }
            });
        }
        drop(sender);
        settle();
        drop(first);
        // Held by the readers from this moment on, though they have not run.
        assert!(lock.try_write().is_err());
        let order: Vec<_> = receiver.iter().collect();
        assert_eq!(order, ["r1", "r2", "r3", "w1", "w2"]);
        assert!(lock.try_write().is_ok());
    });
}

/// Readers that queue behind a waiting writer come in when it gives up.
#[test]
fn writer_that_gave_up_keeps_nobody_out() {
    case(1, || {
        let lock = Arc::new(RwLock::new(()));
        let reader = lock.read().unwrap();
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || drop(theirs.write()));
        settle();
        assert!(lock.try_read().is_err(), "a writer waits");
        let readers = [(); 3].map(|()| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || drop(lock.read()))
        });
        settle();
        assert!(!readers[0].is_finished());
        writer.cancel();
        settle();
        assert!(readers.iter().all(|one| one.is_finished()), "while the first reader is inside");
        drop(reader);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn downgrade_lets_readers_in() {
    case(1, || {
        let lock = Arc::new(RwLock::new(1));
        let mut writer = lock.write().unwrap();
        let theirs = Arc::clone(&lock);
        let reader = thread::spawn(move || *theirs.read().unwrap());
        let theirs = Arc::clone(&lock);
        let second = thread::spawn(move || *theirs.write().unwrap() = 3);
        settle();
        *writer = 2;
        let mine = RwLockWriteGuard::downgrade(writer);
        settle();
        assert_eq!(reader.join().unwrap(), 2);
        assert!(!second.is_finished());
        assert_eq!(*mine, 2);
        drop(mine);
        second.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 3);

        let lock = RwLock::new(1);
        let reader = RwLockWriteGuard::downgrade(lock.write().unwrap());
        assert_eq!(*reader + *lock.read().unwrap(), 2);
    });
}

/// Writers and readers that give up at random times, on two workers: exclusion holds and nobody is left behind.
#[test]
fn giving_up_under_load() {
    case(2, || {
        let shared = Arc::new((RwLock::new((0u64, 0u64)), Mutex::new(0u64)));
        let all: Vec<_> = (0..8u64)
            .map(|me| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for turn in 0..150u64 {
                        let patience = Duration::from_micros((me * 37 + turn * 11) % 200);
                        let _ = timeout(patience, || {
                            if (me + turn) % 3 == 0 {
                                let mut pair = shared.0.write().unwrap();
                                pair.0 += 1;
                                pair.1 += 1;
                                thread::sleep(Duration::from_micros(20));
                            } else {
                                let pair = shared.0.read().unwrap();
                                assert_eq!(pair.0, pair.1);
                                *shared.1.lock().unwrap() += 1;
                                thread::yield_now();
                            }
                        });
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        let pair = shared.0.try_write().expect("free, and not poisoned");
        assert!(pair.0 == pair.1 && pair.0 > 0);
        assert!(*shared.1.try_lock().expect("free, and not poisoned") > 0);
    });
}

/// An initialiser that a timeout ends: a `OnceLock` tries again, a `LazyLock` cannot.
#[test]
fn interrupted_initialisers() {
    case(1, || {
        let cell = OnceLock::new();
        let first = timeout(SHORT, || {
            cell.get_or_init(|| {
                thread::sleep(LONG);
                1
            });
        });
        assert!(first.is_err());
        assert_eq!(cell.get(), None);
        assert_eq!(*cell.get_or_init(|| 2), 2);

        let runs = AtomicUsize::new(0);
        let lazy = LazyLock::new(|| {
            runs.fetch_add(1, SeqCst);
            thread::sleep(LONG);
        });
        assert!(timeout(SHORT, || *lazy).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| *lazy)).is_err());
        assert_eq!(LazyLock::get(&lazy), None);
        assert_eq!(runs.load(SeqCst), 1);
    });
}

/// A leaked guard leaves the lock held, and nothing else happens.
#[test]
fn leaked_guards() {
    case(1, || {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
        std::mem::forget(mutex.lock());
        assert!(mutex.try_lock().is_err());
        assert!(timeout(SHORT, || drop(mutex.lock())).is_err());
        std::mem::forget(lock.read());
        assert!(lock.try_read().is_ok() && lock.try_write().is_err());
        assert_eq!(mutex.into_inner().unwrap() + lock.into_inner().unwrap(), 2);
    });
}
