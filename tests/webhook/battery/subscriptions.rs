//! Subscriptions: leases on keys, and who matches.

use std::sync::Arc;

use sward::webhook::store::Store;
use sward::webhook::{EndpointState, Subscription};

use super::*;

fn matching(store: &Arc<dyn Store>, pairs: &[(&str, &str)], now: Time) -> Vec<String> {
    let found = store.matching(&keys(pairs), now).unwrap();
    found.iter().map(|endpoint| endpoint.id.to_string()).collect()
}

pub(crate) fn asking_again_moves_the_lease(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[]);
    let leases = |store: &Arc<dyn Store>| {
        let read = |s: Subscription| (s.name, s.value, s.updated, s.expires);
        let found = store.subscriptions(&id).unwrap();
        assert!(found.iter().all(|s| s.endpoint == id));
        found.into_iter().map(read).collect::<Vec<_>>()
    };
    let lease = |name: &str, value: &str, now, until| (name.into(), value.into(), now, until);
    let two = keys(&[("user", "7"), ("account", "42")]);
    store.subscribe(&id, &two, at(1), Some(at(100))).unwrap();
    let first =
        [lease("account", "42", at(1), Some(at(100))), lease("user", "7", at(1), Some(at(100)))];
    assert_eq!(leases(store), first);
    // One is renewed, one value is new, the others stay.
    let more = keys(&[("user", "7"), ("user", "10")]);
    store.subscribe(&id, &more, at(2), Some(at(200))).unwrap();
    let second = [
        lease("account", "42", at(1), Some(at(100))),
        lease("user", "10", at(2), Some(at(200))),
        lease("user", "7", at(2), Some(at(200))),
    ];
    assert_eq!(leases(store), second);
    // A lease can be made endless, and shorter.
    store.subscribe(&id, &keys(&[("account", "42")]), at(3), None).unwrap();
    store.subscribe(&id, &keys(&[("user", "7")]), at(3), Some(at(4))).unwrap();
    assert_eq!(leases(store)[0], lease("account", "42", at(3), None));
    assert_eq!(leases(store)[2], lease("user", "7", at(3), Some(at(4))));
    store.subscribe(&id, &keys(&[]), at(5), None).unwrap();
    assert_eq!(store.totals(Some(&id)).unwrap().subscriptions, 3);
}

pub(crate) fn what_lapses_no_longer_matches(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "stays")]);
    let lapses = keys(&[("k", "lapses")]);
    store.subscribe(&id, &lapses, at(0), Some(at(100))).unwrap();
    assert_eq!(matching(store, &[("k", "lapses")], at(99)), ["a"]);
    assert!(matching(store, &[("k", "lapses")], at(100)).is_empty());
    assert_eq!(publish(store, "in-time", at(99), &[("k", "lapses")]), 1);
    assert_eq!(publish(store, "late", at(100), &[("k", "lapses")]), 0);

    assert_eq!(store.expire(at(99)).unwrap(), 0);
    assert_eq!(store.subscriptions(&id).unwrap().len(), 2, "lapsed or not");
    assert_eq!(store.expire(at(100)).unwrap(), 1);
    assert_eq!(store.expire(at(100)).unwrap(), 0);
    assert_eq!(store.subscriptions(&id).unwrap().len(), 1);
    assert_eq!(matching(store, &[("k", "stays")], at(1_000_000)), ["a"]);

    // Without any it is still there, and can subscribe again.
    store.unsubscribe(&id, &keys(&[("k", "stays")])).unwrap();
    assert!(store.endpoint(&id).unwrap().is_some());
    store.subscribe(&id, &lapses, at(200), Some(at(300))).unwrap();
    assert_eq!(matching(store, &[("k", "lapses")], at(299)), ["a"]);
    // Renewed in time it does not lapse.
    store.subscribe(&id, &lapses, at(250), Some(at(400))).unwrap();
    assert_eq!(store.expire(at(300)).unwrap(), 0);
    assert_eq!(matching(store, &[("k", "lapses")], at(399)), ["a"]);
}

pub(crate) fn unsubscribing_counts_what_was_there(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1"), ("k", "2"), ("l", "1")]);
    register(store, "b", &[("k", "1")]);
    let some = keys(&[("k", "1"), ("k", "9"), ("l", "1"), ("m", "1")]);
    assert_eq!(store.unsubscribe(&id, &some).unwrap(), 2);
    assert_eq!(store.unsubscribe(&id, &some).unwrap(), 0);
    assert_eq!(matching(store, &[("k", "1")], at(1)), ["b"]);
    assert_eq!(matching(store, &[("k", "2")], at(1)), ["a"]);
    // What lapsed is there until it is removed.
    store.subscribe(&id, &keys(&[("l", "1")]), at(1), Some(at(2))).unwrap();
    assert_eq!(store.unsubscribe(&id, &some).unwrap(), 1);
}

pub(crate) fn each_that_matches_comes_once(store: &Arc<dyn Store>) {
    // Their ids do not sort as they registered.
    for (name, state) in [
        ("z", EndpointState::Active),
        ("y", EndpointState::Unverified),
        ("x", EndpointState::Paused),
        ("w", EndpointState::Disabled { why: String::new(), at: at(0) }),
        ("v", EndpointState::Active),
    ] {
        let id = register(store, name, &[("k", "1"), ("k", "2"), ("l", "3")]);
        set_state(store, &id, state);
    }
    register(store, "u", &[("k", "3"), ("l", "1")]);
    let all = [("k", "1"), ("k", "2"), ("l", "3"), ("k", "none"), ("none", "1")];
    assert_eq!(matching(store, &all, at(1)), ["z", "y", "x", "w", "v"], "whatever their state");
    assert_eq!(matching(store, &[("k", "3")], at(1)), ["u"]);
    assert!(matching(store, &[("k", "")], at(1)).is_empty());
    assert!(matching(store, &[("l", "2"), ("K", "1")], at(1)).is_empty());
    assert!(matching(store, &[], at(1)).is_empty());
    let whole = store.matching(&keys(&[("l", "1")]), at(1)).unwrap();
    assert_eq!(whole, [store.endpoint(&endpoint_id("u")).unwrap().unwrap()]);
}

pub(crate) fn who_is_not_there_has_none(store: &Arc<dyn Store>) {
    let nobody = endpoint_id("nobody");
    store.subscribe(&nobody, &keys(&[("k", "1")]), at(0), None).unwrap();
    assert_eq!(store.subscriptions(&nobody).unwrap(), []);
    assert_eq!(store.unsubscribe(&nobody, &keys(&[("k", "1")])).unwrap(), 0);
    assert!(matching(store, &[("k", "1")], at(0)).is_empty());
    assert_eq!(store.totals(None).unwrap().subscriptions, 0);
    // Nor has it when it comes later.
    register(store, "nobody", &[]);
    assert_eq!(store.subscriptions(&nobody).unwrap(), []);
}
