//! pthread_sigmask and sigprocmask: watched, not changed. The gate tells a signal handler from ordinary code by what
//! is blocked, so it has to know what the program itself blocks.

use libc::{c_int, sigset_t};

use super::gate;
use super::real;

/// Tells the gate, on workers.
fn changed(result: c_int) -> c_int {
    if result == 0 {
        gate::mask_changed();
    }
    result
}

/// pthread_sigmask(3).
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    changed(unsafe { real::pthread_sigmask(how, set, old) })
}

/// sigprocmask(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    changed(unsafe { real::sigprocmask(how, set, old) })
}
