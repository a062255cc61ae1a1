//! Behaviours 14 and 15: an event wakes whoever waits, and waiting again is waiting again.

use std::sync::Arc;

use sward::sync::{Event, mpsc};
use sward::thread;

use super::{LONG, SHORT, case, settle};

/// 14: set and cleared at once wakes all who wait, and each of them is told so.
#[test]
fn set_then_clear() {
    case(|| {
        let event = Arc::new(Event::new());
        let all: Vec<_> = (0..100)
            .map(|n| {
                let event = Arc::clone(&event);
                thread::spawn(move || {
                    if n % 2 == 0 {
                        event.wait();
                        return true;
                    }
                    event.wait_timeout(LONG)
                })
            })
            .collect();
        settle();
        event.set();
        event.clear();
        assert!(all.into_iter().all(|one| one.join().unwrap()));
        assert!(!event.is_set());
        assert!(!event.wait_timeout(SHORT));
    });
}

/// 14: in the order in which they came.
#[test]
fn in_order() {
    case(|| {
        let event = Arc::new(Event::new());
        let (sender, receiver) = mpsc::channel();
        for n in 0..20 {
            let (event, sender) = (Arc::clone(&event), sender.clone());
            thread::spawn(move || {
                event.wait();
                sender.send(n).unwrap();
            });
        }
        drop(sender);
        settle();
        event.set();
        assert!(receiver.iter().eq(0..20));
    });
}

/// 14: while it is set nobody waits.
#[test]
fn level_triggered() {
    case(|| {
        let event = Event::default();
        event.set();
        event.set();
        event.wait();
        assert!(event.wait_timeout(SHORT));
        event.clear();
        assert!(!event.is_set());
    });
}

/// 15: a waiter that waits again when it is woken waits for the next time, and holds nobody up.
#[test]
fn wait_while_notifying() {
    case(|| {
        let event = Arc::new(Event::new());
        let (sender, receiver) = mpsc::channel();
        let waiters: Vec<_> = (0..2)
            .map(|n| {
                let (event, sender) = (Arc::clone(&event), sender.clone());
                thread::spawn(move || {
                    for round in 0..3 {
                        event.wait();
                        sender.send((round, n)).unwrap();
                    }
                })
            })
            .collect();
        for round in 0..3 {
            settle();
            assert!(receiver.try_recv().is_err(), "nobody is woken twice by one set");
            event.set();
            event.clear();
            settle();
            assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(round, 0), (round, 1)]);
        }
        waiters.into_iter().for_each(|one| one.join().unwrap());
    });
}
