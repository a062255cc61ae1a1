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

/// A moment on this clock. Smaller than an `Instant`, and quicker to compare and to count with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than all others: as a deadline, none.
    pub(crate) const NEVER: Moment = Moment(u64::MAX);

    /// How far [`about_now`](Moment::about_now) may be behind: a deadline that is counted from it is that much too early.
    pub(crate) const TICK: Duration = Duration::from_millis(10);

    /// About now: a tick of the kernel (1 to 10 ms) ago at most, never ahead. What is read once per request is read here: it takes
    /// a sixth of the time of `Instant::now`, which asks the processor.
    #[inline]
    pub(crate) fn about_now() -> Moment {
        /// When this clock began, on the kernel's; read later, so that this one is never ahead.
        static START: OnceLock<u64> = OnceLock::new();
        let start = START.get_or_init(|| {
            let ours = now();
            sys::clock::exact() - ours
        });
        Moment(sys::clock::coarse().saturating_sub(*start))
    }

    /// As far as it goes: not beyond [`NEVER`](Moment::NEVER).
    #[inline]
    pub(crate) fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Nanoseconds since the clock's start.
    #[inline]
    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl From<Option<Instant>> for Moment {
    /// A deadline, if there is one.
    fn from(deadline: Option<Instant>) -> Moment {
        deadline.map_or(Moment::NEVER, |at| Moment(nanos(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_now_is_a_tick_ago_at_most_and_never_ahead() {
        for _ in 0..20 {
            let (about, after) = (Moment::about_now(), now());
            assert!(about.as_nanos() <= after, "{} ns ahead", about.as_nanos() - after);
            let earlier = now();
            std::thread::sleep(Duration::from_millis(11));
            assert!(Moment::about_now().as_nanos() >= earlier);
        }
    }
}
