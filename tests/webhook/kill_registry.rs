//! `kill -9` of a whole registry under load: 500 publishes a second to a receiver that fails now and then.
//!
//! A child registers, publishes and delivers, and is killed at some moment; the next one goes on with its file. Its publishers are
//! what publishers should be: what they got no answer for they publish again, under the same idempotency key. The receiver outlives
//! them all. At the end everything that was accepted must have been taken by it at least once, and a payload that came twice must
//! have come under one `webhook-id`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sward::http::{Request, Response, Server, ServerHandle};
use sward::thread;
use sward::webhook::store::{SqliteStore, Store};
use sward::webhook::{Config, Publication, Registration, Schedule, Webhooks};

use crate::battery::random::Random;
use crate::kill::{When, child_support, killed, say};
use crate::receiver::{account, answer, config, ms};
use crate::sqlite::Folder;

const CHILD: &str = "kill_registry::child_of_kill";
const PUBLISHERS: usize = 25;
/// Of each publisher: 500 a second in all, as long as none waits longer than this for its commit.
const EVERY: Duration = Duration::from_millis(50);

fn registry(path: &str) -> Webhooks {
    let config = Config {
        // Enough attempts that none is ever the last.
        schedule: Schedule::new([ms(50); 40]),
        concurrency: 100,
        per_endpoint: 50,
        ..config()
    };
    Webhooks::new(Arc::new(SqliteStore::open(path).unwrap()), config)
}

/// The child: not a test of its own. Told its round, and of each publisher what is next; no publisher: deliver what is left.
#[test]
fn child_of_kill() {
    let Some(with) = child_support::is_child(CHILD) else { return };
    let [round, url, nexts, path] = with.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{with}")
    };
    let nexts: Vec<usize> = nexts.split(',').filter_map(|next| next.parse().ok()).collect();
    sward::Builder::new().workers(2).run(|| {
        let webhooks = registry(path);
        webhooks.register(Registration::new(url).keys(account("1")).unsigned()).unwrap();
        let _dispatcher = webhooks.start();
        say("", "the harness has begun this line");
        for (publisher, &next) in nexts.iter().enumerate() {
            let webhooks = webhooks.clone();
            thread::spawn(move || publish_from(&webhooks, publisher, next));
        }
        while !nexts.is_empty() || unfinished(&webhooks) > 0 {
            thread::sleep(ms(5));
        }
        say("drained", round);
    });
}

fn unfinished(webhooks: &Webhooks) -> u64 {
    let totals = webhooks.totals(None).unwrap();
    totals.pending + totals.in_flight
}

/// Publishes number `next` and those after it, each as its own payload under a key of its own.
fn publish_from(webhooks: &Webhooks, publisher: usize, next: usize) {
    let mut at = Instant::now();
    for n in next.. {
        let payload = format!("{publisher}/{n}");
        let publication = Publication::new(account("1"), &payload).idempotency_key(&payload);
        let accepted = webhooks.publish(publication).unwrap();
        say("accepted", &format!("{} {payload}", accepted.id));
        // Late is late: no burst afterwards.
        at = (at + EVERY).max(Instant::now());
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }
}

/// What the receiver has heard of a payload.
#[derive(Debug, Default)]
struct Heard {
    ids: Vec<String>,
    posts: usize,
    taken: usize,
}

type Ledger = Arc<Mutex<HashMap<String, Heard>>>;

/// Takes posts, on a port of its own. One in ten fails, one in ten is slow.
fn flaky(ledger: &Ledger, seed: u64) -> (String, ServerHandle) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let handle = server.handle();
    let (ledger, random) = (Arc::clone(ledger), Mutex::new(Random::new(seed)));
    thread::spawn(move || {
        server.serve(move |req: &mut Request| {
            let chance = random.lock().unwrap().below(100);
            let id = req.header("webhook-id").expect("no id").to_owned();
            let body: Value = serde_json::from_slice(&req.bytes().unwrap()).unwrap();
            let payload = body["data"].as_str().unwrap().to_owned();
            if (10..20).contains(&chance) {
                thread::sleep(ms(chance as u64 * 5));
            }
            let mut ledger = ledger.lock().unwrap();
            let heard = ledger.entry(payload).or_default();
            heard.posts += 1;
            if !heard.ids.contains(&id) {
                heard.ids.push(id);
            }
            if chance < 10 {
                // Not 503: that would slow the deliveries down, as it should.
                return answer(if chance < 5 { 500 } else { 404 });
            }
            heard.taken += 1;
            Response::text("thank you")
        })
    });
    (url, handle)
}

