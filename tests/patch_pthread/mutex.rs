//! Mutexes of every kind, between green threads of one worker and across to OS threads.

use super::native::*;
use super::*;
use crate::patch_support::attempt;

const KINDS: [i32; 4] = [
    libc::PTHREAD_MUTEX_NORMAL,
    libc::PTHREAD_MUTEX_RECURSIVE,
    libc::PTHREAD_MUTEX_ERRORCHECK,
    libc::PTHREAD_MUTEX_ADAPTIVE_NP,
];

/// To glibc the green threads of a worker are one thread: the recursive kind would let the second in, the
/// error-checking kind would say EDEADLK, and the others would block the worker for ever.
#[test]
fn keeps_siblings_out() {
    alone("mutex::keeps_siblings_out", || {
        for kind in KINDS {
            let (mutex, section) = (mutex_new(kind, 0), Section::default());
            let body = |section: Section| {
                Box::new(move || {
                    for _ in 0..5 {
                        assert_eq!(mutex_lock(mutex), 0);
                        section.visit(|| pause(1));
                        assert_eq!(mutex_unlock(mutex), 0);
                    }
                }) as Box<dyn FnOnce()>
            };
            together((0..4).map(|_| body(section.clone())).collect());
            assert_eq!(section.most(), 1, "kind {kind}");
        }
    });
}

#[test]
fn recursive_counts_for_its_owner() {
    alone("mutex::recursive_counts_for_its_owner", || {
        let mutex = mutex_new(libc::PTHREAD_MUTEX_RECURSIVE, 0);
        for _ in 0..3 {
            assert_eq!(mutex_lock(mutex), 0);
        }
        assert_eq!(mutex_try(mutex), 0, "a fourth time");
        let sibling = thread::spawn(move || {
            assert_eq!(mutex_try(mutex), libc::EBUSY);
            assert_eq!(mutex_timed(mutex, 10), libc::ETIMEDOUT);
            assert_eq!(mutex_unlock(mutex), libc::EPERM, "not its owner");
        });
        sibling.join().unwrap();
        for left in (0..4).rev() {
            assert_eq!(thread::spawn(move || mutex_try(mutex)).join().unwrap(), libc::EBUSY);
            assert_eq!(mutex_unlock(mutex), 0, "{left} left");
        }
        let sibling = thread::spawn(move || (mutex_try(mutex), mutex_unlock(mutex)));
        assert_eq!(sibling.join().unwrap(), (0, 0), "free at last");
        assert_eq!(mutex_unlock(mutex), libc::EPERM, "of nobody");
    });
}

#[test]
fn errorcheck_knows_its_owner() {
    alone("mutex::errorcheck_knows_its_owner", || {
        let mutex = mutex_new(libc::PTHREAD_MUTEX_ERRORCHECK, 0);
        assert_eq!(mutex_lock(mutex), 0);
        assert_eq!(mutex_lock(mutex), libc::EDEADLK);
        assert_eq!(mutex_try(mutex), libc::EBUSY);
        let sibling = thread::spawn(move || {
            assert_eq!(mutex_unlock(mutex), libc::EPERM);
            assert_eq!(mutex_try(mutex), libc::EBUSY);
            assert_eq!(mutex_lock(mutex), 0, "waits: it is not the owner");
            assert_eq!(mutex_unlock(mutex), 0);
        });
        pause(10);
        assert_eq!(mutex_unlock(mutex), 0);
        sibling.join().unwrap();
    });
}

/// A mutex that was destroyed while it was held leaves nothing behind for the next one at its address.
#[test]
fn owners_of_dead_mutexes_are_forgotten() {
    alone("mutex::owners_of_dead_mutexes_are_forgotten", || {
        let mutex = mutex_new(libc::PTHREAD_MUTEX_RECURSIVE, 0);
        thread::spawn(move || assert_eq!(mutex_lock(mutex), 0)).join().unwrap();
        mutex_again(mutex, libc::PTHREAD_MUTEX_RECURSIVE);
        assert_eq!((mutex_lock(mutex), mutex_lock(mutex)), (0, 0));
        assert_eq!((mutex_unlock(mutex), mutex_unlock(mutex)), (0, 0));
        assert_eq!(thread::spawn(move || mutex_try(mutex)).join().unwrap(), 0);
    });
}

