//! Three tasks that arrive together, run in turn, by a pool of two threads, and on one thread that switches: who worked
//! when, measured. The picture of the talk's "request processing", from a real run.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What each task does: computes, waits for its backend, computes. Milliseconds; 300, 100 and 200 in all.
const TASKS: [[u64; 3]; 3] = [[30, 240, 30], [20, 60, 20], [30, 140, 30]];

/// One run of the three.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timeline {
    pub(crate) title: &'static str,
    pub(crate) note: &'static str,
    /// How many threads there are to work on.
    pub(crate) lanes: usize,
    /// The tasks share a thread, each going on while another waits: drawn in a row for each.
    pub(crate) shared: bool,
    pub(crate) spans: Vec<Span>,
    /// Milliseconds from the arrival to the last answer.
    pub(crate) total: f64,
}

/// A stretch of one task on one thread, in milliseconds from the arrival.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Span {
    pub(crate) task: usize,
    pub(crate) lane: usize,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Otherwise it waits.
    pub(crate) works: bool,
}

/// Where the tasks of one run note what they did.
#[derive(Clone)]
struct Log {
    began: Instant,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Log {
    fn new() -> Log {
        Log { began: Instant::now(), spans: Arc::default() }
    }

    /// Runs one task, on the thread `lane`.
    fn run(&self, task: usize, lane: usize, waits: bool) {
        for (part, ms) in TASKS[task].into_iter().enumerate() {
            let works = part != 1 || !waits;
            let time = Duration::from_millis(ms);
            if works { self.compute(task, lane, time) } else { self.wait(task, lane, time) }
        }
    }

    /// Computes for `time` of the processor, in slices: who shares the thread gets a turn between two.
    fn compute(&self, task: usize, lane: usize, time: Duration) {
        const SLICE: Duration = Duration::from_millis(10);
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(SLICE);
            let from = self.began.elapsed();
            while self.began.elapsed() - from < slice {
                crate::workload::compute(1000);
            }
            self.note(task, lane, from, true);
            left -= slice;
            sward::thread::yield_now();
        }
    }

    fn wait(&self, task: usize, lane: usize, time: Duration) {
        let from = self.began.elapsed();
        sward::thread::sleep(time);
        self.note(task, lane, from, false);
    }

    fn note(&self, task: usize, lane: usize, from: Duration, works: bool) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let span = Span { task, lane, from: ms(from), to: ms(self.began.elapsed()), works };
        self.spans.lock().expect("not poisoned").push(span);
    }

    fn end(self, title: &'static str, note: &'static str, lanes: usize) -> Timeline {
        let spans = std::mem::take(&mut *self.spans.lock().expect("not poisoned"));
        let total = spans.iter().map(|span| span.to).fold(0.0, f64::max);
        Timeline { title, note, lanes, shared: false, spans, total }
    }
}

/// All of them.
pub(crate) fn measure() -> Vec<Timeline> {
    vec![
        in_turn(),
        by_pool(),
        switching(
            "One thread, event-driven",
            "while one waits, another runs: nothing is wasted",
            true,
        ),
        switching(
            "One thread, event-driven, pure computation",
            "nobody waits: nothing is won",
            false,
        ),
    ]
}

fn in_turn() -> Timeline {
    let log = Log::new();
    for task in 0..TASKS.len() {
        log.run(task, 0, true);
    }
    log.end("One thread, one task at a time", "while a task waits, so does everything", 1)
}

fn by_pool() -> Timeline {
    const THREADS: usize = 2;
    // The first task is the first thread's, and so on, as in the talk's picture: whichever thread is up first.
    let (log, next) = (Log::new(), Mutex::new(THREADS..TASKS.len()));
    std::thread::scope(|s| {
        for lane in 0..THREADS {
            let (log, next) = (&log, &next);
            s.spawn(move || {
                let mut task = Some(lane);
                while let Some(this) = task {
                    log.run(this, lane, true);
                    task = next.lock().expect("not poisoned").next();
                }
            });
        }
    });
    log.end(
        "A pool of two threads",
        "each thread takes a task, and the next when it is done",
        THREADS,
    )
}

fn switching(title: &'static str, note: &'static str, waits: bool) -> Timeline {
    let log = Log::new();
    sward::Builder::new().workers(1).run(|| {
        let tasks: Vec<_> = (0..TASKS.len())
            .map(|task| {
                let log = log.clone();
                sward::thread::spawn(move || log.run(task, 0, waits))
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().expect("a task does not panic"));
    });
    Timeline { shared: true, ..log.end(title, note, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schedule of the talk: thread 1 has task 1, thread 2 has task 2, and task 3 is for the thread that is done first
    /// (thread 2, unless the machine holds it up for long).
    #[test]
    fn the_pool_deals_the_tasks_out() {
        let pool = by_pool();
        let of = |task| pool.spans.iter().filter(move |span| span.task == task);
        let end_of = |task| of(task).map(|span| span.to).fold(0.0, f64::max);
        let lanes = [0, 1, 2].map(|task| of(task).next().expect("each task has run").lane);
        let first_done = usize::from(end_of(1) < end_of(0));
        assert_eq!(lanes, [0, 1, first_done], "{:?}", pool.spans);
        assert!(
            of(2).all(|span| span.lane == first_done && span.from >= end_of(first_done)),
            "{:?}",
            pool.spans
        );
    }

    #[test]
    fn waiting_overlaps_and_computing_does_not() {
        let in_turn = in_turn();
        assert!(in_turn.total >= 600.0, "{}", in_turn.total);
        let waits = switching("", "", true);
        let pause = waits
            .spans
            .iter()
            .find(|span| !span.works && span.task == 0)
            .expect("the first task waits");
        let within = |span: &Span| {
            span.works && span.task != 0 && span.from >= pause.from && span.to <= pause.to
        };
        assert!(waits.total >= 300.0 && waits.spans.iter().any(within), "{:?}", waits.spans);
        let computes = switching("", "", false);
        assert!(computes.total >= 590.0, "{}", computes.total);
        // In slices, in between each other.
        let order: Vec<_> = computes.spans.iter().map(|span| span.task).take(3).collect();
        assert_eq!(order, [0, 1, 2]);
    }
}
