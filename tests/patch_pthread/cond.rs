//! Conditions: between green threads, and across to OS threads, in both directions.

use super::native::*;
use super::*;

/// A counter under a mutex, with a condition for its changes.
#[derive(Clone)]
struct Turn {
    mutex: Object,
    cond: Object,
    value: Arc<AtomicUsize>,
}

impl Turn {
    fn new() -> Turn {
        Turn { mutex: mutex_new(0, 0), cond: cond_new(0, 0), value: Arc::new(AtomicUsize::new(0)) }
    }

    fn value(&self) -> usize {
        self.value.load(Ordering::SeqCst)
    }

    /// Waits until it is `mine` modulo 2, and goes one further.
    fn play(&self, mine: usize, rounds: usize) {
        for _ in 0..rounds {
            assert_eq!(mutex_lock(self.mutex), 0);
            while self.value() % 2 != mine {
                assert_eq!(cond_wait(self.cond, self.mutex), 0);
            }
            self.value.fetch_add(1, Ordering::SeqCst);
            assert_eq!(cond_signal(self.cond), 0);
            assert_eq!(mutex_unlock(self.mutex), 0);
        }
    }
}

const ROUNDS: usize = 500;

#[test]
fn back_and_forth_between_siblings() {
    alone("cond::back_and_forth_between_siblings", || {
        let turn = Turn::new();
        let other = turn.clone();
        let other = thread::spawn(move || other.play(1, ROUNDS));
        turn.play(0, ROUNDS);
        other.join().unwrap();
        assert_eq!(turn.value(), 2 * ROUNDS);
    });
}

#[test]
fn back_and_forth_with_an_os_thread() {
    alone("cond::back_and_forth_with_an_os_thread", || {
        let turn = Turn::new();
        let other = turn.clone();
        let other = std::thread::spawn(move || other.play(1, ROUNDS));
        let ((), ticks) = beside(|| turn.play(0, ROUNDS));
        other.join().unwrap();
        assert_eq!(turn.value(), 2 * ROUNDS);
        assert!(ticks > 0, "{ticks} ticks");
    });
}

