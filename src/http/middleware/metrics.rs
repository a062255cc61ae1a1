//! Figures of a server in the text form that Prometheus reads.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use super::concurrency::InWork;
use super::{Middleware, Next, watch};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::server::ServerHandle;
use crate::hub::stats::stats;
use crate::sync::Mutex;
use crate::sys::Lock;

/// Counts requests by method, route and kind of status, and how long their handlers took. A middleware and a page:
///
/// ```
/// use sward::http::{Request, Router, middleware::Metrics};
///
/// let metrics = Metrics::new();
/// let app = Router::new()
///     .get("/", |_: &mut Request| "hello")
///     .get("/metrics", metrics.page())
///     .with(metrics);
/// # drop(app);
/// ```
///
/// | name | what |
/// |---|---|
/// | `http_requests_total{method,route,status}` | answered requests; status as `2xx` |
/// | `http_request_duration_seconds{method,route}` | a histogram of the time in handlers, without the bodies of streams |
/// | `http_requests_in_flight` | requests in work, streams until they end |
/// | `http_connections` | open connections, if [`Metrics::server`] was told |
/// | `sward_green_threads`, `sward_green_threads_spawned_total`, `sward_switches_total`, `sward_pins_total` | [`Stats`](crate::Stats) of the runtime |
///
/// The page tells visitors which routes there are: serve it where only you can see it.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    /// Apart, so that workers seldom meet: each OS thread counts in one of them.
    shards: [Lock<HashMap<Key, Series>>; SHARDS],
    in_flight: Arc<AtomicUsize>,
    server: Mutex<Option<ServerHandle>>,
}

const SHARDS: usize = 8;

/// Method and route. Both have few values, whatever clients send.
type Key = (&'static str, &'static str);

/// Upper bounds of the histogram, in microseconds and as they are written.
const BOUNDS: [(u128, &str); 12] = [
    (1_000, "0.001"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// Counters of one method and route.
#[derive(Debug, Clone, Default)]
struct Series {
    /// By the status' first digit; others at 0.
    classes: [u64; 6],
    /// Requests within each bound and above the one before; the last are above all.
    within: [u64; BOUNDS.len() + 1],
    took: Duration,
}

impl Metrics {
    /// With every counter at zero.
    #[expect(
        clippy::new_without_default,
        reason = "clones share their figures: a default would look like one"
    )]
    pub fn new() -> Metrics {
        Metrics(Arc::new(Shared {
            shards: std::array::from_fn(|_| Lock::new(HashMap::new())),
            in_flight: Arc::default(),
            server: Mutex::new(None),
        }))
    }

    /// Says whose connections to count.
    pub fn server(&self, handle: ServerHandle) {
        *self.0.server.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(handle);
    }

    /// A handler that answers with the figures.
    pub fn page(&self) -> impl Fn(&mut Request<'_>) -> Response + Send + Sync + use<> {
        let metrics = self.clone();
        move |_: &mut Request<'_>| {
            let text = metrics.render();
            Response::text(text).header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    /// The figures as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // OK to ignore: writing to a String does not fail.
        let _ = self.0.render(&mut text);
        text
    }

    fn count(&self, key: Key, status: u16, took: Duration) {
        let mut shard = self.0.shards[shard()].lock();
        let series = shard.entry(key).or_default();
        let class = usize::from(status / 100);
        series.classes[if class < 6 { class } else { 0 }] += 1;
        let micros = took.as_micros();
        let bucket = BOUNDS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BOUNDS.len());
        series.within[bucket] += 1;
        series.took += took;
    }
}

impl Middleware for Metrics {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let (in_work, _) = InWork::new(&self.0.in_flight);
        let start = Instant::now();
        let response = watch(request, next, |request, response| {
            let key = (name_of(request.method()), request.route().unwrap_or(""));
            self.count(key, response.map_or(500, |r| r.status().as_u16()), start.elapsed());
        });
        response.hold(in_work)
    }
}

/// Which shard this OS thread counts in.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    if MINE.get() == usize::MAX {
        MINE.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
    }
    MINE.get()
}

/// Clients can invent methods, and would fill the memory with them.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Series {
    fn add(&mut self, other: &Series) {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine += theirs;
        }
        for (mine, theirs) in self.within.iter_mut().zip(other.within) {
            *mine += theirs;
        }
        self.took += other.took;
    }
}

impl Shared {
    fn render(&self, to: &mut String) -> fmt::Result {
        let mut all: BTreeMap<Key, Series> = BTreeMap::new();
        for shard in &self.shards {
            for (key, series) in &*shard.lock() {
                all.entry(*key).or_default().add(series);
            }
        }
        head(to, "http_requests_total", "counter", "Answered requests.")?;
        for ((method, route), series) in &all {
            for (class, count) in series.classes.iter().enumerate().filter(|(_, n)| **n > 0) {
                let labels = labels(method, route);
                let status = if class == 0 { "other".into() } else { format!("{class}xx") };
                writeln!(to, "http_requests_total{{{labels},status=\"{status}\"}} {count}")?;
            }
        }
        let name = "http_request_duration_seconds";
        head(to, name, "histogram", "Time in handlers.")?;
        for ((method, route), series) in &all {
            let labels = labels(method, route);
            let mut sum = 0;
            for ((_, bound), count) in BOUNDS.iter().zip(series.within) {
                sum += count;
                writeln!(to, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}")?;
            }
            sum += series.within[BOUNDS.len()];
            writeln!(to, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}")?;
            writeln!(to, "{name}_sum{{{labels}}} {}", series.took.as_secs_f64())?;
            writeln!(to, "{name}_count{{{labels}}} {sum}")?;
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        gauge(to, "http_requests_in_flight", "Requests in work.", in_flight)?;
        let server = self.server.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(server) = server {
            gauge(to, "http_connections", "Open connections.", server.connections())?;
        }
        let stats = stats();
        gauge(to, "sward_green_threads", "Green threads.", stats.green_threads)?;
        for (name, help, value) in [
            ("sward_green_threads_spawned_total", "Green threads ever.", stats.spawned),
            ("sward_switches_total", "Times a green thread was entered.", stats.switches),
            ("sward_pins_total", "Times a green thread blocked its worker.", stats.pins),
        ] {
            head(to, name, "counter", help)?;
            writeln!(to, "{name} {value}")?;
        }
        Ok(())
    }
}

fn head(to: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(to, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn gauge(to: &mut String, name: &str, help: &str, value: impl fmt::Display) -> fmt::Result {
    head(to, name, "gauge", help)?;
    writeln!(to, "{name} {value}")
}

fn labels(method: &str, route: &str) -> String {
    let route = route.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("method=\"{method}\",route=\"{route}\"")
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.0.in_flight.load(Ordering::Relaxed);
        f.debug_struct("Metrics").field("in_flight", &in_flight).finish_non_exhaustive()
    }
}
