//! Endpoints: kept once per URL, changed, disabled, removed.

use std::sync::Arc;
use std::time::Duration;

use sward::webhook::store::{Change, Filter, Store};
use sward::webhook::{DeliveryState, Endpoint, EndpointState, Health, Rate, Settings, SigningKey};

use super::*;

pub(crate) fn there_is_one_endpoint_per_url(store: &Arc<dyn Store>) {
    let first = Endpoint::new("http://a.example/hook");
    assert_eq!(store.add_endpoint(&first).unwrap(), (first.clone(), true));
    let mut second = Endpoint::new("http://a.example/hook");
    second.settings.ordered = true;
    assert_eq!(store.add_endpoint(&second).unwrap(), (first.clone(), false));
    assert_eq!(store.endpoint(&first.id).unwrap(), Some(first.clone()));
    assert_eq!(store.endpoint(&second.id).unwrap(), None);

    for other in ["http://a.example/hook/", "http://A.example/hook", "http://a.example/hook "] {
        assert_eq!(store.endpoint_at(other).unwrap(), None);
        assert!(store.add_endpoint(&Endpoint::new(other)).unwrap().1, "{other}");
    }
    assert_eq!(store.endpoint_at("http://a.example/hook").unwrap(), Some(first));
    assert_eq!(store.totals(None).unwrap().endpoints, 4);
}

pub(crate) fn an_endpoint_reads_back_whole(store: &Arc<dyn Store>) {
    let mut settings = Settings::default();
    settings.description = "billing — «tests»".into();
    settings.ordered = true;
    settings.max_in_flight = Some(u32::MAX);
    settings.rate = Some(Rate { count: 7, period: Duration::from_millis(1_500) });
    settings.forget_after = Some(0);
    let mut endpoint = Endpoint::new("https://a.example:8443/hook?a=b&c=%20#d");
    endpoint.created = at(17);
    endpoint.state = EndpointState::Disabled { why: "it said \"410 Gone\"".into(), at: at(18) };
    endpoint.keys = vec![
        SigningKey { text: "whsec_bmV3".into(), expires: None },
        SigningKey { text: "whsec_b2xk".into(), expires: Some(at(19)) },
    ];
    endpoint.settings = settings;
    endpoint.health =
        Health { failures: 3, failing_since: Some(at(20)), last_success: Some(at(21)) };
    store.add_endpoint(&endpoint).unwrap();
    assert_eq!(store.endpoint(&endpoint.id).unwrap(), Some(endpoint.clone()));
    assert_eq!(store.endpoint_at(&endpoint.url).unwrap(), Some(endpoint.clone()));
    assert_eq!(store.endpoints(None, 10).unwrap(), [endpoint]);
}

pub(crate) fn what_is_given_of_an_endpoint_changes(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[]);
    let mut expected = store.endpoint(&id).unwrap().unwrap();
    let mut check = |change: Change| {
        assert!(store.change_endpoint(&id, &change).unwrap());
        expected.state = change.state.unwrap_or_else(|| expected.state.clone());
        expected.keys = change.keys.unwrap_or_else(|| expected.keys.clone());
        expected.settings = change.settings.unwrap_or_else(|| expected.settings.clone());
        expected.health = change.health.unwrap_or(expected.health);
        assert_eq!(store.endpoint(&id).unwrap().as_ref(), Some(&expected));
    };
    check(Change::default());
    check(Change { state: Some(EndpointState::Paused), ..Change::default() });
    let key = SigningKey { text: "whsec_a2V5".into(), expires: Some(at(5)) };
    check(Change { keys: Some(vec![key.clone(), key]), ..Change::default() });
    let mut settings = Settings::default();
    settings.description = "changed".into();
    check(Change { settings: Some(settings), ..Change::default() });
    let health = Health { failures: 9, failing_since: Some(at(1)), last_success: None };
    check(Change { health: Some(health), ..Change::default() });
    check(Change { keys: Some(Vec::new()), health: Some(Health::default()), ..Change::default() });
    check(Change { state: Some(EndpointState::Active), ..Change::default() });
    assert!(!store.change_endpoint(&endpoint_id("nobody"), &Change::default()).unwrap());
}

