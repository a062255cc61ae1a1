//! system(3) and pclose(3), which wait for a child process inside libc: a thread of the pool makes the call.
//!
//! popen(3) only starts one, and is not here.

use std::ffi::CStr;

use libc::{c_char, c_int};

use super::gate::{self, Green, Group};
use super::{errno, pool, real};

/// system(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn system(command: *const c_char) -> c_int {
    let green = gate::green(Group::Process).filter(|_| !command.is_null());
    let Some(green) = green.filter(|green| green.may_switch()) else {
        // SAFETY: the caller's argument.
        return unsafe { real::system(command) };
    };
    // SAFETY: a C string, by the caller's promise.
    let command = unsafe { CStr::from_ptr(command) }.to_owned();
    // SAFETY: a C string of our own.
    elsewhere(green, move || unsafe { real::system(command.as_ptr()) })
}

/// Carries a pointer to the pool.
struct Stream(*mut libc::FILE);

// SAFETY: a FILE may be used from any thread.
unsafe impl Send for Stream {}

/// pclose(3). The stream is gone in any case, even if the wait for its process is cut short.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pclose(stream: *mut libc::FILE) -> c_int {
    let Some(green) = gate::green(Group::Process).filter(|green| green.may_switch()) else {
        // SAFETY: the caller's argument.
        return unsafe { real::pclose(stream) };
    };
    let stream = Stream(stream);
    elsewhere(green, move || {
        let Stream(stream) = { stream };
        // SAFETY: the caller's argument.
        unsafe { real::pclose(stream) }
    })
}

/// Makes `call` on the pool and brings its result and errno back.
fn elsewhere(green: Green, call: impl FnOnce() -> c_int + Send + 'static) -> c_int {
    let kept = errno::keep();
    match pool::call(green, call) {
        Ok((-1, error)) => kept.fail(error),
        Ok((result, _)) => result,
        Err(stop) => kept.fail(stop.errno()),
    }
}
