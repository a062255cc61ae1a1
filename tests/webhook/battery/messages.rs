//! Messages: accepted as a whole, once, and forgotten when they are old and done.

use std::sync::Arc;

use sward::webhook::store::{Accepted, Filter, Store};
use sward::webhook::{DeliveryState, EndpointState, Message};

use super::*;

pub(crate) fn a_message_reads_back_whole(store: &Arc<dyn Store>) {
    let mut whole = message("whole", at(7), &[("a", "1"), ("a", "2"), ("b", "")]);
    whole.idempotency_key = Some("key".into());
    whole.kind = "invoice.paid".into();
    whole.content_type = "text/plain; charset=utf-8".into();
    let mut bare = message("bare", at(8), &[]);
    bare.kind = String::new();
    bare.body = Vec::new().into();
    for message in [&whole, &bare] {
        let accepted = store.publish(message, &[]).unwrap();
        assert_eq!(accepted, Accepted { id: message.id.clone(), deliveries: 0, repeated: false });
        assert_eq!(store.message(&message.id).unwrap().as_ref(), Some(message));
    }
    assert_eq!(store.message(&message("other", at(0), &[]).id).unwrap(), None);
}

pub(crate) fn a_message_reaches_who_listens(store: &Arc<dyn Store>) {
    for (name, state) in [
        ("active", EndpointState::Active),
        ("unverified", EndpointState::Unverified),
        ("paused", EndpointState::Paused),
        ("disabled", EndpointState::Disabled { why: "no".into(), at: at(0) }),
    ] {
        let id = register(store, name, &[("k", "1"), ("k", "2")]);
        set_state(store, &id, state);
    }
    register(store, "elsewhere", &[("k", "3")]);
    assert_eq!(publish(store, "m", at(5), &[("k", "1"), ("k", "2"), ("l", "3")]), 2);
    for name in ["active", "paused"] {
        let found = delivery(store, "m", name);
        assert_eq!(found.id, delivery_id("m", name));
        assert_eq!((found.message.as_str(), found.endpoint.as_str()), ("m", name));
        assert_eq!((found.state, found.attempts), (DeliveryState::Pending, 0));
        assert_eq!((found.due, found.created), (at(5), at(5)));
        assert_eq!(store.attempts(&found.id).unwrap(), []);
    }
    for name in ["unverified", "disabled", "elsewhere"] {
        assert_eq!(store.delivery(&delivery_id("m", name)).unwrap(), None, "{name}");
    }
    // Who comes later gets what comes later.
    register(store, "later", &[("k", "1")]);
    assert_eq!(store.delivery(&delivery_id("m", "later")).unwrap(), None);
    assert_eq!(publish(store, "n", at(6), &[("k", "1")]), 3);
}

pub(crate) fn extra_endpoints_get_it_too(store: &Arc<dyn Store>) {
    let [first, last] = ["first", "last"].map(|name| register(store, name, &[]));
    let wants = register(store, "wants", &[("k", "1")]);
    let off = register(store, "off", &[]);
    set_state(store, &off, EndpointState::Unverified);
    set_state(store, &last, EndpointState::Paused);
    let extra = [wants, last, endpoint_id("nobody"), first.clone(), off, first];
    let accepted = store.publish(&message("m", at(1), &[("k", "1")]), &extra).unwrap();
    assert_eq!(accepted.deliveries, 3);
    let found = store.deliveries(&Filter::default(), None, 10).unwrap();
    let to: Vec<_> = found.iter().map(|delivery| delivery.endpoint.as_str()).collect();
    assert_eq!(to, ["first", "last", "wants"], "as they registered");
}

pub(crate) fn the_same_key_or_id_is_the_same_message(store: &Arc<dyn Store>) {
    register(store, "a", &[("k", "1")]);
    let keyed = |name: &str, key: &str| Message {
        idempotency_key: Some(key.into()),
        ..message(name, at(1), &[("k", "1")])
    };
    let first = store.publish(&keyed("first", "key"), &[]).unwrap();
    assert_eq!((first.deliveries, first.repeated), (1, false));
    let again = Accepted { repeated: true, ..first };
    // Another endpoint does not get what was accepted before it came.
    let b = register(store, "b", &[("k", "1")]);
    assert_eq!(
        store.publish(&keyed("other", "key"), std::slice::from_ref(&b)).unwrap(),
        again,
        "by key"
    );
    assert_eq!(
        store.publish(&keyed("first", "key"), std::slice::from_ref(&b)).unwrap(),
        again,
        "by both"
    );
    assert_eq!(
        store.publish(&keyed("first", "new"), std::slice::from_ref(&b)).unwrap(),
        again,
        "by id"
    );
    let bare = message("first", at(2), &[("k", "1")]);
    assert_eq!(store.publish(&bare, &[b]).unwrap(), again, "by id, without a key");
    assert_eq!(store.message(&message("other", at(0), &[]).id).unwrap(), None);
    assert_eq!(store.message(&bare.id).unwrap(), Some(keyed("first", "key")), "nothing changed");
    // The key of a repetition was not taken.
    let second = store.publish(&keyed("second", "new"), &[]).unwrap();
    assert_eq!((second.id.as_str(), second.deliveries, second.repeated), ("second", 2, false));
    // If they lead to two messages, it is the key's.
    assert_eq!(store.publish(&keyed("second", "key"), &[]).unwrap(), again);
    // Nobody else's key, and none is not a key.
    assert_eq!(publish(store, "third", at(3), &[]), 0);
    assert_eq!(publish(store, "fourth", at(3), &[]), 0);
    assert!(!store.publish(&keyed("fifth", ""), &[]).unwrap().repeated);
    assert!(store.publish(&keyed("sixth", ""), &[]).unwrap().repeated);
    assert_eq!(store.totals(None).unwrap().messages, 5);
}

