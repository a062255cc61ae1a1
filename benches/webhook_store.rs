//! The SQLite store: what group commit brings, and whether it is as quick with a million deliveries in it.
//!
//! ```text
//! cargo bench --bench webhook_store               publishes a second, one caller and 100, in turns
//! cargo bench --bench webhook_store -- 1000000    publish, claim and finish with so many deliveries there, and with few
//! ```
//!
//! One caller pays for a commit with every publish, so its publishes a second are commits a second. The disk is the temporary
//! folder's.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program, not the library"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sward::thread;
use sward::webhook::store::{Durability, Next, SqliteOptions, Store};
use sward::webhook::{Endpoint, EndpointId, Keys, Message, MessageId, Time};

const ROUNDS: usize = 3;
const FOR: Duration = Duration::from_secs(2);

fn main() {
    let folder = std::env::temp_dir().join(format!("sward-webhook-store-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let many = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    sward::Builder::new().workers(1).run(|| match many {
        None => group_commit(&folder),
        Some(many) => with_many(&folder, many),
    });
    std::fs::remove_dir_all(folder).unwrap();
}

fn open(path: PathBuf, durability: Durability) -> (Arc<dyn Store>, EndpointId) {
    let store = SqliteOptions::new().durability(durability).open(path).unwrap();
    let (endpoint, _) = store.add_endpoint(&Endpoint::new("http://a.example/")).unwrap();
    store.subscribe(&endpoint.id, &Keys::new().with("k", "1"), Time::now(), None).unwrap();
    (Arc::new(store), endpoint.id)
}

fn message() -> Message {
    Message {
        id: MessageId::random(),
        published: Time::now(),
        kind: "bench.made".into(),
        keys: Keys::new().with("k", "1"),
        body: vec![b'x'; 500].into(),
        content_type: "application/json".into(),
        idempotency_key: None,
    }
}

fn group_commit(folder: &Path) {
    for durability in [Durability::Full, Durability::Normal] {
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for (callers, rates) in [1, 100].into_iter().zip(&mut rates) {
                let file = folder.join(format!("{durability:?}-{round}-{callers}.db"));
                rates.push(publishes_per_second(open(file, durability).0, callers));
            }
        }
        rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
        let [one, hundred] = rates.map(|rates| rates[ROUNDS / 2]);
        println!(
            "{durability:?}: one caller {one:.0} publishes/s, 100 callers {hundred:.0}: {:.1} times",
            hundred / one
        );
    }
}

fn publishes_per_second(store: Arc<dyn Store>, callers: usize) -> f64 {
    let (start, done) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let (store, done) = (store.clone(), done.clone());
            thread::spawn(move || {
                while start.elapsed() < FOR {
                    store.publish(&message(), &[]).unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// Times calls when there are few deliveries, and when there are `many`: half of them delivered, the others waiting.
fn with_many(folder: &Path, many: usize) {
    let (store, endpoint) = open(folder.join("many.db"), Durability::Normal);
    times("few", &store, &endpoint);
    let start = Instant::now();
    let threads: Vec<_> = (0..200)
        .map(|_| {
            let (store, endpoint) = (store.clone(), endpoint.clone());
            thread::spawn(move || {
                for n in 0..many / 200 {
                    store.publish(&message(), &[]).unwrap();
                    if n % 10 == 9 {
                        claim_and_finish(&store, &endpoint, 5);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{many} published, half of them delivered, in {:?}", start.elapsed());
    times("many", &store, &endpoint);
    let start = Instant::now();
    println!("{:?}\n  counted in {:?}", store.totals(None).unwrap(), start.elapsed());
}

fn claim_and_finish(store: &Arc<dyn Store>, endpoint: &EndpointId, limit: usize) {
    let now = Time::now();
    for claim in store.claim(endpoint, now, now + Duration::from_secs(600), limit).unwrap() {
        store.finish(&claim.delivery.id, None, Next::Delivered(now)).unwrap();
    }
}

fn times(name: &str, store: &Arc<dyn Store>, endpoint: &EndpointId) {
    const CALLS: u32 = 500;
    let time = |call: &dyn Fn()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed() / CALLS
    };
    let publish = time(&|| drop(store.publish(&message(), &[]).unwrap()));
    let due = time(&|| drop(store.due(Time::now(), &[], 10).unwrap()));
    let finish = time(&|| claim_and_finish(store, endpoint, 1));
    println!("{name}: publish {publish:?}, due {due:?}, claim and finish {finish:?}");
}
