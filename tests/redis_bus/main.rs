//! Topics over Redis, against a real one that is killed, emptied, stopped and restarted. Needs redis-server, so it is run by
//! the checks that have it: `cargo test --features redis --test redis_bus -- --ignored`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "../std_mirror/alarm.rs"]
mod alarm;
#[path = "../child_support/mod.rs"]
mod child_support;
mod instances;
mod server;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use server::Server;
use sward::pubsub::redis::{Builder, Redis};
use sward::pubsub::{Bus, BusError, EventId, RecvError, Subscriber};
use sward::thread;

const LONG: Duration = Duration::from_secs(30);

fn case(body: impl FnOnce()) {
    alarm::watch(|| sward::Builder::new().workers(2).run(body));
}

/// An instance; its calls wait long, for a busy machine.
fn instance(server: &Server) -> Redis {
    settings(server).connect().unwrap()
}

fn settings(server: &Server) -> Builder {
    Redis::builder(&server.url()).patience(LONG).history(100_000)
}

/// Publishes its number.
fn publish(bus: &Redis, n: u64) -> EventId {
    bus.publish("a", n.to_string().into_bytes().into()).unwrap()
}

/// The number that was published, or what came in place of a message.
fn next(subscriber: &Subscriber) -> Result<u64, RecvError> {
    Ok(number(&subscriber.recv_timeout(LONG)?.data))
}

fn number(data: &[u8]) -> u64 {
    std::str::from_utf8(data).unwrap().parse().unwrap()
}

