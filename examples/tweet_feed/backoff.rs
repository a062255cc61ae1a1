//! How long to wait before the next connection: a pure state machine, no clock and no socket in it.
//! The rules are the streams' own: a lost connection is tried again at once, then network errors wait
//! 250 ms longer each time up to 16 s, HTTP errors 5 s doubling up to 320 s, and "too many" answers
//! 60 s doubling, for which no cap is written down; we use 320 s as well.
//! `reader.rs` drives it.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

/// The waits of one protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Silence after which the connection counts as dead.
    pub(crate) stall: Duration,
    /// How long a connection must last before its failures are forgiven.
    pub(crate) settle: Duration,
    network_step: Duration,
    network_cap: Duration,
    http_first: Duration,
    busy_first: Duration,
    http_cap: Duration,
}

impl Policy {
    /// X's v2 stream sends an empty line at least every 20 s.
    pub(crate) fn x() -> Policy {
        Policy::with_stall(Duration::from_secs(20))
    }

    /// Mastodon sends a heartbeat every 15 s; two missed ones are enough.
    pub(crate) fn mastodon() -> Policy {
        Policy::with_stall(Duration::from_secs(30))
    }

    /// Jetstream is never silent for long, and answers pings.
    pub(crate) fn bluesky() -> Policy {
        Policy::with_stall(Duration::from_secs(30))
    }

    fn with_stall(stall: Duration) -> Policy {
        Policy {
            stall,
            settle: Duration::from_secs(1),
            network_step: Duration::from_millis(250),
            network_cap: Duration::from_secs(16),
            http_first: Duration::from_secs(5),
            busy_first: Duration::from_secs(60),
            http_cap: Duration::from_secs(320),
        }
    }

    /// The same rules with every time multiplied by `scale`, so that tests need not wait.
    pub(crate) fn scaled(self, scale: f64) -> Policy {
        Policy {
            stall: self.stall.mul_f64(scale),
            settle: self.settle.mul_f64(scale),
            network_step: self.network_step.mul_f64(scale),
            network_cap: self.network_cap.mul_f64(scale),
            http_first: self.http_first.mul_f64(scale),
            busy_first: self.busy_first.mul_f64(scale),
            http_cap: self.http_cap.mul_f64(scale),
        }
    }
}

/// Why a connection ended or never began.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Could not connect, or the connection broke or was closed.
    Network(String),
    /// No byte for `Policy::stall`.
    Stall,
    /// An answer other than 200, with what it said.
    Http(u16, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Network(why) => write!(f, "{why}"),
            Failure::Stall => write!(f, "silent for too long"),
            Failure::Http(code, why) if why.is_empty() => write!(f, "HTTP {code}"),
            Failure::Http(code, why) => write!(f, "HTTP {code}: {why}"),
        }
    }
}

/// Counts failures in a row, by kind.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Policy,
    network: u32,
    http: u32,
    busy: u32,
}

impl Backoff {
    pub(crate) fn new(policy: Policy) -> Backoff {
        Backoff { policy, network: 0, http: 0, busy: 0 }
    }

    /// Data arrived on a connection of this age: forget the failures. A 200 alone is not enough, nor
    /// is one line, or an upstream that accepts and closes would be called without a pause.
    pub(crate) fn received(&mut self, age: Duration) {
        if age >= self.policy.settle {
            (self.network, self.http, self.busy) = (0, 0, 0);
        }
    }

    /// Counts a failure and says how long to wait.
    pub(crate) fn failed(&mut self, failure: &Failure) -> Duration {
        let p = &self.policy;
        match failure {
            Failure::Network(_) | Failure::Stall => {
                let wait = p.network_step.saturating_mul(self.network).min(p.network_cap);
                self.network = self.network.saturating_add(1);
                wait
            }
            Failure::Http(420 | 429, _) => doubling(p.busy_first, &mut self.busy, p.http_cap),
            Failure::Http(..) => doubling(p.http_first, &mut self.http, p.http_cap),
        }
    }
}

fn doubling(first: Duration, count: &mut u32, cap: Duration) -> Duration {
    let wait = first.saturating_mul(1 << (*count).min(16)).min(cap);
    *count = count.saturating_add(1);
    wait
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: &mut Backoff, failure: &Failure, n: usize) -> Vec<u64> {
        (0..n).map(|_| backoff.failed(failure).as_millis() as u64).collect()
    }

    #[test]
    fn network_is_linear() {
        let mut b = Backoff::new(Policy::x());
        let drop = Failure::Network("reset".into());
        assert_eq!(waits(&mut b, &drop, 4), [0, 250, 500, 750]);
        assert_eq!(waits(&mut b, &drop, 100)[60..], [16_000; 40]);
        assert_eq!(waits(&mut b, &Failure::Stall, 1), [16_000]);
    }

    #[test]
    fn http_doubles() {
        let mut b = Backoff::new(Policy::x());
        let error = Failure::Http(503, String::new());
        let want = [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 320_000];
        assert_eq!(waits(&mut b, &error, 8), want);
        let many = Failure::Http(429, String::new());
        assert_eq!(waits(&mut b, &many, 5), [60_000, 120_000, 240_000, 320_000, 320_000]);
    }

    #[test]
    fn data_resets() {
        let mut b = Backoff::new(Policy::mastodon());
        waits(&mut b, &Failure::Http(503, String::new()), 3);
        waits(&mut b, &Failure::Stall, 3);
        b.received(Duration::from_millis(900));
        assert_eq!(waits(&mut b, &Failure::Stall, 1), [750], "too young to count");
        b.received(Duration::from_secs(1));
        assert_eq!(waits(&mut b, &Failure::Http(500, String::new()), 1), [5_000]);
        assert_eq!(waits(&mut b, &Failure::Stall, 2), [0, 250]);
    }

    #[test]
    fn never_overflows() {
        let mut b = Backoff::new(Policy::x());
        b.network = u32::MAX;
        b.http = u32::MAX;
        assert_eq!(b.failed(&Failure::Stall), Duration::from_secs(16));
        assert_eq!(b.failed(&Failure::Http(500, String::new())), Duration::from_secs(320));
    }

    #[test]
    fn scales_everything() {
        let p = Policy::x().scaled(0.01);
        assert_eq!(p.stall, Duration::from_millis(200));
        let mut b = Backoff::new(p);
        assert_eq!(waits(&mut b, &Failure::Http(503, String::new()), 2), [50, 100]);
    }
}
