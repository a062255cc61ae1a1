//! crossbeam-channel: works between OS threads and green threads, not between green threads of one worker.

use std::time::Duration;

use crossbeam_channel::{bounded, select, unbounded};
use foreign::check::{Check, many, spawn};
use foreign::table::{CROSSBEAM, Verdict};

#[test]
fn fed_by_an_os_thread() {
    Check::of(CROSSBEAM).but(Verdict::Cooperative).run(|| {
        let (sender, receiver) = unbounded();
        let feeder = std::thread::spawn(move || {
            for n in 0..1000_usize {
                sender.send(n).unwrap();
                if n % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let sums = many(5, move |_| receiver.iter().sum::<usize>());
        feeder.join().unwrap();
        assert_eq!(sums.iter().sum::<usize>(), 499_500);
    });
}

#[test]
fn feeds_an_os_thread() {
    Check::of(CROSSBEAM).but(Verdict::Cooperative).run(|| {
        let (sender, receiver) = bounded(2);
        let reader = std::thread::spawn(move || {
            let slow = |n: &usize| std::thread::sleep(Duration::from_micros(*n as u64 % 3 * 100));
            receiver.iter().inspect(slow).sum::<usize>()
        });
        many(5, move |_| (0..100).for_each(|n| sender.send(n).unwrap()));
        assert_eq!(reader.join().unwrap(), 5 * 4950);
    });
}

#[test]
fn selects() {
    Check::of(CROSSBEAM).but(Verdict::Cooperative).run(|| {
        let ((one, first), (two, second)) = (unbounded(), unbounded());
        let feeder = std::thread::spawn(move || {
            for n in 0..50 {
                std::thread::sleep(Duration::from_millis(1));
                if n % 2 == 0 { one.send(n).unwrap() } else { two.send(n).unwrap() }
            }
        });
        let reader = spawn(move || {
            let mut sum = 0;
            for _ in 0..50 {
                select! {
                    recv(first) -> n => sum += n.unwrap(),
                    recv(second) -> n => sum += n.unwrap(),
                    default(Duration::from_secs(5)) => panic!("nothing comes"),
                }
            }
            sum
        });
        assert_eq!(reader(), (0..50).sum::<i32>());
        feeder.join().unwrap();
    });
}

/// A receiver that waits is not woken by a sender of its own worker, since both are the same OS thread to it.
#[test]
fn between_green_threads() {
    Check::of(CROSSBEAM).stuck(STUCK).run(|| {
        let (sender, receiver) = unbounded();
        let reader = spawn(move || receiver.recv().unwrap());
        std::thread::sleep(Duration::from_millis(50));
        sender.send(7).unwrap();
        assert_eq!(reader(), 7);
    });
}

/// What is said of it.
const STUCK: &str = "channel of std or crossbeam";