pub(crate) fn disabling_ends_what_waits(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    register(store, "b", &[("k", "1")]);
    for name in ["flies", "is-done", "waits"] {
        assert_eq!(publish(store, name, at(10), &[("k", "1")]), 2);
    }
    assert_eq!(claim(store, &id, at(10), at(500), 2), ["flies", "is-done"]);
    deliver(store, "is-done", "a", at(20));
    set_state(store, &id, EndpointState::Disabled { why: "gone".into(), at: at(30) });

    assert_eq!(state(store, "flies", "a"), DeliveryState::InFlight);
    assert_eq!(state(store, "is-done", "a"), DeliveryState::Delivered);
    let dead = delivery(store, "waits", "a");
    assert_eq!((dead.state, dead.due, dead.attempts), (DeliveryState::Dead, at(30), 0));
    assert_eq!(state(store, "waits", "b"), DeliveryState::Pending);

    // What is in flight ends as it ends; but nobody will try again.
    retry(store, "flies", "a", at(60));
    let flown = delivery(store, "flies", "a");
    assert_eq!((flown.state, flown.due, flown.attempts), (DeliveryState::Dead, at(60), 1));
    assert_eq!(store.next_due().unwrap(), Some(at(10)), "b's");
    assert_eq!(store.totals(Some(&id)).unwrap().next, None);

    // Enabling it alone brings nothing back.
    set_state(store, &id, EndpointState::Active);
    assert!(claim(store, &id, at(1_000), at(2_000), 10).is_empty());
}

pub(crate) fn removing_cancels_what_was_not_delivered(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    register(store, "b", &[("k", "1")]);
    for name in ["flies", "is-done", "is-dead", "waits"] {
        publish(store, name, at(10), &[("k", "1")]);
    }
    assert_eq!(claim(store, &id, at(10), at(500), 3).len(), 3);
    deliver(store, "is-done", "a", at(20));
    kill(store, "is-dead", "a", at(21));
    assert!(store.remove_endpoint(&id, at(40)).unwrap());
    assert!(!store.remove_endpoint(&id, at(41)).unwrap());

    assert_eq!(store.endpoint(&id).unwrap(), None);
    assert_eq!(store.endpoint_at("http://a.example/hook").unwrap(), None);
    assert_eq!(store.subscriptions(&id).unwrap(), []);
    assert!(!store.change_endpoint(&id, &Change::default()).unwrap());
    assert!(store.claim(&id, at(1_000), at(2_000), 10).unwrap().is_empty());
    let states = |message| {
        let delivery = delivery(store, message, "a");
        (delivery.state, delivery.due)
    };
    assert_eq!(states("flies"), (DeliveryState::Cancelled, at(40)));
    assert_eq!(states("waits"), (DeliveryState::Cancelled, at(40)));
    assert_eq!(states("is-done"), (DeliveryState::Delivered, at(20)));
    assert_eq!(states("is-dead"), (DeliveryState::Dead, at(21)));
    assert_eq!(state(store, "waits", "b"), DeliveryState::Pending);
    let its = Filter { endpoint: Some(id.clone()), ..Filter::default() };
    assert_eq!(store.deliveries(&its, None, 10).unwrap().len(), 4);
    assert_eq!(store.attempts(&delivery_id("is-done", "a")).unwrap().len(), 1);
    for message in ["waits", "is-done", "is-dead"] {
        assert!(!store.resend(&delivery_id(message, "a"), at(50)).unwrap(), "{message}");
    }
    assert_eq!(store.recover(&id, at(0), at(50)).unwrap(), 0);
    let totals = store.totals(Some(&id)).unwrap();
    assert_eq!((totals.endpoints, totals.subscriptions, totals.messages), (0, 0, 4));
    assert_eq!((totals.pending, totals.in_flight, totals.delivered, totals.dead), (0, 0, 1, 1));

    // The same URL again is a new endpoint, with nothing of the old one's.
    let again = Endpoint::new("http://a.example/hook");
    assert_eq!(store.add_endpoint(&again).unwrap(), (again.clone(), true));
    assert_eq!(store.subscriptions(&again.id).unwrap(), []);
    assert_eq!(publish(store, "later", at(60), &[("k", "1")]), 1, "b's");
}
