//! A runtime: what its workers share, how it is configured, how it starts and how it ends.
//!
//! [`run`] makes one for the duration of a closure. OS threads that belong to none (the main thread of a program
//! that never called `run`) get a default one in the background when they first spawn.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use super::stats::Counters;
use super::{Hub, here, here_green};
use crate::fiber::mailbox::Mailbox;
use crate::fiber::{Body, Fiber, Job};
use crate::stack::{GUARD_SIZE, Guard};
use crate::sys::Lock;
use crate::sys::overflow::AltStack;

/// What stacks have if nobody says otherwise, in bytes, guard included. Address space: only touched pages cost.
const STACK_SIZE: usize = 256 * 1024;
/// How long green threads have to end when the runtime stops.
const GRACE: Duration = Duration::from_secs(5);
/// Timers of workers may be this late, in nanoseconds.
const TIMER_SLACK: u64 = 1_000;

/// How a runtime is set up.
///
/// ```
/// let sum = sward::Builder::new().workers(2).stack_size(512 * 1024).run(|| {
///     let other = sward::thread::spawn(|| 40);
///     other.join().unwrap() + 2
/// });
/// assert_eq!(sum, 42);
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    workers: Option<usize>,
    stack_size: Option<usize>,
    guard: Guard,
    grace: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The defaults: one worker per core, stacks of 256 KiB, guards as the kernel allows, 5 s to end.
    ///
    /// The environment overrides what the program leaves open: `SWARD_WORKERS` (a number from 1),
    /// `SWARD_STACK_SIZE` (bytes) and `SWARD_STACK_GUARD` (`marker` or `protection`).
    pub fn new() -> Self {
        Builder { workers: None, stack_size: None, guard: Guard::Auto, grace: GRACE }
    }

    /// The number of workers, OS threads that run green threads. Default: one per core.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn workers(mut self, n: usize) -> Self {
        assert!(n > 0, "a runtime needs at least one worker");
        self.workers = Some(n);
        self
    }

    /// The size of each green thread's stack, in bytes of address space, 64 KiB of guard included; rounded up to
    /// a power of two. Default: 256 KiB. Memory is used by the page, as it is touched.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// How the guard below each stack is made. Default: [`StackGuard::Auto`](Guard::Auto).
    pub fn stack_guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// How long green threads have to end after the main one has, before they are left where they are.
    /// Default: 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts the workers, runs `f` on a green thread and returns what it returns.
    ///
    /// The calling thread becomes the first worker. When `f` has returned, green threads that still run are
    /// cancelled (their waits fail or unwind, their destructors run), and the workers end.
    ///
    /// # Panics
    /// With the payload of `f`, if `f` panics. If `f` waits and so does every other green thread, and nothing in the
    /// process can wake one: a deadlock, reported with names on stderr. If called on a green thread (there is a runtime already: just
    /// call the closure). If the workers or their event loops cannot be started.
    pub fn run<F: FnOnce() -> T, T>(self, f: F) -> T {
        assert!(
            here().is_none(),
            "sward::run was called inside a runtime: call the function itself, or thread::spawn it"
        );
        let (runtime, mut locals) = Runtime::new(self.config()).expect("a runtime can be set up");
        let local = locals.remove(0);
        let hub = Hub::new(runtime.clone(), 0, local).expect("an event loop can be set up");
        let _alternate = AltStack::ensure();
        crate::sys::set_timer_slack(TIMER_SLACK);
        let _stop =
            Stop { runtime: &runtime, hub: &hub, threads: runtime.start_workers(1, locals) };

        let result = std::cell::Cell::new(None);
        let body = || result.set(Some(catch_unwind(AssertUnwindSafe(f))));
        #[allow(clippy::arc_with_non_send_sync, reason = "a local job stays on this thread")]
        let body: Arc<dyn Body + '_> = Arc::new(Closure(Lock::new(Some(body))));
        // SAFETY: only the lifetime is changed. The job runs on `main`, and this frame, which holds all that it
        // borrows, waits below until `main` has ended; `work` has no other way out, and does not unwind.
        let body = unsafe { std::mem::transmute::<Arc<dyn Body + '_>, Arc<dyn Body>>(body) };
        let stack_size = runtime.config.stack_size;
        let main = Fiber::new(Some("main".into()), stack_size, Job::new_local(body));
        runtime.main.store(main.id.get(), Ordering::SeqCst);
        hub.enqueue(hub.adopt(main.clone()));
        hub.work(|| main.state.done.get());
        match result.take() {
            Some(Ok(value)) => value,
            Some(Err(payload)) => {
                let quiet = super::park::caught(&*payload).is_some();
                if quiet && runtime.deadlocked.load(Ordering::SeqCst) {
                    panic!("deadlock: every green thread waits (the report above names them)");
                }
                resume_unwind(payload)
            }
            None => panic!("the main green thread could not be started"),
        }
    }

    fn config(&self) -> Config {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            match text.parse::<usize>() {
                Ok(n) if n > 0 => Some(n),
                _ => panic!("{name}={text}: expected a number from 1"),
            }
        };
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let stack_size =
            self.stack_size.or_else(|| number("SWARD_STACK_SIZE")).unwrap_or(STACK_SIZE);
        let guard = match (self.guard, std::env::var("SWARD_STACK_GUARD").as_deref()) {
            (Guard::Auto, Ok("marker")) => Guard::Marker,
            (Guard::Auto, Ok("protection")) => Guard::Protection,
            (Guard::Auto, Ok(other)) => {
                panic!("SWARD_STACK_GUARD={other}: expected `marker` or `protection`")
            }
            (guard, _) => guard,
        };
        Config {
            workers: self.workers.or_else(|| number("SWARD_WORKERS")).unwrap_or_else(cores),
            stack_size: stack_size.max(2 * GUARD_SIZE),
            guard,
            grace: self.grace,
        }
    }
}

