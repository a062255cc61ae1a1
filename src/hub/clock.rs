//! The clock of the deadlines: nanoseconds since the process first asked.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::sys;

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Now, on this clock.
#[inline]
pub(crate) fn now() -> u64 {
    nanos(Instant::now())
}

/// `instant` on this clock; what lies before its start is 0, what lies 584 years ahead is the end of time.
#[inline]
pub(crate) fn nanos(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(start());
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
}

/// How long it is from now until `when`.
pub(crate) fn until(when: u64) -> Duration {
    Duration::from_nanos(when.saturating_sub(now()))
}

/// About now: a tick of the kernel (1 to 10 ms) ago at most, never ahead. What is read once per request is read here: it takes
/// a sixth of the time of `Instant::now`, which asks the processor.
#[inline]
pub(crate) fn about_now() -> Instant {
    /// The same moment on both clocks; the second is read later.
    static START: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (instant, at) = START.get_or_init(|| (Instant::now(), sys::clock::exact()));
    *instant + sys::clock::coarse().saturating_sub(*at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_now_is_a_tick_ago_at_most_and_never_ahead() {
        for _ in 0..20 {
            let (about, now) = (about_now(), Instant::now());
            assert!(about <= now, "{:?} ahead", about - now);
            let earlier = Instant::now();
            std::thread::sleep(Duration::from_millis(11));
            assert!(about_now() >= earlier);
        }
    }
}
