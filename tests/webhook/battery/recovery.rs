//! Sending again, and counting.

use std::sync::Arc;

use sward::webhook::store::{Filter, Next, Store, Totals};
use sward::webhook::{DeliveryState, EndpointState};

use super::*;

pub(crate) fn what_is_finished_can_be_sent_again(store: &Arc<dyn Store>) {
    let a = register(store, "a", &[("k", "1")]);
    for name in ["done", "dead", "waits", "flies"] {
        publish(store, name, at(10), &[("k", "1")]);
    }
    deliver(store, "done", "a", at(20));
    kill(store, "dead", "a", at(20));
    kill(store, "dead", "a", at(21));
    assert_eq!(claim(store, &a, at(20), at(500), 1), ["waits"]);
    retry(store, "waits", "a", at(20));
    assert_eq!(claim(store, &a, at(15), at(500), 1), ["flies"]);
    for (name, sent, attempts) in
        [("done", true, 0), ("dead", true, 0), ("waits", false, 1), ("flies", false, 0)]
    {
        let id = delivery_id(name, "a");
        assert_eq!(store.resend(&id, at(30)).unwrap(), sent, "{name}");
        assert_eq!(delivery(store, name, "a").attempts, attempts);
        assert!(!store.resend(&id, at(31)).unwrap(), "once is enough");
    }
    assert!(!store.resend(&delivery_id("none", "a"), at(30)).unwrap());
    let again = delivery(store, "dead", "a");
    assert_eq!((again.state, again.due, again.created), (DeliveryState::Pending, at(30), at(10)));
    assert_eq!(claim(store, &a, at(30), at(500), 9), ["waits", "done", "dead"]);

    // The log goes on where it was.
    let id = delivery_id("dead", "a");
    let third = succeeded(&id, 1, at(31));
    store.finish(&id, Some(&third), Next::Delivered(at(32))).unwrap();
    let log = store.attempts(&id).unwrap();
    assert_eq!((log.len(), &log[2]), (3, &third));
    assert_eq!(delivery(store, "dead", "a").attempts, 1);
}

pub(crate) fn an_endpoint_recovers_what_it_missed(store: &Arc<dyn Store>) {
    let a = register(store, "a", &[("k", "1"), ("k", "2")]);
    let b = register(store, "b", &[("k", "1")]);
    publish(store, "old", at(10), &[("k", "1")]);
    publish(store, "dead", at(20), &[("k", "1")]);
    publish(store, "done", at(21), &[("k", "2")]);
    publish(store, "waits", at(22), &[("k", "2")]);
    deliver(store, "done", "a", at(25));
    kill(store, "old", "a", at(25));
    kill(store, "dead", "a", at(26));
    kill(store, "dead", "b", at(26));
    set_state(store, &a, EndpointState::Disabled { why: "failing".into(), at: at(30) });
    publish(store, "missed", at(40), &[("k", "2"), ("l", "9")]);
    publish(store, "others", at(41), &[("k", "3")]);
    publish(store, "lapsed", at(42), &[("l", "1")]);
    store.subscribe(&a, &keys(&[("l", "1")]), at(43), Some(at(50))).unwrap();
    set_state(store, &a, EndpointState::Active);

    // "waits" died when it was disabled.
    assert_eq!(store.recover(&a, at(20), at(50)).unwrap(), 3);
    assert_eq!(store.recover(&a, at(20), at(50)).unwrap(), 0, "all of it is pending now");
    for name in ["dead", "waits", "missed"] {
        let found = delivery(store, name, "a");
        assert_eq!((found.state, found.due, found.attempts), (DeliveryState::Pending, at(50), 0));
    }
    assert_eq!(delivery(store, "missed", "a").created, at(50));
    assert_eq!(delivery(store, "dead", "a").created, at(20));
    assert_eq!(store.attempts(&delivery_id("dead", "a")).unwrap().len(), 1);
    assert_eq!(state(store, "old", "a"), DeliveryState::Dead);
    assert_eq!(state(store, "done", "a"), DeliveryState::Delivered);
    assert_eq!(state(store, "dead", "b"), DeliveryState::Dead, "that is b's");
    assert_eq!(store.delivery(&delivery_id("others", "a")).unwrap(), None);
    assert_eq!(store.delivery(&delivery_id("lapsed", "a")).unwrap(), None);
    assert_eq!(store.next_due().unwrap(), Some(at(10)), "b's first");
    assert_eq!(claim(store, &a, at(50), at(90), 9), ["dead", "waits", "missed"]);

    // One that came later gets what was before it; one that is paused too, when it is active.
    let late = register(store, "late", &[("k", "3"), ("l", "1")]);
    set_state(store, &late, EndpointState::Paused);
    assert_eq!(store.recover(&late, at(0), at(60)).unwrap(), 2);
    assert!(claim(store, &late, at(60), at(90), 9).is_empty());
    set_state(store, &late, EndpointState::Active);
    assert_eq!(claim(store, &late, at(60), at(90), 9), ["others", "lapsed"]);
    assert_eq!(store.recover(&b, at(43), at(70)).unwrap(), 0);
    assert_eq!(store.recover(&endpoint_id("nobody"), at(0), at(70)).unwrap(), 0);
}

