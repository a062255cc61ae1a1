//! [`Config`]: everything about a registry that can be chosen, with its defaults.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::webhook::breaker::Breaking;
use crate::webhook::client::ClientConfig;
use crate::webhook::guard::Guard;
use crate::webhook::model::Rate;
use crate::webhook::schedule::Schedule;

/// How a registry behaves.
///
/// ```
/// use sward::webhook::Config;
///
/// let config = Config { per_endpoint: 2, ..Config::default() };
/// assert_eq!(config.concurrency, 500);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Where may be posted to. Public addresses only.
    pub guard: Guard,
    /// How it is posted: times, sizes, whom TLS trusts.
    pub client: ClientConfig,
    /// At most so many deliveries at once in this process. 500.
    pub concurrency: usize,
    /// At most so many of them to one endpoint, unless its settings say otherwise. 10. It begins with one, gets one more with each
    /// success, and loses half with each failure; and it never has more than a quarter of the slots that are free.
    pub per_endpoint: usize,
    /// At most so many attempts to one endpoint in a time, unless its settings say otherwise. None: no limit.
    pub rate: Option<Rate>,
    /// When a delivery that failed is tried again.
    pub schedule: Schedule,
    /// When deliveries to an endpoint are held back because they fail. None: never.
    pub breaker: Option<Breaking>,
    /// An endpoint that has done nothing but fail for so long is disabled when the next delivery to it has had its last attempt,
    /// or when its breaker lets an attempt through to see. 120 hours.
    pub disable_after: Duration,
    /// Messages are kept for so long, with their deliveries and attempts. 30 days.
    pub retention: Duration,
    /// Publishing again under the same idempotency key is the same message for so long. 12 hours.
    pub idempotency: Duration,
    /// A message's body may have so many bytes. 256 KiB.
    pub max_body: usize,
    /// A message, and a call to register, may have so many values of keys. 1,000.
    pub max_keys: usize,
    /// After [`rotate`](super::Webhooks::rotate) the old secret signs beside the new one for so long. 24 hours.
    pub rotation: Duration,
    /// How often leases that lapsed and messages past their retention are looked for. 30 s.
    pub sweep: Duration,
    /// So many events are kept for those who [`watch`](super::Webhooks::watch) and fall behind. 1,000.
    pub events: usize,
}

impl Default for Config {
    fn default() -> Config {
        const HOUR: Duration = Duration::from_secs(3600);
        Config {
            guard: Guard::default(),
            client: ClientConfig::default(),
            concurrency: 500,
            per_endpoint: 10,
            rate: None,
            schedule: Schedule::default(),
            breaker: Some(Breaking::default()),
            disable_after: 120 * HOUR,
            retention: 30 * 24 * HOUR,
            idempotency: 12 * HOUR,
            max_body: 256 << 10,
            max_keys: 1_000,
            rotation: 24 * HOUR,
            sweep: Duration::from_secs(30),
            events: 1_000,
        }
    }
}
