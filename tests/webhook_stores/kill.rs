//! `kill -9` under load: of the process that publishes and delivers, and of the Redis server. Every message that was accepted
//! comes to each of its endpoints at least once; what comes twice has the same `webhook-id`.
//!
//! A child publishes 500 messages a second and delivers them to a receiver here, which fails at every fifth, and says which were
//! accepted. `SWARD_KILLS` says how often something is killed; 8 times without.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use sward::http::{Request, Response, Server as HttpServer, StatusCode};
use sward::webhook::store;
use sward::webhook::{Config, Guard, Keys, Publication, Registration, Schedule, Webhooks};

use crate::battery::random::Random;
use crate::redis::{Fsync, loaded, start, url};

#[path = "../child_support/mod.rs"]
mod child_support;

/// Where every message goes.
const PATHS: [&str; 2] = ["/a", "/b"];
const PUBLISHERS: usize = 50;
const EACH_PAUSES: Duration = Duration::from_millis(100);

fn keys() -> Keys {
    Keys::new().with("account_id", "42")
}

fn say(what: &str, id: &str) {
    // By one write, after the fact.
    std::io::stdout().write_all(format!("{what} {id}\n").as_bytes()).unwrap();
}

/// The child: not a test of its own.
#[test]
fn child_of_kill() {
    let Some(with) = child_support::is_child("kill::child_of_kill") else { return };
    let mut parts = with.splitn(3, ' ').map(str::to_owned);
    let mut part = || parts.next().unwrap();
    let (round, receiver, store) = (part(), part(), part());
    sward::Builder::new().workers(2).run(move || {
        let mut config = Config {
            guard: Guard::default().allow_loopback(),
            schedule: Schedule::new([Duration::from_millis(20); 60]),
            breaker: None,
            per_endpoint: 50,
            ..Config::default()
        };
        config.client.total_timeout = Duration::from_secs(1);
        let webhooks = Webhooks::new(store::open(&store).unwrap(), config);
        for path in PATHS {
            let registration = Registration::new(format!("{receiver}{path}")).keys(keys());
            webhooks.register(registration).unwrap();
        }
        let _delivers = webhooks.start();
        let publishers = if round == "drain" { 0 } else { PUBLISHERS };
        for publisher in 0..publishers {
            let (webhooks, round) = (webhooks.clone(), round.clone());
            sward::thread::spawn(move || publish(&webhooks, &format!("m{round}-{publisher}")));
        }
        say("\nopen", "");
        loop {
            // Not every store may be opened by two processes, so this one says how much is left.
            sward::thread::sleep(Duration::from_millis(50));
            let Ok(totals) = webhooks.totals(None) else { continue };
            say("left", &format!("{} {}", totals.pending + totals.in_flight, totals.dead));
        }
    });
}

fn publish(webhooks: &Webhooks, name: &str) {
    let begun = Instant::now();
    for n in 0_u32.. {
        let id = format!("{name}-{n}");
        let publication = Publication::new(keys(), &id).id(&id);
        match webhooks.publish(publication) {
            Ok(accepted) => {
                assert_eq!((accepted.id.as_str(), accepted.deliveries), (&id[..], PATHS.len()));
                say("accepted", &id);
            }
            Err(error) => say("refused", &format!("{id}: {error}")),
        }
        sward::thread::sleep((EACH_PAUSES * (n + 1)).saturating_sub(begun.elapsed()));
    }
}

/// What one has heard of: when a message was accepted, how often each endpoint took it, and with what body.
#[derive(Default)]
struct Heard {
    accepted: BTreeMap<String, Instant>,
    refused: usize,
    why: Option<String>,
    /// Deliveries not finished, and those that are dead.
    left: Option<(u64, u64)>,
    taken: HashMap<(String, String), usize>,
    bodies: HashMap<String, Vec<u8>>,
    differing: usize,
}

type Shared = Arc<Mutex<Heard>>;

/// A receiver that answers 500 to every fifth, and now and then nothing in time. Returns its address.
fn receiver(heard: &Shared) -> String {
    let (theirs, (tell, told)) = (heard.clone(), std::sync::mpsc::channel());
    thread::spawn(move || {
        sward::Builder::new().workers(1).run(move || {
            let server = HttpServer::bind("127.0.0.1:0").unwrap();
            tell.send(format!("http://{}", server.local_addr().unwrap())).unwrap();
            let random = Mutex::new(Random::new(7));
            server.serve(move |req: &mut Request| {
                let path = req.uri().to_owned();
                let id = req.header("webhook-id").map(str::to_owned);
                let (id, body) = (id.unwrap_or_default(), req.bytes().unwrap());
                let (fails, hangs) = {
                    let mut random = random.lock().unwrap();
                    (random.once_in(5), random.once_in(500))
                };
                if hangs {
                    sward::thread::sleep(Duration::from_millis(1200));
                }
                if fails {
                    return Response::new(StatusCode::INTERNAL_SERVER_ERROR);
                }
                let mut heard = theirs.lock().unwrap();
                let differs =
                    *heard.bodies.entry(id.clone()).or_insert_with(|| body.clone()) != body;
                heard.differing += usize::from(differs);
                *heard.taken.entry((path, id)).or_default() += 1;
                Response::new(StatusCode::OK)
            })
        })
    });
    told.recv().unwrap()
}