/// Kills `kills` children and looks what came of it.
fn nothing_is_lost(kills: usize, seed: u64) {
    let folder = Folder::new();
    let path = folder.file().to_str().unwrap().to_owned();
    let ledger = Ledger::default();
    sward::Builder::new().workers(1).run(|| {
        let (url, receiver) = flaky(&ledger, seed);
        let file = path.clone();
        let accepted = sward::blocking(move || drive(kills, seed, &url, &file));
        let store = SqliteStore::open(&path).unwrap();
        let totals = store.totals(None).unwrap();
        let ledger = ledger.lock().unwrap();
        for (payload, id) in &accepted {
            let heard = ledger.get(payload).unwrap_or_else(|| panic!("{payload} is lost"));
            assert!(heard.taken > 0, "{payload} was never taken: {heard:?}");
            assert_eq!(heard.ids, [id.as_str()], "{payload}");
        }
        let many: Vec<_> = ledger.iter().filter(|(_, heard)| heard.ids.len() > 1).collect();
        assert!(many.is_empty(), "the same payload under several ids: {many:?}");
        assert_eq!((totals.pending, totals.in_flight, totals.dead), (0, 0, 0), "{totals:?}");
        assert_eq!(totals.messages, ledger.len() as u64, "one message per payload");
        assert_eq!(totals.delivered, totals.messages);
        let sum = |of: fn(&Heard) -> usize| ledger.values().map(of).sum::<usize>();
        println!(
            "{kills} kills: {} accepted, all of them taken; {} posts, {} taken twice under the same id",
            accepted.len(),
            sum(|heard| heard.posts),
            sum(|heard| heard.taken.saturating_sub(1)),
        );
        assert!(accepted.len() > kills / 2, "too little happened: {}", accepted.len());
        receiver.shutdown_now();
    });
}

/// Returns the id that each payload was accepted under.
fn drive(kills: usize, seed: u64, url: &str, path: &str) -> BTreeMap<String, String> {
    let mut random = Random::new(seed ^ 1);
    let mut accepted = BTreeMap::new();
    let mut next = [0; PUBLISHERS];
    let (mut alive, began) = (Duration::ZERO, Instant::now());
    for round in 0..=kills {
        let last = round == kills;
        let nexts = if last { "none".into() } else { next.map(|n| n.to_string()).join(",") };
        let with = format!("{round} {url} {nexts} {path}");
        let said = if last {
            println!("{kills} kills in {:?}", began.elapsed());
            let mut child = child_support::Child::start(child_support::command(CHILD, &with));
            child.says("drained");
            assert_eq!(child.status(), 0);
            Vec::new()
        } else {
            let when = When::by_chance(&mut random, ms(850));
            if let When::Accepting(after) = when {
                alive += after;
            }
            killed(child_support::command(CHILD, &with), when)
        };
        for line in said.iter().filter_map(|line| line.strip_prefix("accepted ")) {
            let (id, payload) = line.split_once(' ').unwrap();
            let before = accepted.insert(payload.to_owned(), id.to_owned());
            assert!(before.is_none_or(|before| before == id), "{payload} has two ids");
            let (publisher, n) = payload.split_once('/').unwrap();
            next[publisher.parse::<usize>().unwrap()] = n.parse::<usize>().unwrap() + 1;
        }
    }
    let rate = accepted.len() as f64 / alive.as_secs_f64();
    println!("{rate:.0} publishes/s between the first and the kill, for {alive:?} in all");
    accepted
}

#[test]
fn ten_kills() {
    nothing_is_lost(10, 10);
}

#[test]
#[ignore = "takes minutes: kills a whole registry 200 times"]
fn two_hundred_kills() {
    nothing_is_lost(200, 200);
}
