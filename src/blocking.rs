//! A pool of OS threads for calls that block and cannot be made to park: files, DNS, C libraries.
//!
//! [`run`] hands a closure over and parks the caller, so a green thread's worker goes on with others.
//! The pool grows when every thread is busy, to [`MAX_THREADS`], and shrinks when they have been idle for 10 s.
//! What comes beyond that queues up.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::hub::deadlock::{POOL_CALLS, POOL_THREADS};
use crate::hub::{self, Interrupt, runtime};
use crate::wait::Monitor;

/// The most threads that the pool ever has.
const MAX_THREADS: usize = 256;
const IDLE_FOR: Duration = Duration::from_secs(10);

type Task = Box<dyn FnOnce() + Send>;

struct Pool {
    tasks: VecDeque<Task>,
    threads: usize,
}

/// Its one queue holds the idle threads.
static POOL: Monitor<Pool> = Monitor::new(Pool { tasks: VecDeque::new(), threads: 0 });

enum Outcome<T> {
    Pending,
    Done(std::thread::Result<T>),
}

/// Runs `f` on a thread of the pool, parks the caller meanwhile, and returns what `f` returned.
///
/// On an OS thread there is nothing to protect: `f` runs right here.
///
/// # Panics
/// With the payload of `f`, if it panics.
///
/// # Time-outs and cancellation
/// The closure cannot be stopped half-way. If the caller's [`timeout`](crate::timeout::timeout) elapses or it is
/// cancelled, the call unwinds at once; the closure runs on and its result is dropped. That is why it must own
/// what it uses (`'static`).
///
/// ```
/// let text = sward::run(|| sward::blocking(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(text.unwrap().contains("sward"));
/// ```
pub fn run<T, F>(f: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if !hub::is_green() {
        return f();
    }
    match call(f, false) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => resume_unwind(payload),
        Err(why) => why.unwind(),
    }
}

/// Whether the patch has sockets installed: a library that blocks in libc's calls then parks its green thread by itself.
#[cfg(any(feature = "patch", feature = "redis"))]
static SOCKETS_PARK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// For the patch, when it has been installed.
#[cfg(feature = "patch")]
pub(crate) fn sockets_park() {
    SOCKETS_PARK.store(true, Ordering::Relaxed);
}

/// Runs a short call of a library that waits on std's sockets: right here where that parks (the patch is installed) or
/// does no harm (an OS thread), else on the pool as [`run`] does.
#[cfg(feature = "redis")]
pub(crate) fn library<T, F>(f: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if SOCKETS_PARK.load(Ordering::Relaxed) { f() } else { run(f) }
}

/// As [`run`], for callers that may not unwind (the patch): an interruption is returned, and the closure runs on. A
/// `masked` call is deaf to `timeout` scopes and cancellation. If `f` panics, the process ends.
pub(crate) fn offload<T, F>(f: F, masked: bool) -> Result<T, Interrupt>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if !hub::is_green() {
        return Ok(f());
    }
    call(f, masked).map(|result| {
        result.unwrap_or_else(|_| {
            eprintln!("sward: a call of the patch panicked on the pool; this is a bug in sward");
            std::process::abort()
        })
    })
}

/// Runs `f` on the pool and parks the calling green thread meanwhile.
fn call<T, F>(f: F, masked: bool) -> Result<std::thread::Result<T>, Interrupt>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let outcome = Arc::new(Monitor::<Outcome<T>>::new(Outcome::Pending));
    let theirs = outcome.clone();
    let home = runtime::of_caller();
    submit(Box::new(move || {
        runtime::belong_to(home);
        let result = catch_unwind(AssertUnwindSafe(f));
        runtime::belong_to(None);
        let mut outcome = theirs.lock();
        *outcome = Outcome::Done(result);
        outcome.wake_one(0);
    }));
    let mut guard = outcome.lock();
    if matches!(*guard, Outcome::Pending) {
        if masked {
            guard.wait_masked(0);
        } else {
            guard.wait(0, None)?;
        }
        guard = outcome.lock();
    }
    let result = std::mem::replace(&mut *guard, Outcome::Pending);
    drop(guard);
    match result {
        Outcome::Done(result) => Ok(result),
        Outcome::Pending => unreachable!("woken before it was done"),
    }
}

fn submit(task: Task) {
    // Counted for the deadlock report: while a call is out, its end can wake somebody.
    POOL_CALLS.fetch_add(1, Ordering::SeqCst);
    let mut pool = POOL.lock();
    pool.tasks.push_back(task);
    if !pool.wake_one(0) && pool.threads < MAX_THREADS {
        pool.threads += 1;
        POOL_THREADS.fetch_add(1, Ordering::SeqCst);
        drop(pool);
        if let Err(error) = start_thread() {
            let mut pool = POOL.lock();
            pool.threads -= 1;
            POOL_THREADS.fetch_sub(1, Ordering::SeqCst);
            let alone = pool.threads == 0;
            drop(pool);
            // With other threads the task waits for one of them; with none it would wait for ever.
            assert!(!alone, "no thread for blocking calls can be started: {error}");
        }
    }
}

fn start_thread() -> std::io::Result<()> {
    #[allow(clippy::disallowed_methods, reason = "the pool consists of OS threads")]
    std::thread::Builder::new().name("sward-blocking".into()).spawn(work).map(drop)
}

fn work() {
    loop {
        let mut pool = POOL.lock();
        if let Some(task) = pool.tasks.pop_front() {
            drop(pool);
            task();
            POOL_CALLS.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        if pool.wait(0, Some(Instant::now() + IDLE_FOR)).is_err() {
            let mut pool = POOL.lock();
            // A task may have come after we left the queue, when nobody else was idle and no thread to be had.
            if pool.tasks.is_empty() {
                pool.threads -= 1;
                POOL_THREADS.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

/// Starts a plain OS thread that belongs to the caller's runtime, for servers that run their handlers on OS threads.
pub(crate) fn os_thread(name: &str, f: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let home = runtime::of_caller();
    #[allow(clippy::disallowed_methods, reason = "an OS thread is what the caller wants")]
    std::thread::Builder::new().name(name.into()).spawn(move || {
        runtime::belong_to(home);
        f();
    })?;
    Ok(())
}
