//! Topics: ids, replay that says what is missing, no gap and no double between history and live, many subscribers.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::pubsub::{RecvError, Subscriber, Topic};
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
