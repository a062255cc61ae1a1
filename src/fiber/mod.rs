//! One green thread: its coroutine, its state, what it is called, and the closure that it runs.
//!
//! The record is shared (`Arc`): handles in any thread name it. Half of it may be used from anywhere, the other
//! half only by the *owner*, the worker on which the green thread was started (it never leaves it, DESIGN.md D1):
//!
//! ```text
//!   anywhere:  id, name, token, cancelled, mailed + mail_next (its place in an inbox), home (its owner's mailbox)
//!   owner:     run/wait/live links, parked/queued/notified/timed_out, coroutine, yielder, locals, scopes, job
//! ```
//!
//! What it is not: a scheduler. `hub` decides who runs; here is only how one is started, entered and left. This
//! is the only room that names corosensei (apart from `stack`, which implements its `Stack`).
//!
//! Read on: [`state`] (the owner's flags), [`locals`], [`scopes`], [`mailbox`].

pub(crate) mod locals;
pub(crate) mod mailbox;
pub(crate) mod scopes;
pub(crate) mod state;

use std::cell::{Cell, RefCell, UnsafeCell};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::inbox::Mail;
use crate::list::{Linked, Links};
use crate::stack::Stack;
use locals::Locals;
use mailbox::Mailbox;
use scopes::Scopes;
use state::State;

/// What a green thread runs, once. The record may be shared with who waits for the result; by value, so that the run
/// can let go of it before it says that it has ended.
pub(crate) trait Body {
    /// Runs it on the calling green thread and reports the result. Does not unwind.
    fn run(self: Arc<Self>);
    /// Reports that it will not run, and drops what it captured.
    fn abandon(self: Arc<Self>);
}

/// What has waited without a stack, and now runs on one. Nobody waits for its end.
pub(crate) trait Start {
    /// Whose it is: those of one group can be ended together.
    fn group(&self) -> usize;
    /// Runs it on the calling green thread. Does not unwind.
    fn start(self: Box<Self>, why: Woken);
}

/// Why something that waited without a stack is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// What it waits for may have come.
    Ready,
    /// Its deadline has passed.
    TimedOut,
    /// Its group has been ended.
    Cancelled,
}

/// The right to run a body. Dropping it abandons the body, so that nobody waits for it in vain.
pub(crate) struct Job(Option<Work>);

enum Work {
    Body(Arc<dyn Body>),
    /// And what to do then, on the same green thread.
    Start(Box<dyn Start>, Woken, fn()),
}

impl Job {
    /// A job that any thread may run.
    pub(crate) fn new(body: Arc<dyn Body + Send + Sync>) -> Self {
        Job(Some(Work::Body(body)))
    }

    /// A job that belongs to the calling thread.
    pub(crate) fn new_local(body: Arc<dyn Body>) -> Self {
        Job(Some(Work::Body(body)))
    }

    /// A job that belongs to the calling thread.
    pub(crate) fn start(start: Box<dyn Start>, why: Woken, then: fn()) -> Self {
        Job(Some(Work::Start(start, why, then)))
    }

