//! What a program can say about itself: the list of green threads, and a deadlock by name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::process::Command;
use std::time::Duration;

use sward::sync::mpsc;
use sward::thread;

#[path = "support/example.rs"]
mod example;
mod support;

#[test]
fn dump_names_everybody_and_what_they_wait_for() {
    support::alarm();
    for workers in [1, 2] {
        sward::Builder::new().workers(workers).run(|| {
            let named = |name: &str| thread::Builder::new().name(name.into());
            let sleeper =
                named("sleeper").spawn(|| thread::sleep(Duration::from_secs(60))).unwrap();
            let parked = named("parked").spawn(thread::park).unwrap();
            let (_to, from) = mpsc::channel::<()>();
            let waiter = named("waiter").spawn(move || assert!(from.recv().is_err())).unwrap();
            let socket = sward::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let reader = named("reader").spawn(move || drop(socket.recv(&mut [0]))).unwrap();
            let report = loop {
                let report = sward::dump(false);
                if report.contains("'reader'") && report.contains("readable") {
                    break report;
                }
                thread::yield_now();
            };
            let line = |name: &str| {
                let found = report.lines().find(|line| line.contains(name));
                found.unwrap_or_else(|| panic!("{name} is not in:\n{report}")).to_owned()
            };
            assert!(line("'sleeper'").ends_with("sleeps"), "{report}");
            assert!(line("'parked'").ends_with("waits to be unparked"), "{report}");
            assert!(line("'waiter'").contains("a channel"), "{report}");
            assert!(line("'reader'").contains("is readable"), "{report}");
            for thread in [sleeper, parked, waiter, reader] {
                thread.cancel();
                let _ = thread.join();
            }
        });
    }
}

#[inline(never)]
fn deep_in_the_program() {
    thread::sleep(Duration::from_millis(300));
    std::hint::black_box(());
}

#[test]
fn backtraces_show_where_and_change_nothing() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let sleeper = thread::spawn(|| {
            deep_in_the_program();
            7
        });
        thread::yield_now();
        for _ in 0..3 {
            let report = sward::dump(true);
            assert!(report.contains("deep_in_the_program"), "{report}");
        }
        assert_eq!(sleeper.join().unwrap(), 7);
    });
}

/// In a program of its own: the test harness has OS threads that might wake somebody, so nothing is certain here.
#[test]
fn a_deadlock_is_named() {
    support::alarm();
    let output = Command::new(example::executable("deadlock")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("sward: deadlock"), "{stderr}");
    assert!(stderr.contains("'left'") && stderr.contains("'right'"), "{stderr}");
    assert_eq!(output.status.code(), Some(101), "run panicked: {stderr}");
}

/// A wake-up that comes while the runtime looks like a deadlock is no deadlock: found by an example of `http`.
#[test]
fn a_late_wake_up_is_no_deadlock() {
    support::alarm();
    let output = Command::new(example::executable("deadlock")).arg("--not").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
}
