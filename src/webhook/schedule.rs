//! [`Schedule`]: when a delivery that failed is tried again. A table and sums; the clock and the dice are the caller's.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long to wait after each failed attempt. The first attempt is made at once; there is one more than there are waits.
///
/// The default is the one that Standard Webhooks gives as an example: ten attempts, after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
/// 20 h and 24 h, so three days in all. Each wait is up to 20 % shorter or longer, by chance, so that what failed together is not
/// tried together again.
///
/// `Retry-After` makes a wait longer, never shorter, and by no more than one hour, unless the wait was longer than that anyway: what
/// is asked for is asked by a server in trouble, and often a guess; that the schedule ends in time is a promise to the publisher.
///
/// ```
/// use std::time::Duration;
/// use sward::webhook::Schedule;
///
/// let twice_more = Schedule::new([Duration::from_secs(1), Duration::from_secs(60)]);
/// assert_eq!(twice_more.attempts(), 3);
/// assert_eq!(Schedule::default().attempts(), 10);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    waits: Arc<[Duration]>,
    jitter: f64,
    longest_asked: Duration,
}

impl Schedule {
    /// These waits, each after one more failed attempt; without any, there is one attempt.
    #[must_use]
    pub fn new(waits: impl Into<Vec<Duration>>) -> Schedule {
        Schedule { waits: waits.into().into(), jitter: 0.2, longest_asked: HOUR }
    }

    /// By which share each wait may be shorter or longer. 0.2; at most 1.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Schedule {
        self.jitter = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self
    }

    /// How long a wait may become because a receiver asks for it. One hour.
    #[must_use]
    pub fn longest_retry_after(mut self, longest: Duration) -> Schedule {
        self.longest_asked = longest;
        self
    }

    /// How many attempts there are in all.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.waits.len() + 1
    }

    /// How long to wait after `made` attempts, of which the last failed and was answered with `Retry-After: asked`; none: there is no
    /// attempt left. `chance` is from 0 to 1.
    pub(super) fn wait(&self, made: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        let at = usize::try_from(made).ok()?.checked_sub(1)?;
        let share = 1.0 + self.jitter * (2.0 * chance - 1.0);
        let wait = self.waits.get(at)?.mul_f64(share);
        Some(wait.max(asked.unwrap_or_default().min(self.longest_asked)))
    }

    /// As long as a receiver may ask to be left in peace.
    pub(super) fn longest_pause(&self) -> Duration {
        self.longest_asked
    }
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::new([
            Duration::from_secs(5),
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, HOUR, MINUTE, Schedule};

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_default_is_the_specs_example() {
        let schedule = Schedule::default();
        let waits = (1..).map_while(|made| schedule.wait(made, None, 0.5));
        assert_eq!(waits.sum::<Duration>(), 75 * HOUR + 35 * MINUTE + s(5));
        assert_eq!(schedule.wait(9, None, 0.5), Some(24 * HOUR));
        assert_eq!(schedule.wait(10, None, 0.5), None);
        assert_eq!(schedule.wait(u32::MAX, None, 0.5), None);
    }

    #[test]
    fn chance_moves_a_wait_by_a_fifth_at_most() {
        let schedule = Schedule::new([s(100)]);
        assert_eq!(schedule.wait(1, None, 0.0), Some(s(80)));
        assert_eq!(schedule.wait(1, None, 1.0), Some(s(120)));
        let none = schedule.jitter(0.0);
        assert_eq!(none.wait(1, None, 0.0), none.wait(1, None, 1.0));
    }

    #[test]
    fn retry_after_makes_it_longer_up_to_a_cap() {
        let schedule = Schedule::new([s(10), 2 * HOUR]);
        let wait = |made, asked| schedule.wait(made, Some(asked), 0.5);
        assert_eq!(wait(1, s(3)), Some(s(10)), "never sooner");
        assert_eq!(wait(1, s(70)), Some(s(70)));
        assert_eq!(wait(1, 100 * HOUR), Some(HOUR), "no later than the cap");
        assert_eq!(wait(1, Duration::MAX), Some(HOUR));
        assert_eq!(wait(2, 100 * HOUR), Some(2 * HOUR), "the cap makes nothing shorter");
        assert_eq!(wait(3, s(1)), None, "and gives no further attempt");
    }
}
