//! The times at which pthread's timed waits end: on a clock that the caller chose.

use std::time::{Duration, Instant};

use libc::{c_int, clockid_t, timespec};

/// When a wait ends.
pub(super) enum Until {
    Never,
    /// On this clock.
    At(clockid_t, Duration),
}

impl Until {
    /// `at` on `clock`; EINVAL for a time that is none, or a clock that pthread does not allow.
    ///
    /// # Safety
    /// `at` is valid.
    pub(super) unsafe fn new(clock: clockid_t, at: *const timespec) -> Result<Until, c_int> {
        if clock != libc::CLOCK_REALTIME && clock != libc::CLOCK_MONOTONIC {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller's duty.
        let at = unsafe { at.read() };
        let nanos = u32::try_from(at.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000);
        let nanos = nanos.ok_or(libc::EINVAL)?;
        // Before the clock's beginning is long ago.
        let at = u64::try_from(at.tv_sec).map_or(Duration::ZERO, |s| Duration::new(s, nanos));
        Ok(Until::At(clock, at))
    }

    /// On our clock. The wall clock may be set meanwhile: ask [`has_passed`](Self::has_passed) afterwards.
    pub(super) fn instant(&self) -> Option<Instant> {
        match self {
            Until::Never => None,
            Until::At(clock, at) => Instant::now().checked_add(at.saturating_sub(now(*clock))),
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        match self {
            Until::Never => false,
            Until::At(clock, at) => now(*clock) >= *at,
        }
    }
}

fn now(clock: clockid_t) -> Duration {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes `now`.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec as u32)
}

/// `wait` from now, on the monotonic clock, as the kernel wants it.
pub(super) fn monotonic(wait: Duration) -> timespec {
    let at = now(libc::CLOCK_MONOTONIC).saturating_add(wait);
    timespec { tv_sec: at.as_secs() as i64, tv_nsec: at.subsec_nanos().into() }
}