pub(crate) fn pruning_takes_what_is_old_and_done(store: &Arc<dyn Store>) {
    let a = register(store, "a", &[("k", "1")]);
    let b = register(store, "b", &[("k", "1")]);
    // Accepted in this order, published in another.
    for (name, published) in [("new", 100), ("done", 10), ("half", 11), ("flies", 12), ("dead", 99)]
    {
        publish(store, name, at(published), &[("k", "1")]);
    }
    assert_eq!(publish(store, "nobodys", at(13), &[]), 0);
    for (message, endpoint) in [("done", "a"), ("done", "b"), ("half", "a"), ("flies", "a")] {
        deliver(store, message, endpoint, at(20));
    }
    kill(store, "dead", "a", at(101));
    kill(store, "dead", "b", at(101));
    assert_eq!(claim(store, &b, at(12), at(1_000), 10), ["half", "flies"]);
    retry(store, "half", "b", at(500));

    assert_eq!(store.prune(at(0), at(10)).unwrap(), 0, "published at that time is not before it");
    assert_eq!(store.prune(at(0), at(100)).unwrap(), 3);
    let left = store.messages(at(0), None, 10).unwrap();
    let left: Vec<_> = left.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(left, ["new", "half", "flies"]);
    for (message, endpoint) in [("done", "a"), ("done", "b"), ("dead", "a")] {
        let id = delivery_id(message, endpoint);
        assert_eq!(store.delivery(&id).unwrap(), None);
        assert_eq!(store.attempts(&id).unwrap(), []);
        assert!(!store.resend(&id, at(200)).unwrap());
        let late = store.finish(&id, Some(&failed(&id, 2, at(200))), Next::Retry(at(300)));
        assert_eq!(late.unwrap(), None);
        assert_eq!(store.delivery(&id).unwrap(), None);
    }
    assert_eq!(store.deliveries(&Filter::default(), None, 20).unwrap().len(), 6);
    // What was held goes when it is done, and with a removed endpoint too.
    deliver(store, "flies", "b", at(600));
    assert_eq!(store.prune(at(0), at(100)).unwrap(), 1);
    store.remove_endpoint(&b, at(700)).unwrap();
    assert_eq!(store.prune(at(0), at(1_000)).unwrap(), 1, "half; a has not got the new one");
    store.remove_endpoint(&a, at(700)).unwrap();
    assert_eq!(store.prune(at(0), at(1_000)).unwrap(), 1);
    assert_eq!(store.totals(None).unwrap(), sward::webhook::store::Totals::default());
    // An id that was forgotten is free again.
    assert_eq!(publish(store, "done", at(2_000), &[]), 0);
}

pub(crate) fn old_idempotency_keys_are_forgotten(store: &Arc<dyn Store>) {
    let keyed = |name: &str, key: &str, published| Message {
        idempotency_key: Some(key.into()),
        ..message(name, published, &[])
    };
    let repeated = |message: &Message| store.publish(message, &[]).unwrap().repeated;
    assert!(!repeated(&keyed("old", "one", at(10))));
    assert!(!repeated(&keyed("new", "two", at(20))));
    assert_eq!(store.prune(at(10), at(0)).unwrap(), 0);
    assert!(repeated(&keyed("old-2", "one", at(30))));
    assert_eq!(store.prune(at(20), at(0)).unwrap(), 0);
    let old = store.message(&message("old", at(0), &[]).id).unwrap().unwrap();
    assert_eq!(old.idempotency_key, None);
    assert!(repeated(&keyed("old", "three", at(40))), "its id is known");
    assert!(!repeated(&keyed("old-2", "one", at(40))));
    assert!(repeated(&keyed("new-2", "two", at(40))));
    // The key goes with its message, whatever the other time says; a key that was taken anew stays with whom it is.
    assert_eq!(store.prune(at(0), at(21)).unwrap(), 2);
    assert!(!repeated(&keyed("new-2", "two", at(50))));
    assert!(repeated(&keyed("old-3", "one", at(50))));
}