#[test]
fn timed_locks_let_others_run() {
    alone("mutex::timed_locks_let_others_run", || {
        for kind in KINDS {
            let mutex = mutex_new(kind, 0);
            thread::spawn(move || assert_eq!(mutex_lock(mutex), 0)).join().unwrap();
            for timed in [mutex_timed, mutex_clock] {
                let began = Instant::now();
                let (result, ticks) = beside(|| timed(mutex, 30));
                assert_eq!(result, libc::ETIMEDOUT);
                assert!(began.elapsed() >= 30 * TICK, "{:?}", began.elapsed());
                assert!(ticks > 0, "{ticks} ticks");
                assert_eq!(timed(mutex, -1), libc::ETIMEDOUT);
            }
            assert_eq!(mutex_nonsense(mutex), libc::EINVAL);
        }
    });
}

#[test]
fn handed_on_at_once() {
    alone("mutex::handed_on_at_once", || {
        let mutex = mutex_new(0, 0);
        handed_on(move || mutex_lock(mutex), move || mutex_unlock(mutex));
    });
}

/// `timeout` and `cancel` do not end the wait: callers that ignore the result would go on without the lock.
#[test]
fn deaf_to_timeout_and_cancel() {
    alone("mutex::deaf_to_timeout_and_cancel", || {
        let (mutex, section) = (mutex_new(0, 0), Section::default());
        assert_eq!(mutex_lock(mutex), 0);
        let waiter = |section: Section| {
            thread::spawn_local(move || {
                let _ = sward::timeout(5 * TICK, || {
                    assert_eq!(mutex_lock(mutex), 0);
                    section.visit(|| {
                        for _ in 0..10 {
                            thread::yield_now();
                        }
                    });
                    assert_eq!(mutex_unlock(mutex), 0);
                });
            })
        };
        let (one, two) = (waiter(section.clone()), waiter(section.clone()));
        section.visit(|| {
            thread::yield_now();
            one.cancel();
            pause(30);
        });
        assert_eq!(mutex_unlock(mutex), 0);
        let (_, _) = (one.join(), two.join());
        assert_eq!(section.most(), 1);
    });
}

#[test]
fn errno_is_kept() {
    alone("mutex::errno_is_kept", || {
        let mutex = mutex_new(0, 0);
        assert_eq!(mutex_lock(mutex), 0);
        let other = thread::spawn(move || {
            pause(20);
            assert_eq!(mutex_unlock(mutex), 0);
        });
        let (kept, _) = beside(|| {
            set_errno(libc::EXDEV);
            assert_eq!(mutex_lock(mutex), 0);
            errno()
        });
        assert_eq!(kept, libc::EXDEV);
        other.join().unwrap();
    });
}

#[test]
fn handed_over_between_kinds_of_threads() {
    alone("mutex::handed_over_between_kinds_of_threads", || {
        for kind in KINDS {
            let mutex = mutex_new(kind, 0);
            let held = Arc::new(AtomicUsize::new(0));
            let holder = std::thread::spawn({
                let held = held.clone();
                move || {
                    assert_eq!(mutex_lock(mutex), 0);
                    held.store(1, Ordering::SeqCst);
                    std::thread::sleep(60 * TICK);
                    assert_eq!(mutex_unlock(mutex), 0);
                    // And back: it now waits for a green thread.
                    while held.load(Ordering::SeqCst) == 1 {
                        std::thread::yield_now();
                    }
                    assert_eq!(mutex_lock(mutex), 0);
                    assert_eq!(held.load(Ordering::SeqCst), 3);
                    assert_eq!(mutex_unlock(mutex), 0);
                }
            });
            until(|| held.load(Ordering::SeqCst) == 1);
            let (result, ticks) = beside(|| mutex_lock(mutex));
            assert_eq!(result, 0);
            assert!(ticks > 0, "{ticks} ticks");
            held.store(2, Ordering::SeqCst);
            pause(20);
            held.store(3, Ordering::SeqCst);
            assert_eq!(mutex_unlock(mutex), 0);
            until(|| holder.is_finished());
            holder.join().unwrap();
        }
    });
}