/// A signal is for one of those who wait, a broadcast for all of them, whatever they are.
#[test]
fn one_or_all() {
    alone("cond::one_or_all", || {
        let (mutex, cond) = (mutex_new(0, 0), cond_new(0, 0));
        let waiting = Arc::new(AtomicUsize::new(0));
        let woken = Arc::new(AtomicUsize::new(0));
        let wait = {
            let (waiting, woken) = (waiting.clone(), woken.clone());
            move || {
                assert_eq!(mutex_lock(mutex), 0);
                waiting.fetch_add(1, Ordering::SeqCst);
                assert_eq!(cond_wait(cond, mutex), 0);
                woken.fetch_add(1, Ordering::SeqCst);
                assert_eq!(mutex_unlock(mutex), 0);
            }
        };
        let green: Vec<_> = (0..5).map(|_| thread::spawn(wait.clone())).collect();
        let os: Vec<_> = (0..2).map(|_| std::thread::spawn(wait.clone())).collect();
        until(|| waiting.load(Ordering::SeqCst) == 7);
        pause(20);
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        assert_eq!(mutex_lock(mutex), 0); // all are in their waits now
        assert_eq!(cond_signal(cond), 0);
        assert_eq!(mutex_unlock(mutex), 0);
        until(|| woken.load(Ordering::SeqCst) >= 1);
        pause(20);
        // One of each kind at the most: a wait may end for no reason, but not all of them.
        assert!(woken.load(Ordering::SeqCst) <= 2, "{woken:?}");
        assert_eq!(green.iter().filter(|thread| thread.is_finished()).count(), 1);
        assert_eq!(cond_broadcast(cond), 0);
        until(|| woken.load(Ordering::SeqCst) == 7);
        green.into_iter().for_each(|thread| thread.join().unwrap());
        os.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Time-outs on the clock that was asked for; others run meanwhile, and the mutex is free while it lasts.
#[test]
fn timed_waits() {
    alone("cond::timed_waits", || {
        let mutex = mutex_new(0, 0);
        for monotonic in [0, 1] {
            for timed in [cond_timed, cond_clock] {
                // `pthread_cond_clockwait` names the clock anew.
                let cond = cond_new(monotonic, 0);
                assert_eq!(mutex_lock(mutex), 0);
                let sibling = thread::spawn(move || {
                    assert_eq!(mutex_lock(mutex), 0, "given back meanwhile");
                    assert_eq!(mutex_unlock(mutex), 0);
                });
                let began = Instant::now();
                let (result, ticks) = beside(|| timed(cond, mutex, monotonic, 40));
                assert_eq!(result, libc::ETIMEDOUT);
                let took = began.elapsed();
                assert!(took >= 40 * TICK && took < LIMIT / 3, "{took:?}, {monotonic}");
                assert!(ticks > 0, "{ticks} ticks");
                sibling.join().unwrap();
                assert_eq!(timed(cond, mutex, monotonic, -5), libc::ETIMEDOUT);
                assert_eq!(mutex_try(mutex), libc::EBUSY, "held again");
                let waker = thread::spawn(move || {
                    assert_eq!(mutex_lock(mutex), 0);
                    assert_eq!(cond_signal(cond), 0);
                    assert_eq!(mutex_unlock(mutex), 0);
                });
                assert_eq!(timed(cond, mutex, monotonic, 20_000), 0);
                assert!(began.elapsed() < LIMIT / 3);
                waker.join().unwrap();
                assert_eq!(mutex_unlock(mutex), 0);
            }
        }
    });
}

/// A recursive mutex is waited with by its owner, which may be any of the worker's green threads.
#[test]
fn with_mutexes_that_know_their_owner() {
    alone("cond::with_mutexes_that_know_their_owner", || {
        for kind in [libc::PTHREAD_MUTEX_RECURSIVE, libc::PTHREAD_MUTEX_ERRORCHECK] {
            let turn = Turn { mutex: mutex_new(kind, 0), ..Turn::new() };
            let other = turn.clone();
            let other = thread::spawn(move || other.play(1, 50));
            turn.play(0, 50);
            other.join().unwrap();
            assert_eq!(turn.value(), 100);
        }
        // Somebody else's mutex, or nobody's: no wait, and no place in the queue.
        let (mutex, cond) = (mutex_new(libc::PTHREAD_MUTEX_ERRORCHECK, 0), cond_new(0, 0));
        assert_eq!(cond_wait(cond, mutex), libc::EPERM);
        assert_eq!(mutex_lock(mutex), 0);
        assert_eq!(thread::spawn(move || cond_wait(cond, mutex)).join().unwrap(), libc::EPERM);
    });
}

/// `timeout` and `cancel` do not end the wait.
#[test]
fn deaf_to_timeout_and_cancel() {
    alone("cond::deaf_to_timeout_and_cancel", || {
        let (mutex, cond) = (mutex_new(0, 0), cond_new(0, 0));
        let go = Arc::new(AtomicUsize::new(0));
        let waiter = {
            let go = go.clone();
            thread::spawn(move || {
                let _ = sward::timeout(5 * TICK, || {
                    assert_eq!(mutex_lock(mutex), 0);
                    assert_eq!(cond_wait(cond, mutex), 0);
                    assert_eq!(go.load(Ordering::SeqCst), 1, "woken by nobody");
                    assert_eq!(mutex_unlock(mutex), 0);
                    go.store(2, Ordering::SeqCst);
                });
            })
        };
        thread::yield_now();
        waiter.cancel();
        pause(30);
        go.store(1, Ordering::SeqCst);
        assert_eq!(cond_signal(cond), 0);
        let _ = waiter.join();
        assert_eq!(go.load(Ordering::SeqCst), 2);
    });
}

/// A condition in thread-local memory is the OS thread's own (DESIGN.md, section 5, rule 5): its worker blocks.
#[test]
fn thread_local_conditions_pin() {
    alone("cond::thread_local_conditions_pin", || {
        let (mutex, cond) = (mutex_new(0, 0), cond_own());
        let waker = std::thread::spawn(move || {
            std::thread::sleep(50 * TICK);
            assert_eq!(mutex_lock(mutex), 0);
            assert_eq!(cond_signal(cond), 0);
            assert_eq!(mutex_unlock(mutex), 0);
        });
        assert_eq!(mutex_lock(mutex), 0);
        let (result, ticks) = beside(|| cond_wait(cond, mutex));
        assert_eq!((result, ticks), (0, 0));
        assert_eq!(mutex_unlock(mutex), 0);
        assert_eq!(pinned(PinKind::ThreadLocal), 1);
        waker.join().unwrap();
    });
}

/// A signal that comes together with the end of somebody's time is not spent on him: whoever says "timed out" has not
/// had it, and it goes to another.
#[test]
fn no_signal_is_lost_to_a_time_out() {
    alone("cond::no_signal_is_lost_to_a_time_out", || {
        let (mutex, cond) = (mutex_new(0, 0), cond_new(1, 0));
        let round = Arc::new(AtomicUsize::new(0));
        let signaller = std::thread::spawn({
            let round = round.clone();
            move || {
                let mut done = 0;
                loop {
                    match round.load(Ordering::SeqCst) {
                        usize::MAX => return,
                        now if now > done => {
                            done = now;
                            // Close to the millisecond after which the other's time ends.
                            let end =
                                Instant::now() + Duration::from_micros(1000 + now as u64 % 120);
                            while Instant::now() < end {
                                std::hint::spin_loop();
                            }
                            assert_eq!(cond_signal(cond), 0);
                        }
                        _ => std::thread::yield_now(),
                    }
                }
            }
        });
        let mut timed_out = 0;
        let rounds = 500;
        for now in 1..=rounds {
            let waiting = Arc::new(AtomicUsize::new(0));
            // The first in the queue, so that the signal is for it if it still waits.
            let timed = thread::spawn({
                let waiting = waiting.clone();
                move || {
                    assert_eq!(mutex_lock(mutex), 0);
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let result = cond_timed(cond, mutex, 1, 1);
                    if result == 0 {
                        assert_eq!(cond_signal(cond), 0); // and the other may go
                    }
                    assert_eq!(mutex_unlock(mutex), 0);
                    result
                }
            });
            let patient = thread::spawn({
                let waiting = waiting.clone();
                move || {
                    assert_eq!(mutex_lock(mutex), 0);
                    waiting.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(cond_wait(cond, mutex), 0);
                    assert_eq!(mutex_unlock(mutex), 0);
                }
            });
            while waiting.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            assert_eq!(mutex_lock(mutex), 0); // both are in their waits now
            round.store(now, Ordering::SeqCst);
            assert_eq!(mutex_unlock(mutex), 0);
            let result = timed.join().unwrap();
            timed_out += usize::from(result == libc::ETIMEDOUT);
            patient.join().unwrap(); // hangs if the signal is lost
        }
        round.store(usize::MAX, Ordering::SeqCst);
        signaller.join().unwrap();
        assert!(timed_out > 0 && timed_out < rounds, "{timed_out}: they never met");
    });
}
