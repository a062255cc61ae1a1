//! Lists: their order, their pages, their filters.

use std::sync::Arc;

use sward::webhook::store::{Filter, Store};
use sward::webhook::{DeliveryState, MessageId};

use super::*;

/// Reads a list page by page: `page` gets the last id and returns the next ids.
fn all_pages<I: Clone + ToString>(mut page: impl FnMut(Option<&I>) -> Vec<I>) -> Vec<String> {
    let mut found: Vec<I> = Vec::new();
    loop {
        let next = page(found.last());
        if next.is_empty() {
            return found.iter().map(I::to_string).collect();
        }
        found.extend(next);
        assert!(found.len() < 1_000, "the pages go round in a circle");
    }
}

pub(crate) fn endpoints_come_in_pages(store: &Arc<dyn Store>) {
    assert_eq!(store.endpoints(None, 10).unwrap(), []);
    // Neither sorted nor the reverse.
    let names = ["m", "z", "a", "y", "b", "x"];
    for name in names {
        register(store, name, &[]);
    }
    let page = |after: Option<&EndpointId>, limit| {
        let found = store.endpoints(after, limit).unwrap();
        found.into_iter().map(|endpoint| endpoint.id).collect::<Vec<_>>()
    };
    for limit in [1, 2, 3, 5, 6, 7, usize::MAX] {
        assert_eq!(all_pages(|after| page(after, limit)), names);
    }
    assert_eq!(page(None, 4).len(), 4);
    assert!(page(None, 0).is_empty());
    assert!(page(Some(&endpoint_id("nobody")), 10).is_empty());
    // A removed one leaves no gap.
    store.remove_endpoint(&endpoint_id("a"), at(1)).unwrap();
    assert_eq!(all_pages(|after| page(after, 2)), ["m", "z", "y", "b", "x"]);
    assert!(page(Some(&endpoint_id("a")), 10).is_empty());
}

pub(crate) fn messages_come_in_pages(store: &Arc<dyn Store>) {
    // Clocks are set back: the order is that of acceptance.
    let names = ["m", "z", "a", "y", "b", "x", "c"];
    for (name, published) in names.into_iter().zip([10, 20, 15, 30, 5, 20, 40]) {
        publish(store, name, at(published), &[]);
    }
    let page = |since, after: Option<&MessageId>, limit| {
        let found = store.messages(at(since), after, limit).unwrap();
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    for limit in [1, 2, 3, 7, usize::MAX] {
        assert_eq!(all_pages(|after| page(0, after, limit)), names);
        assert_eq!(all_pages(|after| page(16, after, limit)), ["z", "y", "x", "c"]);
        assert_eq!(all_pages(|after| page(20, after, limit)), ["z", "y", "x", "c"]);
        assert_eq!(all_pages(|after| page(31, after, limit)), ["c"]);
        assert!(page(41, None, limit).is_empty());
    }
    assert!(page(0, None, 0).is_empty());
    assert!(page(0, Some(&MessageId::parse("none").unwrap()), 10).is_empty());
    // After one that `since` leaves out.
    let b = MessageId::parse("b").unwrap();
    assert_eq!(page(20, Some(&b), 1)[0].as_str(), "x");
}

fn page_of(
    store: &Arc<dyn Store>,
    filter: &Filter,
    after: Option<&DeliveryId>,
    limit: usize,
) -> Vec<DeliveryId> {
    let found = store.deliveries(filter, after, limit).unwrap();
    found.into_iter().map(|delivery| delivery.id).collect()
}

pub(crate) fn deliveries_come_in_pages(store: &Arc<dyn Store>) {
    for name in ["p", "q", "o"] {
        register(store, name, &[("k", "1")]);
    }
    for name in ["m", "z", "a"] {
        publish(store, name, at(10), &[("k", "1")]);
    }
    let all = ["m~p", "m~q", "m~o", "z~p", "z~q", "z~o", "a~p", "a~q", "a~o"];
    let any = Filter::default();
    for limit in [1, 2, 4, 9, 10, usize::MAX] {
        assert_eq!(all_pages(|after| page_of(store, &any, after, limit)), all);
    }
    assert!(page_of(store, &any, None, 0).is_empty());
    assert!(page_of(store, &any, Some(&delivery_id("m", "none")), 10).is_empty());
    assert!(page_of(store, &any, Some(&DeliveryId::parse("nonsense").unwrap()), 10).is_empty());
    // What becomes of them moves nothing.
    claim(store, &endpoint_id("q"), at(10), at(20), 2);
    deliver(store, "a", "p", at(15));
    store.remove_endpoint(&endpoint_id("p"), at(16)).unwrap();
    assert_eq!(all_pages(|after| page_of(store, &any, after, 2)), all);
}

pub(crate) fn deliveries_are_filtered(store: &Arc<dyn Store>) {
    for name in ["p", "q", "o"] {
        register(store, name, &[("k", "1")]);
    }
    for name in ["m", "z", "a", "y"] {
        publish(store, name, at(10), &[("k", "1")]);
    }
    let [p, q] = ["p", "q"].map(endpoint_id);
    claim(store, &p, at(10), at(100), 2);
    claim(store, &q, at(10), at(100), 4);
    for (message, endpoint) in [("z", "p"), ("m", "q"), ("a", "q"), ("a", "o")] {
        deliver(store, message, endpoint, at(20));
    }
    kill(store, "z", "q", at(20));
    kill(store, "y", "q", at(20));
    let filter = |endpoint: Option<&str>, message: Option<&str>, state| Filter {
        endpoint: endpoint.map(endpoint_id),
        message: message.map(|message| MessageId::parse(message).unwrap()),
        state,
    };
    let delivered = Some(DeliveryState::Delivered);
    for (filter, expected) in [
        (filter(Some("q"), None, None), &["m~q", "z~q", "a~q", "y~q"][..]),
        (filter(None, Some("z"), None), &["z~p", "z~q", "z~o"]),
        (filter(Some("q"), Some("z"), None), &["z~q"]),
        (filter(None, None, delivered), &["m~q", "z~p", "a~q", "a~o"]),
        (filter(Some("q"), None, delivered), &["m~q", "a~q"]),
        (filter(None, Some("a"), delivered), &["a~q", "a~o"]),
        (filter(Some("o"), Some("a"), delivered), &["a~o"]),
        (filter(Some("p"), Some("a"), delivered), &[]),
        (filter(None, None, Some(DeliveryState::Dead)), &["z~q", "y~q"]),
        (filter(None, None, Some(DeliveryState::InFlight)), &["m~p"]),
        (filter(None, None, Some(DeliveryState::Pending)), &["m~o", "z~o", "a~p", "y~p", "y~o"]),
        (filter(None, None, Some(DeliveryState::Cancelled)), &[]),
        (filter(Some("none"), None, None), &[]),
        (filter(None, Some("none"), None), &[]),
        (filter(Some("q"), Some("none"), delivered), &[]),
    ] {
        for limit in [1, 2, 100] {
            let found = all_pages(|after| page_of(store, &filter, after, limit));
            assert_eq!(found, expected, "{filter:?}");
        }
    }
    // A page may go on after one that the filter leaves out.
    let after = delivery_id("z", "o");
    let found = page_of(store, &filter(Some("q"), None, delivered), Some(&after), 10);
    assert_eq!(found, [delivery_id("a", "q")]);
    let found = page_of(store, &filter(None, Some("m"), None), Some(&after), 10);
    assert!(found.is_empty());
}
