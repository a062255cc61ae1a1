//! Park: the one way in which a thread of either kind stops until something wakes it, and the ways to wake it.
//!
//! The shape of every wait in this crate: register somewhere, look at the condition once more, park, look again.
//! `park` may return for no reason. A wake-up that comes between registering and parking is not lost: it makes
//! the next park return at once.
//!
//! A wait ends early in four ways ([`Interrupt`]): its own deadline, the deadline of a `timeout` scope around
//! it, the event of a watch around it, or cancellation. What can return an error turns that into an `io::Error`;
//! what cannot unwinds with a private payload ([`Interrupt::unwind`]) up to the scope, or to the end of the green
//! thread.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::os_thread::{OsThread, os};
use super::{Due, Hub, clock, here, here_green};
use crate::fiber::Fiber;
use crate::fiber::locals::Locals;
use crate::fiber::scopes::Scopes;
use crate::fiber::state::Waiting;

pub(crate) use crate::fiber::scopes::ScopeId;

/// Why a wait ended before what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline that the caller gave.
    TimedOut,
    /// The deadline of an enclosing `timeout` scope.
    Elapsed(ScopeId),
    /// The event of an enclosing watch: the peer that all this is for has gone away.
    Lost(ScopeId),
    /// The green thread has been cancelled.
    Cancelled,
}

/// What an unwind by [`Interrupt::unwind`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwind {
    Elapsed(ScopeId),
    Lost(ScopeId),
    Cancelled,
}

impl Interrupt {
    /// A scope has ended.
    fn of(id: ScopeId) -> Interrupt {
        if id.is_watch() { Interrupt::Lost(id) } else { Interrupt::Elapsed(id) }
    }

    /// As an I/O error: `TimedOut` for both kinds of deadline, `ConnectionAborted` for a lost peer, ECANCELED for
    /// cancellation. For a caller that has left whatever it waited in: a green thread that ignores such errors again and again is unwound here.
    #[cold]
    pub(crate) fn into_io(self) -> io::Error {
        lose_patience(self);
        match self {
            Interrupt::TimedOut => {
                io::Error::new(io::ErrorKind::TimedOut, "the operation timed out")
            }
            Interrupt::Elapsed(_) => {
                io::Error::new(io::ErrorKind::TimedOut, "an enclosing sward::timeout has elapsed")
            }
            Interrupt::Lost(_) => {
                io::Error::new(io::ErrorKind::ConnectionAborted, "the client has gone away")
            }
            Interrupt::Cancelled => io::Error::from_raw_os_error(ECANCELED),
        }
    }

    /// Unwinds to the scope that ended, or to the end of the green thread. For calls that cannot return an error.
    #[cold]
    pub(crate) fn unwind(self) -> ! {
        let payload = match self {
            Interrupt::Elapsed(id) => Unwind::Elapsed(id),
            Interrupt::Lost(id) => Unwind::Lost(id),
            Interrupt::Cancelled => Unwind::Cancelled,
            Interrupt::TimedOut => unreachable!("who gives a deadline handles it"),
        };
        set_quiet(true);
        std::panic::resume_unwind(Box::new(payload))
    }
}

/// Linux's number, the same on every architecture that we build for.
const ECANCELED: i32 = 125;

/// If `payload` is that of a quiet unwind: which one. The unwind is over then, and panics count again.
pub(crate) fn caught(payload: &(dyn Any + Send)) -> Option<Unwind> {
    let unwind = payload.downcast_ref::<Unwind>().copied()?;
    set_quiet(false);
    Some(unwind)
}

/// The unwind goes on, after `caught` looked at it.
pub(crate) fn pass_on(payload: Box<dyn Any + Send>) -> ! {
    if payload.is::<Unwind>() {
        set_quiet(true);
    }
    std::panic::resume_unwind(payload)
}

fn set_quiet(on: bool) {
    match here_green() {
        Some((_, fiber)) => fiber.state.quiet.set(on),
        None => os(|this| this.quiet.set(on)),
    }
}

/// Whether the unwind under way is a timeout or a cancellation, not a panic: locks are not poisoned by it.
pub(crate) fn unwinding_quietly() -> bool {
    std::thread::panicking()
        && match here_green() {
            Some((_, fiber)) => fiber.state.quiet.get(),
            None => os(|this| this.quiet.get()),
        }
}

