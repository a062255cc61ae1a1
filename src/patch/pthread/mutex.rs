//! pthread_mutex_lock and its kin.
//!
//! A green thread tries, and waits in the lot while somebody else holds the mutex. For recursive and error-checking
//! mutexes the worker knows which of its green threads is the owner (`owners`), as glibc cannot.

use std::time::{Duration, Instant};

use libc::{c_int, clockid_t, pthread_mutex_t, timespec};

use super::layout::View;
use super::time::{Until, monotonic};
use super::{MUTEX, acquire, owners, stuck};
use crate::patch::gate::{self, Green, Group};
use crate::patch::{errno, lot, real};

/// How long a worker is blocked by a mutex that another OS thread holds, before the green thread parks.
///
/// Why at all: allocators (jemalloc) are built on these mutexes. If a green thread parked in the middle of `malloc`,
/// the next one to allocate would find the allocator's state of this OS thread half changed. Such mutexes are held for
/// moments, so that waiting a little makes it all but impossible. Whoever comes while somebody is parked there already
/// does not wait again.
const PATIENCE: Duration = Duration::from_millis(1);
/// For mutexes that are made for such use, as jemalloc's are.
const ADAPTIVE: Duration = Duration::from_millis(20);

/// Locks if that can be had at once; `None` if somebody else has it.
///
/// # Safety
/// `mutex` is valid.
unsafe fn attempt(green: Green, mutex: *mut pthread_mutex_t) -> Option<c_int> {
    // SAFETY: the caller's duty.
    let view = unsafe { View::of(mutex) };
    if !view.knows_owner() {
        // SAFETY: the caller's duty.
        return Some(unsafe { real::pthread_mutex_trylock(mutex) }).filter(|r| *r != libc::EBUSY);
    }
    let address = mutex.addr();
    // Ours: this green thread's, a sibling's, or what this OS thread locked when it ran no green thread.
    let ours = view.is_mine();
    if ours && owners::of(address).is_some_and(|owner| owner != green.fiber.id) {
        return None;
    }
    // SAFETY: the caller's duty.
    match unsafe { real::pthread_mutex_trylock(mutex) } {
        libc::EBUSY if ours => Some(libc::EDEADLK),
        libc::EBUSY => None,
        other => Some(other),
    }
}

/// What a lock of any kind returned: if the mutex is had, that is noted.
///
/// # Safety
/// `mutex` is valid.
unsafe fn locked(green: Green, mutex: *mut pthread_mutex_t, first: bool, result: c_int) -> c_int {
    let had = matches!(result, 0 | libc::EOWNERDEAD);
    // SAFETY: the caller's duty.
    if had && unsafe { View::of(mutex) }.knows_owner() {
        owners::took(mutex.addr(), green.fiber.id, first);
    }
    result
}

/// As pthread_mutex_lock, on a green thread.
///
/// # Safety
/// As libc demands.
pub(super) unsafe fn lock(green: Green, mutex: *mut pthread_mutex_t, until: &Until) -> c_int {
    // SAFETY: the caller's duty.
    let first = !unsafe { View::of(mutex) }.is_mine();
    // SAFETY: the caller's duty.
    let result = match unsafe { attempt(green, mutex) } {
        Some(result) => result,
        // SAFETY: the caller's duty.
        None => unsafe { wait(green, mutex, until) },
    };
    // SAFETY: the caller's duty.
    unsafe { locked(green, mutex, first, result) }
}

/// # Safety
/// As libc demands.
#[cold]
unsafe fn wait(green: Green, mutex: *mut pthread_mutex_t, until: &Until) -> c_int {
    let _kept = errno::keep();
    // SAFETY: the caller's duty.
    let view = unsafe { View::of(mutex) };
    if !green.may_switch() {
        if view.is_mine() {
            return stuck(green, until);
        }
        // SAFETY: the caller's arguments.
        return unsafe { block(mutex, until) };
    }
    if !view.is_mine() && !lot::is_waited_for(mutex.addr()) {
        let patience = if view.is_adaptive() { ADAPTIVE } else { PATIENCE };
        let left = until.instant().map(|at| at.saturating_duration_since(Instant::now()));
        let end = monotonic(left.map_or(patience, |left| left.min(patience)));
        // SAFETY: the caller's mutex, and a time of ours.
        match unsafe { real::pthread_mutex_clocklock(mutex, libc::CLOCK_MONOTONIC, &raw const end) }
        {
            // EINVAL: of a kind that knows the wall clock only.
            libc::ETIMEDOUT | libc::EINVAL => {}
            result => return result,
        }
    }
    // SAFETY: the caller's duty.
    let attempt = || unsafe { attempt(green, mutex) };
    acquire(green, mutex.addr(), MUTEX, until, view.is_shared(), attempt)
}

