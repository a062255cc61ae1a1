//! The kernel's monotonic clock, read in two ways. The one that `std::time::Instant` has asks the processor; the other is what
//! the last tick left behind (clock_gettime(2)).
//!
//! By libc, which has it of the vDSO. rustix looks for that itself, and not as carefully: under valgrind, which hides it, the
//! process would die of the first look.

/// Nanoseconds since the system was started: now.
pub(crate) fn exact() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// As of the last tick: 1 to 10 ms ago at most. At a sixth of the price.
#[inline]
pub(crate) fn coarse() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time`. It does not fail: every Linux has these clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
