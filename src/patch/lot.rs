//! The lot: green threads that wait on an address. What futex is to OS threads, for hooks that must not block their
//! worker: std's locks (`futex`) and pthread's (`pthread`) both end here.
//!
//! ```text
//!   WAITING: how many wait anywhere         buckets, by a hash of the address
//!   (0: nobody looks any further)           [ Lock | A ─ B ─ C ]  [ Lock | D ]  [ Lock | ]  ...
//! ```
//!
//! The protocol, between the one who waits for a word to change and the one who changes it:
//!
//! - `sleep` counts itself, takes the bucket's lock, looks at the word (`check`), and queues up if it is unchanged.
//! - `wake` comes after the change, and looks at the count first. Both sides have a full fence in between, so either
//!   the waker sees the count or the sleeper sees the change.
//! - A waker *takes* waiters off the queue under the lock, and *grants* them when it has let go of it: no system call
//!   and nobody else's code under the lock. A waiter whose deadline passes in between finds itself taken and waits for
//!   the grant, so that no wake-up is ever spent on somebody who has left.
//!
//! Nothing here allocates under a lock: an allocator that is built on pthread's mutexes would come back to it.
//!
//! What is not here: OS threads, which wait in the kernel as ever; who wakes makes the real call too. And what may be
//! called from signal handlers: see `pthread::sem`.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Instant;

use super::gate::{self, Green, Group, Stop};
use crate::fiber::mailbox::Mailbox;
use crate::hub::park::Waiter;
use crate::list::{Linked, Links, List};
use crate::sys::Lock;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slept {
    /// By a waker's grant.
    Woken,
    /// It never began: `check` said no.
    Changed,
    /// Nobody woke it.
    Stop(Stop),
}

/// A waiting green thread; lives on its stack, in the frame of `sleep`.
struct Node {
    links: Links<Node>,
    address: usize,
    bits: u32,
    waiter: Waiter,
    /// Set under the lock by the waker that takes the node off its queue. From then on the waiter waits for the grant,
    /// and the node is the waker's.
    taken: Cell<bool>,
    /// Set by the waker, last of all: from then on the node may go.
    granted: AtomicBool,
}

