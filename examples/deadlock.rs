//! Two philosophers and two forks: what a deadlock looks like. `cargo run --example deadlock` ends with a report that
//! names both green threads, instead of hanging.

use std::sync::Arc;
use std::time::Duration;

use sward::sync::Mutex;
use sward::thread::{self, Builder};

fn main() {
    sward::run(|| {
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
    });
}
