//! `sward::block_on`: any future, on a green thread or an OS thread, woken from anywhere, given up on by timeout and cancel.
//! The futures are made by hand: what an async library does is to keep wakers and to call them, from its own threads.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sward::{block_on, thread};

mod support;

const LONG: Duration = Duration::from_secs(60);

/// A value that somebody else gives: the core of every oneshot channel and join handle.
struct Promise<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Promise<T> {
    fn new() -> Arc<Self> {
        Arc::new(Promise(Mutex::new((None, None))))
    }

    fn keep(&self, value: T) {
        let mut state = self.0.lock().unwrap();
        state.0 = Some(value);
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock().unwrap();
        match state.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    async fn get(&self) -> T {
        poll_fn(|context| self.poll(context)).await
    }

    /// Whether somebody waits for it.
    fn is_awaited(&self) -> bool {
        self.0.lock().unwrap().1.is_some()
    }
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Pending once; the wake-up comes from its own poll, as in every runtime's `yield_now`.
fn step_aside() -> impl Future<Output = ()> {
    let mut been = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut been, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn one_worker<T>(body: impl FnOnce() -> T) -> T {
    support::alarm();
    sward::Builder::new().workers(1).run(body)
}

#[test]
fn ready_at_once() {
    one_worker(|| assert_eq!(block_on(ready(1)), 1));
    // Here is no runtime at all.
    assert_eq!(block_on(async { ready(1).await + ready(2).await }), 3);
}

#[test]
fn borrows_and_is_not_send() {
    one_worker(|| {
        let text = String::from("mine");
        let count = Rc::new(Cell::new(0));
        let length = block_on(async {
            step_aside().await;
            count.set(count.get() + 1);
            text.len()
        });
        assert_eq!((length, count.get()), (4, 1));
    });
}

#[test]
fn os_thread_keeps_the_promise_while_others_run() {
    one_worker(|| {
        let promise = Promise::new();
        let theirs = promise.clone();
        let turns = Rc::new(Cell::new(0));
        let other = turns.clone();
        let runner = thread::spawn_local(move || {
            // Only if the worker goes on does anybody come to start the thread that ends the wait.
            while other.get() < 1_000 {
                other.set(other.get() + 1);
                thread::yield_now();
            }
            std::thread::spawn(move || theirs.keep("kept"))
        });
        assert_eq!(block_on(promise.get()), "kept");
        assert_eq!(turns.get(), 1_000);
        runner.join().unwrap().join().unwrap();
    });
}

#[test]
fn green_thread_keeps_the_promise() {
    for workers in [1, 2] {
        support::alarm();
        sward::Builder::new().workers(workers).run(|| {
            for _ in 0..200 {
                let promise = Promise::new();
                let theirs = promise.clone();
                let there = thread::worker().unwrap().1 - 1;
                let keeper = thread::Builder::new().worker(there).spawn(move || theirs.keep(7));
                assert_eq!(block_on(promise.get()), 7);
                keeper.unwrap().join().unwrap();
            }
        });
    }
}

#[test]
fn waits_on_an_os_thread_too() {
    support::alarm();
    let promise = Promise::new();
    let theirs = promise.clone();
    let keeper = std::thread::spawn(move || {
        while !theirs.is_awaited() {
            std::thread::yield_now();
        }
        theirs.keep(1);
    });
    assert_eq!(block_on(promise.get()), 1);
    keeper.join().unwrap();
}

#[test]
fn a_thousand_wait_for_one_os_thread() {
    const N: usize = 1_000;
    one_worker(|| {
        let (asks, asked) = mpsc::channel::<(usize, Arc<Promise<usize>>)>();
        let service = std::thread::spawn(move || {
            let all: Vec<_> = asked.iter().take(N).collect();
            // All of them wait at once, or nobody would be here.
            all.into_iter().rev().for_each(|(n, promise)| promise.keep(n * 2));
        });
        let threads: Vec<_> = (0..N)
            .map(|n| {
                let asks = asks.clone();
                thread::spawn(move || {
                    let promise = Promise::new();
                    asks.send((n, promise.clone())).unwrap();
                    assert_eq!(block_on(promise.get()), n * 2);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        service.join().unwrap();
    });
}

#[test]
fn polled_when_woken_and_not_otherwise() {
    one_worker(|| {
        let polls = Arc::new(AtomicUsize::new(0));
        let (first, second) = (Promise::new(), Promise::new());
        let (seen, one, two) = (polls.clone(), first.clone(), second.clone());
        let waiter = thread::spawn(move || {
            let mut both = pin!(async {
                one.get().await;
                two.get().await;
            });
            block_on(poll_fn(|context| {
                seen.fetch_add(1, SeqCst);
                both.as_mut().poll(context)
            }));
            // The token given meanwhile was meant for this.
            thread::park();
        });
        for (n, promise) in [first, second].into_iter().enumerate() {
            while !promise.is_awaited() {
                thread::yield_now();
            }
            for _ in 0..10 {
                waiter.thread().unpark();
                thread::yield_now();
            }
            assert_eq!(
                polls.load(SeqCst),
                n + 1,
                "neither a token nor an old wake-up is a new one"
            );
            promise.keep(());
        }
        waiter.join().unwrap();
        assert_eq!(polls.load(SeqCst), 3);
    });
}

#[test]
fn steps_aside_for_others() {
    one_worker(|| {
        let flag = Rc::new(Cell::new(false));
        let theirs = flag.clone();
        let other = thread::spawn_local(move || theirs.set(true));
        block_on(async {
            while !flag.get() {
                step_aside().await;
            }
        });
        other.join().unwrap();
    });
}

#[test]
fn timeout_drops_the_future() {
    let body = || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (kept, start) = (Dropped(drops.clone()), Instant::now());
        let result = sward::timeout(Duration::from_millis(20), || {
            block_on(async {
                let _kept = kept;
                pending::<()>().await;
            });
        });
        assert!(result.is_err());
        assert_eq!(drops.load(SeqCst), 1);
        assert!(start.elapsed() < LONG);
        // The next one is as good as new.
        assert_eq!(block_on(ready(5)), 5);
    };
    one_worker(body);
    body();
}

#[test]
fn timeout_finds_who_never_parks() {
    one_worker(|| {
        let result = sward::timeout(Duration::from_millis(20), || {
            block_on(async {
                loop {
                    step_aside().await;
                }
            });
        });
        assert!(result.is_err());
    });
}

#[test]
fn cancel_drops_the_future() {
    one_worker(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let promise = Promise::<()>::new();
        let (kept, theirs) = (Dropped(drops.clone()), promise.clone());
        let waiter = thread::spawn(move || {
            block_on(async move {
                let _kept = kept;
                theirs.get().await;
            });
        });
        while !promise.is_awaited() {
            thread::yield_now();
        }
        waiter.cancel();
        let payload = waiter.join().unwrap_err();
        assert!(payload.is::<thread::Cancelled>());
        assert_eq!(drops.load(SeqCst), 1);
        // Its waker is here still, and wakes nobody.
        promise.keep(());
    });
}

#[test]
fn waker_outlives_everything() {
    let kept = one_worker(|| {
        let shelf = Arc::new(Mutex::new(Vec::new()));
        let theirs = shelf.clone();
        let green = thread::spawn(move || {
            block_on(poll_fn(|context| {
                theirs.lock().unwrap().push(context.waker().clone());
                Poll::Ready(())
            }));
        });
        green.join().unwrap();
        let wakers = shelf.lock().unwrap().clone();
        wakers[0].wake_by_ref(); // the green thread has ended
        wakers
    });
    assert_eq!(kept.len(), 1);
    kept.into_iter().for_each(Waker::wake); // the runtime has, too
}

#[test]
fn woken_by_many_at_once() {
    one_worker(|| {
        const THREADS: usize = 4;
        const WAKES: usize = 2_000;
        let woken = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        block_on(poll_fn(|context| {
            if threads.is_empty() {
                threads.extend((0..THREADS).map(|_| {
                    let (waker, woken) = (context.waker().clone(), woken.clone());
                    std::thread::spawn(move || {
                        for _ in 0..WAKES {
                            woken.fetch_add(1, SeqCst);
                            waker.wake_by_ref();
                        }
                    })
                }));
            }
            // The last wake-up of all must be heard, whoever's it is.
            if woken.load(SeqCst) == THREADS * WAKES { Poll::Ready(()) } else { Poll::Pending }
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_inside_another() {
    one_worker(|| {
        let promise = Promise::new();
        let theirs = promise.clone();
        let outer = async {
            // Blocking in async code is bad manners; here it stops this green thread, and nobody else.
            let inner = block_on(theirs.get());
            step_aside().await;
            inner + 1
        };
        let keeper = promise.clone();
        let other = thread::spawn(move || keeper.keep(1));
        assert_eq!(block_on(outer), 2);
        other.join().unwrap();
    });
}

#[test]
fn panic_of_the_future_is_the_callers() {
    one_worker(|| {
        let result = catch_unwind(AssertUnwindSafe(|| {
            block_on(async {
                step_aside().await;
                panic!("as it should");
            })
        }));
        let payload = result.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"as it should"));
    });
}

/// Two futures at once, by hand: each branch has its turn whenever one is woken.
#[test]
fn two_at_once() {
    one_worker(|| {
        let (one, two) = (Promise::new(), Promise::new());
        let (first, second) = (one.clone(), two.clone());
        let keeper = std::thread::spawn(move || {
            second.keep("two");
            while !first.is_awaited() {
                std::thread::yield_now();
            }
            first.keep("one");
        });
        let mut branches: [Pin<Box<dyn Future<Output = &str>>>; 2] =
            [Box::pin(one.get()), Box::pin(two.get())];
        let mut done = [None; 2];
        block_on(poll_fn(|context| {
            for (branch, done) in branches.iter_mut().zip(&mut done) {
                if done.is_none()
                    && let Poll::Ready(value) = branch.as_mut().poll(context)
                {
                    *done = Some(value);
                }
            }
            if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(done, [Some("one"), Some("two")]);
        keeper.join().unwrap();
    });
}