/// Whether the caller runs on a green thread.
#[inline]
pub(crate) fn is_green() -> bool {
    here_green().is_some()
}

/// Parks the caller until it is woken or interrupted; may return for no reason. THE suspend.
#[inline]
pub(crate) fn park(deadline: Option<Instant>) -> Result<(), Interrupt> {
    match here_green() {
        Some((hub, fiber)) => hub.park_green(fiber, deadline, false),
        None => os(|this| this.park(deadline, false)),
    }
}

/// As `park`, deaf to `timeout` scopes and cancellation: for waits that must see their end, such as joining
/// threads that borrow from the caller's frame.
pub(crate) fn park_masked(deadline: Option<Instant>) -> Result<(), Interrupt> {
    match here_green() {
        Some((hub, fiber)) => hub.park_green(fiber, deadline, true),
        None => os(|this| this.park(deadline, true)),
    }
}

/// The interruption that the caller would meet if it parked now.
pub(crate) fn interrupted() -> Option<Interrupt> {
    if std::thread::panicking() {
        return None;
    }
    let nearest = match here_green() {
        Some((_, fiber)) => {
            if fiber.cancelled.load(Ordering::Relaxed) {
                return Some(Interrupt::Cancelled);
            }
            fiber.scopes.borrow().nearest()
        }
        None => os(|this| this.scopes.borrow().nearest()),
    };
    nearest.filter(|(at, _)| *at <= Instant::now()).map(|(_, id)| Interrupt::of(id))
}

/// The nearest of the caller's deadline and of those of the scopes around it.
pub(super) fn limit(
    deadline: Option<Instant>,
    scopes: &RefCell<Scopes>,
    masked: bool,
) -> Option<(Instant, Interrupt)> {
    let own = deadline.map(|at| (at, Interrupt::TimedOut));
    let scope = if masked { None } else { scopes.borrow().nearest() };
    let scope = scope.map(|(at, id)| (at, Interrupt::of(id)));
    match (own, scope) {
        (Some(own), Some(scope)) => Some(if scope.0 <= own.0 { scope } else { own }),
        (own, scope) => own.or(scope),
    }
}

/// What limits a blocking call of this OS thread: the nearest deadline, and what its passing means. Also used by
/// a green thread that unwinds, for which only its own deadline counts.
pub(crate) fn limit_of_os_thread(deadline: Option<Instant>) -> (Option<Instant>, Interrupt) {
    let own = (deadline, Interrupt::TimedOut);
    if is_green() {
        return own;
    }
    let limit = os(|this| limit(deadline, &this.scopes, std::thread::panicking()));
    limit.map_or(own, |(at, why)| (Some(at), why))
}

/// Whether this OS thread is inside a `timeout` scope.
pub(crate) fn os_thread_in_scope() -> bool {
    os(|this| this.scopes.borrow().nearest().is_some())
}

/// How many refused waits a green thread may shrug off.
const PATIENCE: u32 = 32;

/// A wait of `fiber` ends with `why`. Counted, for `lose_patience`; nothing may unwind here, because whoever parks is
/// still registered somewhere.
#[cold]
fn refuse(fiber: &Fiber, why: Interrupt) -> Interrupt {
    if why != Interrupt::TimedOut {
        fiber.state.refused.set(fiber.state.refused.get() + 1);
    }
    why
}

/// Code that treats every error as passing (`for stream in listener.incoming()`) would go round for ever in a thread
/// that has been cancelled, and never let go of its worker: after some refusals it is unwound.
fn lose_patience(why: Interrupt) {
    let lost = here_green().is_some_and(|(_, fiber)| fiber.state.refused.get() > PATIENCE);
    if lost && why != Interrupt::TimedOut && !std::thread::panicking() {
        why.unwind();
    }
}

