//! RwLock: readers together, writers alone, poison by writers only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::{Barrier, RwLock, TryLockError};
use super::rt::{case, thread};

/// The lock after a thread has panicked while `hold` held it.
fn after_panic<T: Send + Sync + 'static>(
    value: T,
    hold: impl FnOnce(&RwLock<T>) + Send + 'static,
) -> Arc<RwLock<T>> {
    let lock = Arc::new(RwLock::new(value));
    let theirs = Arc::clone(&lock);
    assert!(thread::spawn(move || hold(&theirs)).join().is_err());
    lock
}

fn poisoned<T: Send + Sync + 'static>(value: T) -> Arc<RwLock<T>> {
    after_panic(value, |lock| {
        let _guard = lock.write().unwrap();
        panic!("on purpose, writing");
    })
}

#[test]
fn smoke() {
    case(|| {
        let lock = RwLock::new(());
        drop(lock.read().unwrap());
        drop(lock.write().unwrap());
        drop((lock.read().unwrap(), lock.read().unwrap()));
        drop(lock.write().unwrap());
    });
}

#[test]
fn readers_are_together() {
    case(|| {
        const READERS: usize = 4;
        let lock = Arc::new((RwLock::new(()), Barrier::new(READERS)));
        let all: Vec<_> = (0..READERS)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    let _guard = lock.0.read().unwrap();
                    // Passes only if all of them are inside.
                    lock.1.wait();
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn writers_are_alone() {
    case(|| {
        const TIMES: usize = 300;
        let lock = Arc::new(RwLock::new((0usize, 0usize)));
        let all: Vec<_> = (0..6)
            .map(|n| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for i in 0..TIMES {
                        if (n + i) % 3 == 0 {
                            let mut guard = lock.write().unwrap();
                            guard.0 += 1;
                            if i % 10 == 0 {
                                thread::yield_now();
                            }
                            guard.1 += 1;
                        } else {
                            let guard = lock.read().unwrap();
                            assert_eq!(guard.0, guard.1);
                            if i % 10 == 0 {
                                thread::yield_now();
                            }
                            assert_eq!(guard.0, guard.1);
                        }
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*lock.read().unwrap(), (6 * TIMES / 3, 6 * TIMES / 3));
    });
}

#[test]
fn held_elsewhere() {
    case(|| {
        let lock = Arc::new(RwLock::new(0));
        let try_both = |lock: &Arc<RwLock<i32>>| {
            let lock = Arc::clone(lock);
            thread::spawn(move || {
                let read = match lock.try_read() {
                    Ok(_) => true,
                    Err(TryLockError::WouldBlock) => false,
                    Err(TryLockError::Poisoned(_)) => panic!("not poisoned"),
                };
                (read, lock.try_write().is_ok())
            })
            .join()
            .unwrap()
        };
        assert_eq!(try_both(&lock), (true, true));
        let reader = lock.read().unwrap();
        assert_eq!(try_both(&lock), (true, false));
        drop(reader);
        let writer = lock.write().unwrap();
        assert_eq!(try_both(&lock), (false, false));
        drop(writer);
        assert_eq!(try_both(&lock), (true, true));
    });
}

#[test]
fn waiting_writer_gets_in() {
    case(|| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read().unwrap();
        let second = lock.read().unwrap();
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write().unwrap() = 1);
        for _ in 0..20 {
            thread::yield_now();
        }
        assert_eq!((*first, *second), (0, 0));
        drop(first);
        drop(second);
        writer.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 1);
    });
}

#[test]
fn waiting_readers_get_in() {
    case(|| {
        let lock = Arc::new(RwLock::new(0));
        let mut writer = lock.write().unwrap();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || *lock.read().unwrap())
            })
            .collect();
        for _ in 0..20 {
            thread::yield_now();
        }
        *writer = 1;
        drop(writer);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 1);
        }
    });
}

#[test]
fn writer_poisons() {
    case(|| {
        let lock = poisoned(7);
        assert!(lock.is_poisoned());
        assert_eq!(*lock.read().unwrap_err().into_inner(), 7);
        assert_eq!(*lock.write().unwrap_err().into_inner(), 7);
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
        lock.clear_poison();
        assert_eq!(*lock.read().unwrap(), 7);
    });
}

#[test]
fn reader_does_not_poison() {
    case(|| {
        let lock = after_panic(7, |lock| {
            let _guard = lock.read().unwrap();
            panic!("on purpose, reading");
        });
        assert!(!lock.is_poisoned());
        *lock.write().unwrap() += 1;
        assert_eq!(*lock.read().unwrap(), 8);
    });
}

#[test]
fn writing_while_unwinding() {
    struct Adds(Arc<RwLock<i32>>);
    impl Drop for Adds {
        fn drop(&mut self) {
            *self.0.write().unwrap() += 1;
        }
    }
    case(|| {
        let lock = Arc::new(RwLock::new(1));
        let theirs = Arc::clone(&lock);
        let result = thread::spawn(move || {
            let _adds = Adds(theirs);
            panic!("on purpose");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(*lock.read().unwrap(), 2);
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
        let lock = RwLock::new(Counts(Arc::clone(&drops)));
        let inner = lock.into_inner().unwrap();
        assert_eq!(drops.load(SeqCst), 0);
        drop(inner);
        assert_eq!(drops.load(SeqCst), 1);

        let lock = Arc::into_inner(poisoned(9)).unwrap();
        assert_eq!(lock.into_inner().unwrap_err().into_inner(), 9);
    });
}

#[test]
fn get_mut_needs_no_lock() {
    case(|| {
        let mut lock = RwLock::new(1);
        *lock.get_mut().unwrap() = 2;
        assert_eq!(lock.into_inner().unwrap(), 2);
        let mut lock = Arc::into_inner(poisoned(3)).unwrap();
        assert_eq!(*lock.get_mut().unwrap_err().into_inner(), 3);
    });
}

#[test]
fn unsized_data() {
    case(|| {
        let lock: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
        lock.write().unwrap()[0] = 4;
        assert_eq!(*lock.read().unwrap(), [4, 2, 3]);
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let lock = RwLock::new(5);
        assert_eq!(format!("{lock:?}"), "RwLock { data: 5, poisoned: false, .. }");
        let reader = lock.read().unwrap();
        assert_eq!(format!("{lock:?}"), "RwLock { data: 5, poisoned: false, .. }");
        assert_eq!(format!("{reader:?} {reader}"), "5 5");
        drop(reader);
        let writer = lock.write().unwrap();
        assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
        assert_eq!(format!("{writer:?} {writer}"), "5 5");
        drop(writer);
        let lock = poisoned(5);
        assert_eq!(format!("{lock:?}"), "RwLock { data: 5, poisoned: true, .. }");
    });
}

#[test]
fn made_from() {
    case(|| {
        assert_eq!(RwLock::<u8>::default().into_inner().unwrap(), 0);
        assert_eq!(RwLock::from(3).into_inner().unwrap(), 3);
    });
}
