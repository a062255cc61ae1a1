//! sem_wait, sem_post and their kin.
//!
//! `sem_post` is the one function of this kind that may be called from a signal handler, at any instruction of the
//! thread that it interrupts: in the middle of the lot, or of the hub. So semaphores have a lot of their own:
//!
//! - its locks are held with all signals blocked, so that no handler ever waits for the thread it interrupted;
//! - waiters are woken through their worker's mailbox, which takes no lock and allocates nothing, even if the worker is
//!   our own;
//! - a waiter leaves its wait under the lock only. So the waker need not keep it alive, and frees nothing.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use libc::{c_int, clockid_t, sem_t, timespec};

use super::time::Until;
use super::{Pauses, layout};
use crate::fiber::Fiber;
use crate::list::{Linked, Links, List};
use crate::patch::gate::{self, Green, Group};
use crate::patch::pins::{self, PinKind};
use crate::patch::raw::syscall;
use crate::patch::{errno, real, tls};
use crate::sys::Lock;

/// A waiting green thread; lives on its stack, in the frame of `wait`.
struct Node {
    links: Links<Node>,
    address: usize,
    fiber: *const Fiber,
    /// Set by the waker that has taken the node off the queue.
    woken: Cell<bool>,
}

// SAFETY: one field.
unsafe impl Linked<()> for Node {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

struct Queue(List<Node>);

// SAFETY: holds pointers to nodes of green threads that wait until they are taken off; used under the lock only.
unsafe impl Send for Queue {}

const BUCKETS: usize = 32;

static TABLE: [Lock<Queue>; BUCKETS] = [const { Lock::new(Queue(List::new())) }; BUCKETS];

/// How many green threads wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Counted {
    fn new() -> Counted {
        WAITING.fetch_add(1, Ordering::SeqCst);
        // Before the look at the semaphore. Pairs with the one in `posted`.
        fence(Ordering::SeqCst);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `f` on the queue of `address`, under its lock, with all signals blocked.
fn with<R>(address: usize, f: impl FnOnce(&List<Node>) -> R) -> R {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            mask(&raw const self.0, std::ptr::null_mut());
        }
    }
    fn mask(new: *const u64, old: *mut u64) {
        // SAFETY: reads and writes 8 bytes where these point to, which are ours. The kernel itself, not the hook.
        let _: c_int = unsafe {
            syscall!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new.addr(), old.addr(), 8)
        };
    }
    let mut before = 0_u64;
    mask(&u64::MAX, &raw mut before);
    let _restore = Restore(before);
    let table = &TABLE[address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40 & (BUCKETS - 1)];
    // Dropped before the signals are let in again.
    let queue = table.lock();
    f(&queue.0)
}

/// Wakes one of those who wait at `address`. From anywhere, signal handlers included.
#[cold]
fn wake(address: usize) {
    with(address, |queue| {
        // SAFETY: a queued node is alive, and used under the lock.
        let Some(node) = queue.find(|node| unsafe { (*node).address } == address) else { return };
        // SAFETY: in this queue.
        unsafe { queue.remove(node) };
        // SAFETY: alive: its owner leaves under the lock only.
        unsafe { &(*node).woken }.set(true);
        // SAFETY: as above.
        let fiber = unsafe { &(*node).fiber };
        // SAFETY: the record of the green thread in whose frame the node is, hence alive too.
        let fiber = unsafe { Arc::from_raw(*fiber) };
        // The count is its worker's, and stays with it.
        let fiber = ManuallyDrop::new(fiber);
        if let Some(home) = fiber.home() {
            home.post(&fiber);
        }
    });
}

/// Waits until it has the semaphore; 0, or an error number.
///
/// # Safety
/// As libc demands of sem_clockwait.
unsafe fn wait(green: Green, sem: *mut sem_t, until: &Until) -> c_int {
    // SAFETY: the caller's duty.
    let mut pauses = Pauses::new(unsafe { layout::is_shared_sem(sem) });
    // SAFETY: the caller's duty.
    let attempt = || unsafe { real::sem_trywait(sem) } == 0;
    let _counted = Counted::new();
    let address = sem.addr();
    loop {
        let node =
            Node { links: Links::new(), address, fiber: green.fiber, woken: Cell::new(false) };
        let had = with(address, |queue| {
            let had = attempt();
            if !had {
                // SAFETY: it leaves the queue below, before this frame goes; we hold the lock.
                unsafe { queue.push_back(&node) };
            }
            had
        });
        if had {
            return 0;
        }
        let end = pauses.end(until.instant());
        loop {
            let ended = green.park_masked(end).is_err();
            let gone = with(address, |queue| {
                // SAFETY: in this queue unless it was taken off; we hold the lock.
                node.woken.get() || (ended && unsafe { queue.remove(&node) })
            });
            if gone {
                break;
            }
        }
        if until.has_passed() {
            // What was posted this moment is not left lying.
            return if attempt() { 0 } else { libc::ETIMEDOUT };
        }
    }
}

/// The waiting that all have in common; `None` if the real call is to be made.
///
/// # Safety
/// As libc demands of sem_wait.
#[inline]
unsafe fn lock(sem: *mut sem_t, until: impl FnOnce() -> Result<Until, c_int>) -> Option<c_int> {
    let green = gate::green(Group::Sync)?;
    let kept = errno::keep();
    // SAFETY: the caller's duty.
    if unsafe { real::sem_trywait(sem) } == 0 {
        return Some(0);
    }
    if tls::contains(sem.addr()) {
        // The OS thread's own: whoever posts means this OS thread, and one wait at a time.
        pins::count(PinKind::ThreadLocal);
        return None;
    }
    if !green.may_switch() {
        return None;
    }
    Some(match until() {
        // SAFETY: the caller's duty.
        Ok(until) => match unsafe { wait(green, sem, &until) } {
            0 => 0,
            error => kept.fail(error),
        },
        Err(error) => kept.fail(error),
    })
}

/// sem_wait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sem_wait(sem: *mut sem_t) -> c_int {
    // SAFETY: the caller's arguments.
    let green = unsafe { lock(sem, || Ok(Until::Never)) };
    // SAFETY: the caller's arguments.
    green.unwrap_or_else(|| unsafe { real::sem_wait(sem) })
}

/// sem_timedwait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sem_timedwait(sem: *mut sem_t, until: *const timespec) -> c_int {
    // SAFETY: the caller's arguments.
    let end = || unsafe { Until::new(libc::CLOCK_REALTIME, until) };
    // SAFETY: the caller's arguments.
    let green = unsafe { lock(sem, end) };
    // SAFETY: the caller's arguments.
    green.unwrap_or_else(|| unsafe { real::sem_timedwait(sem, until) })
}

/// sem_clockwait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sem_clockwait(
    sem: *mut sem_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    let end = || unsafe { Until::new(clock, until) };
    // SAFETY: the caller's arguments.
    let green = unsafe { lock(sem, end) };
    // SAFETY: the caller's arguments.
    green.unwrap_or_else(|| unsafe { real::sem_clockwait(sem, clock, until) })
}

/// sem_post(3). From anywhere, signal handlers included.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sem_post(sem: *mut sem_t) -> c_int {
    let address = sem.addr();
    // SAFETY: the caller's arguments. The semaphore may be gone as soon as this returns.
    let result = unsafe { real::sem_post(sem) };
    // After the post, which is a full fence on x86. Pairs with the one in `Counted::new`.
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
    if WAITING.load(Ordering::SeqCst) != 0 && gate::installed(Group::Sync) {
        wake(address);
    }
    result
}
