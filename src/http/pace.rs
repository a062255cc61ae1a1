//! How well a client keeps up: for how long it was waited for, and what came of that. Numbers only; `link.rs` waits.
//!
//! A time-out between two bytes alone lets a client hold a connection for ever with a byte now and then. So waiting in all
//! has a limit too: a grace, and then a second for each so many bytes.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::config::Config;

/// One direction of one request or response.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds.
    waited: AtomicU64,
    /// Bytes.
    moved: AtomicU64,
}

impl Pace {
    /// Another request begins.
    pub(crate) fn reset(&self) {
        self.waited.store(0, Relaxed);
        self.moved.store(0, Relaxed);
    }

    /// Nothing was waited for yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.waited.load(Relaxed) == 0 && self.moved.load(Relaxed) == 0
    }

    /// `bytes` came or went after a wait of `waited`.
    pub(crate) fn add(&self, waited: Duration, bytes: usize) {
        // Two halves of one WebSocket may lose each other's share. OK because that is to the client's advantage or tiny.
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.store(self.waited.load(Relaxed).saturating_add(nanos), Relaxed);
        self.moved.store(self.moved.load(Relaxed).saturating_add(bytes as u64), Relaxed);
    }

    /// How long the next wait may be: `longest`, or less for a client that has been slow all the time.
    pub(crate) fn patience(&self, config: &Config, longest: Duration) -> Duration {
        let waited = Duration::from_nanos(self.waited.load(Relaxed));
        longest.min(self.allowed(config).saturating_sub(waited))
    }

    /// Whether all waiting in all was too long for what came of it.
    pub(crate) fn is_too_slow(&self, config: &Config) -> bool {
        Duration::from_nanos(self.waited.load(Relaxed)) > self.allowed(config)
    }

    fn allowed(&self, config: &Config) -> Duration {
        let moved = self.moved.load(Relaxed);
        // A rate of 0 is none, and allows everything.
        match moved.saturating_mul(1000).checked_div(config.min_rate) {
            Some(ms) => config.min_rate_grace.saturating_add(Duration::from_millis(ms)),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn grace_then_rate() {
        let config = Config { min_rate: 100, min_rate_grace: secs(5), ..Config::default() };
        let pace = Pace::default();
        assert_eq!(pace.patience(&config, secs(30)), secs(5));
        assert_eq!(pace.patience(&config, secs(2)), secs(2), "never longer than asked for");
        pace.add(secs(4), 300);
        assert_eq!(pace.patience(&config, secs(30)), secs(4), "5 + 3 - 4");
        assert!(!pace.is_too_slow(&config));
        pace.add(secs(4), 1);
        assert!(!pace.is_too_slow(&config));
        pace.add(secs(1), 1);
        assert!(pace.is_too_slow(&config));
        assert_eq!(pace.patience(&config, secs(30)), secs(0));
        pace.reset();
        assert_eq!(pace.patience(&config, secs(30)), secs(5));
    }

    #[test]
    fn no_rate() {
        let config = Config { min_rate: 0, ..Config::default() };
        let pace = Pace::default();
        pace.add(secs(1_000_000), 0);
        assert!(!pace.is_too_slow(&config));
        assert_eq!(pace.patience(&config, secs(30)), secs(30));
    }
}
