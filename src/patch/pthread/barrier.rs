//! pthread_barrier_wait: a thread of the pool waits in the green thread's place.
//!
//! There is no trying with barriers, and nothing to tell who has come. To a barrier it is all the same which thread
//! comes, so that a stand-in does; as many green threads can wait in barriers at once as the pool has threads.

use libc::{c_int, pthread_barrier_t};

use crate::blocking;
use crate::patch::gate::{self, Group};
use crate::patch::{errno, real};

/// Sent to the pool: its caller waits for the end of the call, and keeps the barrier so long.
struct Barrier(*mut pthread_barrier_t);

// SAFETY: made to be shared.
unsafe impl Send for Barrier {}

impl Barrier {
    /// # Safety
    /// As libc demands.
    unsafe fn wait(self) -> c_int {
        // SAFETY: the caller's duty.
        unsafe { real::pthread_barrier_wait(self.0) }
    }
}

/// pthread_barrier_wait(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    let barrier = Barrier(barrier);
    // SAFETY: the caller's barrier, which it keeps.
    let wait = move || unsafe { barrier.wait() };
    match gate::green(Group::Sync) {
        Some(green) if green.may_switch() => {
            let _errno = errno::keep();
            // OK because nothing interrupts a masked call.
            blocking::offload(wait, true).unwrap_or(libc::EINTR)
        }
        _ => wait(),
    }
}