// SAFETY: one field.
unsafe impl Linked<()> for Node {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

/// A worker that wants to be roused.
struct Watch {
    links: Links<Watch>,
    address: usize,
    mailbox: &'static Mailbox,
}

// SAFETY: one field.
unsafe impl Linked<()> for Watch {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

struct Bucket {
    queue: List<Node>,
    watches: List<Watch>,
}

// SAFETY: the lists hold pointers to nodes of green threads that wait until they are taken off, and to watches that
// are freed after they were; all of it is used under the lock only.
unsafe impl Send for Bucket {}

/// Apart from its neighbours, so that two locks do not fight over one cache line.
#[repr(align(64))]
struct Padded(Lock<Bucket>);

const BUCKETS: usize = 256;

static TABLE: [Padded; BUCKETS] =
    [const { Padded(Lock::new(Bucket { queue: List::new(), watches: List::new() })) }; BUCKETS];

/// How many green threads are in `sleep`, and how many workers watch.
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn bucket(address: usize) -> &'static Lock<Bucket> {
    // Fibonacci hashing: the high bits of the product depend on all bits of the address.
    let hash = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    &TABLE[hash as usize % BUCKETS].0
}

/// One of those that wakers must look for, while it lasts.
struct Counted;

impl Counted {
    fn new() -> Counted {
        WAITING.fetch_add(1, Ordering::SeqCst);
        // Before the look at the word. Pairs with the one in `nobody`.
        fence(Ordering::SeqCst);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether no green thread of the process waits in the lot: then a waker has nothing to do here. To be asked after the
/// word has changed. Safe from any thread and from signal handlers.
#[inline(always)]
pub(super) fn nobody() -> bool {
    // After the caller's change of the word; pairs with the one in `Counted::new`.
    fence(Ordering::SeqCst);
    WAITING.load(Ordering::SeqCst) == 0
}

/// As [`nobody`], for a caller that has changed the word by an atomic read-modify-write, as pthread's unlocks do: on
/// x86 that is a full fence already.
#[inline(always)]
#[cfg_attr(target_feature = "crt-static", allow(dead_code, reason = "for pthread's hooks"))]
pub(super) fn nobody_since_swap() -> bool {
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
    WAITING.load(Ordering::SeqCst) == 0
}

/// Parks the caller at `address`, deaf to `timeout` scopes and cancellation, if `check` still says so. It is called
/// under the bucket's lock: it may try to get what the caller wants, but not wait, allocate, or come back here.
///
/// A wake-up that comes together with the deadline wins.
pub(super) fn sleep(
    green: Green,
    address: usize,
    bits: u32,
    deadline: Option<Instant>,
    check: impl FnOnce() -> bool,
) -> Slept {
    sleep_after(green, address, bits, deadline, check, || true)
}

/// As [`sleep`], and calls `queued` when the caller has its place in the queue, before it parks and with no lock held.
/// If that says no, the caller leaves again, and hands on a wake-up that it may have got meanwhile.
pub(super) fn sleep_after(
    green: Green,
    address: usize,
    bits: u32,
    deadline: Option<Instant>,
    check: impl FnOnce() -> bool,
    queued: impl FnOnce() -> bool,
) -> Slept {
    let _counted = Counted::new();
    let node = Node {
        links: Links::new(),
        address,
        bits,
        waiter: Waiter::Green(green.fiber),
        taken: Cell::new(false),
        granted: AtomicBool::new(false),
    };
    let bucket = bucket(address);
    {
        let bucket = bucket.lock();
        if !check() {
            return Slept::Changed;
        }
        // SAFETY: the node stays on this frame until it is off the queue (`leave`) or granted, and we hold the lock.
        unsafe { bucket.queue.push_back(&node) };
    }
    if !queued() {
        if !node.leave(bucket) {
            node.wait(green);
            take_and_grant(address, 1, bits);
        }
        return Slept::Changed;
    }
    loop {
        let parked = green.park_masked(deadline);
        if node.granted.load(Ordering::Acquire) {
            return Slept::Woken;
        }
        if let Err(why) = parked {
            if node.leave(bucket) {
                return Slept::Stop(why);
            }
            node.wait(green);
            return Slept::Woken;
        }
    }
}

impl Node {
    /// Takes the node off its queue; false if a waker has.
    fn leave(&self, bucket: &Lock<Bucket>) -> bool {
        let bucket = bucket.lock();
        // SAFETY: if it is not taken it is in this queue; we hold the lock.
        !self.taken.get() && unsafe { bucket.queue.remove(self) }
    }

    /// Parks until the grant of the waker that has taken the node: it is under way in another OS thread, and comes soon.
    fn wait(&self, green: Green) {
        while !self.granted.load(Ordering::Acquire) {
            // OK to ignore the result: without a deadline there is nothing to report.
            let _ = green.park_masked(None);
        }
    }
}

/// Whether a green thread waits at `address`, as of now.
#[cfg_attr(target_feature = "crt-static", allow(dead_code, reason = "for pthread's hooks"))]
pub(super) fn is_waited_for(address: usize) -> bool {
    oldest(address).is_some()
}

/// The bits of the longest waiter at `address`, as of now.
#[cfg_attr(target_feature = "crt-static", allow(dead_code, reason = "for pthread's hooks"))]
pub(super) fn oldest(address: usize) -> Option<u32> {
    if nobody() || !gate::installed(Group::Sync) {
        return None;
    }
    first(address)
}

#[cfg_attr(target_feature = "crt-static", allow(dead_code, reason = "for pthread's hooks"))]
fn first(address: usize) -> Option<u32> {
    let bucket = bucket(address).lock();
    // SAFETY: a queued node is alive, and used under the lock.
    let node = bucket.queue.find(|node| unsafe { (*node).address } == address)?;
    // SAFETY: as above.
    Some(unsafe { (*node).bits })
}

/// Wakes up to `n` of the green threads that wait at `address` with one of these `bits`, the longest waiters first;
/// returns how many. A worker that watches the address is roused, and counts as one. From any thread, but not from
/// signal handlers; does not switch.
pub(super) fn wake(address: usize, n: usize, bits: u32) -> usize {
    if nobody() || !gate::installed(Group::Sync) {
        // Not installed: a forked child, whose copy of the locks may be held by nobody that lives here.
        return 0;
    }
    take_and_grant(address, n, bits)
}

fn take_and_grant(address: usize, n: usize, bits: u32) -> usize {
    let taken: List<Node> = List::new();
    let mut roused = None;
    {
        let bucket = bucket(address).lock();
        // SAFETY: watches of the list are alive.
        let watch = bucket.watches.find(|watch| unsafe { (*watch).address } == address);
        if let Some(watch) = watch {
            // SAFETY: as above.
            roused = Some(unsafe { (*watch).mailbox });
        }
        let wanted = |node: *const Node| {
            // SAFETY: a queued node is alive, and used under the lock.
            let node = unsafe { &*node };
            node.address == address && node.bits & bits != 0
        };
        while taken.len() < n {
            let Some(node) = bucket.queue.find(wanted) else { break };
            // SAFETY: in this queue.
            unsafe { bucket.queue.remove(node) };
            // SAFETY: alive, and ours from here on: see `taken`.
            unsafe { &(*node).taken }.set(true);
            // SAFETY: alive until granted, and now in no other list.
            unsafe { taken.push_back(node) };
        }
    }
    let mut woken = taken.len();
    while let Some(node) = taken.pop_front() {
        // SAFETY: taken, hence alive until it is granted.
        let waiter = unsafe { &(*node).waiter };
        let waiter = *waiter;
        // SAFETY: as above. The node may be gone as soon as this is stored, so nothing comes after it.
        let grant = || unsafe { &(*node).granted }.store(true, Ordering::Release);
        // SAFETY: its thread is in its wait, which it does not leave before the grant.
        if let Some(thread) = unsafe { waiter.release(grant) } {
            thread.wake();
        }
    }
    if let Some(mailbox) = roused {
        mailbox.rouse();
        woken += 1;
    }
    woken
}

/// From now on a [`wake`] of `address` rouses `mailbox`'s worker, if it sleeps. One worker per address.
pub(super) fn watch(address: usize, mailbox: &'static Mailbox) {
    let watch = Box::new(Watch { links: Links::new(), address, mailbox });
    std::mem::forget(Counted::new());
    // SAFETY: the box is freed by `unwatch`, after it was taken off the list; we hold the lock.
    unsafe { bucket(address).lock().watches.push_back(Box::into_raw(watch)) };
}

/// Ends a [`watch`].
pub(super) fn unwatch(address: usize) {
    let watch = {
        let bucket = bucket(address).lock();
        // SAFETY: watches of the list are alive.
        let watch = bucket.watches.find(|watch| unsafe { (*watch).address } == address);
        if let Some(watch) = watch {
            // SAFETY: it is in this list, and we hold the lock.
            unsafe { bucket.watches.remove(watch) };
        }
        watch
    };
    if let Some(watch) = watch {
        // SAFETY: off the list, so it is ours alone; `watch` made it from a box.
        drop(unsafe { Box::from_raw(watch.cast_mut()) });
        drop(Counted);
    }
}

#[cfg(test)]
#[path = "lot_tests.rs"]
mod tests;
