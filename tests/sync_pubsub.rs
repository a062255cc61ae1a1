//! Topics: ids, replay that says what is missing, no gap and no double between history and live, many subscribers.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::pubsub::{Bus, EventId, Lagging, RecvError, Subscriber, Topic, Topics};
use sward::thread;

#[path = "std_mirror/alarm.rs"]
mod alarm;

fn case(workers: usize, body: impl FnOnce()) {
    alarm::watch(|| sward::Builder::new().workers(workers).run(body));
}

/// A frame that says its own id.
fn publish(topic: &Topic, n: u64) {
    assert_eq!(topic.publish(n.to_string().into_bytes()), n);
}

/// What can be received without waiting.
fn drain(subscriber: &Subscriber) -> Vec<Result<u64, RecvError>> {
    let mut seen = Vec::new();
    loop {
        match subscriber.try_recv() {
            Ok(message) => {
                assert_eq!(*message.data, *message.id.to_string().as_bytes());
                seen.push(Ok(message.id));
            }
            Err(RecvError::Empty) => return seen,
            Err(RecvError::Closed) => {
                seen.push(Err(RecvError::Closed));
                return seen;
            }
            Err(lagged) => seen.push(Err(lagged)),
        }
    }
}

fn lagged(missed: u64) -> Result<u64, RecvError> {
    Err(RecvError::Lagged { missed })
}

#[test]
fn live_only() {
    case(1, || {
        let topic = Topic::new(4);
        publish(&topic, 1);
        let subscriber = topic.subscribe();
        assert_eq!(drain(&subscriber), []);
        publish(&topic, 2);
        publish(&topic, 3);
        assert_eq!(drain(&subscriber), [Ok(2), Ok(3)]);
        assert_eq!(topic.last_id(), 3);
    });
}

#[test]
fn replay() {
    case(1, || {
        let topic = Topic::new(4);
        (1..=4).for_each(|n| publish(&topic, n));
        let (all, some, none) =
            (topic.subscribe_after(0), topic.subscribe_after(2), topic.subscribe_after(4));
        assert_eq!(drain(&some), [Ok(3), Ok(4)]);
        assert_eq!(drain(&none), []);
        publish(&topic, 5);
        assert_eq!(drain(&some), [Ok(5)]);
        assert_eq!(drain(&none), [Ok(5)]);
        // This one was not too late when it subscribed, but it is now.
        assert_eq!(drain(&all), [lagged(1), Ok(2), Ok(3), Ok(4), Ok(5)]);
    });
}

#[test]
fn partial_replay_says_so() {
    case(1, || {
        let topic = Topic::new(3);
        (1..=10).for_each(|n| publish(&topic, n));
        assert_eq!(drain(&topic.subscribe_after(5)), [lagged(2), Ok(8), Ok(9), Ok(10)]);
        assert_eq!(drain(&topic.subscribe_after(7)), [Ok(8), Ok(9), Ok(10)]);
        assert_eq!(drain(&topic.subscribe_after(0)), [lagged(7), Ok(8), Ok(9), Ok(10)]);
    });
}

/// A client comes with an id from before a restart: what it missed cannot be known, and it is told.
#[test]
fn id_from_the_future() {
    case(1, || {
        let topic = Topic::new(3);
        assert_eq!(drain(&topic.subscribe_after(77)), [lagged(0)]);
        (1..=4).for_each(|n| publish(&topic, n));
        let subscriber = topic.subscribe_after(77);
        assert_eq!(drain(&subscriber), [lagged(1), Ok(2), Ok(3), Ok(4)]);
        publish(&topic, 5);
        assert_eq!(drain(&subscriber), [Ok(5)]);
    });
}

#[test]
fn slow_one_lags_and_goes_on() {
    case(1, || {
        let topic = Topic::new(2);
        let subscriber = topic.subscribe();
        (1..=5).for_each(|n| publish(&topic, n));
        assert_eq!(drain(&subscriber), [lagged(3), Ok(4), Ok(5)]);
        publish(&topic, 6);
        assert_eq!(drain(&subscriber), [Ok(6)]);
    });
}