impl Hub {
    pub(crate) fn park_green(
        &self,
        fiber: &Fiber,
        deadline: Option<Instant>,
        masked: bool,
    ) -> Result<(), Interrupt> {
        if std::thread::panicking() {
            return self.park_pinned(fiber, deadline);
        }
        if !masked && fiber.cancelled.load(Ordering::Relaxed) {
            return Err(refuse(fiber, Interrupt::Cancelled));
        }
        let state = &fiber.state;
        if state.notified.replace(false) {
            return Ok(());
        }
        let limit = limit(deadline, &fiber.scopes, masked);
        state.timed_out.set(false);
        let timer = limit
            .map(|(at, _)| self.timers.borrow_mut().insert(clock::nanos(at), Due::Fiber(fiber)));
        state.masked.set(masked);
        state.parked.set(true);
        // SAFETY: we run on `fiber`; whoever wakes it enqueues it, and `parked` says that it may.
        unsafe { fiber.leave() };
        while state.asked.replace(false) {
            self.say_where();
            // SAFETY: as above: a report entered it, which changes nothing about who may wake it.
            unsafe { fiber.leave() };
        }
        state.waiting.set(Waiting::Other);
        state.notified.set(false);
        if !masked && fiber.cancelled.load(Ordering::Relaxed) {
            self.disarm(fiber, timer);
            return Err(refuse(fiber, Interrupt::Cancelled));
        }
        match limit {
            Some((_, why)) if state.timed_out.get() => Err(refuse(fiber, why)),
            _ => {
                self.disarm(fiber, timer);
                Ok(())
            }
        }
    }

    fn disarm(&self, fiber: &Fiber, timer: Option<crate::timer::Key>) {
        if let Some(key) = timer
            && !fiber.state.timed_out.get()
        {
            self.timers.borrow_mut().cancel(key);
        }
    }

    /// A wait during an unwind. `thread::panicking()` belongs to the OS thread, so nobody else may run here:
    /// the whole worker waits, but goes on reading mail, deadlines and events, one of which ends the wait.
    #[cold]
    fn park_pinned(&self, fiber: &Fiber, deadline: Option<Instant>) -> Result<(), Interrupt> {
        self.counters().pinned();
        let timer = deadline.map(|at| {
            fiber.state.timed_out.set(false);
            self.timers.borrow_mut().insert(clock::nanos(at), Due::Fiber(fiber))
        });
        while !fiber.state.notified.replace(false) {
            self.read_mail();
            self.fire_deadlines();
            if fiber.state.notified.get() {
                continue;
            }
            let timeout = self.timers.borrow().next().map(clock::until);
            if self.mailbox.try_sleep() {
                self.wait_for_events(timeout);
            }
        }
        match timer {
            Some(_) if fiber.state.timed_out.get() => Err(Interrupt::TimedOut),
            timer => {
                self.disarm(fiber, timer);
                Ok(())
            }
        }
    }
}

/// A handle to a thread of either kind.
#[derive(Clone)]
pub(crate) enum Thread {
    Green(Arc<Fiber>),
    Os(Arc<OsThread>),
}

impl Thread {
    /// The calling thread.
    pub(crate) fn current() -> Thread {
        match here_green() {
            Some((_, fiber)) => {
                // SAFETY: the record is alive and counted; we take a count of our own.
                unsafe { Arc::increment_strong_count(fiber) };
                // SAFETY: the count just taken.
                Thread::Green(unsafe { Arc::from_raw(fiber) })
            }
            None => Thread::Os(os(|this| this.shared.clone())),
        }
    }

    pub(crate) fn id(&self) -> NonZeroU64 {
        match self {
            Thread::Green(fiber) => fiber.id,
            Thread::Os(thread) => thread.id,
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Thread::Green(fiber) => fiber.name.as_deref(),
            Thread::Os(thread) => thread.name.as_deref(),
        }
    }

    /// The token of `thread::park`.
    pub(crate) fn token(&self) -> &AtomicBool {
        match self {
            Thread::Green(fiber) => &fiber.token,
            Thread::Os(thread) => &thread.token,
        }
    }

    /// Ends the thread's present park, or the next one. Safe from any thread; takes no lock.
    pub(crate) fn wake(&self) {
        match self {
            Thread::Green(fiber) => wake_green(fiber),
            Thread::Os(thread) => thread.wake(),
        }
    }
}

fn wake_green(fiber: &Arc<Fiber>) {
    // No home: it has not started, and will look at what we set before its first wait.
    let Some(home) = fiber.home() else { return };
    match here() {
        Some(hub) if std::ptr::eq(hub.mailbox, home) => {
            if !fiber.state.done.get() {
                hub.wake_local(fiber);
            }
        }
        _ => home.post(fiber),
    }
}

