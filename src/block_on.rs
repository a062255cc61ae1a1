//! Waiting for a future: for libraries that are async only. The caller parks, and the future's wakers wake it.
//!
//! What it is not: an executor. There are no tasks, no timers and no I/O here; a library that needs its own runtime
//! gets it on OS threads of its own, and this waits for what it gives back.
#![forbid(unsafe_code)]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::hub::{self, Thread};

/// Who polls, and whether it should again. The waker: may outlive the call, the green thread and the runtime.
struct Signal {
    /// Set by a waker; cleared before each poll, so that a wake-up during the poll counts for the next.
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The first of several says it. Pairs with the swap in `block_on`: who polls sees what was done before.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.wake();
        }
    }
}

/// Waits until `future` completes, and returns its output: how blocking code calls async code.
///
/// A green thread parks meanwhile, so its worker goes on with others; an OS thread sleeps. The future is polled right
/// here, on the caller's stack, so it may borrow and need not be `Send`.
///
/// # A library with a runtime
/// The future gets no runtime from this. One that needs tokio's belongs on a tokio runtime with threads of its own:
/// spawn it there and wait for the handle, `sward::block_on(runtime.spawn(future))`. Do not hold that runtime's
/// `enter` guard meanwhile, nor call its own `block_on` on a green thread: both belong to the OS thread, which here is
/// shared by many.
///
/// # Time-outs and cancellation
/// If the caller's [`timeout`](crate::timeout()) elapses or the caller is cancelled, the call unwinds and the future
/// is dropped, which is how futures are cancelled. What was spawned elsewhere goes on, unless its handle says otherwise.
///
/// # Panics
/// With the payload of the future, if it panics.
///
/// ```
/// use std::future::poll_fn;
/// use std::task::Poll;
/// use std::time::Duration;
///
/// sward::run(|| {
///     // A future of the kind that async libraries make: somebody else finishes it, and calls the waker.
///     let mut asked = false;
///     let answer = poll_fn(move |context| {
///         if asked {
///             return Poll::Ready(42);
///         }
///         asked = true;
///         let waker = context.waker().clone();
///         std::thread::spawn(move || waker.wake());
///         Poll::Pending
///     });
///     assert_eq!(sward::block_on(answer), 42);
/// });
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: Thread::current() });
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        if signal.woken.swap(false, Ordering::AcqRel) {
            // Woken by its own poll: how futures let others go first. Such a one may never park, so this is where a
            // time-out finds it.
            if let Some(why) = hub::park::interrupted() {
                why.unwind();
            }
            hub::yield_now();
            continue;
        }
        while !signal.woken.swap(false, Ordering::AcqRel) {
            if let Err(why) = hub::park(None) {
                why.unwind();
            }
        }
    }
}
