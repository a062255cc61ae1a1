//! The inbox under every order of events: no wake-up is lost, the bell rings only for a sleeper, each item comes once.
//!
//! `src/inbox.rs` is compiled here as it stands, with loom's atomics in the place of `sys::atomic`. The bell, an
//! eventfd in real life, is a flag under a condition variable: a worker that waits for a ring that nobody owes it
//! is a deadlock, which loom reports.

#[path = "../../../src/inbox.rs"]
#[allow(dead_code, reason = "a model uses a part")]
mod inbox;

/// What `src/inbox.rs` takes its atomics from.
mod sys {
    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};
    }
}

use std::ptr;
use std::sync::Arc;

use inbox::{Inbox, Mail};
use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

struct Letter {
    next: AtomicPtr<Letter>,
    id: usize,
    /// As `Fiber::mailed`: whether it is in the inbox.
    mailed: AtomicBool,
}

// SAFETY: one field, used by the inbox only.
unsafe impl Mail for Letter {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

fn letter(id: usize) -> Arc<Letter> {
    let (next, mailed) = (AtomicPtr::new(ptr::null_mut()), AtomicBool::new(false));
    Arc::new(Letter { next, id, mailed })
}

/// The eventfd: rings are not lost, and not counted.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
    rings: AtomicUsize,
}

struct Worker {
    inbox: Inbox<Letter>,
    bell: Bell,
}

impl Worker {
    fn new() -> Arc<Self> {
        let rings = AtomicUsize::new(0);
        let bell = Bell { rung: Mutex::new(false), changed: Condvar::new(), rings };
        Arc::new(Worker { inbox: Inbox::new(), bell })
    }

    fn post(&self, letter: Arc<Letter>) {
        if self.inbox.push(letter) {
            self.ring();
        }
    }

    fn ring(&self) {
        self.bell.rings.fetch_add(1, Ordering::Relaxed);
        *self.bell.rung.lock().unwrap() = true;
        self.bell.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.bell.rung.lock().unwrap();
        while !*rung {
            rung = self.bell.changed.wait(rung).unwrap();
        }
        *rung = false;
    }

    fn rings(&self) -> usize {
        self.bell.rings.load(Ordering::Relaxed)
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// Two senders, one owner that sleeps whenever it may. Were a wake-up lost, it would sleep for ever.
#[test]
fn no_wake_up_is_lost() {
    model(|| {
        let worker = Worker::new();
        let senders = [0, 1].map(|id| {
            let worker = worker.clone();
            thread::spawn(move || worker.post(letter(id)))
        });
        let (mut came, mut sleeps) = (Vec::new(), 0);
        while came.len() < 2 {
            came.extend(worker.inbox.drain().map(|letter| letter.id));
            if came.len() < 2 && worker.inbox.try_sleep() {
                sleeps += 1;
                worker.wait();
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        came.sort_unstable();
        assert_eq!(came, [0, 1], "each comes once");
        assert_eq!(worker.rings(), sleeps, "one ring for each sleep, none without");
    });
}

/// One sender, two letters: they come in the order of sending, and the second does not ring again.
#[test]
fn in_order() {
    model(|| {
        let worker = Worker::new();
        let sender = {
            let worker = worker.clone();
            thread::spawn(move || (0..2).for_each(|id| worker.post(letter(id))))
        };
        let mut came = Vec::new();
        while came.len() < 2 {
            came.extend(worker.inbox.drain().map(|letter| letter.id));
            if came.len() < 2 && worker.inbox.try_sleep() {
                worker.wait();
            }
        }
        sender.join().unwrap();
        assert_eq!(came, [0, 1]);
    });
}

/// A letter and a call without mail at once: one of the two rings, not both.
#[test]
fn one_ring_for_a_sleeper() {
    model(|| {
        let worker = Worker::new();
        assert!(worker.inbox.try_sleep());
        let rouser = {
            let worker = worker.clone();
            thread::spawn(move || {
                if worker.inbox.rouse() {
                    worker.ring();
                }
            })
        };
        worker.post(letter(7));
        rouser.join().unwrap();
        assert_eq!(worker.rings(), 1);
        worker.wait();
        assert_eq!(worker.inbox.drain().map(|letter| letter.id).collect::<Vec<_>>(), [7]);
    });
}

/// Two wakers of one fiber: it is mailed once at a time, and whoever finds it mailed already is seen all the same.
/// In the shape of `Mailbox::post` and `Hub::read_mail`.
#[test]
fn a_second_waker_is_seen() {
    model(|| {
        let worker = Worker::new();
        let fiber = letter(1);
        let reasons = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers = [0, 1].map(|n| {
            let (worker, fiber, reasons) = (worker.clone(), fiber.clone(), reasons.clone());
            thread::spawn(move || {
                reasons[n].store(true, Ordering::Relaxed);
                if !fiber.mailed.swap(true, Ordering::AcqRel) {
                    worker.post(fiber);
                }
            })
        });
        let seen = || reasons.iter().all(|reason| reason.load(Ordering::Relaxed));
        let mut done = false;
        while !done {
            for fiber in worker.inbox.drain() {
                fiber.mailed.swap(false, Ordering::AcqRel);
                done = seen();
            }
            if !done && worker.inbox.try_sleep() {
                worker.wait();
            }
        }
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

/// Work that lies elsewhere (a deque that others steal from): whoever adds it sees the sleeper, or the one that is about
/// to sleep sees the work. In the shape of `Runtime::rouse_one` and `Hub::sleep`.
#[test]
fn work_elsewhere_is_seen() {
    model(|| {
        let worker = Worker::new();
        let shared = Arc::new((AtomicBool::new(false), AtomicUsize::new(0))); // work, idle
        let adder = {
            let (worker, shared) = (worker.clone(), shared.clone());
            thread::spawn(move || {
                shared.0.store(true, Ordering::Release);
                loom::sync::atomic::fence(Ordering::SeqCst);
                if shared.1.load(Ordering::Relaxed) > 0 && worker.inbox.rouse() {
                    worker.ring();
                }
            })
        };
        while !shared.0.load(Ordering::Acquire) {
            if worker.inbox.try_sleep() {
                shared.1.fetch_add(1, Ordering::SeqCst);
                loom::sync::atomic::fence(Ordering::SeqCst); // the deque's `is_empty` has it
                if !shared.0.load(Ordering::Acquire) {
                    worker.wait();
                }
                shared.1.fetch_sub(1, Ordering::SeqCst);
                assert_eq!(worker.inbox.drain().count(), 0);
            }
        }
        adder.join().unwrap();
    });
}

/// The canary: a worker that sleeps without saying so is a deadlock that loom must find.
#[test]
#[should_panic]
fn a_lost_wake_up_is_found() {
    model(|| {
        let worker = Worker::new();
        let sender = {
            let worker = worker.clone();
            thread::spawn(move || worker.post(letter(0)))
        };
        if worker.inbox.drain().count() == 0 {
            worker.wait(); // without `try_sleep`
        }
        sender.join().unwrap();
    });
}
