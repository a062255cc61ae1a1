//! Mutex: exclusion, poison, access without locking, how it prints.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::{Condvar, Mutex, MutexGuard, TryLockError};
use super::rt::{case, thread};

/// A mutex that a panic has poisoned.
fn poisoned<T: Send + 'static>(value: T) -> Arc<Mutex<T>> {
    let mutex = Arc::new(Mutex::new(value));
    let theirs = Arc::clone(&mutex);
    let panicked = thread::spawn(move || {
        let _guard = theirs.lock().unwrap();
        panic!("on purpose, with the lock held");
    });
    assert!(panicked.join().is_err());
    mutex
}

#[test]
fn smoke() {
    case(|| {
        let mutex = Mutex::new(());
        drop(mutex.lock().unwrap());
        drop(mutex.lock().unwrap());
    });
}

#[test]
fn excludes() {
    case(|| {
        const THREADS: usize = 6;
        const TIMES: usize = 1000;
        // Two numbers that only a thread without the lock could see differ.
        let pair = Arc::new(Mutex::new((0usize, 0usize)));
        let all: Vec<_> = (0..THREADS)
            .map(|n| {
                let pair = Arc::clone(&pair);
                thread::spawn(move || {
                    for i in 0..TIMES {
                        let mut guard = pair.lock().unwrap();
                        guard.0 += 1;
                        if (n + i) % 64 == 0 {
                            thread::yield_now();
                        }
                        guard.1 += 1;
                        assert_eq!(guard.0, guard.1);
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*pair.lock().unwrap(), (THREADS * TIMES, THREADS * TIMES));
    });
}

#[test]
fn held_elsewhere() {
    case(|| {
        let mutex = Arc::new(Mutex::new(1));
        let guard = mutex.lock().unwrap();
        let theirs = Arc::clone(&mutex);
        thread::spawn(move || {
            assert!(matches!(theirs.try_lock(), Err(TryLockError::WouldBlock)));
        })
        .join()
        .unwrap();
        drop(guard);
        let theirs = Arc::clone(&mutex);
        thread::spawn(move || *theirs.try_lock().unwrap() += 1).join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn waits_for_unlock() {
    case(|| {
        let mutex = Arc::new(Mutex::new(Vec::new()));
        let mut guard = mutex.lock().unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || mutex.lock().unwrap().push("waiter"))
            })
            .collect();
        for _ in 0..20 {
            thread::yield_now();
        }
        guard.push("owner");
        drop(guard);
        waiting.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(mutex.lock().unwrap()[..2], ["owner", "waiter"]);
    });
}

#[test]
fn poison_is_told() {
    case(|| {
        let mutex = poisoned(7);
        assert!(mutex.is_poisoned());
        assert_eq!(*mutex.lock().unwrap_err().into_inner(), 7);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
        // Hearing of it changes nothing.
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn poison_is_cleared() {
    case(|| {
        let mutex = poisoned(7);
        *mutex.lock().unwrap_or_else(|poison| {
            mutex.clear_poison();
            poison.into_inner()
        }) = 8;
        assert!(!mutex.is_poisoned());
        assert_eq!(*mutex.lock().unwrap(), 8);
    });
}

#[test]
fn panic_elsewhere_is_no_poison() {
    case(|| {
        let mutex = Arc::new(Mutex::new(1));
        let theirs = Arc::clone(&mutex);
        let result = thread::spawn(move || {
            *theirs.lock().unwrap() += 1;
            panic!("on purpose, without the lock");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn locking_while_unwinding() {
    struct Adds(Arc<Mutex<i32>>);
    impl Drop for Adds {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    case(|| {
        let mutex = Arc::new(Mutex::new(1));
        let theirs = Arc::clone(&mutex);
        let result = thread::spawn(move || {
            let _adds = Adds(theirs);
            panic!("on purpose");
        })
        .join();
        assert!(result.is_err());
        // A guard that was made during the panic is not what the panic interrupted.
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn panic_caught_in_place() {
    case(|| {
        let mutex = Mutex::new(());
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _guard = mutex.lock().unwrap();
            panic!("on purpose");
        }));
        assert!(result.is_err());
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn into_inner_moves_out() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mutex = Mutex::new(Counts(Arc::clone(&drops)));
        let inner = mutex.into_inner().unwrap();
        assert_eq!(drops.load(SeqCst), 0);
        drop(inner);
        assert_eq!(drops.load(SeqCst), 1);
    });
}

#[test]
fn into_inner_tells_poison() {
    case(|| {
        let mutex = Arc::into_inner(poisoned(String::from("kept"))).unwrap();
        assert_eq!(mutex.into_inner().unwrap_err().into_inner(), "kept");
    });
}

#[test]
fn get_mut_needs_no_lock() {
    case(|| {
        let mut mutex = Mutex::new(1);
        *mutex.get_mut().unwrap() = 2;
        assert_eq!(mutex.into_inner().unwrap(), 2);

        let mut mutex = Arc::into_inner(poisoned(3)).unwrap();
        assert_eq!(*mutex.get_mut().unwrap_err().into_inner(), 3);
    });
}

#[test]
fn unsized_data() {
    case(|| {
        let mutex: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
        mutex.lock().unwrap()[0] = 4;
        assert_eq!(*mutex.lock().unwrap(), [4, 2, 3]);
    });
}

#[test]
fn in_a_static() {
    static TOTAL: Mutex<u64> = Mutex::new(0);
    case(|| {
        let all: Vec<_> = (1..=4).map(|n| thread::spawn(move || *TOTAL.lock().unwrap() += n)).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*TOTAL.lock().unwrap(), 10);
    });
}

#[test]
fn mutex_in_mutex() {
    case(|| {
        let inner = Arc::new(Mutex::new(1));
        let outer = Arc::new(Mutex::new(inner));
        thread::spawn(move || {
            let guard = outer.lock().unwrap();
            let inner = guard.lock().unwrap();
            assert_eq!(*inner, 1);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn with_a_condvar() {
    case(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = Arc::clone(&pair);
        let guard = pair.0.lock().unwrap();
        let other = thread::spawn(move || {
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_one();
        });
        let guard = pair.1.wait_while(guard, |set| !*set).unwrap();
        assert!(*guard);
        drop(guard);
        other.join().unwrap();
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let mutex = Mutex::new(5);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 5, poisoned: false, .. }");
        let guard = mutex.lock().unwrap();
        // Some of std's versions put the word into quotes, and some not.
        let held = format!("{mutex:?}").replace('"', "");
        assert_eq!(held, "Mutex { data: <locked>, poisoned: false, .. }");
        assert_eq!(format!("{guard:?} {guard}"), "5 5");
        drop(guard);
        let mutex = poisoned(5);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 5, poisoned: true, .. }");
    });
}

#[test]
fn made_from() {
    case(|| {
        assert_eq!(Mutex::<u8>::default().into_inner().unwrap(), 0);
        assert_eq!(Mutex::from(3).into_inner().unwrap(), 3);
    });
}

#[test]
fn marker_traits() {
    fn both<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    fn sync<T: Sync>() {}
    both::<Mutex<std::cell::Cell<i32>>>();
    sync::<MutexGuard<'static, i32>>();
}
