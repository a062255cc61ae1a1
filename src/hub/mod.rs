//! The hub: a worker's scheduler and event loop. It decides who runs next and what the worker waits for.
//!
//! ```text
//!   others ──► mailbox ─┐                        ┌─► start on a stack ─┐
//!   spawn ──► local ────┼─► turn: local, then ───┤                     ├─► run until it parks, yields or ends
//!   wakes ──► run queue ┘    the run queue       └─► enter again ──────┘
//!                       nothing left: steal, else sleep in the driver until a deadline, an event or the bell
//! ```
//!
//! Rules that the rest of the crate relies on:
//! - One way to stop: only [`park`](park::park) and [`yield_now`] suspend a green thread.
//! - A started green thread stays here (DESIGN.md D1). Closures that have not started may be stolen.
//! - Everything is looked at every [`LOOK_EVERY`] switches at the latest: mail, deadlines, descriptors.
//! - Whoever runs in the hub itself (not on a green thread) holds no `RefCell` borrow while it enters a fiber.
//!
//! Read on: [`runtime`] (what the workers share, start and stop), [`park`] (the suspend, and who may wake),
//! [`descriptors`] (readiness), `idle` (what waits without a stack), [`stats`].

pub(crate) mod clock;
pub(crate) mod deadlock;
pub(crate) mod descriptors;
mod end;
mod idle;
pub(crate) mod inspect;
mod os_thread;
pub(crate) mod park;
mod park_word;
pub(crate) mod runtime;
pub(crate) mod stats;
pub(crate) mod trim;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_deque::{Steal, Worker};

use crate::driver::Driver;
use crate::fiber::mailbox::Mailbox;
use crate::fiber::{Fiber, Live, Run, Start, Woken};
use crate::list::{Linked, List};
use crate::stack::Arena;
use crate::sys::overflow::{self, Line};
use crate::timer::Timers;
use clock::Moment;
use descriptors::Descriptors;
use park_word::ParkWord;
use runtime::Runtime;
use stats::Counters;

pub(crate) use park::{Interrupt, Thread, is_green, park, unwinding_quietly};
pub(crate) use runtime::{Place, spawn};

/// After so many switches the hub looks at the mail, the clock and the descriptors, whoever is still runnable.
const LOOK_EVERY: u32 = 61;
/// How many calls in a row may succeed at once before the caller lets others run.
const OPERATIONS: u32 = 128;
/// How often pages of unused stacks are given back, at most.
const TRIM_EVERY: Duration = Duration::from_millis(200);

/// What happens when a deadline passes.
pub(crate) enum Due {
    /// A parked fiber is woken.
    Fiber(*const Fiber),
    /// What waits on the descriptor of this number without a stack may be due.
    Idle(u32),
    /// Whoever is in std's `thread::park` is woken.
    ParkWord,
}

/// One worker's scheduler. Lives on the worker's OS thread and is used by nobody else.
pub(crate) struct Hub {
    runtime: Arc<Runtime>,
    index: usize,
    mailbox: &'static Mailbox,
    /// Spawned here, not started; other workers may take from it.
    local: Worker<Arc<Fiber>>,
    /// What has waited without a stack and is to run on one now.
    starts: RefCell<VecDeque<(Box<dyn Start>, Woken)>>,
    /// Records of fibers that have ended, for the next ones.
    spare: RefCell<Vec<Arc<Fiber>>>,
    /// Ready to run, here and nowhere else. Every member is in `live` too.
    run: List<Fiber, Run>,
    /// Every fiber that is ours; the list holds a count of each.
    live: List<Fiber, Live>,
    /// Who runs now; null while the hub itself does.
    current: Cell<*const Fiber>,
    arena: RefCell<Arena>,
    timers: RefCell<Timers<Due>>,
    driver: RefCell<Driver>,
    descriptors: RefCell<Descriptors>,
    since_look: Cell<u32>,
    budget: Cell<u32>,
    last_trim: Cell<u64>,
    /// Fibers that wait on descriptors: what wakes them comes from outside the process.
    outside: Cell<usize>,
    /// The clock as of the last look at it.
    clock: Cell<u64>,
    /// Where fibers that were asked said they are.
    said: RefCell<Option<std::backtrace::Backtrace>>,
    park_word: ParkWord,
    /// The signals that the worker's OS thread blocks when it is in no handler, as the kernel's bits.
    pub(crate) signals_blocked: Cell<u64>,
}

thread_local! {
    /// This OS thread's hub, while it is a worker.
    static HERE: Cell<*const Hub> = const { Cell::new(ptr::null()) };
}

