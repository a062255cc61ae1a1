//! Two philosophers and two forks: what a deadlock looks like. `cargo run --example deadlock` ends with a report that
//! names both green threads, instead of hanging. With `--not` there is none: the forks are taken in one order, and
//! only late, from a blocking call.

use std::sync::Arc;
use std::time::Duration;

use sward::sync::{Event, Mutex};
use sward::thread::{self, Builder};

fn main() {
    let polite = std::env::args().any(|arg| arg == "--not");
    sward::Builder::new().workers(2).run(|| if polite { wait_long() } else { starve() });
}

fn starve() {
    let forks = Arc::new([Mutex::new(()), Mutex::new(())]);
    let eat = |name: &str, first: usize, second: usize| {
        let forks = forks.clone();
        let dine = move || {
            let _one = forks[first].lock().unwrap();
            thread::sleep(Duration::from_millis(10));
            let _two = forks[second].lock().unwrap();
        };
        Builder::new().name(name.into()).spawn(dine).unwrap()
    };
    let (left, right) = (eat("left", 0, 1), eat("right", 1, 0));
    left.join().unwrap();
    right.join().unwrap();
}

/// Everybody waits for longer than it takes to suspect a deadlock, and is woken across workers, many times.
fn wait_long() {
    let served = Arc::new(Event::new());
    let theirs = served.clone();
    let cook = move || {
        // The thread of the pool takes its time; that it will end is what everybody waits for.
        #[allow(
            clippy::disallowed_methods,
            reason = "on a thread of the pool this is what is wanted"
        )]
        sward::blocking(|| std::thread::sleep(Duration::from_millis(1_200)));
        theirs.set();
    };
    let cook = Builder::new().worker(1).spawn(cook).unwrap();
    served.wait();
    cook.join().unwrap();
    for _ in 0..1_000 {
        let (me, worker) = (thread::current(), Builder::new().worker(1));
        let other = worker.spawn(move || me.unpark()).unwrap();
        thread::park();
        other.join().unwrap();
    }
}
