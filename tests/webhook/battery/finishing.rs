//! How claims end.

use std::sync::Arc;
use std::time::Duration;

use sward::webhook::store::{Next, Store};
use sward::webhook::{Attempt, DeliveryState, Health};

use super::*;

/// One delivery, claimed until 500.
fn claimed(store: &Arc<dyn Store>) -> DeliveryId {
    let id = register(store, "a", &[("k", "1")]);
    publish(store, "m", at(10), &[("k", "1")]);
    claim(store, &id, at(10), at(500), 1);
    delivery_id("m", "a")
}

fn health(store: &Arc<dyn Store>) -> Health {
    store.endpoint(&endpoint_id("a")).unwrap().unwrap().health
}

pub(crate) fn delivered_is_the_end(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let attempt = succeeded(&id, 1, at(11));
    let after = store.finish(&id, Some(&attempt), Next::Delivered(at(12))).unwrap();
    let well = Health { failures: 0, failing_since: None, last_success: Some(at(12)) };
    assert_eq!((after, health(store)), (Some(well), well));
    let found = delivery(store, "m", "a");
    assert_eq!((found.state, found.attempts), (DeliveryState::Delivered, 1));
    assert_eq!((found.due, found.created), (at(12), at(10)));
    assert_eq!(store.attempts(&id).unwrap(), [attempt]);
    assert_eq!(store.next_due().unwrap(), None);
    assert!(claim(store, &endpoint_id("a"), at(9_999), at(10_000), 10).is_empty());
}

pub(crate) fn a_retry_waits(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let a = endpoint_id("a");
    let first = failed(&id, 1, at(11));
    let after = store.finish(&id, Some(&first), Next::Retry(at(100))).unwrap().unwrap();
    assert_eq!(after, Health { failures: 1, failing_since: Some(at(11)), last_success: None });
    let found = delivery(store, "m", "a");
    assert_eq!((found.state, found.attempts, found.due), (DeliveryState::Pending, 1, at(100)));
    assert_eq!(store.next_due().unwrap(), Some(at(100)));
    assert!(claim(store, &a, at(99), at(500), 1).is_empty());
    assert_eq!(claim(store, &a, at(100), at(500), 1), ["m"]);

    let second = failed(&id, 2, at(101));
    let after = store.finish(&id, Some(&second), Next::Retry(at(200))).unwrap().unwrap();
    assert_eq!(after, Health { failures: 2, failing_since: Some(at(11)), last_success: None });
    assert_eq!(claim(store, &a, at(200), at(500), 1), ["m"]);
    let third = succeeded(&id, 3, at(201));
    let after = store.finish(&id, Some(&third), Next::Delivered(at(202))).unwrap().unwrap();
    assert_eq!(after, Health { failures: 0, failing_since: None, last_success: Some(at(202)) });
    assert_eq!(delivery(store, "m", "a").attempts, 3);
    assert_eq!(store.attempts(&id).unwrap(), [first, second, third]);

    // The next failure is the first again, and the last success stays.
    publish(store, "n", at(300), &[("k", "1")]);
    retry(store, "n", "a", at(310));
    let failing = Health { failures: 1, failing_since: Some(at(310)), last_success: Some(at(202)) };
    assert_eq!(health(store), failing);
}

pub(crate) fn a_dead_letter_stays(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let attempt = failed(&id, 1, at(11));
    let after = store.finish(&id, Some(&attempt), Next::Dead(at(13))).unwrap().unwrap();
    assert_eq!(after, Health { failures: 1, failing_since: Some(at(11)), last_success: None });
    let found = delivery(store, "m", "a");
    assert_eq!((found.state, found.attempts, found.due), (DeliveryState::Dead, 1, at(13)));
    assert_eq!(store.attempts(&id).unwrap(), [attempt]);
    assert_eq!(store.next_due().unwrap(), None);
    assert!(claim(store, &endpoint_id("a"), at(9_999), at(10_000), 10).is_empty());
    assert!(store.message(&found.message).unwrap().is_some());
}