fn expect(subscriber: &Subscriber, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(next(subscriber), Ok(n));
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn live_and_replayed_by_all() {
    case(|| {
        let server = Server::forgetful();
        let (one, two) = (instance(&server), instance(&server));
        let live = two.topic("a").unwrap().subscribe();
        let other = two.topic("b").unwrap().subscribe();
        let ids: Vec<_> = (1..=5).map(|n| publish(&one, n)).collect();
        assert!((1..=5).all(|n| ids[n - 1].seq == n as u64 && ids[n - 1].epoch == ids[0].epoch));
        for (n, id) in (1..).zip(&ids) {
            let message = live.recv_timeout(LONG).unwrap();
            assert_eq!((message.event_id, &*message.data), (*id, n.to_string().as_bytes()));
        }
        // One that comes later, and was not there: from the beginning, from the middle, from the end.
        let third = instance(&server);
        let topic = third.topic("a").unwrap();
        expect(&topic.subscribe_after_event(EventId::START), 1..=5);
        expect(&topic.subscribe_after_event(ids[2].to_string().parse().unwrap()), 4..=5);
        let (end, now) = (topic.subscribe_after_event(ids[4]), two.topic("a").unwrap().subscribe());
        assert_eq!(end.try_recv(), Err(RecvError::Empty));
        publish(&two, 6);
        expect(&end, [6]);
        expect(&now, [6]);
        expect(&live, [6]);
        assert_eq!(other.try_recv(), Err(RecvError::Empty));
    });
}

/// Green and OS threads of several instances, at once: one order for all, each publisher's own kept, every id once.
#[test]
#[ignore = "needs redis-server"]
fn one_order() {
    case(|| {
        const EACH: u64 = 300;
        let server = Server::forgetful();
        let buses = [instance(&server), instance(&server)];
        let ears: Vec<_> = buses
            .iter()
            .chain(&buses)
            .map(|bus| bus.topic("a").unwrap().subscribe())
            .map(|ear| {
                thread::spawn(move || {
                    (0..4 * EACH).map(|_| ear.recv().unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let speak = |bus: &Redis, voice: u64| {
            let bus = bus.clone();
            move || (0..EACH).map(|n| publish(&bus, voice * EACH + n)).collect::<Vec<_>>()
        };
        let theirs = [0, 1].map(|n| std::thread::spawn(speak(&buses[n], n as u64)));
        let green = [0, 1].map(|n| thread::spawn(speak(&buses[n], 2 + n as u64)));
        let mut ids: Vec<_> = green.into_iter().flat_map(|voice| voice.join().unwrap()).collect();
        for voice in theirs {
            ids.extend(sward::blocking(|| voice.join().unwrap()));
        }
        ids.sort_unstable();
        let heard: Vec<_> = ears.into_iter().map(|ear| ear.join().unwrap()).collect();
        let ids_heard: Vec<_> = heard[0].iter().map(|message| message.event_id).collect();
        assert_eq!(ids_heard, ids);
        assert!(ids.iter().zip(1..).all(|(id, seq)| id.seq == seq));
        for other in &heard {
            assert!(other.iter().zip(&heard[0]).all(|(one, two)| one.data == two.data));
        }
        for voice in 0..4 {
            let own =
                heard[0].iter().map(|message| number(&message.data)).filter(|n| n / EACH == voice);
            assert!(own.eq(voice * EACH..(voice + 1) * EACH));
        }
    });
}

/// Who was told by a quicker instance than the one he comes to: nothing twice, and no false alarm.
#[test]
#[ignore = "needs redis-server"]
fn newer_than_here() {
    case(|| {
        let server = Server::forgetful();
        let (quick, slow) = (instance(&server), instance(&server));
        let topic = slow.topic("a").unwrap();
        for n in 1..=300 {
            let id = publish(&quick, n);
            let resumed = topic.subscribe_after_event(id);
            assert_eq!(resumed.try_recv(), Err(RecvError::Empty), "{n}");
        }
    });
}

#[test]
#[ignore = "needs redis-server"]
fn who_is_there() {
    case(|| {
        let server = Server::forgetful();
        let buses = [instance(&server), instance(&server)];
        assert_eq!(buses[0].present("a"), Ok(0));
        let mut there: Vec<_> =
            (0..5).map(|n| buses[n % 2].topic("a").unwrap().subscribe()).collect();
        wait_until("all are seen", || buses.iter().all(|bus| bus.present("a") == Ok(5)));
        there.truncate(1);
        wait_until("one is seen", || buses.iter().all(|bus| bus.present("a") == Ok(1)));
    });
}

/// What the stream does not have any more is counted.
#[test]
#[ignore = "needs redis-server"]
fn too_late() {
    case(|| {
        let server = Server::forgetful();
        let bus = settings(&server).history(10).connect().unwrap();
        let first = publish(&bus, 1);
        for n in 2..=500 {
            publish(&bus, n);
        }
        let other = settings(&server).history(1000).connect().unwrap();
        let late = other.topic("a").unwrap();
        let kept = late.history(usize::MAX);
        assert!((10..200).contains(&kept.len()), "{}", kept.len());
        let subscriber = late.subscribe_after_event(first);
        let missed = kept[0].event_id.seq - 2;
        assert_eq!(subscriber.recv_timeout(LONG), Err(RecvError::Lagged { missed }));
        expect(&subscriber, missed + 2..=500);
    });
}

/// Connections that are cut again and again while messages are published and received: none is lost, none comes twice, and no
/// error is seen by anybody.
#[test]
#[ignore = "needs redis-server"]
fn connections_are_cut() {
    case(|| {
        let server = Server::forgetful();
        let buses = [instance(&server), instance(&server)];
        let (ids, heard) = publish_while(&buses, 40, || {
            for kind in ["pubsub", "normal"] {
                server.ask(&["CLIENT", "KILL", "TYPE", kind]);
            }
        });
        everything(&ids, &heard);
    });
}

/// With `appendfsync always` what was published is there after a SIGKILL; and what was under way is published once.
#[test]
#[ignore = "needs redis-server"]
fn killed_with_everything_on_disk() {
    case(|| {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let buses = [instance(&server), instance(&server)];
        let (ids, heard) = publish_while(&buses, 5, || {
            server.kill();
            server.start_again();
        });
        everything(&ids, &heard);
        assert!(ids.windows(2).all(|two| two[0].seq + 1 == two[1].seq), "numbers go on");
        assert!(ids[0].epoch < ids[ids.len() - 1].epoch, "each life has its epoch");
        // And so it is for those who come back, wherever.
        let other = instance(&server);
        let from = ids.len() / 2;
        let resumed = other.topic("a").unwrap().subscribe_after_event(ids[from]);
        for id in &ids[from + 1..] {
            assert_eq!(resumed.try_recv().map(|message| message.event_id), Ok(*id));
        }
    });
}

/// With `everysec` the last moments of a server may be lost, if the disk is busy. Nothing comes twice or out of order, and who had
/// seen what was lost is told.
#[test]
#[ignore = "needs redis-server"]
fn killed_with_the_last_second_in_memory() {
    case(|| {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
        let buses = [instance(&server), instance(&server)];
        let (_, heard) = publish_while(&buses, 5, || {
            server.kill();
            server.start_again();
        });
        for heard in heard {
            let (mut last, mut told) = ((EventId::START, 0), false);
            for one in heard {
                let Ok((id, n)) = one else {
                    told = true;
                    continue;
                };
                assert!(id > last.0 && n > last.1, "{id} {n} after {last:?}");
                // What was lost before anybody here saw it ends with a life of the server.
                let whole = told || id.epoch != last.0.epoch || n == last.1 + 1;
                assert!(whole && (told || id.seq == last.0.seq + 1), "{id} {n} after {last:?}");
                (last, told) = ((id, n), false);
            }
        }
    });
}

/// Each message, its number in it, or that some were lost.
type Heard = Vec<Result<(EventId, u64), RecvError>>;

/// Publishes without a pause, by the first instance, while `meanwhile` is done so often; both receive, up to the last. All of it is
/// accepted. What was published, from 1, and what was received.
fn publish_while(
    buses: &[Redis; 2],
    times: usize,
    mut meanwhile: impl FnMut(),
) -> (Vec<EventId>, [Heard; 2]) {
    let ears = [0, 1].map(|n| buses[n].topic("a").unwrap().subscribe());
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, counted, speaker) = (stop.clone(), count.clone(), buses[0].clone());
    let speaking = thread::spawn(move || {
        let mut ids = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            ids.push(publish(&speaker, ids.len() as u64 + 1));
            counted.store(ids.len() as u64, Ordering::Relaxed);
        }
        ids
    });
    for _ in 0..times {
        // It comes to life again each time, and is in the middle of it.
        let before = count.load(Ordering::Relaxed);
        wait_until("it goes on", || count.load(Ordering::Relaxed) > before + 20);
        meanwhile();
    }
    stop.store(true, Ordering::Relaxed);
    let ids = speaking.join().unwrap();
    let heard = ears.map(|ear| {
        let mut heard = Heard::new();
        while heard
            .last()
            .is_none_or(|last| !matches!(last, Ok((id, _)) if *id == ids[ids.len() - 1]))
        {
            heard.push(match ear.recv_timeout(LONG) {
                Ok(message) => Ok((message.event_id, number(&message.data))),
                Err(RecvError::Timeout) => {
                    panic!("only {} of {}: {:?}", heard.len(), ids.len(), heard.last())
                }
                Err(error) => Err(error),
            });
        }
        assert_eq!(ear.try_recv(), Err(RecvError::Empty));
        heard
    });
    (ids, heard)
}

/// All of them, once, in order, and nothing else.
fn everything(ids: &[EventId], heard: &[Heard]) {
    for heard in heard {
        assert!(
            heard.iter().cloned().eq(ids.iter().zip(1..).map(|(id, n)| Ok((*id, n)))),
            "{heard:?}"
        );
    }
}

/// Redis comes back without its data: whoever listens is told, and whoever comes back with an id of before.
#[test]
#[ignore = "needs redis-server"]
fn restarted_empty() {
    case(|| {
        let mut server = Server::forgetful();
        let (bus, other) = (instance(&server), instance(&server));
        let live = other.topic("a").unwrap().subscribe();
        let idle = other.topic("b").unwrap().subscribe();
        let ids: Vec<_> = (1..=5).map(|n| publish(&bus, n)).collect();
        expect(&live, 1..=5);
        server.kill();
        server.start_again();
        // Before anything is published.
        assert!(matches!(next(&live), Err(RecvError::Lagged { .. })));
        for n in 6..=12 {
            publish(&bus, n);
        }
        expect(&live, 6..=12);
        assert_eq!(idle.try_recv(), Err(RecvError::Empty), "it has lost nothing");
        let third = instance(&server);
        for topic in [other.topic("a").unwrap(), third.topic("a").unwrap()] {
            // The third's number is known, and means another message.
            let resumed = topic.subscribe_after_event(ids[2]);
            assert_eq!(next(&resumed), Err(RecvError::Lagged { missed: 0 }));
            expect(&resumed, 6..=12);
        }
    });
}

/// Redis comes back with an older state: what it has lost, some have seen.
#[test]
#[ignore = "needs redis-server"]
fn restarted_with_an_older_state() {
    case(|| {
        let mut server = Server::forgetful();
        let (bus, other) = (instance(&server), instance(&server));
        let live = other.topic("a").unwrap().subscribe();
        let mut ids: Vec<_> = (1..=5).map(|n| publish(&bus, n)).collect();
        server.ask(&["SAVE"]);
        ids.extend((6..=8).map(|n| publish(&bus, n)));
        expect(&live, 1..=8);
        server.kill();
        server.start_again();
        let new: Vec<_> = (9..=20).map(|n| publish(&bus, n)).collect();
        assert_eq!((new[0].seq, new[0].epoch > ids[0].epoch), (6, true));
        assert!(matches!(next(&live), Err(RecvError::Lagged { .. })));
        expect(&live, 9..=20);
        let third = instance(&server);
        let topic = third.topic("a").unwrap();
        // Seen what is lost: told. The number itself is taken again by now.
        let resumed = topic.subscribe_after_event(ids[7]);
        assert_eq!(next(&resumed), Err(RecvError::Lagged { missed: 0 }));
        expect(&resumed, 9..=20);
        // Not seen: everything that is known is had, without a word.
        expect(&topic.subscribe_after_event(ids[2]), [4, 5].into_iter().chain(9..=20));
    });
}

/// A server that is not there, one that does not answer, and what becomes of calls meanwhile.
#[test]
#[ignore = "needs redis-server"]
fn unreachable() {
    case(|| {
        let mut server = Server::forgetful();
        server.kill();
        let bus = settings(&server).patience(Duration::from_secs(1)).holds(3).connect().unwrap();
        let say = |bus: &Redis, text: &str| bus.publish("a", text.as_bytes().into());
        assert_eq!(say(&bus, "never"), Err(BusError::Unreachable));
        assert_eq!(bus.topic("a").unwrap_err(), BusError::Unreachable);
        assert_eq!(bus.present("a"), Err(BusError::Unreachable));
        let many: Vec<_> = (0..4)
            .map(|_| {
                let bus = bus.clone();
                thread::spawn(move || say(&bus, "never"))
            })
            .collect();
        let ends: Vec<_> = many.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(ends.contains(&Err(BusError::Full)), "{ends:?}");

        server.start_again();
        wait_until("it is found", || bus.topic("a").is_ok());
        let live = bus.topic("a").unwrap().subscribe();
        wait_until("it takes something", || say(&bus, "once").is_ok());
        wait_until("it does nothing else", || say(&bus, "twice").is_ok());

        // Stopped in the middle: nobody knows. But it comes once.
        signal(&server, "STOP");
        assert_eq!(say(&bus, "in doubt"), Err(BusError::TimedOut));
        thread::sleep(Duration::from_millis(1500)); // the same again, over new connections
        signal(&server, "CONT");
        wait_until("it takes something", || say(&bus, "last").is_ok());
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "last") {
            let message = live.recv_timeout(LONG).unwrap();
            heard.push(String::from_utf8_lossy(&message.data).into_owned());
        }
        let count = |text: &str| heard.iter().filter(|heard| *heard == text).count();
        assert_eq!((count("never"), count("once"), count("in doubt")), (0, 1, 1), "{heard:?}");
    });
}

/// Without the patch, and with one worker: who waits for Redis is parked, and the others go on.
#[test]
#[ignore = "needs redis-server"]
fn workers_go_on() {
    let body = || {
        let server = Server::forgetful();
        let bus = instance(&server);
        publish(&bus, 1);
        signal(&server, "STOP");
        let publishing = thread::spawn({
            let bus = bus.clone();
            move || publish(&bus, 2)
        });
        let joining = thread::spawn({
            let bus = bus.clone();
            move || bus.topic("b").map(drop)
        });
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!publishing.is_finished() && !joining.is_finished(), "it does not answer");
        signal(&server, "CONT");
        assert_eq!(publishing.join().unwrap().seq, 2);
        assert_eq!(joining.join().unwrap(), Ok(()));
    };
    alarm::watch(|| sward::Builder::new().workers(1).run(body));
}

fn signal(server: &Server, name: &str) {
    let status = Command::new("kill").args(["-s", name, &server.process_id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// A topic that Redis will not have: its publisher is told, and others' messages of the same batch are not touched.
#[test]
#[ignore = "needs redis-server"]
fn refused() {
    case(|| {
        let server = Server::forgetful();
        let bus = instance(&server);
        server.ask(&["SET", "sward:t:wrong", "text"]);
        let both: Vec<_> = (0..40)
            .map(|n| {
                let bus = bus.clone();
                let name = if n % 2 == 0 { "wrong" } else { "a" };
                thread::spawn(move || bus.publish(name, b"1"[..].into()))
            })
            .collect();
        for (n, one) in both.into_iter().enumerate() {
            match one.join().unwrap() {
                Err(BusError::Refused(why)) => {
                    assert!(n % 2 == 0 && why.contains("WRONGTYPE"), "{why}")
                }
                result => assert!(n % 2 == 1 && result.is_ok(), "{result:?}"),
            }
        }
        assert_eq!(bus.topic("a").unwrap().history(100).len(), 20);
        assert!(matches!(Redis::connect("http://127.0.0.1/"), Err(BusError::Refused(_))));
    });
}

#[test]
#[ignore = "needs redis-server"]
fn the_end() {
    case(|| {
        let server = Server::forgetful();
        let bus = instance(&server);
        let live = bus.topic("a").unwrap().subscribe();
        let late = instance(&server);
        let published = {
            let bus = bus.clone();
            thread::spawn(move || publish(&bus, 1))
        };
        published.join().unwrap();
        drop(bus);
        let ended = std::iter::from_fn(|| live.recv_timeout(LONG).err()).next();
        assert_eq!(ended.or(live.recv_timeout(LONG).err()), Some(RecvError::Closed));
        expect(&late.topic("a").unwrap().subscribe_after_event(EventId::START), [1]);
        let connections = || match server.ask(&["CLIENT", "LIST"]) {
            redis::Value::VerbatimString { text, .. } => text.lines().count(),
            redis::Value::BulkString(text) => String::from_utf8(text).unwrap().lines().count(),
            other => panic!("{other:?}"),
        };
        // The other's three, and the one that asks.
        wait_until("its connections go", || connections() == 4);
    });
}
