//! The clock of the deadlines: nanoseconds since the process first asked.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
