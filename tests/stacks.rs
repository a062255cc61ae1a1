//! The memory of stacks goes back to the system when those who used them have ended, whatever the workers do then.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "patch_support/mod.rs"]
mod child;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::sync::Barrier;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[inline(never)]
fn touch_stack() {
    std::hint::black_box([1_u8; 24 << 10]);
}

#[test]
fn workers_that_fall_asleep_give_back_what_many_have_used() {
    const COUNT: usize = 2000;
    child::case(
        "workers_that_fall_asleep_give_back_what_many_have_used",
        Duration::from_secs(60),
        || {
            sward::Builder::new().workers(2).run(|| {
                let before = resident();
                let all_there = Arc::new(Barrier::new(COUNT + 1));
                let all_go = Arc::new(Barrier::new(COUNT + 1));
                let all: Vec<_> = (0..COUNT)
                    .map(|_| {
                        let (there, go) = (all_there.clone(), all_go.clone());
                        sward::thread::spawn(move || {
                            touch_stack();
                            there.wait();
                            go.wait();
                        })
                    })
                    .collect();
                all_there.wait();
                let peak = resident() - before;
                assert!(peak > COUNT * (24 << 10), "{peak} bytes: the stacks were not in use");
                all_go.wait();
                all.into_iter().for_each(|thread| thread.join().unwrap());
                // An OS thread looks, so that no worker has a reason to wake.
                let (sender, receiver) = sward::sync::mpsc::channel();
                let start = Instant::now();
                std::thread::spawn(move || {
                    let mut left = peak;
                    while left > peak / 5 && start.elapsed() < Duration::from_secs(10) {
                        std::thread::sleep(Duration::from_millis(20));
                        left = resident().saturating_sub(before);
                    }
                    sender.send(left).unwrap();
                });
                let left = receiver.recv().unwrap();
                assert!(left <= peak / 5, "{left} bytes are left of {peak}");
            });
        },
    );
}