/// The hub of this OS thread. The reference is good while the worker runs, which includes every green thread on it.
#[inline]
pub(crate) fn here<'a>() -> Option<&'a Hub> {
    // SAFETY: `Hub::work` sets HERE to a hub on its own frame and clears it before that frame goes; callers run
    // inside it. A green thread never moves to another OS thread, so the answer stays true across switches.
    unsafe { HERE.get().as_ref() }
}

/// The running green thread and its hub.
#[inline]
pub(crate) fn here_green<'a>() -> Option<(&'a Hub, &'a Fiber)> {
    let hub = here()?;
    // SAFETY: the running fiber is in `live`, which holds a count of it.
    Some((hub, unsafe { hub.current.get().as_ref() }?))
}

impl Hub {
    fn new(runtime: Arc<Runtime>, index: usize, local: Worker<Arc<Fiber>>) -> io::Result<Self> {
        let mailbox = runtime.workers[index].mailbox;
        let driver = Driver::new(mailbox.bell())?;
        overflow::install(describe_overflow);
        Ok(Hub {
            arena: RefCell::new(Arena::new(runtime.config.guard)),
            runtime,
            index,
            mailbox,
            local,
            starts: RefCell::new(VecDeque::new()),
            spare: RefCell::new(Vec::new()),
            run: List::new(),
            live: List::new(),
            current: Cell::new(ptr::null()),
            timers: RefCell::new(Timers::new()),
            driver: RefCell::new(driver),
            descriptors: RefCell::new(Descriptors::new()),
            since_look: Cell::new(0),
            budget: Cell::new(OPERATIONS),
            last_trim: Cell::new(0),
            outside: Cell::new(0),
            clock: Cell::new(clock::now()),
            said: RefCell::new(None),
            park_word: ParkWord::new(),
            signals_blocked: Cell::new(crate::sys::signal::blocked()),
        })
    }

    fn counters(&self) -> &Counters {
        &self.runtime.workers[self.index].counters
    }

    /// Runs the worker until `stop`, on the calling OS thread.
    fn work(&self, stop: impl Fn() -> bool) {
        let before = HERE.replace(self);
        while !stop() {
            self.turn();
        }
        HERE.set(before);
    }

    /// Lets everybody who is ready at its start run once; sleeps if nobody is.
    fn turn(&self) {
        let mut ran = false;
        self.look_at_park_word();
        for _ in 0..self.local.len() {
            let Some(fiber) = self.local.pop() else { break };
            self.run_one(self.adopt(fiber));
            ran = true;
        }
        let starts = self.starts.borrow().len();
        for _ in 0..starts {
            let Some(fiber) = self.next_start() else { break };
            self.run_one(fiber);
            ran = true;
        }
        for _ in 0..self.run.len() {
            let Some(fiber) = self.run.pop_front() else { break };
            self.run_one(fiber);
            ran = true;
        }
        if !ran {
            self.find_work();
        }
    }

    /// Makes `fiber` ours, for good.
    fn adopt(&self, fiber: Arc<Fiber>) -> *const Fiber {
        fiber.settle(self.mailbox);
        fiber.state.since.set(self.clock.get());
        self.counters().adopted();
        let fiber = Arc::into_raw(fiber);
        // SAFETY: the count that `into_raw` left with us keeps it valid; it was in no hub's list before.
        unsafe { self.live.push_back(fiber) };
        fiber
    }

    /// Puts a fiber of ours at the end of the run queue.
    #[inline]
    fn enqueue(&self, fiber: *const Fiber) {
        // SAFETY: ours, hence alive.
        let state = unsafe { &(*fiber).state };
        debug_assert!(!state.queued.get() && !state.done.get());
        state.queued.set(true);
        // SAFETY: alive until it ends, which it cannot while it is queued; `queued` was clear.
        unsafe { self.run.push_back(fiber) };
    }

    #[inline(always)]
    fn run_one(&self, fiber: *const Fiber) {
        // SAFETY: fibers of ours live until `finish`.
        let it = unsafe { &*fiber };
        it.state.queued.set(false);
        if !it.is_started() && !self.start(it) {
            return self.finish(fiber);
        }
        self.budget.set(OPERATIONS);
        self.current.set(fiber);
        // SAFETY: ours, started, not ended, and this is the hub's own stack.
        let ended = unsafe { it.enter() };
        self.current.set(ptr::null());
        self.counters().switched();
        if let Some(stack) = ended {
            self.arena.borrow_mut().give_back(stack);
            self.finish(fiber);
        }
        let since = self.since_look.get() + 1;
        self.since_look.set(since);
        if since >= LOOK_EVERY {
            self.look();
        }
    }

