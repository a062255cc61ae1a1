//! pthread_cond_wait and its kin.
//!
//! Green threads wait in the lot, OS threads in glibc, so a signal goes to one of each: POSIX allows a wait to end for
//! no reason. In order: queue up, unlock the mutex, park; so whoever signals after it has locked the mutex finds us.

use libc::{c_int, clockid_t, pthread_cond_t, pthread_mutex_t, timespec};

use super::time::Until;
use super::{COND, Pauses, layout, mutex};
use crate::patch::gate::{self, Green, Group};
use crate::patch::lot::{self, Slept};
use crate::patch::pins::{self, PinKind};
use crate::patch::{errno, real, tls};

/// Whether the caller may wait for it in the lot. If not, that is counted, and the real call is made.
fn may_park(green: Green, cond: *mut pthread_cond_t) -> bool {
    if tls::contains(cond.addr()) {
        // The OS thread's own: whoever signals it means this OS thread, and one wait at a time.
        pins::count(PinKind::ThreadLocal);
        return false;
    }
    green.may_switch()
}

/// # Safety
/// As libc demands of pthread_cond_wait.
unsafe fn wait(
    green: Green,
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: &Until,
) -> c_int {
    let _kept = errno::keep();
    // SAFETY: the caller's duty.
    let shared = unsafe { layout::is_shared_cond(cond) };
    // Another process cannot find us here: we return for no reason now and then.
    let end = if shared { Pauses::new(true).end(until.instant()) } else { until.instant() };
    let mut error = 0;
    let slept = lot::sleep_after(
        green,
        cond.addr(),
        COND,
        end,
        || true,
        || {
            // SAFETY: the caller's duty.
            error = unsafe { mutex::unlock(green, mutex) };
            error == 0
        },
    );
    if error != 0 {
        return error;
    }
    // SAFETY: the caller's duty.
    let locked = unsafe { mutex::lock(green, mutex, &Until::Never) };
    if locked == 0 && slept != Slept::Woken && until.has_passed() {
        return libc::ETIMEDOUT;
    }
    locked
}

/// # Safety
/// As libc demands of pthread_cond_clockwait.
unsafe fn timed(
    green: Green,
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's duty.
    match unsafe { Until::new(clock, until) } {
        // SAFETY: the caller's duty.
        Ok(until) => unsafe { wait(green, cond, mutex, &until) },
        Err(error) => error,
    }
}

/// pthread_cond_wait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_cond_wait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    match gate::green(Group::Sync) {
        Some(green) if may_park(green, cond) => {
            // SAFETY: the caller's arguments.
            unsafe { wait(green, cond, mutex, &Until::Never) }
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::pthread_cond_wait(cond, mutex) },
    }
}

/// pthread_cond_timedwait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_cond_timedwait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    match gate::green(Group::Sync) {
        Some(green) if may_park(green, cond) => {
            // SAFETY: the caller's arguments.
            let monotonic = unsafe { layout::is_monotonic(cond) };
            let clock = if monotonic { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
            // SAFETY: the caller's arguments.
            unsafe { timed(green, cond, mutex, clock, until) }
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::pthread_cond_timedwait(cond, mutex, until) },
    }
}

/// pthread_cond_clockwait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_cond_clockwait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    match gate::green(Group::Sync) {
        Some(green) if may_park(green, cond) => {
            // SAFETY: the caller's arguments.
            unsafe { timed(green, cond, mutex, clock, until) }
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::pthread_cond_clockwait(cond, mutex, clock, until) },
    }
}

/// pthread_cond_signal(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_cond_signal(cond: *mut pthread_cond_t) -> c_int {
    // SAFETY: the caller's arguments.
    let result = unsafe { real::pthread_cond_signal(cond) };
    // The change was made under the mutex, hence after a swap.
    if !lot::nobody_since_swap() {
        lot::wake(cond.addr(), 1, COND);
    }
    result
}

/// pthread_cond_broadcast(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_cond_broadcast(cond: *mut pthread_cond_t) -> c_int {
    // SAFETY: the caller's arguments.
    let result = unsafe { real::pthread_cond_broadcast(cond) };
    if !lot::nobody_since_swap() {
        lot::wake(cond.addr(), usize::MAX, COND);
    }
    result
}
