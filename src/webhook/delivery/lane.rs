//! [`Lane`]: what this process knows of one endpoint while it delivers to it: how many are in flight, and what holds it back. The
//! clock is the caller's; nothing here is stored.
//!
//! Four things hold an endpoint back, each until a moment that is known, or until one in flight has ended: its limit, its rate, its
//! breaker, and the pause that it asked for (429, 502, 503, 504).
//!
//! It begins with one delivery at a time and gets one more with each success, until it is at its limit; a failure takes half of that
//! away, a pause all but one. So what hangs comes to hold one slot, and what never answered holds no more to begin with.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::webhook::breaker::{Breaker, Breaking, Lets};
use crate::webhook::model::{Endpoint, Rate};
use crate::webhook::rate::Bucket;

/// A pause without a time given lasts so long, and twice as long each further time, up to the second.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What every lane is told.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) per_endpoint: usize,
    pub(super) rate: Option<Rate>,
    pub(super) breaking: Option<Breaking>,
}

/// How an attempt ended, as far as the lane cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Well,
    Failed,
    /// The endpoint has too much to do, and may have said for how long.
    Throttled {
        pause: Option<Duration>,
        failed: bool,
    },
    /// No attempt was made, or nobody knows.
    Nothing,
}

/// What a lane has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    For(usize),
    /// For none before this.
    Later(Instant),
    /// For none before one in flight has ended.
    Full,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) in_flight: usize,
    /// Somebody asks the store for its deliveries at this moment.
    pub(super) claiming: bool,
    /// The store may have deliveries for it that are due.
    pub(super) hungry: bool,
    /// Whether `limit` and `bucket` are the endpoint's own yet.
    pub(super) primed: bool,
    /// The last attempt failed.
    pub(super) failing: bool,
    /// When it last did something.
    pub(super) used: Instant,
    limit: usize,
    /// At most so many, by how it has been doing.
    window: usize,
    bucket: Option<Bucket>,
    breaker: Breaker,
    paused_until: Option<Instant>,
    pauses: u32,
}

impl Lane {
    pub(super) fn new(limits: &Limits, now: Instant) -> Lane {
        Lane {
            in_flight: 0,
            claiming: false,
            hungry: false,
            primed: false,
            failing: false,
            used: now,
            limit: limits.per_endpoint.max(1),
            window: 1,
            bucket: limits.rate.map(|rate| Bucket::new(rate, now)),
            breaker: Breaker::new(),
            paused_until: None,
            pauses: 0,
        }
    }

    /// Takes over what the endpoint's owner chose, and how it has been doing if that is new here.
    pub(super) fn prime(&mut self, endpoint: &Endpoint, limits: &Limits, now: Instant) {
        let settings = &endpoint.settings;
        let own = settings.max_in_flight.and_then(|own| usize::try_from(own).ok());
        self.limit = if settings.ordered { 1 } else { own.unwrap_or(limits.per_endpoint).max(1) };
        let rate = settings.rate.or(limits.rate);
        if rate != self.bucket.as_ref().map(Bucket::rate) {
            self.bucket = rate.map(|rate| Bucket::new(rate, now));
        }
        if !self.primed {
            self.failing = endpoint.health.failures > 0;
            self.primed = true;
        }
    }

    /// How many more may go to it now, if it may have `at_most` in flight.
    pub(super) fn room(&mut self, at_most: usize, now: Instant) -> Room {
        if let Some(until) = self.paused_until {
            if now < until {
                return Room::Later(until);
            }
            self.paused_until = None;
        }
        let limit = match self.breaker.lets(now) {
            Lets::All => self.limit.min(self.window).min(at_most),
            Lets::One => 1.min(at_most),
            Lets::NoneUntil(until) => return Room::Later(until),
        };
        let free = limit.saturating_sub(self.in_flight);
        if free == 0 {
            return Room::Full;
        }
        let Some(bucket) = &mut self.bucket else { return Room::For(free) };
        match bucket.available(now) {
            0 => Room::Later(bucket.next(now)),
            n => Room::For(n.min(free)),
        }
    }

