//! errno, as the hooks keep it: what the caller sees afterwards is what its own call did.
//!
//! While a green thread is parked, others run on the same OS thread and change errno. So a hook that may switch
//! keeps the value first, and sets the final one last, after the last switch (DESIGN.md section 5, rule 3).

use libc::{c_int, c_long, ssize_t};

fn location() -> *mut c_int {
    // SAFETY: only asks for the address.
    unsafe { libc::__errno_location() }
}

/// The calling OS thread's errno.
#[inline]
pub(super) fn get() -> c_int {
    // SAFETY: glibc returns the address of the calling thread's own errno, never null.
    unsafe { *location() }
}

/// Sets it.
#[inline]
pub(super) fn set(value: c_int) {
    // SAFETY: as in `get`.
    unsafe { *location() = value };
}

/// Where it is.
#[cfg(test)]
pub(super) fn address() -> usize {
    location().addr()
}

/// What a failed call returns.
pub(super) trait Failure {
    /// -1 in the type at hand.
    const FAILED: Self;
}

impl Failure for c_int {
    const FAILED: Self = -1;
}

impl Failure for ssize_t {
    const FAILED: Self = -1;
}

impl Failure for c_long {
    const FAILED: Self = -1;
}

/// errno as it was; put back when dropped, so make it the first thing that a hook does and let it go last.
#[derive(Debug)]
pub(super) struct Kept(c_int);

/// Remembers errno.
#[inline]
pub(super) fn keep() -> Kept {
    Kept(get())
}

impl Kept {
    /// Fails the call: -1, with errno set to `error` when this guard goes.
    #[inline]
    pub(super) fn fail<T: Failure>(mut self, error: c_int) -> T {
        self.0 = error;
        T::FAILED
    }
}

impl Drop for Kept {
    #[inline]
    fn drop(&mut self) {
        set(self.0);
    }
}
