//! The locks of C11's `threads.h`: in glibc they are pthread's under other names, and so they are here.
//!
//! What is not here: `thrd_join` and `thrd_sleep`, which block the worker.

use libc::{c_int, pthread_cond_t, pthread_mutex_t, pthread_once_t, timespec};

use super::{cond, mutex, once};

/// `thrd_success` and its kin, as glibc numbers them.
fn answer(error: c_int) -> c_int {
    match error {
        0 => 0,
        libc::EBUSY => 1,
        libc::ENOMEM => 3,
        libc::ETIMEDOUT => 4,
        _ => 2,
    }
}

/// mtx_lock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mtx_lock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { mutex::pthread_mutex_lock(mutex) })
}

/// mtx_trylock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mtx_trylock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { mutex::pthread_mutex_trylock(mutex) })
}

/// mtx_timedlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mtx_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { mutex::pthread_mutex_timedlock(mutex, until) })
}

/// mtx_unlock(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn mtx_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { mutex::pthread_mutex_unlock(mutex) })
}

/// cnd_wait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn cnd_wait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { cond::pthread_cond_wait(cond, mutex) })
}

/// cnd_timedwait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn cnd_timedwait(
    cond: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { cond::pthread_cond_timedwait(cond, mutex, until) })
}

/// cnd_signal(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn cnd_signal(cond: *mut pthread_cond_t) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { cond::pthread_cond_signal(cond) })
}

/// cnd_broadcast(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn cnd_broadcast(cond: *mut pthread_cond_t) -> c_int {
    // SAFETY: the caller's arguments.
    answer(unsafe { cond::pthread_cond_broadcast(cond) })
}

/// call_once(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn call_once(
    control: *mut pthread_once_t,
    init: Option<unsafe extern "C-unwind" fn()>,
) {
    // SAFETY: the caller's arguments; glibc's `once_flag` is a `pthread_once_t`.
    unsafe { once::pthread_once(control, init) };
}