#[test]
fn history_is_oldest_first() {
    case(1, || {
        let topic = Topic::new(3);
        let ids = |n| topic.history(n).iter().map(|message| message.id).collect::<Vec<_>>();
        assert!(ids(5).is_empty());
        (1..=5).for_each(|n| publish(&topic, n));
        assert!(ids(0).is_empty());
        assert_eq!(ids(2), [4, 5]);
        assert_eq!(ids(3), [3, 4, 5]);
        assert_eq!(ids(usize::MAX), [3, 4, 5]);
    });
}

#[test]
fn capacity_of_nothing_is_one() {
    case(1, || {
        let topic = Topic::new(0);
        let subscriber = topic.subscribe();
        publish(&topic, 1);
        publish(&topic, 2);
        assert_eq!(drain(&subscriber), [lagged(1), Ok(2)]);
    });
}

#[test]
fn frames_are_shared() {
    case(1, || {
        let topic = Topic::new(2);
        let (one, two) = (topic.subscribe(), topic.subscribe());
        let frame: Arc<[u8]> = Arc::from(&b"once"[..]);
        topic.publish(Arc::clone(&frame));
        assert!(Arc::ptr_eq(&one.recv().unwrap().data, &frame));
        assert!(Arc::ptr_eq(&two.recv().unwrap().data, &frame));
    });
}

#[test]
fn closing() {
    case(1, || {
        let topic = Topic::new(4);
        let (waiting, late) = (topic.subscribe(), topic.subscribe());
        let waiter = thread::spawn(move || (waiting.recv().unwrap().id, waiting.recv()));
        thread::yield_now();
        publish(&topic, 1);
        topic.close();
        topic.close();
        assert_eq!(topic.publish(&b"dropped"[..]), 0);
        assert_eq!(waiter.join().unwrap(), (1, Err(RecvError::Closed)));
        assert_eq!(drain(&late), [Ok(1), Err(RecvError::Closed)]);
        assert_eq!(drain(&topic.subscribe_after(0)), [Ok(1), Err(RecvError::Closed)]);
    });
}

#[test]
fn last_handle_closes() {
    case(1, || {
        let topic = Topic::new(4);
        let clone = topic.clone();
        let subscriber = topic.subscribe();
        drop(topic);
        assert_eq!(subscriber.try_recv(), Err(RecvError::Empty));
        publish(&clone, 1);
        drop(clone);
        assert_eq!(drain(&subscriber), [Ok(1), Err(RecvError::Closed)]);
    });
}

#[test]
fn subscribers_are_counted() {
    case(1, || {
        let topic = Topic::new(4);
        let (one, two) = (topic.subscribe(), topic.subscribe_after(0));
        assert_eq!(topic.subscribers(), 2);
        drop(one);
        assert_eq!(topic.subscribers(), 1);
        drop(two);
        assert_eq!(topic.subscribers(), 0);
    });
}

#[test]
fn time_limits() {
    case(1, || {
        let topic = Topic::new(4);
        let subscriber = topic.subscribe();
        let (start, limit) = (Instant::now(), Duration::from_millis(10));
        assert_eq!(subscriber.recv_timeout(limit), Err(RecvError::Timeout));
        assert_eq!(subscriber.recv_deadline(start + limit * 2), Err(RecvError::Timeout));
        assert!(start.elapsed() >= limit * 2);
        publish(&topic, 1);
        // It is there, so it does not matter that it is late.
        assert_eq!(subscriber.recv_deadline(start).unwrap().id, 1);
    });
}