pub(crate) fn without_an_attempt_nothing_is_counted(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let a = endpoint_id("a");
    let after = store.finish(&id, None, Next::Retry(at(50))).unwrap();
    assert_eq!(after, Some(Health::default()));
    let found = delivery(store, "m", "a");
    assert_eq!((found.state, found.attempts, found.due), (DeliveryState::Pending, 0, at(50)));
    assert_eq!(claim(store, &a, at(50), at(500), 1), ["m"]);
    assert_eq!(store.finish(&id, None, Next::Dead(at(60))).unwrap(), Some(Health::default()));
    assert_eq!(state(store, "m", "a"), DeliveryState::Dead);
    assert_eq!(store.attempts(&id).unwrap(), []);
    // That something was taken is good news however it is known.
    let after = store.finish(&id, None, Next::Delivered(at(70))).unwrap().unwrap();
    assert_eq!(after.last_success, Some(at(70)));
    assert_eq!(state(store, "m", "a"), DeliveryState::Delivered);
}

pub(crate) fn late_answers_do_not_undo(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let a = endpoint_id("a");
    // Two had it, one after the other. One was answered; the other failed.
    assert_eq!(claim(store, &a, at(500), at(900), 1), ["m"]);
    store.finish(&id, Some(&succeeded(&id, 1, at(501))), Next::Delivered(at(502))).unwrap();
    let late = failed(&id, 1, at(20));
    let after = store.finish(&id, Some(&late), Next::Retry(at(600))).unwrap().unwrap();
    assert_eq!((after.failures, after.failing_since), (1, Some(at(20))));
    let found = delivery(store, "m", "a");
    assert_eq!((found.state, found.due, found.attempts), (DeliveryState::Delivered, at(502), 2));
    assert_eq!(store.attempts(&id).unwrap()[1], late);
    store.finish(&id, None, Next::Dead(at(700))).unwrap();
    assert_eq!(state(store, "m", "a"), DeliveryState::Delivered);
    assert_eq!(store.next_due().unwrap(), None);

    // The endpoint was removed while one was at it.
    publish(store, "n", at(1_000), &[("k", "1")]);
    assert_eq!(claim(store, &a, at(1_000), at(2_000), 1), ["n"]);
    store.remove_endpoint(&a, at(1_001)).unwrap();
    let id = delivery_id("n", "a");
    let attempt = succeeded(&id, 1, at(1_000));
    assert_eq!(store.finish(&id, Some(&attempt), Next::Delivered(at(1_002))).unwrap(), None);
    let found = delivery(store, "n", "a");
    assert_eq!((found.state, found.due, found.attempts), (DeliveryState::Cancelled, at(1_001), 1));
    assert_eq!(store.attempts(&id).unwrap(), [attempt]);

    // What was dead when its endpoint went stays so.
    register(store, "b", &[("k", "1")]);
    publish(store, "o", at(3_000), &[("k", "1")]);
    kill(store, "o", "b", at(3_001));
    store.remove_endpoint(&endpoint_id("b"), at(3_002)).unwrap();
    retry(store, "o", "b", at(3_003));
    let found = delivery(store, "o", "b");
    assert_eq!((found.state, found.due, found.attempts), (DeliveryState::Dead, at(3_001), 2));

    let nothing = delivery_id("none", "a");
    assert_eq!(store.finish(&nothing, None, Next::Retry(at(1))).unwrap(), None);
    assert_eq!(store.delivery(&nothing).unwrap(), None);
}

pub(crate) fn the_log_reads_back_whole(store: &Arc<dyn Store>) {
    let id = claimed(store);
    let attempts = [
        failed(&id, 1, at(11)),
        Attempt {
            took: Duration::ZERO,
            address: None,
            status: None,
            error: Some("refused: 127.0.0.1 is loopback".into()),
            response: String::new(),
            ..failed(&id, 2, at(12))
        },
        Attempt {
            took: Duration::new(86_400, 999_999_999),
            address: Some("[2001:db8::1]:8443".into()),
            status: Some(u16::MAX),
            response: "é\n\"quoted\" \u{1f600}\r\n\u{1}".repeat(1_000),
            truncated: true,
            ..failed(&id, u32::MAX, at(13))
        },
        // A number may come twice, when two had the same claim.
        Attempt { error: None, ..failed(&id, 1, at(9)) },
    ];
    for attempt in &attempts {
        store.finish(&id, Some(attempt), Next::Retry(at(100))).unwrap();
    }
    assert_eq!(store.attempts(&id).unwrap(), attempts);
    assert_eq!(store.attempts(&delivery_id("m", "none")).unwrap(), []);
}