    /// Gives a fiber its stack; false if there is none to be had.
    #[inline(never)]
    fn start(&self, fiber: &Fiber) -> bool {
        if self.runtime.is_stopping() {
            fiber.cancelled.store(true, Ordering::SeqCst);
        }
        let stack = self.arena.borrow_mut().take(fiber.stack_size);
        match stack {
            Ok(stack) => {
                // SAFETY: ours and not started; `live` keeps the record until it has ended.
                unsafe { fiber.start(stack) };
                true
            }
            Err(error) => {
                let name = fiber.name.as_deref().unwrap_or("<unnamed>");
                eprintln!(
                    "sward: no stack of {} bytes for green thread '{name}': {error}; \
                     its join reports an error (see `ulimit -v`, vm.max_map_count, vm.overcommit_memory)",
                    fiber.stack_size
                );
                // Dropping the job tells whoever joins.
                drop(fiber.take_job());
                false
            }
        }
    }

    #[inline(never)]
    fn finish(&self, fiber: *const Fiber) {
        // SAFETY: ours until the count goes, at the end of this function.
        let it = unsafe { &*fiber };
        it.state.done.set(true);
        // SAFETY: every fiber of ours is in `live`.
        unsafe { self.live.remove(fiber) };
        self.counters().ended();
        // SAFETY: takes back the count that `adopt` left.
        self.keep_spare(unsafe { Arc::from_raw(fiber) });
    }

    /// Wakes a fiber of ours.
    #[inline]
    pub(crate) fn wake_local(&self, fiber: &Fiber) {
        let state = &fiber.state;
        state.notified.set(true);
        if state.parked.replace(false) {
            self.enqueue(fiber);
        }
    }

    /// Looks at everything that comes from outside, without waiting.
    #[inline(never)]
    fn look(&self) {
        self.since_look.set(0);
        self.read_mail();
        if self.timers.borrow().next().is_some() {
            self.fire_deadlines();
        }
        if self.driver.borrow().has_descriptors() {
            self.wait_for_events(Some(Duration::ZERO));
        }
        if let Some(fiber) = self.runtime.take_injected(&self.local) {
            self.enqueue(self.adopt(fiber));
        }
    }

    /// Whether the hub's own tables are in use this moment: by an operation that allocates, say, if the allocator
    /// makes a patched call.
    pub(crate) fn is_busy(&self) -> bool {
        self.timers.try_borrow_mut().is_err()
            || self.driver.try_borrow_mut().is_err()
            || self.descriptors.try_borrow_mut().is_err()
            || self.starts.try_borrow_mut().is_err()
            || self.spare.try_borrow_mut().is_err()
            || self.said.try_borrow_mut().is_err()
    }

    fn read_mail(&self) {
        for fiber in self.mailbox.drain() {
            fiber.unmail();
            if !fiber.lives_at(self.mailbox) {
                continue; // for a worker that had this mailbox before us
            }
            if fiber.state.done.get() {
                continue;
            }
            let live = <Fiber as Linked<Live>>::links(&fiber).is_linked();
            if live {
                self.wake_local(&fiber);
            } else {
                self.enqueue(self.adopt(fiber)); // spawned for this worker
            }
        }
    }

    fn fire_deadlines(&self) {
        let now = clock::now();
        self.clock.set(now);
        loop {
            // A statement of its own: what is woken below may set deadlines.
            let due = self.timers.borrow_mut().pop_due(now);
            match due {
                None => return,
                Some(Due::Fiber(fiber)) => {
                    // SAFETY: a parked fiber of ours; it cancels its deadline before it goes on.
                    let fiber = unsafe { &*fiber };
                    fiber.state.timed_out.set(true);
                    self.wake_local(fiber);
                }
                Some(Due::Idle(fd)) => self.idle_is_due(fd),
                Some(Due::ParkWord) => self.park_word_is_due(),
            }
        }
    }

    /// Nobody is ready: take work from others, or sleep until there is some.
    fn find_work(&self) {
        self.read_mail();
        if !self.run.is_empty() || !self.starts.borrow().is_empty() {
            return;
        }
        if let Some(fiber) = self.steal() {
            self.run_one(self.adopt(fiber));
            return;
        }
        self.sleep();
    }

