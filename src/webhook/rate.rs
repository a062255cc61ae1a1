//! [`Bucket`]: at most so many in a time. The clock is the caller's.
//!
//! A token bucket: it holds `count` tokens, begins full, and fills evenly, `count` in `period`. So after a rest `count` may go at
//! once, and over any longer time it is the rate that counts.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::model::Rate;

#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    tokens: f64,
    /// When they were counted.
    at: Instant,
}

impl Bucket {
    /// A full one. A rate that cannot be, of nothing or in no time, counts as the least that can.
    pub(super) fn new(rate: Rate, now: Instant) -> Bucket {
        let rate =
            Rate { count: rate.count.max(1), period: rate.period.max(Duration::from_nanos(1)) };
        Bucket { rate, tokens: f64::from(rate.count), at: now }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// How many whole tokens there are.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.tokens as usize
    }

    /// Takes at most `wanted` whole tokens; how many it took.
    pub(super) fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let taken = wanted.min(self.available(now));
        self.tokens -= taken as f64;
        taken
    }

    /// Puts back what was taken and not used.
    pub(super) fn put_back(&mut self, tokens: usize) {
        self.tokens = (self.tokens + tokens as f64).min(f64::from(self.rate.count));
    }

    /// When there is a whole token.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        self.fill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        // Rounded up: at that moment there is one, by the same sums.
        let wait = self.rate.period.mul_f64(missing / f64::from(self.rate.count));
        if missing == 0.0 { now } else { now + wait + Duration::from_micros(1) }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let share = passed.as_secs_f64() / self.rate.period.as_secs_f64();
        let count = f64::from(self.rate.count);
        self.tokens = (self.tokens + share * count).min(count);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Duration, Instant, Rate};

    #[test]
    fn it_begins_full_and_fills_evenly() {
        let (rate, now) = (Rate { count: 4, period: Duration::from_secs(2) }, Instant::now());
        let mut bucket = Bucket::new(rate, now);
        assert_eq!(bucket.take(3, now), 3);
        assert_eq!(bucket.take(3, now), 1);
        assert_eq!(bucket.take(3, now), 0);
        let next = bucket.next(now);
        assert_eq!((next - now).as_millis(), 500);
        assert_eq!(bucket.take(9, next), 1);
        assert_eq!(bucket.take(9, next + Duration::from_secs(100)), 4);
    }

    #[test]
    fn over_a_long_time_the_rate_is_what_counts() {
        let (rate, start) = (Rate { count: 7, period: Duration::from_secs(3) }, Instant::now());
        let (mut bucket, mut now, mut taken) = (Bucket::new(rate, start), start, 0);
        while now < start + Duration::from_secs(300) {
            taken += bucket.take(1, now);
            now = bucket.next(now);
        }
        assert!((705..=708).contains(&taken), "{taken}");
    }

    #[test]
    fn what_was_not_used_goes_back() {
        let (rate, now) = (Rate { count: 2, period: Duration::from_secs(1) }, Instant::now());
        let mut bucket = Bucket::new(rate, now);
        assert_eq!(bucket.take(2, now), 2);
        bucket.put_back(1);
        assert_eq!(bucket.take(2, now), 1);
        bucket.put_back(9);
        assert_eq!(bucket.take(9, now), 2, "never more than it holds");
    }

    #[test]
    fn a_clock_that_stands_gives_nothing() {
        let (rate, now) = (Rate { count: 1, period: Duration::from_secs(1) }, Instant::now());
        let mut bucket = Bucket::new(rate, now + Duration::from_secs(5));
        assert_eq!(bucket.take(1, now), 1);
        assert_eq!(bucket.take(1, now), 0);
        assert_eq!(bucket.take(1, now + Duration::from_secs(5)), 0, "it was counted then");
    }
}
