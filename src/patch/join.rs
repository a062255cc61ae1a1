//! pthread_join(3) and its kin with a time limit: std's `JoinHandle::join`, and C's.
//!
//! A thread's end cannot be parked on, so the pool joins it: as many at a time as it has threads. Nothing cuts that short: these functions have no error
//! to say so, and the thread may be borrowing from the caller's frame.

use std::ptr;

use libc::{c_int, c_void, clockid_t, pthread_t, timespec};

use super::gate::{self, Group};
use super::{errno, real};
use crate::blocking;

/// Sent to the pool and back: an opaque word, and a pointer that nobody follows there.
struct Ended(c_int, *mut c_void);

// SAFETY: only carried.
unsafe impl Send for Ended {}

/// Joins `thread` by `join` on the pool, or here if the caller is no green thread, or if it has ended already.
///
/// # Safety
/// `thread` may be joined, and `result` is null or may be written.
unsafe fn join_by(
    thread: pthread_t,
    result: *mut *mut c_void,
    join: impl FnOnce(*mut *mut c_void) -> c_int + Send + 'static,
) -> c_int {
    let Some(green) = gate::green(Group::Process) else { return join(result) };
    let _errno = errno::keep();
    // SAFETY: the caller's arguments.
    let ended = unsafe { real::pthread_tryjoin_np(thread, result) };
    // SAFETY: takes nothing.
    let me = unsafe { libc::pthread_self() };
    // Joining oneself is an error only on the thread itself.
    if ended != libc::EBUSY || thread == me || !green.may_switch() {
        return if ended == libc::EBUSY { join(result) } else { ended };
    }
    let joined = blocking::offload(
        move || {
            let mut value = ptr::null_mut();
            let error = join(&raw mut value);
            Ended(error, value)
        },
        true,
    );
    // OK because nothing interrupts a masked call.
    let Ended(error, value) = joined.unwrap_or(Ended(libc::EINTR, ptr::null_mut()));
    if error == 0 && !result.is_null() {
        // SAFETY: the caller's, to be written.
        unsafe { result.write(value) };
    }
    error
}

/// pthread_join(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
    // SAFETY: the caller's arguments.
    let join = move |result| unsafe { real::pthread_join(thread, result) };
    // SAFETY: the caller's arguments.
    unsafe { join_by(thread, result, join) }
}

/// pthread_timedjoin_np(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_timedjoin_np(
    thread: pthread_t,
    result: *mut *mut c_void,
    until: *const timespec,
) -> c_int {
    // SAFETY: null, or the caller's time.
    let until = unsafe { until.as_ref() }.copied();
    // SAFETY: the caller's arguments.
    let join = move |result| unsafe {
        real::pthread_timedjoin_np(
            thread,
            result,
            until.as_ref().map_or(ptr::null(), ptr::from_ref),
        )
    };
    // SAFETY: the caller's arguments.
    unsafe { join_by(thread, result, join) }
}

/// pthread_clockjoin_np(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_clockjoin_np(
    thread: pthread_t,
    result: *mut *mut c_void,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    // SAFETY: null, or the caller's time.
    let until = unsafe { until.as_ref() }.copied();
    // SAFETY: the caller's arguments.
    let join = move |result| unsafe {
        let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
        real::pthread_clockjoin_np(thread, result, clock, until)
    };
    // SAFETY: the caller's arguments.
    unsafe { join_by(thread, result, join) }
}