/// The calling thread as a waiter registers it: a bare pointer, good while the thread is in its wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiter {
    Green(*const Fiber),
    Os(*const OsThread),
}

impl Waiter {
    #[inline]
    pub(crate) fn current() -> Waiter {
        match here_green() {
            Some((_, fiber)) => Waiter::Green(fiber),
            None => Waiter::Os(os(|this| Arc::as_ptr(&this.shared))),
        }
    }

    /// Calls `release`, after which the waiter may leave its wait, and wakes it if it lives on this worker. If not,
    /// returns it for the caller to wake: that may be a system call, and the caller may hold a lock.
    ///
    /// # Safety
    /// The waiter is in its wait, and cannot leave it before `release` is called.
    #[inline]
    #[must_use = "wake it"]
    pub(crate) unsafe fn release(self, release: impl FnOnce()) -> Option<Thread> {
        match self {
            Waiter::Green(fiber) => {
                if let Some(hub) = here()
                    // SAFETY: in its wait, hence alive.
                    && unsafe { (*fiber).lives_at(hub.mailbox) }
                {
                    // On this very worker: it cannot run before we are done, so it needs no count.
                    release();
                    // SAFETY: as above.
                    hub.wake_local(unsafe { &*fiber });
                    return None;
                }
                // SAFETY: alive now; the count keeps the record valid after `release`.
                unsafe { Arc::increment_strong_count(fiber) };
                // SAFETY: the count just taken.
                let fiber = unsafe { Arc::from_raw(fiber) };
                release();
                Some(Thread::Green(fiber))
            }
            Waiter::Os(thread) => {
                // SAFETY: alive now; the count keeps it valid after `release`.
                unsafe { Arc::increment_strong_count(thread) };
                // SAFETY: the count just taken.
                let thread = unsafe { Arc::from_raw(thread) };
                release();
                Some(Thread::Os(thread))
            }
        }
    }
}

/// Takes the calling thread's token; false if it is not there.
#[inline]
pub(crate) fn take_token() -> bool {
    // A look before the swap: a token that comes later comes with a wake-up, which the park that follows hears.
    let take =
        |token: &AtomicBool| token.load(Ordering::Relaxed) && token.swap(false, Ordering::SeqCst);
    match here_green() {
        Some((_, fiber)) => take(&fiber.token),
        None => os(|this| take(&this.shared.token)),
    }
}

/// Says what the caller's next park waits for. For reports only.
pub(crate) fn about_to_wait_for(what: Waiting) {
    if let Some((_, fiber)) = here_green() {
        fiber.state.waiting.set(what);
    }
}

/// Opens a `timeout` scope on the calling thread.
pub(crate) fn open_scope(deadline: Instant) -> ScopeId {
    static NEXT: AtomicU64 = AtomicU64::new(2);
    let id = ScopeId(NEXT.fetch_add(2, Ordering::Relaxed));
    with_scopes(|scopes| scopes.borrow_mut().enter(Some(deadline), id));
    id
}

/// Opens a watch on the calling thread: a scope that somebody ends. Only the hub's descriptors do so far.
pub(crate) fn open_watch() -> ScopeId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = ScopeId(NEXT.fetch_add(2, Ordering::Relaxed));
    with_scopes(|scopes| scopes.borrow_mut().enter(None, id));
    id
}

/// Closes it again, by the same thread.
pub(crate) fn close_scope(id: ScopeId) {
    if let Some((_, fiber)) = here_green() {
        fiber.state.refused.set(0);
    }
    with_scopes(|scopes| scopes.borrow_mut().exit(id));
}

fn with_scopes<R>(f: impl FnOnce(&RefCell<Scopes>) -> R) -> R {
    match here_green() {
        Some((_, fiber)) => f(&fiber.scopes),
        None => os(|this| f(&this.scopes)),
    }
}

/// The `green_local!` values of the calling thread.
pub(crate) fn with_locals<R>(f: impl FnOnce(&Locals) -> R) -> R {
    match here_green() {
        Some((_, fiber)) => f(&fiber.locals),
        None => os(|this| f(&this.locals)),
    }
}