    fn run(mut self) {
        match self.0.take().expect("taken only here and in drop") {
            Work::Body(body) => body.run(),
            Work::Start(start, why, then) => {
                start.start(why);
                then();
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(Work::Body(body)) = self.0.take() {
            body.abandon();
        }
    }
}

/// Tag of the run queue.
pub(crate) enum Run {}
/// Tag of the waiters of a descriptor.
pub(crate) enum Wait {}
/// Tag of the list of all green threads of a worker.
pub(crate) enum Live {}

/// The record of one green thread.
pub(crate) struct Fiber {
    pub(crate) id: NonZeroU64,
    pub(crate) name: Option<Box<str>>,
    /// Bytes of stack to run on, guard included.
    pub(crate) stack_size: usize,
    /// The token of `thread::park`.
    pub(crate) token: AtomicBool,
    /// Set once by `cancel`; from then on every wait is refused.
    pub(crate) cancelled: AtomicBool,
    /// Set while the fiber is in an inbox: it can be in one at a time.
    mailed: AtomicBool,
    mail_next: AtomicPtr<Fiber>,
    /// The mailbox of the owner; null until the fiber is given to a worker for good.
    home: AtomicPtr<Mailbox>,

    pub(crate) state: State,
    run: Links<Fiber>,
    wait: Links<Fiber>,
    live: Links<Fiber>,
    job: Cell<Option<Job>>,
    coroutine: UnsafeCell<Option<Coroutine<(), (), (), Stack>>>,
    yielder: Cell<*const Yielder<(), ()>>,
    /// The guard below its stack, for the overflow report.
    guard: Cell<(usize, usize)>,
    pub(crate) locals: Locals,
    pub(crate) scopes: RefCell<Scopes>,
}

// SAFETY: what is not atomic is used by the owner only. Before there is an owner the record is handed from thread
// to thread with its one queue place; fibers with jobs that are not `Send` are given an owner at once. Every `unsafe fn` below repeats the rule.
unsafe impl Send for Fiber {}
// SAFETY: as above.
unsafe impl Sync for Fiber {}

// SAFETY: one field for each tag.
unsafe impl Linked<Run> for Fiber {
    fn links(&self) -> &Links<Self> {
        &self.run
    }
}
// SAFETY: one field for each tag.
unsafe impl Linked<Wait> for Fiber {
    fn links(&self) -> &Links<Self> {
        &self.wait
    }
}
// SAFETY: one field for each tag.
unsafe impl Linked<Live> for Fiber {
    fn links(&self) -> &Links<Self> {
        &self.live
    }
}
// SAFETY: one field, which only the inbox uses.
unsafe impl Mail for Fiber {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.mail_next
    }
}

/// A number that no other thread of this process has, green or not.
pub(crate) fn fresh_id() -> NonZeroU64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Workers draw ids in blocks, so that spawning does not fight over one cache line.
    const BLOCK: u64 = 1024;
    thread_local! {
        static MINE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let (mut next, mut end) = MINE.get();
    if next == end {
        next = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
        end = next + BLOCK;
    }
    MINE.set((next + 1, end));
    NonZeroU64::new(next).expect("2^64 threads are not reached")
}

impl Fiber {
    /// A green thread. If its job belongs to the calling thread (`Job::new_local`), the caller gives the fiber to
    /// the worker of this very thread, at once.
    pub(crate) fn new(name: Option<Box<str>>, stack_size: usize, job: Job) -> Arc<Self> {
        Arc::new(Fiber {
            id: fresh_id(),
            name,
            stack_size,
            token: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            mailed: AtomicBool::new(false),
            mail_next: AtomicPtr::new(ptr::null_mut()),
            home: AtomicPtr::new(ptr::null_mut()),
            state: State::new(),
            run: Links::new(),
            wait: Links::new(),
            live: Links::new(),
            job: Cell::new(Some(job)),
            coroutine: UnsafeCell::new(None),
            yielder: Cell::new(ptr::null()),
            guard: Cell::new((0, 0)),
            locals: Locals::new(),
            scopes: RefCell::new(Scopes::new()),
        })
    }

    /// Makes the record of a green thread that has ended, and that nobody names any more, that of another one. As `new`
    /// otherwise, for `Job::start`.
    pub(crate) fn renew(&mut self, stack_size: usize, job: Job) {
        debug_assert!(self.state.done.get() && !*self.mailed.get_mut());
        self.id = fresh_id();
        self.name = None;
        self.stack_size = stack_size;
        self.token = AtomicBool::new(false);
        self.cancelled = AtomicBool::new(false);
        self.home = AtomicPtr::new(ptr::null_mut());
        self.state = State::new();
        self.job = Cell::new(Some(job));
        self.yielder = Cell::new(ptr::null());
        self.scopes = RefCell::new(Scopes::new());
    }

    /// The mailbox of its owner, if it has one. Safe from any thread.
    #[inline]
    pub(crate) fn home(&self) -> Option<&'static Mailbox> {
        // SeqCst pairs with `settle`: who sets a flag (token, cancelled) and then finds no home can be sure that
        // the owner will see the flag when it starts the fiber.
        let home = self.home.load(Ordering::SeqCst);
        // SAFETY: only `settle` stores here, from a `&'static Mailbox`.
        unsafe { home.as_ref() }
    }

    /// Whether `mailbox` is its owner's.
    #[inline]
    pub(crate) fn lives_at(&self, mailbox: &'static Mailbox) -> bool {
        ptr::eq(self.home.load(Ordering::Relaxed), mailbox)
    }

