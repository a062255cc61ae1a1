//! Green threads that borrow from their spawner's frame, as `std::thread::scope`.
//!
//! Sound because the frame cannot go before they have ended: [`scope`] joins them all on every way out, and that
//! join hears neither time-outs nor cancellation. Leaking a handle changes nothing: the scope counts, not the handles.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::join::{ScopedJoinHandle, Task, cancel};
use super::{Builder, Thread, hub};
use crate::fiber::{Body, Fiber, Job};
use crate::hub::Place;
use crate::wait::Monitor;

/// The threads of a scope.
struct Shared {
    running: Monitor<Running>,
    /// Set when the result of a thread that panicked is dropped unseen.
    panicked: Arc<AtomicBool>,
}

/// Threads that have not ended, by a number of the scope's own.
struct Running {
    threads: Vec<(u64, Thread)>,
    next: u64,
}

/// Says that a thread has ended when it is dropped, be it by the thread, be it with a job that never ran.
struct Leave {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut running = self.shared.running.lock();
        let at = running.threads.iter().position(|(number, _)| *number == self.number);
        // Taken out, not dropped, under the lock: a handle's destructor is not for critical sections.
        let _thread = at.map(|at| running.threads.swap_remove(at));
        if running.threads.is_empty() {
            running.wake_all(0);
        }
        drop(running);
    }
}

/// A scope to spawn green threads in; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Runs `f` with a scope in which green threads may borrow what outlives the call. Returns when all of them have
/// ended.
///
/// If the caller's time-out elapses or it is cancelled meanwhile, the scope's threads are cancelled, waited for,
/// and then it unwinds.
///
/// # Panics
/// If a thread of the scope panicked and nobody joined it; and with the payload of `f`, if it panics.
///
/// ```
/// sward::run(|| {
///     let words = vec!["green", "threads"];
///     let total = sward::thread::scope(|s| {
///         let threads: Vec<_> = words.iter().map(|word| s.spawn(|| word.len())).collect();
///         threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
///     });
///     assert_eq!(total, 12);
/// });
/// ```
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let shared = Arc::new(Shared {
        running: Monitor::new(Running { threads: Vec::new(), next: 0 }),
        panicked: Arc::new(AtomicBool::new(false)),
    });
    let scope = Scope { shared: shared.clone(), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let interrupted = shared.wait_all(result.is_err());
    match result {
        Err(payload) => hub::park::pass_on(payload),
        Ok(value) => {
            if let Some(why) = interrupted {
                why.unwind();
            }
            assert!(!shared.panicked.load(Ordering::Relaxed), "a scoped thread panicked");
            value
        }
    }
}

impl Shared {
    /// Waits until no thread of the scope runs. If that is interrupted, or if the scope's closure unwound because
    /// of an interruption, the threads are told to end.
    fn wait_all(&self, unwound: bool) -> Option<hub::Interrupt> {
        let mut interrupted = None;
        if unwound && hub::park::interrupted().is_some() {
            self.cancel_all();
        }
        loop {
            let running = self.running.lock();
            if running.threads.is_empty() {
                return interrupted;
            }
            if interrupted.is_some() || unwound {
                running.wait_masked(0);
            } else if let Err(why) = running.wait(0, None) {
                interrupted = Some(why);
                self.cancel_all();
            }
        }
    }

    fn cancel_all(&self) {
        let running = self.running.lock();
        let threads: Vec<Thread> =
            running.threads.iter().map(|(_, thread)| thread.clone()).collect();
        drop(running);
        threads.iter().for_each(cancel);
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts `f` on a green thread that the scope waits for.
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        // OK to unwrap: only a wrong place is an error, and none was asked for.
        Builder::new().spawn_scoped(self, f).expect("a green thread can be spawned anywhere")
    }

    pub(super) fn launch<F, T>(
        &'scope self,
        name: Option<Box<str>>,
        stack_size: usize,
        place: Place,
        f: F,
    ) -> std::io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let mut running = self.shared.running.lock();
        running.next += 1;
        let number = running.next;
        drop(running);
        let leave = Leave { shared: self.shared.clone(), number };
        let task = Task::new(f, leave, Some(self.shared.panicked.clone()));
        let body: Arc<dyn Body + Send + Sync + 'scope> = task.clone();
        // SAFETY: only the lifetime is changed. `scope` neither returns nor unwinds before `leave` is dropped, and
        // the task does that last: after the closure, its locals and the job's count of the task are gone.
        let body = unsafe {
            std::mem::transmute::<
                Arc<dyn Body + Send + Sync + 'scope>,
                Arc<dyn Body + Send + Sync + 'static>,
            >(body)
        };
        let fiber = Fiber::new(name, stack_size, Job::new(body));
        let thread = Thread { inner: hub::Thread::Green(fiber.clone()) };
        self.shared.running.lock().threads.push((number, thread.clone()));
        hub::spawn(fiber, place)?;
        Ok(ScopedJoinHandle { thread, task })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
