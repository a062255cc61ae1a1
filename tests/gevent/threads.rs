//! Behaviours 5, 7, 8, 10 and 29: the order of running, cancelling, scopes, locals.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sward::sync::{Event, Mutex, mpsc};
use sward::thread::{self, Cancelled};

use super::{LONG, case, settle};

/// 5: two that yield take turns.
#[test]
fn sleep_0_takes_turns() {
    case(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let turns = |pause: fn(), first: &'static str, second: &'static str| {
            let seen = Rc::clone(&seen);
            thread::spawn_local(move || {
                seen.borrow_mut().push(first);
                pause();
                seen.borrow_mut().push(second);
            })
        };
        let all = [turns(thread::yield_now, "1A", "1B"), turns(thread::yield_now, "2A", "2B")];
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*seen.borrow(), ["1A", "2A", "1B", "2B"]);

        seen.borrow_mut().clear();
        let zero = || thread::sleep(Duration::ZERO);
        let all = [turns(zero, "1A", "1B"), turns(zero, "2A", "2B")];
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*seen.borrow(), ["1A", "2A", "1B", "2B"]);
    });
}

/// 5: what is spawned runs in the order of spawning, and not before the spawner waits.
#[test]
fn spawned_in_order() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        for n in 0..100 {
            let sender = sender.clone();
            thread::spawn(move || sender.send(n).unwrap());
        }
        assert!(receiver.try_recv().is_err());
        drop(sender);
        assert!(receiver.iter().eq(0..100));
    });
}

/// 7: cancelled before it started, a body never runs; what it captured is dropped; a second cancel is harmless.
#[test]
fn cancel_before_start() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let captured = Counts(Arc::clone(&drops));
        let handle = thread::spawn(move || {
            let _captured = captured;
            unreachable!("it was cancelled before");
        });
        handle.cancel();
        handle.cancel();
        settle();
        handle.cancel();
        assert!(handle.join().unwrap_err().is::<Cancelled>());
        assert_eq!(drops.load(SeqCst), 1);
    });
}

/// 7: cancelled while it waits, it unwinds, and its destructors run; what it held is free and sound.
#[test]
fn cancel_while_waiting() {
    case(|| {
        let shared = Arc::new((Mutex::new(0), Event::new()));
        let theirs = Arc::clone(&shared);
        let handle = thread::spawn(move || {
            let mut guard = theirs.0.lock().unwrap();
            *guard = 1;
            theirs.1.wait();
            *guard = 2;
        });
        settle();
        assert!(shared.0.try_lock().is_err());
        handle.cancel();
        assert!(handle.join().unwrap_err().is::<Cancelled>());
        assert_eq!(*shared.0.lock().unwrap(), 1);
    });
}

/// 7: one that has ended is not changed by it.
#[test]
fn cancel_after_the_end() {
    case(|| {
        let handle = thread::spawn(|| 5);
        settle();
        handle.cancel();
        assert_eq!(handle.join().unwrap(), 5);
    });
}

/// 8: started and not started, all of them die.
#[test]
fn cancel_many() {
    case(|| {
        let started: Vec<_> = (0..50).map(|_| thread::spawn(|| thread::sleep(LONG))).collect();
        settle();
        let fresh: Vec<_> = (0..50).map(|_| thread::spawn(|| thread::sleep(LONG))).collect();
        let all: Vec<_> = started.into_iter().chain(fresh).collect();
        all.iter().for_each(|one| one.cancel());
        for one in all {
            assert!(one.join().unwrap_err().is::<Cancelled>());
        }
    });
}

/// 8: one that is cancelled in the middle of others' queue leaves it whole.
#[test]
fn cancel_in_a_queue() {
    case(|| {
        let mutex = Arc::new(Mutex::new(Vec::new()));
        let guard = mutex.lock().unwrap();
        let all: Vec<_> = (0..5)
            .map(|n| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || mutex.lock().unwrap().push(n))
            })
            .collect();
        settle();
        all[0].cancel();
        all[2].cancel();
        all[4].cancel();
        settle();
        drop(guard);
        let ended: Vec<_> = all.into_iter().map(|one| one.join().is_ok()).collect();
        assert_eq!(ended, [false, true, false, true, false]);
        assert_eq!(*mutex.lock().unwrap(), [1, 3]);
    });
}

/// 10: the end of a scope waits for what was spawned in it.
#[test]
fn scope_joins() {
    case(|| {
        let mut seen = Vec::new();
        let seen_in = Mutex::new(&mut seen);
        thread::scope(|s| {
            s.spawn(|| {
                settle();
                seen_in.lock().unwrap().push("spawned");
            });
            seen_in.lock().unwrap().push("body");
        });
        seen.push("after");
        assert_eq!(seen, ["body", "spawned", "after"]);
    });
}

sward::green_local! {
    static MINE: RefCell<Option<Tells>> = RefCell::new(None);
}

/// Says on which thread it was dropped.
struct Tells(mpsc::Sender<thread::ThreadId>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

/// 29: locals are dropped when the green thread ends, on that one, though its handle lives on; cancelled ones too.
#[test]
fn locals_end_with_their_thread() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        for cancelled in [false, true] {
            let sender = sender.clone();
            let handle = thread::spawn(move || {
                MINE.with(|mine| *mine.borrow_mut() = Some(Tells(sender)));
                if cancelled {
                    thread::sleep(LONG);
                }
            });
            settle();
            if cancelled {
                assert!(receiver.try_recv().is_err());
                handle.cancel();
                settle();
            }
            assert!(handle.is_finished());
            assert_eq!(receiver.try_recv(), Ok(handle.thread().id()));
        }
    });
}

/// 29: and they are nobody else's.
#[test]
fn locals_are_ones_own() {
    sward::green_local! {
        static COUNT: RefCell<u32> = RefCell::new(0);
    }
    case(|| {
        let count = || {
            COUNT.with(|count| *count.borrow_mut() += 1);
            thread::yield_now();
            COUNT.with(|count| *count.borrow())
        };
        let all = [thread::spawn(count), thread::spawn(count)];
        assert_eq!(count(), 1);
        assert!(all.into_iter().all(|one| one.join().unwrap() == 1));
    });
}
