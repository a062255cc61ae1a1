//! pthread_sigmask, sigprocmask, sigaction and signal: watched, not changed. The gate tells a signal handler from ordinary
//! code by what is blocked, so it has to know what the program itself blocks; and as long as the program has no handlers
//! it need not look at all, which saves a system call in every wait.
//!
//! Handlers that are installed past libc are not seen; sward's own and those of faults do not count: the former only
//! ring a bell, and a fault's handler does not come back to code that waits.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, sighandler_t, sigset_t};

use super::gate;
use super::real;

/// Whether the program has handled a signal, ever.
static HANDLERS: AtomicBool = AtomicBool::new(cfg!(target_feature = "crt-static"));

/// Whether a signal handler of the program's may be running.
#[inline]
pub(super) fn may_be_handled() -> bool {
    HANDLERS.load(Ordering::Relaxed)
}

fn note(signal: c_int, handler: sighandler_t) {
    let fault = matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE);
    let handled = !matches!(handler, libc::SIG_DFL | libc::SIG_IGN | libc::SIG_ERR);
    if handled && !fault && !crate::sys::signal::is_own(handler) {
        HANDLERS.store(true, Ordering::SeqCst);
    }
}

/// Looks at what was installed before anybody watched. At the installation of the patch.
#[cfg(not(target_feature = "crt-static"))]
pub(super) fn look() {
    for signal in 1..=64 {
        // SAFETY: all zeroes are a valid action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only, and writes to `action`.
        if unsafe { real::sigaction(signal, std::ptr::null(), &raw mut action) } == 0 {
            note(signal, action.sa_sigaction);
        }
    }
}

#[cfg(target_feature = "crt-static")]
pub(super) fn look() {}

/// sigaction(2).
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigaction(
    signal: c_int,
    action: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: null, or the caller's action.
    if let Some(action) = unsafe { action.as_ref() } {
        note(signal, action.sa_sigaction);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::sigaction(signal, action, old) }
}

/// signal(2).
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    note(signal, handler);
    // SAFETY: the caller's arguments.
    unsafe { real::signal(signal, handler) }
}

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
