//! What every store must do: the same tests for all of them, each over a `dyn Store` that nobody else uses.
//!
//! A test program says how to open a store and lets [`each_case`] write the tests down:
//!
//! ```ignore
//! macro_rules! on_mine {
//!     ($subject:ident::$case:ident) => {
//!         #[test]
//!         fn $case() {
//!             battery::run(|| Arc::new(MyStore::new()), battery::$subject::$case);
//!         }
//!     };
//! }
//! battery::each_case!(on_mine);
//! ```
//!
//! What it is not: tests of what only one store has (files, servers, kills). Those are beside each store's own.
//!
//! To read on: a module per subject; `model.rs` makes random calls to two stores, which must give the same answers.

#![allow(dead_code, unused_imports, reason = "a test program may leave a part out")]

use std::sync::Arc;
use std::time::Duration;

use sward::webhook::store::{Claim, Next, Store};
use sward::webhook::{
    Attempt, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointId, EndpointState, Keys,
    Message, MessageId, Settings, Time,
};

#[path = "../../std_mirror/alarm.rs"]
mod alarm;
pub(crate) mod claims;
pub(crate) mod crowd;
pub(crate) mod endpoints;
pub(crate) mod finishing;
pub(crate) mod hostile;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod pages;
pub(crate) mod random;
pub(crate) mod recovery;
pub(crate) mod subscriptions;

/// Calls `$each!(subject::case)` for each test.
macro_rules! each_case {
    ($each:ident) => {
        $each!(endpoints::there_is_one_endpoint_per_url);
        $each!(endpoints::an_endpoint_reads_back_whole);
        $each!(endpoints::what_is_given_of_an_endpoint_changes);
        $each!(endpoints::disabling_ends_what_waits);
        $each!(endpoints::removing_cancels_what_was_not_delivered);
        $each!(subscriptions::asking_again_moves_the_lease);
        $each!(subscriptions::what_lapses_no_longer_matches);
        $each!(subscriptions::unsubscribing_counts_what_was_there);
        $each!(subscriptions::each_that_matches_comes_once);
        $each!(subscriptions::who_is_not_there_has_none);
        $each!(messages::a_message_reads_back_whole);
        $each!(messages::a_message_reaches_who_listens);
        $each!(messages::extra_endpoints_get_it_too);
        $each!(messages::the_same_key_or_id_is_the_same_message);
        $each!(messages::pruning_takes_what_is_old_and_done);
        $each!(messages::old_idempotency_keys_are_forgotten);
        $each!(pages::endpoints_come_in_pages);
        $each!(pages::messages_come_in_pages);
        $each!(pages::deliveries_come_in_pages);
        $each!(pages::deliveries_are_filtered);
        $each!(claims::who_waits_longest_is_due_first);
        $each!(claims::only_active_endpoints_are_due);
        $each!(claims::a_claim_has_all_that_is_needed);
        $each!(claims::what_is_due_longest_is_claimed_first);
        $each!(claims::a_lapsed_claim_is_due_again);
        $each!(claims::an_ordered_endpoint_gets_one_at_a_time);
        $each!(claims::an_endpoint_becomes_ordered);
        $each!(finishing::delivered_is_the_end);
        $each!(finishing::a_retry_waits);
        $each!(finishing::a_dead_letter_stays);
        $each!(finishing::without_an_attempt_nothing_is_counted);
        $each!(finishing::late_answers_do_not_undo);
        $each!(finishing::the_log_reads_back_whole);
        $each!(recovery::what_is_finished_can_be_sent_again);
        $each!(recovery::an_endpoint_recovers_what_it_missed);
        $each!(recovery::a_recovered_message_keeps_its_place);
        $each!(recovery::totals_count_everything);
        $each!(hostile::strange_keys_stay_apart);
        $each!(hostile::strange_texts_read_back);
        $each!(hostile::ids_may_have_what_divides_them);
        $each!(hostile::any_bytes_are_a_body);
        $each!(crowd::nobody_claims_what_another_has);
        $each!(crowd::order_holds_in_a_crowd);
        $each!(crowd::one_of_many_publishers_is_first);
        $each!(crowd::one_of_many_registrations_is_new);
        $each!(model::random_calls_have_the_same_answers);
    };
}
pub(crate) use each_case;

/// Runs a case on green threads, over a store that `open` makes there.
pub(crate) fn run(open: impl FnOnce() -> Arc<dyn Store>, case: fn(&Arc<dyn Store>)) {
    alarm::watch(|| sward::Builder::new().workers(2).run(|| case(&open())));
}

/// So many milliseconds after a beginning that is far from 1970 and from now.
pub(crate) fn at(millis: u64) -> Time {
    Time::from_millis(1_000_000_000_000 + millis)
}

