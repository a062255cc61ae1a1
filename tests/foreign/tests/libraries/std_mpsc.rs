//! `std::sync::mpsc`, whose code is crossbeam-channel's.

use std::sync::mpsc;
use std::time::Duration;

use foreign::check::{Check, spawn};
use foreign::table::{MPSC, Verdict};

#[test]
fn fed_by_an_os_thread() {
    Check::of(MPSC).but(Verdict::Cooperative).run(|| {
        let (sender, receiver) = mpsc::sync_channel(3);
        let feeder =
            std::thread::spawn(move || (0..1000_usize).for_each(|n| sender.send(n).unwrap()));
        let reader = spawn(move || receiver.iter().sum::<usize>());
        assert_eq!(reader(), 499_500);
        feeder.join().unwrap();
    });
}

#[test]
fn between_green_threads() {
    Check::of(MPSC).stuck(STUCK).run(|| {
        let (sender, receiver) = mpsc::channel();
        let reader = spawn(move || receiver.recv().unwrap());
        std::thread::sleep(Duration::from_millis(50));
        sender.send(7).unwrap();
        assert_eq!(reader(), 7);
    });
}

/// What is said of it.
const STUCK: &str = "channel of std or crossbeam";
