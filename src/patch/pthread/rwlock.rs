//! pthread_rwlock_rdlock, pthread_rwlock_wrlock and their kin.
//!
//! Green threads only use the try-variants: the real ones answer EDEADLK by the OS thread's id, by which all green
//! threads of a worker are one. A lock that prefers writers does not see those that wait in the lot; they are woken in
//! turn all the same.

use libc::{c_int, clockid_t, pthread_rwlock_t, timespec};

use super::time::Until;
use super::{READER, WRITER, acquire, layout};
use crate::patch::gate::{self, Green, Group};
use crate::patch::{errno, lot, real};

type Try = unsafe fn(*mut pthread_rwlock_t) -> c_int;

/// Locks by `attempt`; `None` if the caller may not be suspended, and the real call is to be made.
///
/// # Safety
/// As libc demands.
#[inline]
unsafe fn lock(
    green: Green,
    lock: *mut pthread_rwlock_t,
    bits: u32,
    attempt: Try,
    until: impl FnOnce() -> Result<Until, c_int>,
) -> Option<c_int> {
    // EAGAIN: there are as many readers as can be counted.
    let attempt =
        // SAFETY: the caller's duty.
        || Some(unsafe { attempt(lock) }).filter(|r| !matches!(*r, libc::EBUSY | libc::EAGAIN));
    if let Some(result) = attempt() {
        return Some(result);
    }
    let _kept = errno::keep();
    if !green.may_switch() {
        return None;
    }
    // SAFETY: the caller's duty.
    let shared = unsafe { layout::is_shared_rwlock(lock) };
    Some(match until() {
        Ok(until) => acquire(green, lock.addr(), bits, &until, shared, attempt),
        Err(error) => error,
    })
}

/// pthread_rwlock_rdlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_rdlock(it: *mut pthread_rwlock_t) -> c_int {
    let green = gate::green(Group::Sync).and_then(|green| {
        // SAFETY: the caller's arguments.
        unsafe { lock(green, it, READER, real::pthread_rwlock_tryrdlock, || Ok(Until::Never)) }
    });
    // SAFETY: the caller's arguments.
    green.unwrap_or_else(|| unsafe { real::pthread_rwlock_rdlock(it) })
}

/// pthread_rwlock_wrlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_wrlock(it: *mut pthread_rwlock_t) -> c_int {
    let green = gate::green(Group::Sync).and_then(|green| {
        // SAFETY: the caller's arguments.
        unsafe { lock(green, it, WRITER, real::pthread_rwlock_trywrlock, || Ok(Until::Never)) }
    });
    // SAFETY: the caller's arguments.
    green.unwrap_or_else(|| unsafe { real::pthread_rwlock_wrlock(it) })
}

/// # Safety
/// As libc demands of pthread_rwlock_clockrdlock and pthread_rwlock_clockwrlock.
unsafe fn timed(
    it: *mut pthread_rwlock_t,
    bits: u32,
    attempt: Try,
    clock: clockid_t,
    until: *const timespec,
) -> Option<c_int> {
    let green = gate::green(Group::Sync)?;
    // SAFETY: the caller's duty.
    let until = || unsafe { Until::new(clock, until) };
    // SAFETY: the caller's duty.
    unsafe { lock(green, it, bits, attempt, until) }
}

/// pthread_rwlock_timedrdlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_timedrdlock(
    it: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    let clock = libc::CLOCK_REALTIME;
    // SAFETY: the caller's arguments.
    unsafe { timed(it, READER, real::pthread_rwlock_tryrdlock, clock, until) }
        // SAFETY: as above.
        .unwrap_or_else(|| unsafe { real::pthread_rwlock_timedrdlock(it, until) })
}

/// pthread_rwlock_timedwrlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_timedwrlock(
    it: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    let clock = libc::CLOCK_REALTIME;
    // SAFETY: the caller's arguments.
    unsafe { timed(it, WRITER, real::pthread_rwlock_trywrlock, clock, until) }
        // SAFETY: as above.
        .unwrap_or_else(|| unsafe { real::pthread_rwlock_timedwrlock(it, until) })
}

/// pthread_rwlock_clockrdlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_clockrdlock(
    it: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { timed(it, READER, real::pthread_rwlock_tryrdlock, clock, until) }
        // SAFETY: as above.
        .unwrap_or_else(|| unsafe { real::pthread_rwlock_clockrdlock(it, clock, until) })
}

/// pthread_rwlock_clockwrlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_clockwrlock(
    it: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { timed(it, WRITER, real::pthread_rwlock_trywrlock, clock, until) }
        // SAFETY: as above.
        .unwrap_or_else(|| unsafe { real::pthread_rwlock_clockwrlock(it, clock, until) })
}

/// pthread_rwlock_unlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_rwlock_unlock(it: *mut pthread_rwlock_t) -> c_int {
    let address = it.addr();
    // SAFETY: the caller's arguments. The lock may be gone as soon as this returns.
    let result = unsafe { real::pthread_rwlock_unlock(it) };
    if !lot::nobody_since_swap() {
        wake(address);
    }
    result
}

/// Wakes whose turn it is: a writer, or all readers.
#[cold]
fn wake(address: usize) {
    // Again if whoever it was has left meanwhile: somebody must look at a lock that is free.
    while let Some(bits) = lot::oldest(address) {
        let n = if bits & WRITER != 0 { 1 } else { usize::MAX };
        if lot::wake(address, n, bits) > 0 {
            return;
        }
    }
}