    /// As many go to it as there was room for.
    pub(super) fn took(&mut self, n: usize, now: Instant) {
        self.in_flight += n;
        self.used = now;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(n, now);
        }
    }

    /// So many of them did not go, because they were not there.
    pub(super) fn put_back(&mut self, n: usize) {
        self.in_flight = self.in_flight.saturating_sub(n);
        if let Some(bucket) = &mut self.bucket {
            bucket.put_back(n);
        }
    }

    /// One in flight has ended.
    pub(super) fn ended(&mut self, outcome: Outcome, limits: &Limits, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.used = now;
        let failed = match outcome {
            Outcome::Nothing => return,
            Outcome::Well => {
                self.pauses = 0;
                self.window = self.window.saturating_add(1).min(self.limit);
                false
            }
            Outcome::Failed => {
                self.window = (self.window.min(self.limit) / 2).max(1);
                true
            }
            Outcome::Throttled { pause, failed } => {
                let own = PAUSE.saturating_mul(1 << self.pauses.min(6)).min(LONGEST_PAUSE);
                let until = now + pause.unwrap_or(own);
                self.paused_until = self.paused_until.max(Some(until));
                self.pauses = self.pauses.saturating_add(1);
                self.window = 1;
                failed
            }
        };
        self.failing = outcome != Outcome::Well;
        if let Some(by) = &limits.breaking {
            self.breaker.record(by, now, failed);
        }
    }

    /// The state of its breaker.
    pub(super) fn breaker(&self) -> &'static str {
        self.breaker.name()
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_blank(&self, limits: &Limits, now: Instant) -> bool {
        let still = self.in_flight > 0 || self.claiming || self.hungry || self.is_paused(now);
        let by = limits.breaking.clone().unwrap_or_default();
        let filled =
            |bucket: &Bucket| now.saturating_duration_since(self.used) > bucket.rate().period;
        !still && self.breaker.is_blank(&by, now) && self.bucket.as_ref().is_none_or(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaking, Duration, Endpoint, Instant, Lane, Limits, Outcome, Rate, Room};

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn limits() -> Limits {
        Limits { per_endpoint: 10, rate: None, breaking: Some(Breaking::default()) }
    }

    /// One that has been doing well.
    fn lane(now: Instant) -> Lane {
        let mut lane = Lane::new(&limits(), now);
        (0..20).for_each(|_| lane.ended(Outcome::Well, &limits(), now));
        lane
    }

    #[test]
    fn it_begins_slowly_and_loses_half_with_each_failure() {
        let now = Instant::now();
        let mut lane = Lane::new(&limits(), now);
        for expected in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10] {
            assert_eq!(lane.room(500, now), Room::For(expected));
            lane.ended(Outcome::Well, &limits(), now);
        }
        for expected in [5, 2, 1, 1] {
            lane.ended(Outcome::Failed, &limits(), now);
            assert_eq!(lane.room(500, now), Room::For(expected));
        }
    }

    const fn throttled(pause: Option<Duration>) -> Outcome {
        Outcome::Throttled { pause, failed: false }
    }

    #[test]
    fn its_limit_is_the_endpoints_or_the_registrys() {
        let now = Instant::now();
        let mut lane = lane(now);
        assert_eq!(lane.room(500, now), Room::For(10));
        assert_eq!(lane.room(3, now), Room::For(3));
        let mut endpoint = Endpoint::new("http://a");
        endpoint.settings.max_in_flight = Some(2);
        lane.prime(&endpoint, &limits(), now);
        lane.in_flight = 1;
        assert_eq!(lane.room(500, now), Room::For(1));
        lane.in_flight = 2;
        assert_eq!(lane.room(500, now), Room::Full);
        endpoint.settings.ordered = true;
        lane.prime(&endpoint, &limits(), now);
        lane.in_flight = 0;
        assert_eq!(lane.room(500, now), Room::For(1));
    }

    #[test]
    fn a_pause_holds_it_and_then_it_begins_slowly() {
        let mut now = Instant::now();
        let mut lane = lane(now);
        lane.in_flight = 1;
        lane.ended(throttled(Some(s(7))), &limits(), now);
        assert_eq!(lane.room(500, now), Room::Later(now + s(7)));
        now += s(7);
        for expected in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10] {
            assert_eq!(lane.room(500, now), Room::For(expected));
            lane.in_flight = 1;
            lane.ended(Outcome::Well, &limits(), now);
        }
    }

    #[test]
    fn pauses_that_nobody_measured_grow() {
        let mut now = Instant::now();
        let mut lane = lane(now);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            lane.ended(throttled(None), &limits(), now);
            assert_eq!(lane.room(1, now), Room::Later(now + s(pause)));
            now += s(pause);
        }
        lane.ended(Outcome::Well, &limits(), now);
        lane.ended(throttled(None), &limits(), now);
        assert_eq!(lane.room(1, now), Room::Later(now + s(1)));
        // One that ends later and asks for less takes nothing away.
        lane.ended(throttled(Some(Duration::ZERO)), &limits(), now);
        assert_eq!(lane.room(1, now), Room::Later(now + s(1)));
    }

    #[test]
    fn its_breaker_lets_one_through_to_see() {
        let (by, mut now) = (Breaking::default(), Instant::now());
        let mut lane = Lane::new(&limits(), now);
        (0..by.requests).for_each(|_| lane.ended(Outcome::Failed, &limits(), now));
        assert_eq!(lane.room(500, now), Room::Later(now + by.pause));
        now += by.pause;
        assert_eq!(lane.room(500, now), Room::For(1));
        lane.in_flight = 1;
        assert_eq!(lane.room(500, now), Room::Full);
        lane.ended(Outcome::Well, &limits(), now);
        assert_eq!(lane.room(500, now), Room::For(2));
    }

    #[test]
    fn its_rate_says_when() {
        let now = Instant::now();
        let mut lane = lane(now);
        let mut endpoint = Endpoint::new("http://a");
        endpoint.settings.rate = Some(Rate { count: 2, period: s(10) });
        lane.prime(&endpoint, &limits(), now);
        assert_eq!(lane.room(500, now), Room::For(2));
        lane.took(2, now);
        let Room::Later(then) = lane.room(500, now) else { panic!("more than its rate") };
        assert_eq!((then - now).as_secs(), 5);
        lane.prime(&endpoint, &limits(), now);
        assert!(matches!(lane.room(500, now), Room::Later(_)), "the same rate begins anew");
        lane.put_back(1);
        assert_eq!(lane.in_flight, 1);
        assert_eq!(lane.room(500, now), Room::For(1));
        assert_eq!(lane.room(500, then), Room::For(2));
    }

    #[test]
    fn only_what_holds_nothing_is_blank() {
        let now = Instant::now();
        let mut lane = Lane::new(&limits(), now);
        assert!(lane.is_blank(&limits(), now));
        lane.in_flight = 1;
        assert!(!lane.is_blank(&limits(), now));
        lane.ended(Outcome::Failed, &limits(), now);
        assert!(!lane.is_blank(&limits(), now), "its failure counts still");
        assert!(lane.is_blank(&limits(), now + s(3600)));
        lane.hungry = true;
        assert!(!lane.is_blank(&limits(), now + s(3600)));
    }
}