/// Ends the runtime when the main green thread has ended.
struct Stop<'a> {
    runtime: &'a Runtime,
    hub: &'a Hub,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.runtime.stop();
        self.hub.wind_down(self.runtime.config.grace);
        for thread in self.threads.drain(..) {
            #[allow(clippy::disallowed_methods, reason = "no green thread is left here")]
            if thread.join().is_err() {
                eprintln!("sward: a worker panicked; this is a bug in sward");
            }
        }
        self.runtime.retire();
    }
}

/// Runs `f` on a green thread of a fresh runtime with default settings, and returns what it returns.
///
/// See [`Builder::run`] for what happens to other green threads when `f` returns, and for panics.
///
/// ```
/// let answer = sward::run(|| {
///     let threads: Vec<_> = (0..100).map(|n| sward::thread::spawn(move || n)).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
/// });
/// assert_eq!(answer, 4950);
/// ```
pub fn run<F: FnOnce() -> T, T>(f: F) -> T {
    Builder::new().run(f)
}

/// The settings of a runtime, all definite.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) stack_size: usize,
    pub(crate) guard: Guard,
    pub(crate) grace: Duration,
}

/// What others see of a worker.
pub(crate) struct Shared {
    pub(crate) mailbox: &'static Mailbox,
    pub(crate) stealer: Stealer<Arc<Fiber>>,
    pub(crate) counters: Counters,
    /// Set by the worker before it sleeps: nothing from outside can wake what it has.
    pub(crate) hopeless: AtomicBool,
}

/// A worker's own queue of what has not started.
type Local = Worker<Arc<Fiber>>;

/// What the workers share.
pub(crate) struct Runtime {
    pub(crate) config: Config,
    pub(crate) workers: Box<[Shared]>,
    /// Spawned from OS threads, not started.
    injector: Injector<Arc<Fiber>>,
    /// Workers that sleep or are about to.
    pub(crate) idle: AtomicUsize,
    /// Set while a worker is being woken to look for work; one at a time is enough, as it wakes the next.
    pub(crate) rousing: AtomicBool,
    stopping: AtomicBool,
    /// The id of the main green thread; 0 in the default runtime, which has none.
    pub(crate) main: AtomicU64,
    /// Set when the main green thread has been cancelled because of a deadlock.
    pub(crate) deadlocked: AtomicBool,
}

