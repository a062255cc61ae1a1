//! The end of a green thread: its result, who waits for it, and how it is brought about from outside.
#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Thread;
use crate::fiber::Job;
use crate::hub::park::Unwind;
use crate::hub::{self, runtime};
use crate::wait::Monitor;

/// What joining gives: the closure's value, or the payload of its panic. A green thread that was cancelled gives
/// [`Cancelled`] as its payload.
pub type Result<T> = std::thread::Result<T>;

/// The payload of a green thread that was cancelled, or that never ran because its runtime ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the green thread was cancelled")
    }
}

impl std::error::Error for Cancelled {}

enum Outcome<T> {
    Pending,
    Done(Result<T>),
    Taken,
}

/// Where a green thread leaves its result.
pub(super) struct Packet<T> {
    outcome: Monitor<Outcome<T>>,
    /// Of a scope: set if a panic is dropped unseen.
    unseen_panic: Option<Arc<AtomicBool>>,
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        if let (Some(flag), Outcome::Done(Err(payload))) =
            (&self.unseen_panic, self.outcome.get_mut())
            && !payload.is::<Cancelled>()
        {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

impl<T> Packet<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Packet { outcome: Monitor::new(Outcome::Pending), unseen_panic: None })
    }

    pub(super) fn scoped(unseen_panic: Arc<AtomicBool>) -> Arc<Self> {
        let outcome = Monitor::new(Outcome::Pending);
        Arc::new(Packet { outcome, unseen_panic: Some(unseen_panic) })
    }

    fn complete(&self, result: Result<T>) {
        let mut outcome = self.outcome.lock();
        *outcome = Outcome::Done(result);
        outcome.wake_all(0);
    }

    pub(super) fn is_done(&self) -> bool {
        !matches!(*self.outcome.lock(), Outcome::Pending)
    }

    /// Waits for the end. `masked`: whatever happens to the caller meanwhile.
    pub(super) fn wait(&self, masked: bool) {
        let outcome = self.outcome.lock();
        if !matches!(*outcome, Outcome::Pending) {
            return;
        }
        if masked {
            outcome.wait_masked(0);
        } else if let Err(why) = outcome.wait(0, None) {
            why.unwind();
        }
    }

    pub(super) fn take(&self) -> Result<T> {
        let outcome = std::mem::replace(&mut *self.outcome.lock(), Outcome::Taken);
        match outcome {
            Outcome::Done(result) => result,
            // OK because `take` follows `wait` and handles are consumed by it.
            Outcome::Pending | Outcome::Taken => unreachable!("taken once, when done"),
        }
    }
}

/// Reports the result of a job, also when the job is dropped without having run.
struct Report<T> {
    packet: Option<Arc<Packet<T>>>,
}

impl<T> Report<T> {
    fn done(mut self, result: Result<T>) {
        if let Some(packet) = self.packet.take() {
            packet.complete(result);
        }
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        if let Some(packet) = self.packet.take() {
            packet.complete(Err(Box::new(Cancelled)));
        }
    }
}

/// What a green thread runs: `f`, then the destructors of its locals, then the report.
pub(super) fn job<F, T>(f: F, packet: Arc<Packet<T>>) -> impl FnOnce()
where
    F: FnOnce() -> T,
{
    let report = Report { packet: Some(packet) };
    move || {
        let result = catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
            match hub::park::caught(&*payload) {
                Some(Unwind::Cancelled) => Box::new(Cancelled) as Box<dyn Any + Send>,
                // A scope that is not there any more can only mean a bug, but not one to hide.
                _ => payload,
            }
        });
        runtime::clear_locals();
        report.done(result);
    }
}

/// The same with its type erased.
pub(super) fn local_job<F, T>(f: F, packet: Arc<Packet<T>>) -> Job
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Box::new(job(f, packet))
}

/// The right to join a green thread. Dropping it detaches the green thread, which goes on.
pub struct JoinHandle<T> {
    pub(super) thread: Thread,
    pub(super) packet: Arc<Packet<T>>,
}

impl<T> JoinHandle<T> {
    /// Waits for the green thread to end and returns its result.
    ///
    /// # Errors
    /// With the payload of its panic, or with [`Cancelled`].
    ///
    /// # Panics
    /// Unwinds if the caller's time-out elapses or if it is cancelled; the green thread goes on then.
    pub fn join(self) -> Result<T> {
        self.packet.wait(false);
        self.packet.take()
    }

    /// Whether it has ended: `join` would not wait.
    pub fn is_finished(&self) -> bool {
        self.packet.is_done()
    }

    /// The green thread's handle.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Ends the green thread from outside, at its next wait or the present one: I/O returns ECANCELED, whatever
    /// cannot return an error unwinds. Its destructors run. Returns at once; `join` to see the end.
    ///
    /// One that has not started yet never runs its closure's body. Ending one that has ended does nothing.
    ///
    /// ```
    /// use sward::thread::{self, Cancelled};
    ///
    /// sward::run(|| {
    ///     let sleeper = thread::spawn(|| thread::sleep(std::time::Duration::from_secs(3600)));
    ///     sleeper.cancel();
    ///     assert!(sleeper.join().unwrap_err().is::<Cancelled>());
    /// });
    /// ```
    pub fn cancel(&self) {
        cancel(&self.thread);
    }
}

pub(super) fn cancel(thread: &Thread) {
    if let hub::Thread::Green(fiber) = &thread.inner {
        fiber.cancelled.store(true, Ordering::SeqCst);
        thread.inner.wake();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// The right to join a green thread of [`spawn_local`](super::spawn_local); stays on its worker.
pub struct LocalJoinHandle<T> {
    pub(super) handle: JoinHandle<T>,
    /// The result may not be `Send`.
    pub(super) stays: PhantomData<Rc<()>>,
}

impl<T> LocalJoinHandle<T> {
    /// As [`JoinHandle::join`].
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    pub fn join(self) -> Result<T> {
        self.handle.join()
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// As [`JoinHandle::thread`].
    pub fn thread(&self) -> &Thread {
        self.handle.thread()
    }

    /// As [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }
}

impl<T> fmt::Debug for LocalJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalJoinHandle").field("thread", self.thread()).finish_non_exhaustive()
    }
}