    /// Gives the fiber its owner, for good.
    pub(crate) fn settle(&self, home: &'static Mailbox) {
        self.home.swap(ptr::from_ref(home).cast_mut(), Ordering::SeqCst);
    }

    /// Claims the fiber's place in an inbox; false if it is in one. Pairs with `unmail`.
    pub(crate) fn mail(&self) -> bool {
        // AcqRel: a second waker that finds the flag set has published what it did, and `unmail` sees it.
        !self.mailed.swap(true, Ordering::AcqRel)
    }

    /// The fiber was taken out of the inbox. Owner only.
    pub(crate) fn unmail(&self) {
        self.mailed.swap(false, Ordering::AcqRel);
    }

    /// Whether it has a stack.
    pub(crate) fn is_started(&self) -> bool {
        !self.yielder.get().is_null()
    }

    /// The addresses of the guard below its stack.
    pub(crate) fn guard(&self) -> std::ops::Range<usize> {
        let (from, to) = self.guard.get();
        from..to
    }

    /// Takes the job out without running it: the runtime ends before the fiber began. Owner only.
    pub(crate) fn take_job(&self) -> Option<Job> {
        self.job.take()
    }

    /// Puts the fiber on a stack. It runs at the next `enter`.
    ///
    /// # Safety
    /// The caller is the owner, the fiber has not been started, and the record outlives the run.
    pub(crate) unsafe fn start(&self, stack: Stack) {
        let guard = stack.guard();
        self.guard.set((guard.start, guard.end));
        let this: *const Fiber = self;
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the record outlives the run, by the contract of `start`.
            let fiber = unsafe { &*this };
            fiber.yielder.set(yielder);
            fiber.main();
        });
        // Marks the fiber as started; `main` sets the true one before anybody can suspend.
        self.yielder.set(ptr::dangling());
        // SAFETY: the owner is the only one that touches the coroutine.
        unsafe { *self.coroutine.get() = Some(coroutine) };
    }

    /// The first frame on the stack.
    fn main(&self) {
        let job = self.job.take().expect("a fiber is started once");
        let cancelled = self.cancelled.load(Ordering::SeqCst);
        // Cancelled before it began: its body never runs, but what it captured is dropped here, on a green
        // thread, where destructors may wait.
        let run = || if cancelled { drop(job) } else { job.run() };
        // A job catches its own panics; what gets here is a panic in a destructor of such a closure, which the
        // hook has reported, or one in the reporting itself.
        if catch_unwind(AssertUnwindSafe(run)).is_err() && !cancelled {
            eprintln!("sward: a green thread's job unwound; this is a bug in sward");
            std::process::abort();
        }
    }

    /// Runs the fiber until it suspends (`None`) or ends: then its stack comes back.
    ///
    /// # Safety
    /// The caller is the owner and runs on the worker's own stack; the fiber has been started and has not ended.
    #[inline]
    pub(crate) unsafe fn enter(&self) -> Option<Stack> {
        // SAFETY: the owner is the only one that touches the coroutine, and inside `resume` nobody does.
        let slot = unsafe { &mut *self.coroutine.get() };
        // OK because of the contract: started.
        let coroutine = slot.as_mut().expect("a started fiber has a coroutine");
        match coroutine.resume(()) {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(()) => slot.take().map(Coroutine::into_stack),
        }
    }

    /// Leaves the fiber; returns when it is entered again. THE switch: called by `hub` only.
    ///
    /// # Safety
    /// The caller runs on this fiber.
    #[inline]
    pub(crate) unsafe fn leave(&self) {
        // SAFETY: on this fiber, so `main` has set the yielder, which lives as long as the coroutine runs.
        unsafe { &*self.yielder.get() }.suspend(());
    }

    /// Lets a suspended fiber be, for ever: its stack is not unwound and not given back. For a runtime that ends
    /// with a green thread that would not. Owner only.
    pub(crate) fn abandon(&self) {
        // SAFETY: the owner is the only one that touches the coroutine, and it is not running.
        std::mem::forget(unsafe { &mut *self.coroutine.get() }.take());
    }
}

impl std::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fiber").field("id", &self.id).field("name", &self.name).finish()
    }
}
