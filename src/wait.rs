//! A monitor: a small lock around some state, and queues of threads that wait for it to change. Every type of
//! `sync` is built from this, and so works from green threads, from OS threads, and across the two.
//!
//! A waker does not say "look again", it *grants*: the longest waiter leaves the queue with its wish fulfilled,
//! and whatever the waker handed over (a lock, a permit, an item) is the waiter's. So nobody can barge in between,
//! and a wake-up is never spent on a waiter that has timed out: that one has left the queue, under the lock.
//!
//! Nobody parks or runs foreign code while holding the lock.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::hub::park::{Waiter, park, park_masked};
use crate::hub::{Interrupt, Thread};
use crate::list::{Linked, Links, List};
use crate::sys::{Lock, LockGuard};

/// A waiting thread; lives on its stack, in the frame of `Guard::wait_in`.
struct Node {
    links: Links<Node>,
    waiter: Cell<Waiter>,
    /// Set by the waker after it has taken the node off its queue. From then on the node may go.
    granted: AtomicBool,
}

// SAFETY: one field.
unsafe impl Linked<()> for Node {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

struct Inner<S, const Q: usize> {
    state: S,
    queues: [List<Node>; Q],
}

// SAFETY: the queues hold pointers to nodes of threads that wait until they are taken off, and are used under the
// lock only; `granted` is atomic.
unsafe impl<S: Send, const Q: usize> Send for Inner<S, Q> {}

/// State of type `S` with `Q` queues of waiting threads.
pub(crate) struct Monitor<S, const Q: usize = 1> {
    inner: Lock<Inner<S, Q>>,
}

impl<S, const Q: usize> Monitor<S, Q> {
    pub(crate) const fn new(state: S) -> Self {
        Monitor { inner: Lock::new(Inner { state, queues: [const { List::new() }; Q] }) }
    }

    /// For a short section: no parking, no foreign code.
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, S, Q> {
        Guard {
            monitor: self,
            inner: self.inner.lock(),
            later: Later { one: None, more: Vec::new() },
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.inner.get_mut().state
    }
}

/// The right to the state and to the queues.
pub(crate) struct Guard<'a, S, const Q: usize = 1> {
    monitor: &'a Monitor<S, Q>,
    /// Dropped before `later`: fields go in the order in which they are declared.
    inner: LockGuard<'a, Inner<S, Q>>,
    later: Later,
}

/// Threads of other workers and other kinds that have been granted their wish. Waking them may take a system call,
/// and the first thing that they do is to take the lock: they are woken when it is free.
struct Later {
    one: Option<Thread>,
    more: Vec<Thread>,
}

impl Later {
    fn add(&mut self, thread: Thread) {
        match &self.one {
            None => self.one = Some(thread),
            Some(_) => self.more.push(thread),
        }
    }
}

impl Drop for Later {
    #[inline]
    fn drop(&mut self) {
        if let Some(thread) = &self.one {
            thread.wake();
            self.more.iter().for_each(Thread::wake);
        }
    }
}

impl<S, const Q: usize> Guard<'_, S, Q> {
    /// Grants the longest waiter of queue `q` its wish; false if nobody waits.
    #[inline]
    pub(crate) fn wake_one(&mut self, q: usize) -> bool {
        let Some(node) = self.inner.queues[q].pop_front() else { return false };
        // SAFETY: a queued node is alive, and stays so until `granted` is set: its thread leaves `wait_in` only
        // when it sees that, or when it finds itself queued under the lock, which we hold.
        let waiter = unsafe { &(*node).waiter }.get();
        // SAFETY: as above. The node may be gone as soon as this is stored, so nothing comes after it.
        let release = || unsafe { &(*node).granted }.store(true, Ordering::Release);
        // SAFETY: its thread is in its wait, which it leaves when it sees what `release` sets.
        if let Some(thread) = unsafe { waiter.release(release) } {
            self.later.add(thread);
        }
        true
    }

    /// Grants every waiter of queue `q` its wish; returns how many there were.
    pub(crate) fn wake_all(&mut self, q: usize) -> usize {
        // A waiter that queues up again while we are at it (it cannot: we hold the lock) would wait for the next.
        let waiting = self.waiting(q);
        for _ in 0..waiting {
            self.wake_one(q);
        }
        waiting
    }

    /// How many threads wait in queue `q`.
    #[inline]
    pub(crate) fn waiting(&self, q: usize) -> usize {
        self.inner.queues[q].len()
    }

    /// Queues up in `q`, gives the lock back and parks until granted, or interrupted. If both happen the grant
    /// wins: what was handed over is never lost. The lock is not taken again.
    #[inline]
    pub(crate) fn wait(self, q: usize, deadline: Option<Instant>) -> Result<(), Interrupt> {
        self.wait_in(q, || park(deadline))
    }

    /// As `wait`, deaf to `timeout` scopes and to cancellation: only a grant ends it.
    pub(crate) fn wait_masked(self, q: usize) {
        let granted = self.wait_in(q, || park_masked(None));
        debug_assert_eq!(granted, Ok(()));
    }

    #[inline]
    fn wait_in(self, q: usize, park: impl Fn() -> Result<(), Interrupt>) -> Result<(), Interrupt> {
        let node = Node {
            links: Links::new(),
            waiter: Cell::new(Waiter::current()),
            granted: AtomicBool::new(false),
        };
        let monitor = self.monitor;
        // SAFETY: the node stays on this frame until it is off the queue (below), and we hold the lock.
        unsafe { self.inner.queues[q].push_back(&node) };
        drop(self);
        loop {
            let parked = park();
            if node.granted.load(Ordering::Acquire) {
                return Ok(());
            }
            if let Err(why) = parked {
                let guard = monitor.lock();
                // SAFETY: in this queue, or in none if it was granted meanwhile; we hold the lock.
                if unsafe { guard.inner.queues[q].remove(&node) } {
                    return Err(why);
                }
                // Taken off by a waker, which set `granted` before it let go of the lock.
                debug_assert!(node.granted.load(Ordering::Acquire));
                return Ok(());
            }
        }
    }
}

impl<S, const Q: usize> Deref for Guard<'_, S, Q> {
    type Target = S;
    #[inline]
    fn deref(&self) -> &S {
        &self.inner.state
    }
}

impl<S, const Q: usize> DerefMut for Guard<'_, S, Q> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inner.state
    }
}
