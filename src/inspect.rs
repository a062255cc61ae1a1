//! Seeing what a running program does: every green thread, what it waits for, and where.
//!
//! The figures are in [`stats`](crate::stats()); here is the list. It asks every worker to describe its own, so a
//! worker that a green thread does not let go of cannot answer; that is said instead.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fiber::{Body, Fiber, Job};
use crate::hub::{self, Place, inspect, runtime};
use crate::wait::Monitor;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The question to one worker; the answer lies in it.
struct Question {
    backtraces: bool,
    answer: Monitor<Option<String>>,
}

impl Body for Question {
    fn run(self: Arc<Self>) {
        let text = inspect::describe_here(self.backtraces);
        let mut answer = self.answer.lock();
        *answer = Some(text);
        answer.wake_all(0);
    }

    fn abandon(self: Arc<Self>) {}
}

/// Describes every green thread of the caller's runtime, a line each: id, name, worker, age and what it waits for.
/// With `backtraces`, the frames of each one that is parked follow its line.
///
/// For a page of a server, or for a signal handler's thread:
///
/// ```
/// use sward::thread;
///
/// sward::run(|| {
///     let reader = thread::Builder::new().name("reader".into());
///     let reader = reader.spawn(|| thread::sleep(std::time::Duration::from_secs(60))).unwrap();
///     thread::yield_now();
///     let report = sward::dump(false);
///     assert!(report.contains("'main'"));
///     reader.cancel();
/// });
/// ```
///
/// Backtraces touch a few more pages of each stack, and take microseconds to milliseconds each: they are for
/// finding out, not for every day. On an OS thread outside any runtime it is about the default runtime.
pub fn dump(backtraces: bool) -> String {
    let Some(runtime) = runtime::of_caller() else {
        return "no runtime has been started\n".into();
    };
    let mut text = String::new();
    let questions: Vec<_> = (0..runtime.workers.len())
        .map(|worker| {
            let question = Arc::new(Question { backtraces, answer: Monitor::new(None) });
            let job = Job::new(question.clone());
            let fiber = Fiber::new(Some("sward::dump".into()), runtime.config.stack_size, job);
            // OK to unwrap: the number is in range.
            hub::spawn(fiber, Place::Worker(worker)).expect("the worker exists");
            question
        })
        .collect();
    let give_up = Instant::now() + PATIENCE;
    for (worker, question) in questions.iter().enumerate() {
        let answer = question.answer.lock();
        if answer.is_none() {
            // Interrupted or too late: what is there is told.
            let _ = answer.wait(0, Some(give_up));
        } else {
            drop(answer);
        }
        match question.answer.lock().take() {
            Some(part) => text.push_str(&part),
            None => {
                // OK to ignore: writing to a String does not fail.
                let _ = writeln!(
                    text,
                    "worker {worker} has not answered in time: its green thread does not let others run"
                );
            }
        }
    }
    text
}
