//! parking_lot's locks: who waits for one sits in a queue by a node in the OS thread's own memory, so two green threads of
//! one worker must never wait at once.

use std::sync::Arc;
use std::time::Duration;

use foreign::check::{Check, many};
use foreign::table::{PARKING_LOT, Verdict};
use parking_lot::{Condvar, Mutex};

/// Not held across anything that waits: nobody on the worker ever finds it taken.
#[test]
fn short_holds() {
    Check::of(PARKING_LOT).but(Verdict::Cooperative).run(|| {
        let count = Arc::new(Mutex::new(0));
        let own = count.clone();
        many(100, move |_| {
            for _ in 0..10 {
                *own.lock() += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(*count.lock(), 1000);
    });
}

/// Held by an OS thread: ten green threads want it, and get it one after the other.
#[test]
fn held_by_an_os_thread() {
    Check::of(PARKING_LOT).run(|| {
        let count = Arc::new(Mutex::new(0));
        let holder = std::thread::spawn({
            let count = count.clone();
            move || {
                for _ in 0..10 {
                    let mut held = count.lock();
                    std::thread::sleep(Duration::from_millis(30));
                    *held += 1;
                }
            }
        });
        let own = count.clone();
        many(10, move |_| {
            std::thread::sleep(Duration::from_millis(10));
            *own.lock() += 1;
        });
        holder.join().unwrap();
        assert_eq!(*count.lock(), 20);
    });
}

/// A condition that an OS thread makes true.
#[test]
fn condition_from_an_os_thread() {
    Check::of(PARKING_LOT).run(|| {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let opener = std::thread::spawn({
            let gate = gate.clone();
            move || {
                std::thread::sleep(Duration::from_millis(100));
                *gate.0.lock() = true;
                gate.1.notify_all();
            }
        });
        many(5, move |_| {
            let mut open = gate.0.lock();
            while !*open {
                gate.1.wait(&mut open);
            }
        });
        opener.join().unwrap();
    });
}

/// The deadlock: the holder can go on only on the worker that the second blocks.
#[test]
fn held_across_a_switch() {
    Check::of(PARKING_LOT).stuck(STUCK).run(|| {
        let lock = Arc::new(Mutex::new(()));
        many(2, move |_| {
            let _held = lock.lock();
            std::thread::sleep(Duration::from_millis(50));
        });
    });
}

/// What is said of it.
const STUCK: &str = "thread-local";