impl Runtime {
    fn new(config: Config) -> io::Result<(Arc<Self>, Vec<Local>)> {
        let locals: Vec<_> = (0..config.workers).map(|_| Worker::new_fifo()).collect();
        let workers = locals.iter().map(|local| {
            let (mailbox, stealer) = (Mailbox::obtain()?, local.stealer());
            Ok(Shared {
                mailbox,
                stealer,
                counters: Counters::default(),
                hopeless: AtomicBool::new(false),
            })
        });
        let workers = workers.collect::<io::Result<_>>()?;
        let runtime = Runtime {
            config,
            workers,
            injector: Injector::new(),
            idle: AtomicUsize::new(0),
            rousing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            main: AtomicU64::new(0),
            deadlocked: AtomicBool::new(false),
        };
        Ok((Arc::new(runtime), locals))
    }

    fn start_workers(
        self: &Arc<Self>,
        first: usize,
        locals: Vec<Local>,
    ) -> Vec<std::thread::JoinHandle<()>> {
        let start = |(index, local)| {
            let runtime = self.clone();
            #[allow(clippy::disallowed_methods, reason = "workers are OS threads")]
            std::thread::Builder::new()
                .name(format!("sward-{index}"))
                .spawn(move || {
                    crate::sys::set_timer_slack(TIMER_SLACK);
                    let _alternate = AltStack::ensure();
                    let grace = runtime.config.grace;
                    let hub = Hub::new(runtime.clone(), index, local)
                        .expect("an event loop can be set up");
                    hub.work(|| runtime.is_stopping());
                    hub.wind_down(grace);
                })
                .expect("a worker's OS thread can be started")
        };
        (first..).zip(locals).map(start).collect()
    }

