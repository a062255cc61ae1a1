//! [`Breaker`]: whether an endpoint is left in peace because too much of what it gets fails. The clock is the caller's.
//!
//! ```text
//!   closed ---- too many of the window failed ----> open, for a pause
//!     ^                                              |        ^
//!     |                                    the pause is over  | it fails: the pause is twice as long
//!     |                                              v        |
//!     +--------------- it succeeds ------------- half open: one attempt
//! ```
//!
//! What is held back keeps its place in the store and uses up no attempt. What this is not: what disables an endpoint, which is
//! the dispatcher's business.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When an endpoint's deliveries are held back because they fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaking {
    /// What is looked at: attempts that ended within this time. 5 min.
    pub window: Duration,
    /// Fewer attempts than this in the window prove nothing. 10.
    pub requests: u32,
    /// This share of them, or more, must have failed. 0.7.
    pub share: f64,
    /// So long nothing is attempted; then one attempt. 30 s.
    pub pause: Duration,
    /// Each failure of that one makes the pause twice as long, up to this. 10 min.
    pub longest_pause: Duration,
}

impl Default for Breaking {
    fn default() -> Breaking {
        let secs = Duration::from_secs;
        Breaking {
            window: secs(300),
            requests: 10,
            share: 0.7,
            pause: secs(30),
            longest_pause: secs(600),
        }
    }
}

/// The window is counted in so many slices, and forgotten by the slice.
const SLICES: u32 = 10;

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Oldest first; no more than `SLICES`.
    window: VecDeque<Slice>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    /// After a pause of this length.
    HalfOpen {
        pause: Duration,
    },
}

#[derive(Debug)]
struct Slice {
    began: Instant,
    requests: u32,
    failures: u32,
}

/// How many may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lets {
    /// As many as other limits allow.
    All,
    /// One, to see.
    One,
    /// None before this.
    NoneUntil(Instant),
}

impl Breaker {
    pub(super) fn new() -> Breaker {
        Breaker { state: State::Closed, window: VecDeque::new() }
    }

    pub(super) fn lets(&mut self, now: Instant) -> Lets {
        if let State::Open { until, pause } = self.state {
            if now < until {
                return Lets::NoneUntil(until);
            }
            self.state = State::HalfOpen { pause };
        }
        if self.state == State::Closed { Lets::All } else { Lets::One }
    }

    /// An attempt has ended.
    pub(super) fn record(&mut self, by: &Breaking, now: Instant, failed: bool) {
        match (self.state, failed) {
            // Of attempts that began before it opened.
            (State::Open { .. }, _) => {}
            (State::HalfOpen { .. }, false) => *self = Breaker::new(),
            (State::HalfOpen { pause }, true) => {
                self.open(now, pause.saturating_mul(2).min(by.longest_pause));
            }
            (State::Closed, _) => {
                self.count(by, now, failed);
                if failed && self.is_too_much(by) {
                    self.open(now, by.pause);
                }
            }
        }
    }

    /// `closed`, `open` or `half_open`.
    pub(super) fn name(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
        }
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_blank(&self, by: &Breaking, now: Instant) -> bool {
        let old = |slice: &Slice| now.saturating_duration_since(slice.began) > by.window;
        self.state == State::Closed && self.window.back().is_none_or(old)
    }

    fn open(&mut self, now: Instant, pause: Duration) {
        self.state = State::Open { until: now + pause, pause };
        self.window.clear();
    }

    fn count(&mut self, by: &Breaking, now: Instant, failed: bool) {
        let age = |slice: &Slice| now.saturating_duration_since(slice.began);
        while self.window.front().is_some_and(|slice| age(slice) > by.window) {
            self.window.pop_front();
        }
        if self.window.back().is_none_or(|slice| age(slice) >= by.window / SLICES) {
            self.window.push_back(Slice { began: now, requests: 0, failures: 0 });
        }
        if let Some(slice) = self.window.back_mut() {
            slice.requests = slice.requests.saturating_add(1);
            slice.failures = slice.failures.saturating_add(u32::from(failed));
        }
    }

    fn is_too_much(&self, by: &Breaking) -> bool {
        let sum = |of: fn(&Slice) -> u32| self.window.iter().map(of).map(u64::from).sum::<u64>();
        let (requests, failures) = (sum(|slice| slice.requests), sum(|slice| slice.failures));
        requests >= u64::from(by.requests.max(1)) && failures as f64 >= requests as f64 * by.share
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, Breaking, Duration, Instant, Lets};

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn opened(by: &Breaking, now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..by.requests {
            breaker.record(by, now, true);
        }
        breaker
    }

    #[test]
    fn few_failures_prove_nothing() {
        let (by, now) = (Breaking::default(), Instant::now());
        let mut breaker = Breaker::new();
        for _ in 1..by.requests {
            breaker.record(&by, now, true);
        }
        assert_eq!(breaker.lets(now), Lets::All);
        breaker.record(&by, now, true);
        assert_eq!(breaker.lets(now), Lets::NoneUntil(now + by.pause));
    }

    #[test]
    fn the_share_decides() {
        let (by, now) = (Breaking::default(), Instant::now());
        let mut breaker = Breaker::new();
        for n in 0..1000 {
            breaker.record(&by, now, n % 3 > 0); // two thirds
        }
        assert_eq!(breaker.lets(now), Lets::All);
        while breaker.name() == "closed" {
            breaker.record(&by, now, true);
        }
        assert_eq!(breaker.name(), "open");
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let (by, start) = (Breaking::default(), Instant::now());
        let mut breaker = Breaker::new();
        for n in 0..100 {
            // One failure in 31 s: never ten in five minutes.
            breaker.record(&by, start + s(34) * n, true);
        }
        let end = start + s(34) * 100;
        assert_eq!(breaker.lets(end), Lets::All);
        assert!(!breaker.is_blank(&by, end));
        assert!(breaker.is_blank(&by, end + 2 * by.window));
    }

    #[test]
    fn one_success_closes_it() {
        let (by, now) = (Breaking::default(), Instant::now());
        let mut breaker = opened(&by, now);
        assert_eq!(breaker.lets(now + by.pause - s(1)), Lets::NoneUntil(now + by.pause));
        assert_eq!(breaker.lets(now + by.pause), Lets::One);
        breaker.record(&by, now + by.pause, false);
        assert_eq!(breaker.lets(now + by.pause), Lets::All);
        breaker.record(&by, now + by.pause, true);
        assert_eq!(breaker.lets(now + by.pause), Lets::All, "the old failures are forgotten");
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_a_limit() {
        let (by, mut now) = (Breaking::default(), Instant::now());
        let mut breaker = opened(&by, now);
        for pause in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(breaker.lets(now), Lets::NoneUntil(now + s(pause)));
            // One that began before: it says nothing new.
            breaker.record(&by, now, true);
            breaker.record(&by, now, false);
            now += s(pause);
            assert_eq!(breaker.lets(now), Lets::One);
            breaker.record(&by, now, true);
        }
    }
}
