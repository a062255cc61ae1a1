//! `kill -9` of a process that uses a SQLite store: what it was told is true afterwards.
//!
//! A child publishes and finishes in a loop and says what was accepted and what was finished; at some moment it is killed. The
//! parent opens the file and looks. What this cannot show is the loss of power: the kernel keeps what the child had written.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::thread;
use sward::webhook::store::{Filter, Next, SqliteStore, Store};
use sward::webhook::{DeliveryId, DeliveryState, MessageId, Time};

use crate::battery::random::Random;
use crate::battery::{endpoint_id, message, register, succeeded};
use crate::sqlite::Folder;

#[path = "../child_support/mod.rs"]
pub(crate) mod child_support;

const KILLS: usize = 40;
/// Three endpoints want every message, the last of them in order.
const ENDPOINTS: [&str; 3] = ["a", "b", "ordered"];

pub(crate) fn say(what: &str, id: &str) {
    // By one write, after the fact.
    std::io::stdout().write_all(format!("{what} {id}\n").as_bytes()).unwrap();
}

/// The child: not a test of its own.
#[test]
fn child_of_kill() {
    let Some(with) = child_support::is_child("kill::child_of_kill") else { return };
    let (round, path) = with.split_once(' ').unwrap();
    let (round, path) = (round.to_owned(), path.to_owned());
    sward::Builder::new().workers(2).run(move || {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path).unwrap());
        say("", "the harness has begun this line");
        for publisher in 0..4 {
            let (store, round) = (store.clone(), round.clone());
            thread::spawn(move || {
                for n in 0.. {
                    let id = format!("m{round}-{publisher}-{n}");
                    let message = message(&id, Time::now(), &[("k", "1")]);
                    assert_eq!(store.publish(&message, &[]).unwrap().deliveries, ENDPOINTS.len());
                    say("accepted", &id);
                }
            });
        }
        for claimer in 0.. {
            let id = endpoint_id(ENDPOINTS[claimer % ENDPOINTS.len()]);
            let now = Time::now();
            for claim in store.claim(&id, now, now + Duration::from_secs(600), 5).unwrap() {
                let store = store.clone();
                thread::spawn(move || {
                    let id = claim.delivery.id;
                    let attempt = succeeded(&id, 1, now);
                    store.finish(&id, Some(&attempt), Next::Delivered(Time::now())).unwrap();
                    say("finished", id.as_str());
                });
            }
            thread::yield_now();
        }
    });
}

/// When to kill: so long after the first message was accepted, or after the child was started, while it opens the file.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Accepting(Duration),
    Opening(Duration),
}

impl When {
    /// By chance: mostly up to `most` after the first message, now and then early.
    pub(crate) fn by_chance(random: &mut Random, most: Duration) -> When {
        let micros = |random: &mut Random, most: Duration| {
            Duration::from_micros(random.below(most.as_micros() as usize) as u64)
        };
        match random.once_in(5) {
            true => When::Opening(micros(random, Duration::from_millis(150))),
            false => When::Accepting(micros(random, most)),
        }
    }
}

/// Starts a child, kills it, and returns what it said.
pub(crate) fn killed(mut command: Command, when: When) -> Vec<String> {
    let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = Lines { from: BufReader::new(child.stdout.take().unwrap()), said: Vec::new() };
    let after = match when {
        When::Opening(after) => after,
        When::Accepting(after) => {
            while !lines.said.iter().any(|line| line.starts_with("accepted")) {
                assert!(lines.more(), "the child ended before it had accepted anything");
            }
            after
        }
    };
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    while lines.more() {}
    killer.join().unwrap();
    lines.said
}

struct Lines {
    from: BufReader<ChildStdout>,
    said: Vec<String>,
}

impl Lines {
    /// One line more; what has no end was not said.
    fn more(&mut self) -> bool {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).unwrap();
        self.said.extend(line.strip_suffix('\n').map(str::to_owned));
        read > 0
    }
}

#[test]
fn what_was_accepted_survives_kills() {
    let folder = Folder::new();
    let path = folder.file().to_str().unwrap().to_owned();
    let mut random = Random::new(0x9_1177);
    let (mut accepted, mut finished) = (BTreeSet::new(), BTreeSet::new());
    sward::run(|| {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).unwrap());
        for name in ENDPOINTS {
            let id = register(&store, name, &[("k", "1")]);
            crate::battery::set_ordered(&store, &id, name == "ordered");
        }
    });
    let began = Instant::now();
    for round in 0..KILLS {
        let when = When::by_chance(&mut random, Duration::from_millis(60));
        let with = format!("{round} {path}");
        let said = killed(child_support::command("kill::child_of_kill", &with), when);
        for line in &said {
            match line.split_once(' ') {
                Some(("accepted", id)) => drop(accepted.insert(id.to_owned())),
                Some(("finished", id)) => drop(finished.insert(id.to_owned())),
                _ => {}
            }
        }
        sward::run(|| look(&path, &accepted, &finished));
    }
    println!(
        "{KILLS} kills in {:?}: {} messages accepted, {} deliveries finished, none lost",
        began.elapsed(),
        accepted.len(),
        finished.len()
    );
    // One at least in each round that was not killed early.
    assert!(accepted.len() > KILLS / 2, "only {} were accepted", accepted.len());
    assert!(!finished.is_empty(), "none was finished");
}

fn look(path: &str, accepted: &BTreeSet<String>, finished: &BTreeSet<String>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path).unwrap());
    for id in accepted {
        let id = MessageId::parse(id).unwrap();
        assert!(store.message(&id).unwrap().is_some(), "{id} was accepted and is lost");
    }
    for id in finished {
        let id = DeliveryId::parse(id).unwrap();
        let state = store.delivery(&id).unwrap().expect("finished and lost").state;
        assert_eq!(state, DeliveryState::Delivered, "{id}");
        assert_eq!(store.attempts(&id).unwrap().len(), 1, "{id}");
    }
    // Each message whole, whether its publisher heard of it or not; and nothing is claimed any more.
    let totals = store.totals(None).unwrap();
    let deliveries = store.deliveries(&Filter::default(), None, usize::MAX).unwrap().len() as u64;
    assert_eq!(deliveries, totals.messages * ENDPOINTS.len() as u64);
    assert_eq!((totals.in_flight, totals.dead), (0, 0));
    assert_eq!(totals.pending + totals.delivered, deliveries);
    assert!(totals.delivered >= finished.len() as u64);
    assert_eq!(totals.next.is_some(), totals.pending > 0);
}
