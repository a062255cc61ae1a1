//! Whether one endpoint that hangs slows the others down: the time from publishing to the arrival at the others, in rounds with and
//! without it, in turns.
//!
//! ```text
//! cargo bench --bench webhooks                  ten endpoints, 40 messages/s, five rounds of 4 s each way
//! cargo bench --bench webhooks -- 9             as many rounds as you like
//! ```
//!
//! The one that hangs wants every message too, takes each connection, reads the request and answers nothing; the client waits 30 s
//! for it, so it hangs for the whole round. The same with 60 that hang, which could fill all 500 slots. Everything is one process, so
//! the receivers' work is in the figures; the ratio is what counts.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sward::http::{Request, Response, Server, ServerHandle, StatusCode};
use sward::sync::Event;
use sward::webhook::store::{MemoryStore, SqliteStore, Store};
use sward::webhook::{Config, Guard, Keys, Publication, Registration, Webhooks};

const ENDPOINTS: usize = 10;
const PER_SECOND: u32 = 40;
const ROUND: Duration = Duration::from_secs(4);
const HANGS: Duration = Duration::from_secs(30);

fn main() {
    println!("webhooks: {}", support::machine());
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    for name in ["memory", "sqlite"] {
        println!(
            "\n{name}: ms from publishing to arrival at {ENDPOINTS} endpoints, {PER_SECOND} messages/s; medians of {rounds} rounds (least to most), x: times the first row"
        );
        // How many hang beside them.
        let rows = [0, 1, 60];
        let mut figures = vec![(Vec::new(), Vec::new()); rows.len()];
        for round in 0..=rounds {
            for (hanging, figures) in rows.iter().zip(&mut figures) {
                let mut delays = sward::run(|| play(name, *hanging));
                delays.sort_by(f64::total_cmp);
                // The first round warms up.
                if round > 0 {
                    figures.0.push(delays[delays.len() / 2]);
                    figures.1.push(delays[delays.len() * 99 / 100]);
                }
            }
        }
        let first = (middle(&figures[0].0), middle(&figures[0].1));
        for (hanging, (median, p99)) in rows.iter().zip(&figures) {
            let (m, p) = (middle(median), middle(p99));
            let spread = |of: &[f64]| {
                let least = of.iter().copied().fold(f64::INFINITY, f64::min);
                format!("({least:.2} to {:.2})", of.iter().copied().fold(0.0, f64::max))
            };
            println!(
                "  {hanging:>3} hang: median {m:>7.2} {} {:.2}x   p99 {p:>7.2} {} {:.2}x",
                spread(median),
                m / first.0,
                spread(p99),
                p / first.1
            );
        }
    }
}

fn middle(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// One round: the delay of each delivery to the endpoints that are well, in milliseconds.
fn play(store: &str, hanging: usize) -> Vec<f64> {
    let path = std::env::temp_dir().join(format!("sward-bench-{}.db", std::process::id()));
    let clean = || {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    };
    clean();
    let store: Arc<dyn Store> = match store {
        "sqlite" => Arc::new(SqliteStore::open(&path).expect("a file")),
        _ => Arc::new(MemoryStore::new()),
    };
    let mut config = Config { guard: Guard::default().allow_loopback(), ..Config::default() };
    config.client.total_timeout = HANGS;
    let webhooks = Webhooks::new(store, config);
    let keys = || Keys::new().with("account_id", "1");
    let register = |url: String| {
        webhooks.register(Registration::new(url).keys(keys())).expect("registered");
    };

    let (began, arrived) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&arrived);
    // The body is the time of publishing.
    let (well, address) = serve(move |body| {
        let published: u64 = std::str::from_utf8(body).expect("text").parse().expect("a number");
        let delay = began.elapsed() - Duration::from_nanos(published);
        heard.lock().expect("alive").push(delay.as_secs_f64() * 1000.0);
    });
    (0..ENDPOINTS).for_each(|n| register(format!("{address}/{n}")));
    let over = Arc::new(Event::new());
    let end = Arc::clone(&over);
    let (hung, address) = serve(move |_| end.wait());
    (0..hanging).for_each(|n| register(format!("{address}/{n}")));

    let dispatcher = webhooks.start();
    let count = PER_SECOND * ROUND.as_secs() as u32;
    let start = Instant::now();
    for n in 0..count {
        sward::thread::sleep_until(start + Duration::from_secs(1) * n / PER_SECOND);
        let now = began.elapsed().as_nanos().to_string();
        let publication = Publication::raw(keys(), "text/plain", now.into_bytes());
        webhooks.publish(publication).expect("published");
    }
    let all = count as usize * ENDPOINTS;
    let late = Instant::now() + HANGS;
    while arrived.lock().expect("alive").len() < all {
        assert!(Instant::now() < late, "the others did not get everything");
        sward::thread::sleep(Duration::from_millis(5));
    }
    over.set();
    dispatcher.stop(Duration::ZERO);
    well.shutdown_now();
    hung.shutdown_now();
    drop(webhooks);
    clean();
    std::mem::take(&mut *arrived.lock().expect("alive"))
}

/// A receiver that does this with each body, then answers 204.
fn serve(hear: impl Fn(&[u8]) + Send + Sync + 'static) -> (ServerHandle, String) {
    let server = Server::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", server.local_addr().expect("bound"));
    let handle = server.handle();
    sward::thread::spawn(move || {
        server.serve(move |req: &mut Request<'_>| {
            hear(&req.bytes().unwrap_or_default());
            Response::new(StatusCode::NO_CONTENT)
        })
    });
    (handle, address)
}