pub(crate) fn keys(pairs: &[(&str, &str)]) -> Keys {
    pairs.iter().copied().collect()
}

pub(crate) fn endpoint_id(text: &str) -> EndpointId {
    EndpointId::parse(text).unwrap()
}

/// A new endpoint that wants `pairs` for ever. Its id is its name, so that tests choose how ids sort.
pub(crate) fn register(store: &Arc<dyn Store>, name: &str, pairs: &[(&str, &str)]) -> EndpointId {
    let mut endpoint = Endpoint::new(format!("http://{name}.example/hook"));
    endpoint.id = endpoint_id(name);
    endpoint.created = at(0);
    let (endpoint, new) = store.add_endpoint(&endpoint).unwrap();
    assert!(new, "{name} is there already");
    store.subscribe(&endpoint.id, &keys(pairs), at(0), None).unwrap();
    endpoint.id
}

pub(crate) fn message(name: &str, published: Time, pairs: &[(&str, &str)]) -> Message {
    Message {
        id: MessageId::parse(name).unwrap(),
        published,
        kind: "test.made".into(),
        keys: keys(pairs),
        body: format!("{{\"name\":\"{name}\"}}").into_bytes().into(),
        content_type: "application/json".into(),
        idempotency_key: None,
    }
}

/// Publishes under `pairs` and returns to how many it goes.
pub(crate) fn publish(
    store: &Arc<dyn Store>,
    name: &str,
    published: Time,
    pairs: &[(&str, &str)],
) -> usize {
    let accepted = store.publish(&message(name, published, pairs), &[]).unwrap();
    assert!(!accepted.repeated, "{name} is there already");
    accepted.deliveries
}

pub(crate) fn delivery_id(message: &str, endpoint: &str) -> DeliveryId {
    DeliveryId::of(&MessageId::parse(message).unwrap(), &endpoint_id(endpoint))
}

pub(crate) fn delivery(store: &Arc<dyn Store>, message: &str, endpoint: &str) -> Delivery {
    store.delivery(&delivery_id(message, endpoint)).unwrap().expect("no such delivery")
}

pub(crate) fn state(store: &Arc<dyn Store>, message: &str, endpoint: &str) -> DeliveryState {
    delivery(store, message, endpoint).state
}

/// The `number`th attempt of a delivery, which failed.
pub(crate) fn failed(delivery: &DeliveryId, number: u32, began: Time) -> Attempt {
    Attempt {
        delivery: delivery.clone(),
        number,
        at: began,
        took: Duration::from_micros(1_234_567),
        address: Some("192.0.2.7:80".into()),
        status: Some(503),
        error: Some("503 Service Unavailable".into()),
        response: "later, please".into(),
        truncated: false,
    }
}

/// One that did not.
pub(crate) fn succeeded(delivery: &DeliveryId, number: u32, began: Time) -> Attempt {
    Attempt { status: Some(200), error: None, ..failed(delivery, number, began) }
}

/// Changes nothing but the state.
pub(crate) fn set_state(store: &Arc<dyn Store>, endpoint: &EndpointId, state: EndpointState) {
    let change = sward::webhook::store::Change { state: Some(state), ..Default::default() };
    assert!(store.change_endpoint(endpoint, &change).unwrap());
}

pub(crate) fn set_ordered(store: &Arc<dyn Store>, endpoint: &EndpointId, ordered: bool) {
    let mut settings = Settings::default();
    settings.ordered = ordered;
    let change = sward::webhook::store::Change { settings: Some(settings), ..Default::default() };
    assert!(store.change_endpoint(endpoint, &change).unwrap());
}

/// Claims and says which messages came.
pub(crate) fn claim(
    store: &Arc<dyn Store>,
    endpoint: &EndpointId,
    now: Time,
    until: Time,
    limit: usize,
) -> Vec<String> {
    names(&store.claim(endpoint, now, until, limit).unwrap())
}

pub(crate) fn names(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|claim| claim.message.id.to_string()).collect()
}

pub(crate) fn deliver(store: &Arc<dyn Store>, message: &str, endpoint: &str, when: Time) {
    let id = delivery_id(message, endpoint);
    store.finish(&id, Some(&succeeded(&id, 1, when)), Next::Delivered(when)).unwrap();
}

pub(crate) fn retry(store: &Arc<dyn Store>, message: &str, endpoint: &str, when: Time) {
    let id = delivery_id(message, endpoint);
    store.finish(&id, Some(&failed(&id, 1, when)), Next::Retry(when)).unwrap();
}

pub(crate) fn kill(store: &Arc<dyn Store>, message: &str, endpoint: &str, when: Time) {
    let id = delivery_id(message, endpoint);
    store.finish(&id, Some(&failed(&id, 1, when)), Next::Dead(when)).unwrap();
}
