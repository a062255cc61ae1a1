//! What is due, and who may have it.

use std::sync::Arc;

use sward::webhook::store::Store;
use sward::webhook::{DeliveryState, EndpointState};

use super::*;

fn due(store: &Arc<dyn Store>, now: Time, except: &[&str], limit: usize) -> Vec<String> {
    let except: Vec<_> = except.iter().map(|name| endpoint_id(name)).collect();
    store.due(now, &except, limit).unwrap().iter().map(ToString::to_string).collect()
}

pub(crate) fn who_waits_longest_is_due_first(store: &Arc<dyn Store>) {
    assert!(due(store, at(1_000), &[], 10).is_empty());
    assert_eq!(store.next_due().unwrap(), None);
    for (name, published) in [("d", 30), ("a", 10), ("c", 20), ("b", 20)] {
        register(store, name, &[("k", name)]);
        publish(store, &format!("of-{name}"), at(published), &[("k", name)]);
    }
    assert_eq!(store.next_due().unwrap(), Some(at(10)));
    assert!(due(store, at(9), &[], 10).is_empty());
    assert_eq!(due(store, at(10), &[], 10), ["a"]);
    assert_eq!(due(store, at(29), &[], 10), ["a", "c", "b"], "who registered first, of two");
    assert_eq!(due(store, at(30), &[], 10), ["a", "c", "b", "d"]);
    assert_eq!(due(store, at(30), &[], 2), ["a", "c"]);
    assert!(due(store, at(30), &[], 0).is_empty());
    assert_eq!(due(store, at(30), &["a", "c"], 1), ["b"], "the limit is of what is left");
    assert_eq!(due(store, at(30), &["b", "none", "d", "b"], 10), ["a", "c"]);
    assert!(due(store, at(30), &["a", "b", "c", "d"], 10).is_empty());
    // Asking changes nothing; a claim does.
    assert_eq!(due(store, at(30), &[], 1), ["a"]);
    claim(store, &endpoint_id("a"), at(30), at(90), 1);
    assert_eq!(due(store, at(30), &[], 10), ["c", "b", "d"]);
    assert_eq!(store.next_due().unwrap(), Some(at(20)));
    retry(store, "of-a", "a", at(25));
    assert_eq!(due(store, at(30), &[], 10), ["c", "b", "a", "d"]);
    for name in ["b", "c", "d"] {
        deliver(store, &format!("of-{name}"), name, at(40));
    }
    assert_eq!(due(store, at(100), &[], 10), ["a"]);
    assert_eq!(store.next_due().unwrap(), Some(at(25)));
    kill(store, "of-a", "a", at(50));
    assert_eq!(store.next_due().unwrap(), None);
}

pub(crate) fn only_active_endpoints_are_due(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    publish(store, "m", at(10), &[("k", "1")]);
    let disabled = EndpointState::Disabled { why: "for now".into(), at: at(11) };
    for state in [EndpointState::Paused, EndpointState::Unverified] {
        set_state(store, &id, state);
        assert!(due(store, at(100), &[], 10).is_empty());
        assert!(claim(store, &id, at(100), at(200), 10).is_empty());
        assert_eq!(store.next_due().unwrap(), None);
    }
    // What came in a pause is delivered after it.
    set_state(store, &id, EndpointState::Paused);
    publish(store, "n", at(20), &[("k", "1")]);
    set_state(store, &id, EndpointState::Active);
    assert_eq!(due(store, at(100), &[], 10), ["a"]);
    assert_eq!(store.next_due().unwrap(), Some(at(10)));
    assert_eq!(claim(store, &id, at(100), at(200), 10), ["m", "n"]);
    // A claim that lapses on a disabled endpoint is nobody's until it is active.
    set_state(store, &id, disabled);
    assert_eq!(state(store, "m", "a"), DeliveryState::InFlight);
    assert!(due(store, at(300), &[], 10).is_empty());
    assert!(claim(store, &id, at(300), at(400), 10).is_empty());
    set_state(store, &id, EndpointState::Active);
    assert_eq!(claim(store, &id, at(300), at(400), 10), ["m", "n"]);
    assert!(claim(store, &endpoint_id("nobody"), at(300), at(400), 10).is_empty());
}

pub(crate) fn a_claim_has_all_that_is_needed(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    publish(store, "m", at(10), &[("k", "1")]);
    let claims = store.claim(&id, at(11), at(500), 10).unwrap();
    assert_eq!(claims.len(), 1);
    let claim = &claims[0];
    assert_eq!(claim.message, message("m", at(10), &[("k", "1")]));
    assert_eq!(Some(&claim.endpoint), store.endpoint(&id).unwrap().as_ref());
    assert_eq!(claim.delivery, delivery(store, "m", "a"));
    assert_eq!(claim.delivery.state, DeliveryState::InFlight);
    assert_eq!((claim.delivery.due, claim.delivery.created), (at(500), at(10)));
    assert_eq!(claim.delivery.attempts, 0, "a claim is no attempt");
    // The endpoint is as it is now.
    retry(store, "m", "a", at(20));
    set_ordered(store, &id, true);
    let claims = store.claim(&id, at(20), at(600), 10).unwrap();
    assert!(claims[0].endpoint.settings.ordered);
    assert_eq!(claims[0].endpoint.health.failures, 1);
    assert_eq!(claims[0].delivery.attempts, 1);
}