/// The real call, which blocks the worker.
///
/// # Safety
/// As libc demands.
unsafe fn block(mutex: *mut pthread_mutex_t, until: &Until) -> c_int {
    match until {
        // SAFETY: the caller's duty.
        Until::Never => unsafe { real::pthread_mutex_lock(mutex) },
        Until::At(clock, at) => {
            let at = timespec { tv_sec: at.as_secs() as i64, tv_nsec: at.subsec_nanos().into() };
            // SAFETY: the caller's duty, and a time of ours.
            unsafe { real::pthread_mutex_clocklock(mutex, *clock, &raw const at) }
        }
    }
}

/// As pthread_mutex_unlock, on a green thread.
///
/// # Safety
/// As libc demands.
pub(super) unsafe fn unlock(green: Green, mutex: *mut pthread_mutex_t) -> c_int {
    let address = mutex.addr();
    // SAFETY: the caller's duty.
    let view = unsafe { View::of(mutex) };
    let known = view.knows_owner() && view.is_mine();
    if known && owners::of(address).is_some_and(|owner| owner != green.fiber.id) {
        return libc::EPERM;
    }
    // SAFETY: the caller's duty. The mutex may be gone as soon as this returns, so it is not looked at again.
    let result = unsafe { real::pthread_mutex_unlock(mutex) };
    if result == 0 {
        if known {
            owners::gave(address);
        }
        unlocked(address);
    }
    result
}

/// The mutex that is, or was, at `address` has been unlocked.
#[inline(always)]
fn unlocked(address: usize) {
    if !lot::nobody_since_swap() {
        lot::wake(address, 1, MUTEX);
    }
}

/// pthread_mutex_lock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
    let Some(green) = gate::green(Group::Sync) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::pthread_mutex_lock(mutex) };
    };
    // SAFETY: the caller's arguments.
    unsafe { lock(green, mutex, &Until::Never) }
}

/// pthread_mutex_trylock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int {
    let Some(green) = gate::green(Group::Sync) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::pthread_mutex_trylock(mutex) };
    };
    // SAFETY: the caller's arguments.
    let first = !unsafe { View::of(mutex) }.is_mine();
    // SAFETY: the caller's arguments.
    let result = match unsafe { attempt(green, mutex) } {
        None | Some(libc::EDEADLK) => libc::EBUSY,
        Some(result) => result,
    };
    // SAFETY: the caller's arguments.
    unsafe { locked(green, mutex, first, result) }
}

/// pthread_mutex_timedlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_mutex_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    let Some(green) = gate::green(Group::Sync) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::pthread_mutex_timedlock(mutex, until) };
    };
    // SAFETY: the caller's arguments.
    unsafe { timed(green, mutex, libc::CLOCK_REALTIME, until) }
}

/// pthread_mutex_clocklock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_mutex_clocklock(
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    let Some(green) = gate::green(Group::Sync) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::pthread_mutex_clocklock(mutex, clock, until) };
    };
    // SAFETY: the caller's arguments.
    unsafe { timed(green, mutex, clock, until) }
}

/// # Safety
/// As libc demands of pthread_mutex_clocklock.
unsafe fn timed(
    green: Green,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's duty.
    match unsafe { Until::new(clock, until) } {
        // SAFETY: the caller's duty.
        Ok(until) => unsafe { lock(green, mutex, &until) },
        Err(error) => error,
    }
}

/// pthread_mutex_unlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    if let Some(green) = gate::green(Group::Sync) {
        // SAFETY: the caller's arguments.
        return unsafe { unlock(green, mutex) };
    }
    let address = mutex.addr();
    // SAFETY: the caller's arguments. The mutex may be gone as soon as this returns.
    let result = unsafe { real::pthread_mutex_unlock(mutex) };
    unlocked(address);
    result
}