pub(crate) fn a_recovered_message_keeps_its_place(store: &Arc<dyn Store>) {
    register(store, "z", &[("k", "1")]);
    let a = register(store, "a", &[]);
    set_ordered(store, &a, true);
    publish(store, "first", at(10), &[("k", "1")]);
    store.subscribe(&a, &keys(&[("k", "1")]), at(11), None).unwrap();
    publish(store, "second", at(20), &[("k", "1")]);
    assert_eq!(store.recover(&a, at(0), at(30)).unwrap(), 1);
    let all = store.deliveries(&Filter::default(), None, 10).unwrap();
    let all: Vec<_> = all.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(all, ["first~z", "first~a", "second~z", "second~a"]);
    assert_eq!(claim(store, &a, at(30), at(90), 9), ["first"]);
    deliver(store, "first", "a", at(31));
    assert_eq!(claim(store, &a, at(31), at(90), 9), ["second"]);
}

pub(crate) fn totals_count_everything(store: &Arc<dyn Store>) {
    assert_eq!(store.totals(None).unwrap(), Totals::default());
    let a = register(store, "a", &[("k", "1"), ("l", "1")]);
    let b = register(store, "b", &[("k", "1")]);
    store.subscribe(&b, &keys(&[("m", "1")]), at(0), Some(at(1))).unwrap();
    for (name, published) in [("flies", 30), ("done", 10), ("dead", 20), ("waits", 40)] {
        publish(store, name, at(published), &[("k", "1")]);
    }
    publish(store, "nobodys", at(5), &[]);
    deliver(store, "done", "a", at(50));
    kill(store, "dead", "a", at(50));
    assert_eq!(claim(store, &a, at(30), at(35), 1), ["flies"]);
    let of_a = Totals {
        endpoints: 1,
        subscriptions: 2,
        messages: 4,
        pending: 1,
        in_flight: 1,
        delivered: 1,
        dead: 1,
        oldest: Some(at(30)),
        next: Some(at(35)),
    };
    assert_eq!(store.totals(Some(&a)).unwrap(), of_a);
    let all = Totals {
        endpoints: 2,
        subscriptions: 4,
        messages: 5,
        pending: 5,
        in_flight: 1,
        delivered: 1,
        dead: 1,
        oldest: Some(at(10)),
        next: Some(at(10)),
    };
    assert_eq!(store.totals(None).unwrap(), all);
    assert_eq!(store.totals(Some(&endpoint_id("nobody"))).unwrap(), Totals::default());
    // The oldest waits whatever its endpoint's state; the next attempt does not.
    set_state(store, &b, EndpointState::Paused);
    assert_eq!(store.totals(None).unwrap(), Totals { next: Some(at(35)), ..all });
    let of_b = store.totals(Some(&b)).unwrap();
    assert_eq!((of_b.oldest, of_b.next, of_b.pending), (Some(at(10)), None, 4));
}