    fn sleep(&self) {
        let (now, last_trim) = (Moment::about_now().as_nanos(), self.last_trim.get());
        let since = Duration::from_nanos(now.saturating_sub(last_trim));
        if since >= TRIM_EVERY {
            let more = self.arena.borrow_mut().trim();
            self.last_trim.set(if more { last_trim } else { now });
        }
        let mut timeout = self.timers.borrow().next().map(clock::until);
        if self.arena.borrow().is_cold() {
            // After a storm there may be nothing that wakes us: its memory must not wait for that.
            let since = now.saturating_sub(self.last_trim.get());
            let rest = TRIM_EVERY.saturating_sub(Duration::from_nanos(since));
            timeout = Some(timeout.map_or(rest, |timeout| timeout.min(rest)));
        }
        if timeout == Some(Duration::ZERO) {
            return self.look();
        }
        if self.park_word_before_sleep() {
            return; // the next turn sees to it
        }
        if !self.mailbox.try_sleep() {
            self.park_word_after_sleep();
            return self.read_mail();
        }
        self.runtime.idle.fetch_add(1, Ordering::SeqCst);
        // Once more, now that we count as asleep: whoever adds work from here on will see us and ring.
        let now =
            self.runtime.has_work() || self.runtime.is_stopping() || self.park_word_has_come();
        let timeout = if now { Some(Duration::ZERO) } else { timeout };
        if self.looks_deadlocked(timeout) {
            self.wait_in_a_deadlock();
        } else {
            self.wait_for_events(timeout);
        }
        self.park_word_after_sleep();
        self.runtime.idle.fetch_sub(1, Ordering::SeqCst);
        self.runtime.rousing.store(false, Ordering::SeqCst);
        self.since_look.set(0);
        self.read_mail();
        self.fire_deadlines();
    }

    /// Work that has not started, from the common queue or from another worker.
    fn steal(&self) -> Option<Arc<Fiber>> {
        if let Some(fiber) = self.runtime.take_injected(&self.local) {
            return Some(fiber);
        }
        let workers = &self.runtime.workers;
        for step in 1..workers.len() {
            let other = &workers[(self.index + step) % workers.len()];
            loop {
                match other.stealer.steal_batch_and_pop(&self.local) {
                    Steal::Success(fiber) => {
                        // There may be more where this came from.
                        self.runtime.rouse_one();
                        return Some(fiber);
                    }
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        None
    }

    /// Spawns from this worker.
    fn spawn_here(&self, fiber: Arc<Fiber>, pinned: bool) {
        if pinned || self.runtime.workers.len() == 1 {
            self.enqueue(self.adopt(fiber));
        } else {
            self.local.push(fiber);
            self.runtime.rouse_one();
        }
    }

    /// One call succeeded at once. After many in a row the caller lets others run: a peer that always has data
    /// must not starve the rest.
    #[inline]
    pub(crate) fn spend(&self) {
        if self.has_spent() {
            yield_now();
        }
    }

    /// As `spend`, for callers that may not be able to: true if it is time to let others run.
    #[inline]
    pub(crate) fn has_spent(&self) -> bool {
        let left = self.budget.get();
        if left > 1 {
            self.budget.set(left - 1);
            return false;
        }
        self.budget.set(OPERATIONS);
        true
    }
}

/// Lets every other runnable green thread of this worker run, then goes on. On an OS thread: `sched_yield`.
// Inlined down to the switch, as `run_one` is: processors predict returns by pairing them with calls, and each call
// or return between two switches that does not pair up costs as much as several switches.
#[inline]
pub(crate) fn yield_now() {
    let Some((hub, fiber)) = here_green() else { return std::thread::yield_now() };
    if std::thread::panicking() {
        return; // no switch while unwinding
    }
    hub.enqueue(fiber);
    // SAFETY: we run on `fiber`, and it is queued, so that somebody enters it again.
    unsafe { fiber.leave() };
}

/// Called by the SIGSEGV handler on the thread that faulted: is it the guard of the green thread that runs here?
fn describe_overflow(address: usize, line: &mut Line) -> bool {
    let Some((_, fiber)) = here_green() else { return false };
    if !fiber.guard().contains(&address) {
        return false;
    }
    line.text("\nsward: green thread '");
    line.text(fiber.name.as_deref().unwrap_or("<unnamed>"));
    line.text("' (id ");
    line.number(fiber.id.get());
    line.text(") has overflowed its stack of ");
    line.number(fiber.stack_size as u64 / 1024);
    line.text(" KiB (64 KiB of it guard)\nsward: give it more with thread::Builder::stack_size, or all of them with SWARD_STACK_SIZE=BYTES\n");
    true
}