    /// Whether the main green thread has ended.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for worker in &self.workers {
            worker.mailbox.rouse();
        }
    }

    /// No worker runs any more.
    fn retire(&self) {
        loop {
            match self.injector.steal() {
                Steal::Success(fiber) => drop(fiber.take_job()),
                Steal::Retry => {}
                Steal::Empty => break,
            }
        }
        self.workers.iter().for_each(|worker| worker.mailbox.retire());
    }

    /// Wakes one sleeping worker to look for work. After adding the work.
    pub(crate) fn rouse_one(&self) {
        // Pairs with the increment of `idle` in `Hub::sleep`: either we see the sleeper, or it sees the work.
        fence(Ordering::SeqCst);
        if self.idle.load(Ordering::Relaxed) == 0
            || self.rousing.load(Ordering::Relaxed)
            || self.rousing.swap(true, Ordering::SeqCst)
        {
            return;
        }
        if !self.workers.iter().any(|worker| worker.mailbox.rouse()) {
            self.rousing.store(false, Ordering::SeqCst);
        }
    }

    /// Whether there is work that any worker may take.
    pub(crate) fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.workers.iter().any(|worker| !worker.stealer.is_empty())
    }

    /// A fiber from the common queue; a few more go to `local`.
    pub(crate) fn take_injected(&self, local: &Worker<Arc<Fiber>>) -> Option<Arc<Fiber>> {
        if self.injector.is_empty() {
            return None;
        }
        loop {
            match self.injector.steal_batch_and_pop(local) {
                Steal::Success(fiber) => {
                    self.rouse_one();
                    return Some(fiber);
                }
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

thread_local! {
    /// The runtime that an OS thread works for, if it is not one of its workers.
    static ADOPTED: RefCell<Option<Arc<Runtime>>> = const { RefCell::new(None) };
}

/// The default runtime, for OS threads that belong to none.
static DEFAULT: OnceLock<Arc<Runtime>> = OnceLock::new();

fn default_runtime() -> &'static Arc<Runtime> {
    DEFAULT.get_or_init(|| {
        let (runtime, locals) =
            Runtime::new(Builder::new().config()).expect("a runtime can be set up");
        // Its workers run until the process ends; nobody joins them.
        drop(runtime.start_workers(0, locals));
        runtime
    })
}

/// The runtime that the caller belongs to, or else the default one if it has been started.
pub(crate) fn of_caller() -> Option<Arc<Runtime>> {
    if let Some(hub) = here() {
        return Some(hub.runtime.clone());
    }
    let adopted = ADOPTED.try_with(|runtime| runtime.borrow().clone()).ok().flatten();
    adopted.or_else(|| DEFAULT.get().cloned())
}

/// Makes the calling OS thread belong to `runtime` until the process says otherwise: what it spawns goes there.
pub(crate) fn belong_to(runtime: Option<Arc<Runtime>>) {
    let _ = ADOPTED.try_with(|mine| *mine.borrow_mut() = runtime);
}

/// Where a new green thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the worker that starts it first.
    Anywhere,
    /// On the caller's worker.
    Here,
    /// On this worker, by number.
    Worker(usize),
}

/// Gives `fiber` to the runtime of the caller.
///
/// # Errors
/// `InvalidInput` if the place does not exist: `Here` on an OS thread, or a worker's number out of range.
pub(crate) fn spawn(fiber: Arc<Fiber>, place: Place) -> io::Result<()> {
    let hub = here();
    let wrong = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    match (place, hub) {
        (Place::Anywhere, Some(hub)) => hub.spawn_here(fiber, false),
        (Place::Here, Some(hub)) => hub.spawn_here(fiber, true),
        (Place::Here, None) => {
            return wrong("spawn_local was called on an OS thread: it needs a green thread");
        }
        (Place::Anywhere, None) => {
            let runtime = of_caller().unwrap_or_else(|| default_runtime().clone());
            if runtime.is_stopping() {
                drop(fiber.take_job());
                return Ok(());
            }
            runtime.injector.push(fiber);
            runtime.rouse_one();
        }
        (Place::Worker(n), hub) => {
            if let Some(hub) = hub
                && hub.index == n
            {
                hub.spawn_here(fiber, true);
                return Ok(());
            }
            let runtime = of_caller().unwrap_or_else(|| default_runtime().clone());
            let Some(worker) = runtime.workers.get(n) else {
                return wrong("no worker has this number");
            };
            fiber.settle(worker.mailbox);
            worker.mailbox.post(&fiber);
        }
    }
    Ok(())
}

/// The number of the caller's worker, and of workers; `None` on an OS thread.
pub(crate) fn worker() -> Option<(usize, usize)> {
    here().map(|hub| (hub.index, hub.runtime.workers.len()))
}

/// The size of stacks in the caller's runtime, in bytes.
pub(crate) fn stack_size() -> usize {
    if let Some(hub) = here() {
        return hub.runtime.config.stack_size;
    }
    of_caller().map_or(STACK_SIZE, |runtime| runtime.config.stack_size)
}

/// A closure as a body: a panic stays inside (the hook has reported it), and the green locals go while the green
/// thread still is one.
struct Closure<F>(Lock<Option<F>>);

impl<F: FnOnce()> Body for Closure<F> {
    fn run(self: Arc<Self>) {
        let Some(f) = self.0.lock().take() else { return };
        run_detached(f);
    }

    fn abandon(self: Arc<Self>) {
        let f = self.0.lock().take();
        drop(f);
    }
}

/// The job of running `f`, with nobody waiting for a result.
pub(crate) fn detached(f: impl FnOnce() + Send + 'static) -> Job {
    Job::new(Arc::new(Closure(Lock::new(Some(f)))))
}

/// Runs `f` as all there is of the calling green thread.
#[inline]
pub(crate) fn run_detached(f: impl FnOnce()) {
    let result = catch_unwind(AssertUnwindSafe(f));
    clear_locals();
    if let Err(payload) = result {
        super::park::caught(&*payload);
        // The payload's destructor is the program's too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
}

/// Drops the green locals of the running green thread; a destructor that panics is reported by the hook.
pub(crate) fn clear_locals() {
    let Some((_, fiber)) = here_green() else { return };
    while !fiber.locals.is_empty() {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| fiber.locals.clear())) {
            super::park::caught(&*payload);
        }
    }
}