/// Starts a child, waits until it delivers, and writes down what it says from then on.
fn child(round: &str, receiver: &str, store: &str, heard: &Shared) -> Killed {
    let with = format!("{round} {receiver} {store}");
    let mut child = child_support::command("kill::child_of_kill", &with).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim_end() != "open" {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child ended before it delivered");
    }
    let theirs = heard.clone();
    let reads = thread::spawn(move || {
        loop {
            line.clear();
            let read = lines.read_line(&mut line);
            // What has no end was not said.
            let Some(said) = line.strip_suffix('\n').filter(|_| read.is_ok()) else { return };
            let mut heard = theirs.lock().unwrap();
            match said.split_once(' ') {
                Some(("accepted", id)) => drop(heard.accepted.insert(id.into(), Instant::now())),
                Some(("refused", why)) => {
                    heard.refused += 1;
                    heard.why.get_or_insert(why.into());
                }
                Some(("left", numbers)) => {
                    let (left, dead) = numbers.split_once(' ').unwrap();
                    heard.left = Some((left.parse().unwrap(), dead.parse().unwrap()));
                }
                _ => {}
            }
        }
    });
    Killed(child, Some(reads))
}

/// Killed as `kill -9` does when dropped, and waited for, with who reads what it says.
struct Killed(Child, Option<thread::JoinHandle<()>>);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        self.1.take().unwrap().join().unwrap();
    }
}

fn kills() -> usize {
    env::var("SWARD_KILLS").map_or(8, |kills| kills.parse().unwrap())
}

fn pause(random: &mut Random) {
    thread::sleep(Duration::from_millis(50 + random.below(500) as u64));
}

/// Delivers what is left, and returns which of the accepted messages did not come to both.
fn drain(receiver: &str, store: &str, heard: &Shared, what: &str, began: Instant) -> Vec<String> {
    let under_load = began.elapsed();
    heard.lock().unwrap().left = None;
    let child = child("drain", receiver, store, heard);
    let mut last = (u64::MAX, Instant::now());
    let dead = loop {
        thread::sleep(Duration::from_millis(20));
        let Some((left, dead)) = heard.lock().unwrap().left else { continue };
        if left == 0 {
            break dead;
        }
        if left < last.0 {
            last = (left, Instant::now());
        }
        let still = last.1.elapsed() < Duration::from_secs(90);
        assert!(still, "{left} deliveries are not delivered");
    };
    drop(child);
    let heard = heard.lock().unwrap();
    let came = |id: &String| {
        PATHS.iter().all(|path| heard.taken.contains_key(&((*path).into(), id.clone())))
    };
    let lost: Vec<_> = heard.accepted.keys().filter(|id| !came(id)).cloned().collect();
    let twice = heard.taken.values().filter(|times| **times > 1).count();
    println!(
        "{what}: {} accepted in {under_load:?} ({} refused, {:?}), {} taken, {twice} more than once, {} dead, {} lost; all over after {:?}",
        heard.accepted.len(),
        heard.refused,
        heard.why,
        heard.taken.len(),
        dead,
        lost.len(),
        began.elapsed(),
    );
    assert_eq!(heard.differing, 0, "two messages have one id");
    assert_eq!(dead, 0);
    assert!(heard.accepted.len() > kills() * 10, "too few were accepted");
    lost
}

/// The process that publishes and delivers is killed, again and again.
fn kill_the_process(store: &str) {
    let (heard, mut random, began) = (Shared::default(), Random::new(1), Instant::now());
    let receiver = receiver(&heard);
    for round in 0..kills() {
        let child = child(&round.to_string(), &receiver, store, &heard);
        pause(&mut random);
        drop(child);
    }
    let what = format!("{} kills of the process", kills());
    let lost = drain(&receiver, store, &heard, &what, began);
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
#[ignore = "needs redis-server"]
fn a_killed_process_loses_nothing_on_redis() {
    let server = start(Fsync::EverySecond);
    kill_the_process(&url(&server));
}

#[test]
#[ignore = "takes a while"]
fn a_killed_process_loses_nothing_on_sqlite() {
    let folder = env::temp_dir().join(format!("sward-kill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    kill_the_process(&format!("sqlite:{}", folder.join("store").display()));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The Redis server is killed and started again, again and again. Returns what was lost, and when it was killed.
fn kill_redis(fsync: Fsync) -> (Vec<(String, Instant)>, Vec<Instant>) {
    let mut server = start(fsync);
    let (heard, mut random, began) = (Shared::default(), Random::new(2), Instant::now());
    let (receiver, store) = (receiver(&heard), url(&server));
    let child = child("0", &receiver, &store, &heard);
    let mut times = Vec::new();
    for _ in 0..kills() {
        pause(&mut random);
        times.push(Instant::now());
        server.kill();
        assert!(server.begin(), "it does not start again");
        loaded(&server);
    }
    pause(&mut random);
    drop(child);
    let what = format!("{} kills of Redis, appendfsync {fsync:?}", kills());
    let lost = drain(&receiver, &store, &heard, &what, began);
    let heard = heard.lock().unwrap();
    (lost.into_iter().map(|id| (id.clone(), heard.accepted[&id])).collect(), times)
}

#[test]
#[ignore = "needs redis-server"]
fn a_killed_redis_loses_nothing_that_it_has_written() {
    let (lost, _) = kill_redis(Fsync::Always);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_killed_redis_loses_two_seconds_at_most() {
    let (lost, times) = kill_redis(Fsync::EverySecond);
    let apart = |a: Instant, b: Instant| a.max(b).duration_since(a.min(b));
    // It may have been killed while we were still reading what the child had said.
    let from_a_kill = |accepted| times.iter().map(|killed| apart(*killed, accepted)).min().unwrap();
    let longest = lost.iter().map(|(_, accepted)| from_a_kill(*accepted)).max();
    println!("what is lost was accepted {longest:?} from a kill, at most");
    assert!(longest.is_none_or(|longest| longest < Duration::from_secs(2)), "{longest:?}");
}
