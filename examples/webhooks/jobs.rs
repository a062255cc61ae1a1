//! The workers: jobs that take a while, one at a time for each account however many ask, and two ways to get at the result. The one
//! that works: it is told to everybody who has registered for the account. The one that does not: `get`, which gives it to
//! whoever takes it first.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sward::http::{Request, Response, Router, StatusCode};
use sward::sync::mpsc::{Sender, channel};
use sward::sync::{Condvar, Mutex};
use sward::thread;
use sward::webhook::Time;

/// Results that nobody has taken; the oldest go.
const KEPT: usize = 1000;

/// The queue and its workers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Jobs {
    board: Arc<Board>,
    queue: Sender<Job>,
}

struct Board {
    /// By account and what is to be done: the job that does it.
    running: Mutex<HashMap<(String, String), u64>>,
    results: Mutex<HashMap<u64, Option<Value>>>,
    came: Condvar,
    last: AtomicU64,
    executed: AtomicU64,
}

struct Job {
    id: u64,
    account: String,
    task: String,
    takes: Duration,
}

impl Jobs {
    /// So many workers; each hands the account and the result to `tell`.
    pub(crate) fn start<E: Display>(
        workers: usize,
        tell: impl Fn(&str, &Value) -> Result<(), E> + Send + Sync + 'static,
    ) -> Jobs {
        let board = Arc::new(Board {
            running: Mutex::default(),
            results: Mutex::default(),
            came: Condvar::new(),
            last: AtomicU64::new(0),
            executed: AtomicU64::new(0),
        });
        let (queue, jobs) = channel::<Job>();
        let (jobs, tell) = (Arc::new(Mutex::new(jobs)), Arc::new(tell));
        for _ in 0..workers {
            let (board, jobs, tell) = (board.clone(), jobs.clone(), tell.clone());
            thread::spawn(move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(|e| e.into_inner()).recv();
                    let Ok(job) = job else { return };
                    let result = board.execute(&job);
                    if let Err(error) = tell(&job.account, &result) {
                        eprintln!("webhooks: the result of job {} is lost: {error}", job.id);
                    }
                }
            });
        }
        Jobs { board, queue }
    }

    /// The job that does `task` for the account: the one that runs, or a new one. True: it runs already.
    pub(crate) fn ask(&self, account: &str, task: &str, takes: Duration) -> (u64, bool) {
        let mut running = self.board.running.lock().unwrap_or_else(|e| e.into_inner());
        let key = (account.to_owned(), task.to_owned());
        if let Some(id) = running.get(&key) {
            return (*id, true);
        }
        let id = self.board.last.fetch_add(1, Ordering::Relaxed) + 1;
        running.insert(key, id);
        let mut results = self.board.results.lock().unwrap_or_else(|e| e.into_inner());
        results.insert(id, None);
        results.retain(|old, _| *old + KEPT as u64 > id);
        let job = Job { id, account: account.into(), task: task.into(), takes };
        // OK to unwrap: the workers are there for as long as the queue.
        self.queue.send(job).expect("a worker");
        (id, false)
    }

    /// How many jobs were done.
    pub(crate) fn executed(&self) -> u64 {
        self.board.executed.load(Ordering::Relaxed)
    }

    /// The failing mode: the result, for the one who takes it first. All others wait for nothing.
    pub(crate) fn get(&self, id: u64, patience: Duration) -> Option<Value> {
        let until = Instant::now() + patience;
        let mut results = self.board.results.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            if results.get(&id).is_some_and(Option::is_some) {
                return results.remove(&id).flatten();
            }
            let left = until.checked_duration_since(Instant::now())?;
            let waited = self.board.came.wait_timeout(results, left);
            results = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// The service: `POST /jobs`, `GET /jobs/{id}/get?wait_ms=`, `GET /jobs`.
    pub(crate) fn routes(&self, router: Router) -> Router {
        let (ask, get, count) = (self.clone(), self.clone(), self.clone());
        router
            .post("/jobs", move |req: &mut Request<'_>| ask.answer(req))
            .get("/jobs/{id}/get", move |req: &mut Request<'_>| {
                let id = req.param("id")?;
                let wait = req.query("wait_ms")?.unwrap_or(2_000_u64).min(10_000);
                Ok::<_, sward::http::Error>(match get.get(id, Duration::from_millis(wait)) {
                    Some(result) => Response::json(&result),
                    None => Response::json(
                        &json!({"error": "somebody else has taken it, or nobody will"}),
                    )
                    .with_status(StatusCode::GONE),
                })
            })
            .get("/jobs", move |_: &mut Request<'_>| {
                Response::json(&json!({"executed": count.executed()}))
            })
    }

    fn answer(&self, req: &mut Request<'_>) -> Result<Response, sward::http::Error> {
        let asked: Value = req.json()?;
        let wrong = |what: &'static str| sward::http::Error::new(StatusCode::BAD_REQUEST, what);
        let account = asked["account"].as_str().ok_or(wrong("account must be text"))?;
        let task = asked["task"].as_str().ok_or(wrong("task must be text"))?;
        let takes = Duration::from_millis(asked["ms"].as_u64().unwrap_or(500).min(60_000));
        let (id, joined) = self.ask(account, task, takes);
        Ok(Response::json(&json!({"task_id": id, "joined": joined}))
            .with_status(StatusCode::ACCEPTED))
    }
}

impl Board {
    fn execute(&self, job: &Job) -> Value {
        thread::sleep(job.takes); // the work
        let number = self.executed.fetch_add(1, Ordering::Relaxed) + 1;
        let result = json!({
            "task_id": job.id, "account": job.account, "task": job.task, "execution": number,
            "done_ms": Time::now().as_millis(),
        });
        // Who asks from now on asks for a new one.
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        running.remove(&(job.account.clone(), job.task.clone()));
        drop(running);
        let mut results = self.results.lock().unwrap_or_else(|e| e.into_inner());
        results.insert(job.id, Some(result.clone()));
        drop(results);
        self.came.notify_all();
        result
    }
}