/// An OS thread that waits for a condition gives its mutex back inside glibc, where no hook sees it.
#[test]
fn unlocks_that_no_hook_sees() {
    alone("mutex::unlocks_that_no_hook_sees", || {
        let (mutex, cond) = (mutex_new(0, 0), cond_new(0, 0));
        let held = Arc::new(AtomicUsize::new(0));
        let holder = std::thread::spawn({
            let held = held.clone();
            move || {
                assert_eq!(mutex_lock(mutex), 0);
                held.store(1, Ordering::SeqCst);
                std::thread::sleep(50 * TICK); // until the other has lost patience
                while held.load(Ordering::SeqCst) == 1 {
                    assert_eq!(cond_wait(cond, mutex), 0);
                }
                assert_eq!(mutex_unlock(mutex), 0);
            }
        });
        until(|| held.load(Ordering::SeqCst) == 1);
        assert_eq!(mutex_lock(mutex), 0);
        held.store(2, Ordering::SeqCst);
        assert_eq!(mutex_unlock(mutex), 0);
        assert_eq!(cond_signal(cond), 0);
        holder.join().unwrap();
    });
}

/// What other OS threads hold for moments is waited for without a switch: the caller may be an allocator.
#[test]
fn short_holds_do_not_switch() {
    alone("mutex::short_holds_do_not_switch", || {
        let mutex = mutex_new(libc::PTHREAD_MUTEX_ADAPTIVE_NP, 0);
        let round = || {
            let held = Arc::new(AtomicUsize::new(0));
            let holder = std::thread::spawn({
                let held = held.clone();
                move || {
                    assert_eq!(mutex_lock(mutex), 0);
                    held.store(1, Ordering::SeqCst);
                    std::thread::sleep(5 * TICK);
                    held.store(2, Ordering::SeqCst);
                    assert_eq!(mutex_unlock(mutex), 0);
                }
            });
            while held.load(Ordering::SeqCst) == 0 {
                std::hint::spin_loop();
            }
            let before = held.load(Ordering::SeqCst);
            let (_, ticks) = beside(|| {
                assert_eq!(mutex_lock(mutex), 0);
                assert_eq!(mutex_unlock(mutex), 0);
            });
            holder.join().unwrap();
            (before, ticks)
        };
        // On a busy machine the holder may be kept from its processor, or be done before we look.
        let rounds: Vec<_> = (0..50).map(|_| round()).collect();
        let without = rounds.iter().filter(|round| **round == (1, 0)).count();
        assert!(without > 15, "{rounds:?}");
    });
}

/// Unlocking may be the last that is done with a mutex.
#[test]
fn freed_by_whoever_unlocks() {
    alone("mutex::freed_by_whoever_unlocks", || {
        for _ in 0..1000 {
            let mutex = mutex_new(0, 0);
            assert_eq!(mutex_lock(mutex), 0);
            let other = thread::spawn(move || {
                assert_eq!(mutex_lock(mutex), 0);
                mutex_unlock_and_free(mutex);
            });
            thread::yield_now();
            assert_eq!(mutex_unlock(mutex), 0);
            other.join().unwrap();
        }
    });
}

/// Where nobody may run, what a sibling holds cannot become free: that is said.
#[test]
fn says_when_it_is_stuck() {
    let outcome = attempt("mutex::says_when_it_is_stuck", LIMIT, || {
        native::load();
        patched(|| {
            for kind in KINDS {
                let mutex = mutex_new(kind, 0);
                thread::spawn(move || assert_eq!(mutex_lock(mutex), 0)).join().unwrap();
                let (result, ticks) = beside(|| sward::patch::pinned(|| mutex_timed(mutex, 20)));
                assert_eq!((result, ticks), (libc::ETIMEDOUT, 0), "kind {kind}");
            }
            assert!(pinned(PinKind::Asked) >= 4);
        });
    });
    if let Some((said, ended_well)) = outcome {
        assert!(ended_well, "{}", said.stderr);
        let complaints = said.stderr.matches("holds, where none may run").count();
        assert_eq!(complaints, KINDS.len(), "{}", said.stderr);
    }
}
