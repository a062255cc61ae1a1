//! What there is to see in figures, in Prometheus' text form. Of the whole: what one endpoint does is in its deliveries and attempts,
//! not in a label for each of a million.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::registry::Webhooks;
use super::time::Time;

/// How an attempt can end.
const RESULTS: [&str; 4] = ["delivered", "failed", "throttled", "gone"];

/// Upper ends of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// Counted in this process since it began.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    published: AtomicU64,
    attempts: [AtomicU64; RESULTS.len()],
    /// The last is for what took longer than all.
    took: [AtomicU64; BUCKETS.len() + 1],
    took_micros: AtomicU64,
    dead: AtomicU64,
    disabled: AtomicU64,
    store_failures: AtomicU64,
}

impl Metrics {
    pub(super) fn published(&self) {
        self.published.fetch_add(1, Relaxed);
    }

    pub(super) fn attempt(&self, result: &str, took: Duration) {
        if let Some(at) = RESULTS.iter().position(|known| *known == result) {
            self.attempts[at].fetch_add(1, Relaxed);
        }
        let at = BUCKETS.partition_point(|&end| Duration::from_millis(end) < took);
        self.took[at].fetch_add(1, Relaxed);
        let micros = took.as_micros().try_into().unwrap_or(u64::MAX);
        self.took_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn dead(&self) {
        self.dead.fetch_add(1, Relaxed);
    }

    pub(super) fn disabled(&self) {
        self.disabled.fetch_add(1, Relaxed);
    }

    pub(super) fn store_failed(&self) {
        self.store_failures.fetch_add(1, Relaxed);
    }

    fn write(&self, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        page.one("published_total", "counter", "Messages accepted.", read(&self.published));
        page.name("attempts_total", "counter", "Attempts that ended, by how.");
        for (result, count) in RESULTS.iter().zip(&self.attempts) {
            page.line("attempts_total", &format!(r#"{{result="{result}"}}"#), read(count));
        }
        page.name("attempt_seconds", "histogram", "How long attempts took.");
        let mut sum = 0;
        for (end, count) in BUCKETS.iter().zip(&self.took) {
            sum += read(count);
            let end = *end as f64 / 1000.0;
            page.line("attempt_seconds_bucket", &format!(r#"{{le="{end}"}}"#), sum);
        }
        sum += read(&self.took[BUCKETS.len()]);
        page.line("attempt_seconds_bucket", r#"{le="+Inf"}"#, sum);
        page.line("attempt_seconds_sum", "", read(&self.took_micros) as f64 / 1e6);
        page.line("attempt_seconds_count", "", sum);
        page.one("dead_total", "counter", "Deliveries given up.", read(&self.dead));
        page.one("disabled_total", "counter", "Endpoints disabled.", read(&self.disabled));
        let failures = read(&self.store_failures);
        page.one("store_failures_total", "counter", "Calls that the store failed at.", failures);
    }
}

impl Webhooks {
    /// Figures in Prometheus' text form: counted in this process since it began (published, attempts by result and how long they took,
    /// dead, disabled, failures of the store), how it is now in this process (in flight, breakers by state, paused endpoints), and
    /// how it is in the store (pending, the age of the oldest, dead letters, endpoints). If the store fails, the last are left out and
    /// `sward_webhook_store_up` is 0.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut page = Page(String::with_capacity(4 << 10));
        self.inner.metrics.write(&mut page);
        if let Some(engine) = self.inner.engine() {
            let board = engine.board();
            let (breakers, paused) = board.states(Instant::now());
            page.one("in_flight", "gauge", "Deliveries being attempted here.", board.in_flight());
            page.name("breakers", "gauge", "Endpoints delivered to lately, by their breaker.");
            for (state, count) in breakers {
                page.line("breakers", &format!(r#"{{state="{state}"}}"#), count);
            }
            page.one("paused", "gauge", "Endpoints that asked to be left in peace.", paused);
        }
        let totals = self.inner.noted(self.inner.store.totals(None));
        let up = u64::from(totals.is_some());
        page.one("store_up", "gauge", "Whether the store answers.", up);
        let Some(totals) = totals else { return page.0 };
        let age = totals.oldest.map_or(0.0, |oldest| Time::now().since(oldest).as_secs_f64());
        let gauges = BTreeMap::from([
            ("endpoints", ("Endpoints.", totals.endpoints)),
            ("subscriptions", ("Subscriptions.", totals.subscriptions)),
            ("messages", ("Messages kept.", totals.messages)),
            ("queue_pending", ("Deliveries that wait.", totals.pending)),
            ("queue_claimed", ("Deliveries that somebody attempts.", totals.in_flight)),
            ("delivered", ("Deliveries done and kept.", totals.delivered)),
            ("dead_letters", ("Dead letters kept.", totals.dead)),
        ]);
        for (name, (help, value)) in gauges {
            page.one(name, "gauge", help, value);
        }
        page.one("queue_oldest_seconds", "gauge", "Age of the oldest unfinished delivery.", age);
        page.0
    }
}

struct Page(String);

impl Page {
    fn name(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP sward_webhook_{name} {help}");
        let _ = writeln!(self.0, "# TYPE sward_webhook_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "sward_webhook_{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.name(name, kind, help);
        self.line(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Metrics, Page};

    #[test]
    fn buckets_add_up() {
        let metrics = Metrics::default();
        for millis in [1, 5, 6, 700, 29_999, 31_000] {
            metrics.attempt("delivered", Duration::from_millis(millis));
        }
        metrics.attempt("gone", Duration::ZERO);
        let mut page = Page(String::new());
        metrics.write(&mut page);
        for line in [
            r#"sward_webhook_attempts_total{result="delivered"} 6"#,
            r#"sward_webhook_attempts_total{result="gone"} 1"#,
            r#"sward_webhook_attempt_seconds_bucket{le="0.005"} 3"#,
            r#"sward_webhook_attempt_seconds_bucket{le="0.01"} 4"#,
            r#"sward_webhook_attempt_seconds_bucket{le="1"} 5"#,
            r#"sward_webhook_attempt_seconds_bucket{le="30"} 6"#,
            r#"sward_webhook_attempt_seconds_bucket{le="+Inf"} 7"#,
            "sward_webhook_attempt_seconds_sum 61.711",
            "sward_webhook_attempt_seconds_count 7",
        ] {
            assert!(page.0.lines().any(|l| l == line), "{line} is not in\n{}", page.0);
        }
    }
}