/// Subscribers that come at any time, on any worker, while others publish: each sees every id from its start to the end.
#[test]
fn no_gap_and_no_double() {
    case(2, || {
        const ALL: u64 = 2000;
        let topic = Topic::new(ALL as usize);
        let publisher = topic.clone();
        let publishing = thread::spawn(move || {
            for n in 1..=ALL {
                publish(&publisher, n);
                if n % 16 == 0 {
                    thread::yield_now();
                }
            }
        });
        let subscribers: Vec<_> = (0..40)
            .map(|_| {
                thread::yield_now();
                let history = topic.history(5);
                let seen = history.last().map_or(0, |message| message.id);
                let subscriber = topic.subscribe_after(seen);
                thread::spawn(move || {
                    for expected in seen + 1..=ALL {
                        assert_eq!(subscriber.recv().unwrap().id, expected);
                    }
                })
            })
            .collect();
        publishing.join().unwrap();
        subscribers.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// The same from OS threads: one of each kind publishes, one of each kind listens.
#[test]
fn across_kinds_of_threads() {
    case(1, || {
        const EACH: u64 = 300;
        let topic = Topic::new(2 * EACH as usize);
        let listen = |subscriber: Subscriber| {
            move || (1..=2 * EACH).all(|expected| subscriber.recv().unwrap().id == expected)
        };
        let speak = || {
            let topic = topic.clone();
            move || (0..EACH).for_each(|_| assert!(topic.publish(&b"x"[..]) > 0))
        };
        let green_ear = thread::spawn(listen(topic.subscribe()));
        let os_ear = std::thread::spawn(listen(topic.subscribe()));
        let green_voice = thread::spawn(speak());
        let os_voice = std::thread::spawn(speak());
        green_voice.join().unwrap();
        assert!(green_ear.join().unwrap());
        sward::blocking(move || {
            os_voice.join().unwrap();
            assert!(os_ear.join().unwrap());
        });
    });
}

#[test]
fn ten_thousand_subscribers() {
    case(1, || {
        const SUBSCRIBERS: usize = 10_000;
        let topic = Topic::new(4);
        let all: Vec<_> = (0..SUBSCRIBERS)
            .map(|_| {
                let subscriber = topic.subscribe();
                thread::spawn(move || std::iter::from_fn(|| subscriber.recv().ok()).count())
            })
            .collect();
        thread::yield_now();
        for n in 1..=3 {
            publish(&topic, n);
            thread::yield_now();
        }
        assert_eq!(topic.subscribers(), SUBSCRIBERS);
        topic.close();
        let heard: usize = all.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(heard, 3 * SUBSCRIBERS);
        assert!(size_of::<Subscriber>() <= 64, "a subscriber is a cursor");
    });
}

/// Each policy, by somebody who takes nothing while ten messages are published in a topic that keeps four; then he is quick
/// again.
#[test]
fn policies() {
    let slow_then_quick = |lagging: Option<Lagging>| {
        let topic = Topic::new(4);
        let subscriber = topic.subscribe();
        let subscriber = match lagging {
            Some(lagging) => subscriber.lagging(lagging),
            None => subscriber,
        };
        (1..=10).for_each(|n| publish(&topic, n));
        let late = drain(&subscriber);
        publish(&topic, 11);
        (late, drain(&subscriber))
    };
    let all = move || {
        let oldest = vec![lagged(6), Ok(7), Ok(8), Ok(9), Ok(10)];
        assert_eq!(slow_then_quick(None), (oldest.clone(), vec![Ok(11)]));
        assert_eq!(slow_then_quick(Some(Lagging::DropOldest)), (oldest.clone(), vec![Ok(11)]));
        assert_eq!(slow_then_quick(Some(Lagging::DropNewest)), (oldest, vec![Ok(11)]));
        assert_eq!(slow_then_quick(Some(Lagging::Latest)), (vec![Ok(10)], vec![Ok(11)]));
        let cut = vec![lagged(6), Err(RecvError::Closed)];
        assert_eq!(slow_then_quick(Some(Lagging::Disconnect)), (cut, vec![Err(RecvError::Closed)]));
    };
    case(1, all);
    std::thread::spawn(all).join().unwrap();
}

/// What is published while he takes what there was when he fell behind is lost to him, and he is told.
#[test]
fn newest_are_dropped() {
    case(1, || {
        let topic = Topic::new(8);
        let subscriber = topic.subscribe().lagging(Lagging::DropNewest);
        (1..=4).for_each(|n| publish(&topic, n));
        // Half of what the topic keeps: he is not behind yet.
        assert_eq!(subscriber.recv().unwrap().id, 1);
        (5..=6).for_each(|n| publish(&topic, n));
        assert_eq!(subscriber.recv().unwrap().id, 2);
        (7..=8).for_each(|n| publish(&topic, n));
        let rest = [Ok(3), Ok(4), Ok(5), Ok(6), lagged(2)];
        assert_eq!(drain(&subscriber), rest);
        publish(&topic, 9);
        assert_eq!(drain(&subscriber), [Ok(9)]);
    });
}

#[test]
fn disconnected_one_does_not_wait() {
    case(1, || {
        let topic = Topic::new(1);
        let subscriber = topic.subscribe().lagging(Lagging::Disconnect);
        (1..=3).for_each(|n| publish(&topic, n));
        assert_eq!(subscriber.recv(), Err(RecvError::Lagged { missed: 2 }));
        assert_eq!(subscriber.recv(), Err(RecvError::Closed));
    });
}

/// What is there without waiting, by id.
fn ids(subscriber: &Subscriber) -> Vec<Result<u64, RecvError>> {
    std::iter::from_fn(|| match subscriber.try_recv() {
        Err(RecvError::Empty) => None,
        other => Some(other.map(|message| message.event_id.seq)),
    })
    .collect()
}

#[test]
fn events_of_another_life() {
    case(1, || {
        let publish = |topics: &Topics| topics.publish("a", &b"x"[..]);
        let before = Topics::new(3);
        let old: Vec<_> = (0..3).map(|_| publish(&before)).collect();
        let topics = Topics::new(3);
        let new: Vec<_> = (0..5).map(|_| publish(&topics)).collect();
        let after = |id| ids(&topics.topic("a").subscribe_after_event(id));

        assert!(old[2].epoch < new[0].epoch && new[0] < new[1]);
        assert_eq!(after(new[4]), []);
        assert_eq!(after(new[2]), [Ok(4), Ok(5)]);
        assert_eq!(after(new[1]), [Ok(3), Ok(4), Ok(5)]);
        assert_eq!(after(new[0]), [lagged(1), Ok(3), Ok(4), Ok(5)]);
        assert_eq!(after(EventId::START), [lagged(2), Ok(3), Ok(4), Ok(5)]);
        // Its number is among them, and so is the next one's: it is the other life's all the same.
        assert_eq!(after(old[2]), [lagged(0), Ok(3), Ok(4), Ok(5)]);
        assert_eq!(after(old[1]), [lagged(0), Ok(3), Ok(4), Ok(5)]);
        // One of a life that is to come, as this one sees it.
        let later = EventId { epoch: new[0].epoch + 1, seq: 1 };
        assert_eq!(after(later), [lagged(0), Ok(3), Ok(4), Ok(5)]);
        // Over text, as a browser has it.
        assert_eq!(after(new[3].to_string().parse().unwrap()), [Ok(5)]);
    });
}

/// Before anything was published: an old id is known to be old, and a beginner is not told of losses.
#[test]
fn events_of_an_empty_topic() {
    case(1, || {
        let (topics, old) = (Topics::new(3), Topics::new(3).publish("a", &b"x"[..]));
        let topic = topics.topic("a");
        assert_eq!(ids(&topic.subscribe_after_event(old)), [lagged(0)]);
        assert_eq!(ids(&topic.subscribe_after_event(EventId::START)), []);
    });
}

#[test]
fn event_ids_as_text() {
    for text in ["0", "7", "5-7", "18446744073709551615-18446744073709551615"] {
        assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
    }
    for text in ["", "-", "1-", "-1", "+1", "1-+1", "1-2-3", " 1", "a", "18446744073709551616"] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
}

#[test]
fn topics_come_and_go() {
    case(1, || {
        let topics = Topics::new(2).keep_for(Duration::from_millis(40));
        let gone = |left: &[&str]| {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                topics.publish("other", &b""[..]); // a use of any is what looks after all
                let mut names: Vec<_> = topics.list().into_iter().map(|(name, _)| name).collect();
                names.sort();
                if names == left {
                    return;
                }
                assert!(Instant::now() < deadline, "{names:?}");
                thread::sleep(Duration::from_millis(5));
            }
        };
        assert!(topics.is_empty() && topics.subscribers("a") == 0 && topics.is_empty());
        let (published, held) = (topics.publish("published", &b"1"[..]), topics.topic("held"));
        let subscriber = topics.topic("subscribed").subscribe();
        assert_eq!(topics.subscribers("subscribed"), 1);
        gone(&["held", "other", "subscribed"]);
        // It comes again, and is another.
        let again = topics.publish("published", &b"1"[..]);
        assert!(again.seq == 1 && again.epoch > published.epoch);
        drop(held);
        gone(&["other", "subscribed"]);
        // Whoever subscribes has not noticed.
        topics.publish("subscribed", &b"1"[..]);
        assert_eq!(drain(&subscriber), [Ok(1)]);
        drop(subscriber);
        gone(&["other"]);
    });
}

#[test]
fn closed_topic_is_replaced() {
    case(1, || {
        let topics = Topics::new(2);
        let (one, two) = (topics.topic("a").subscribe(), topics.topic("b").subscribe());
        topics.close("a");
        topics.topic("b").close();
        assert_eq!(one.try_recv().unwrap_err(), RecvError::Closed);
        assert_eq!(two.try_recv().unwrap_err(), RecvError::Closed);
        for name in ["a", "b"] {
            let again = topics.topic(name).subscribe();
            assert_eq!(topics.publish(name, &b"1"[..]).seq, 1);
            assert_eq!(drain(&again), [Ok(1)]);
        }
    });
}

/// Many accounts, many users of each, published to from everywhere, through the trait.
#[test]
fn many_to_many() {
    case(2, || {
        const ACCOUNTS: usize = 50;
        const EACH: u64 = 40;
        let bus: Arc<dyn Bus> = Arc::new(Topics::new(2 * EACH as usize));
        let name = |account: usize| format!("account:{account}");
        let listen = |bus: Arc<dyn Bus>, account: usize| {
            let user = bus.topic(&name(account)).unwrap().subscribe_after_event(EventId::START);
            move || {
                for seq in 1..=2 * EACH {
                    let message = user.recv().unwrap();
                    assert_eq!(message.event_id.seq, seq);
                    assert_eq!(*message.data, *name(account).as_bytes());
                }
            }
        };
        let speak = |bus: Arc<dyn Bus>| {
            move || {
                for account in (0..EACH).flat_map(|_| 0..ACCOUNTS) {
                    let frame = name(account).into_bytes();
                    bus.publish(&name(account), frame.into()).unwrap();
                }
            }
        };
        let green: Vec<_> =
            (0..2 * ACCOUNTS).map(|n| thread::spawn(listen(bus.clone(), n % ACCOUNTS))).collect();
        let theirs: Vec<_> = [3, 4].map(|n| std::thread::spawn(listen(bus.clone(), n))).into();
        let voice = std::thread::spawn(speak(bus.clone()));
        thread::spawn(speak(bus.clone())).join().unwrap();
        green.into_iter().for_each(|user| user.join().unwrap());
        sward::blocking(move || {
            voice.join().unwrap();
            theirs.into_iter().for_each(|user| user.join().unwrap());
        });
        assert_eq!(bus.present("account:0"), Ok(0));
    });
}