pub(crate) fn what_is_due_longest_is_claimed_first(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    let other = register(store, "b", &[("k", "1")]);
    // Names that sort otherwise than they were accepted; two that are due at once.
    for (name, published) in [("z", 30), ("y", 10), ("m", 20), ("x", 20), ("n", 40)] {
        publish(store, name, at(published), &[("k", "1")]);
    }
    assert!(claim(store, &id, at(9), at(100), 10).is_empty());
    assert!(claim(store, &id, at(40), at(100), 0).is_empty());
    assert_eq!(claim(store, &id, at(30), at(100), 3), ["y", "m", "x"]);
    assert_eq!(claim(store, &id, at(30), at(100), 3), ["z"], "n is not due");
    assert!(claim(store, &id, at(30), at(100), 3).is_empty());
    assert_eq!(claim(store, &id, at(40), at(100), 3), ["n"]);
    assert_eq!(claim(store, &other, at(40), at(100), 9), ["y", "m", "x", "z", "n"]);
}

pub(crate) fn a_lapsed_claim_is_due_again(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    for name in ["m", "n"] {
        publish(store, name, at(10), &[("k", "1")]);
    }
    assert_eq!(claim(store, &id, at(10), at(100), 1), ["m"]);
    assert_eq!(claim(store, &id, at(10), at(150), 1), ["n"]);
    assert_eq!(store.next_due().unwrap(), Some(at(100)));
    assert!(due(store, at(99), &[], 10).is_empty());
    assert!(claim(store, &id, at(99), at(200), 10).is_empty());
    assert_eq!(due(store, at(100), &[], 10), ["a"]);
    assert_eq!(claim(store, &id, at(100), at(300), 10), ["m"]);
    assert_eq!(delivery(store, "m", "a").attempts, 0);
    assert_eq!(store.next_due().unwrap(), Some(at(150)));
    // Whoever was late may still say how it went.
    deliver(store, "n", "a", at(170));
    assert!(claim(store, &id, at(200), at(300), 10).is_empty());
    assert_eq!(store.next_due().unwrap(), Some(at(300)));
}

pub(crate) fn an_ordered_endpoint_gets_one_at_a_time(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    set_ordered(store, &id, true);
    // The second is due before the first.
    for (name, published) in [("z", 20), ("y", 10), ("x", 30)] {
        publish(store, name, at(published), &[("k", "1")]);
    }
    assert!(due(store, at(19), &[], 10).is_empty());
    assert!(claim(store, &id, at(19), at(100), 10).is_empty());
    assert_eq!(store.next_due().unwrap(), Some(at(20)));
    assert_eq!(due(store, at(20), &[], 10), ["a"]);
    assert!(claim(store, &id, at(20), at(100), 0).is_empty());
    assert_eq!(claim(store, &id, at(20), at(100), 10), ["z"]);
    assert!(due(store, at(50), &[], 10).is_empty(), "while the first is in flight");
    assert!(claim(store, &id, at(50), at(100), 10).is_empty());
    // A failure holds up the others.
    retry(store, "z", "a", at(70));
    assert!(due(store, at(69), &[], 10).is_empty());
    assert_eq!(store.next_due().unwrap(), Some(at(70)));
    assert_eq!(claim(store, &id, at(70), at(100), 10), ["z"]);
    // A lapsed claim too.
    assert_eq!(claim(store, &id, at(100), at(200), 10), ["z"]);
    deliver(store, "z", "a", at(110));
    assert_eq!(store.next_due().unwrap(), Some(at(10)));
    assert_eq!(claim(store, &id, at(110), at(200), 10), ["y"]);
    // A dead letter does not.
    kill(store, "y", "a", at(120));
    assert_eq!(claim(store, &id, at(120), at(200), 10), ["x"]);
    // What is sent again goes to its place.
    retry(store, "x", "a", at(130));
    assert!(store.resend(&delivery_id("y", "a"), at(140)).unwrap());
    assert!(claim(store, &id, at(139), at(200), 10).is_empty());
    assert_eq!(claim(store, &id, at(140), at(200), 10), ["y"]);
}

pub(crate) fn an_endpoint_becomes_ordered(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    for (name, published) in [("z", 20), ("y", 10)] {
        publish(store, name, at(published), &[("k", "1")]);
    }
    assert_eq!(store.next_due().unwrap(), Some(at(10)));
    set_ordered(store, &id, true);
    assert_eq!(store.next_due().unwrap(), Some(at(20)));
    assert!(due(store, at(15), &[], 10).is_empty());
    set_ordered(store, &id, false);
    assert_eq!(due(store, at(15), &[], 10), ["a"]);
    assert_eq!(claim(store, &id, at(20), at(100), 10), ["y", "z"]);
    // Two are in flight when it becomes so again: the first unfinished is the one that counts.
    set_ordered(store, &id, true);
    retry(store, "y", "a", at(30));
    assert!(due(store, at(40), &[], 10).is_empty());
    deliver(store, "z", "a", at(50));
    assert_eq!(claim(store, &id, at(50), at(100), 10), ["y"]);
}
