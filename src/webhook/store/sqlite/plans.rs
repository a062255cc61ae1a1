//! How SQLite finds what the calls ask for: by an index, whatever the store holds.
//!
//! Every statement that a call runs is noted, and SQLite is asked for its plan. A table that is read from end to end, or rows
//! that are sorted, would make a call the slower the more there is.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};

use rusqlite::Connection;

use super::open::ready;
use super::{deliveries, endpoints, lists, messages};
use crate::webhook::model::{Attempt, DeliveryState, Endpoint, EndpointState, Keys, Message};
use crate::webhook::store::{Change, Filter, Next};
use crate::webhook::{DeliveryId, EndpointId, MessageId, Time};

std::thread_local! {
    static NOTED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

pub(super) fn note(sql: &str) {
    NOTED.with_borrow_mut(|noted| noted.insert(sql.to_owned()));
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn attempt(delivery: &DeliveryId) -> Attempt {
    Attempt {
        delivery: delivery.clone(),
        number: 1,
        at: at(3),
        took: std::time::Duration::ZERO,
        address: None,
        status: None,
        error: None,
        response: String::new(),
        truncated: false,
    }
}

/// Calls everything at least once, so that it gets to every statement.
fn call_everything(conn: &Connection) {
    let keys = Keys::new().with("k", "1");
    let mut names = Vec::new();
    for name in ["a", "b"] {
        let endpoint = Endpoint::new(format!("http://{name}.example/"));
        endpoints::add(conn, &endpoint).unwrap();
        endpoints::add(conn, &endpoint).unwrap();
        endpoints::subscribe(conn, &endpoint.id, &keys, at(1), Some(at(9_999))).unwrap();
        names.push(endpoint.id);
    }
    let [a, b] = [&names[0], &names[1]];
    for number in 0..4 {
        let message = Message {
            id: MessageId::parse(&format!("m{number}")).unwrap(),
            published: at(2),
            kind: String::new(),
            keys: keys.clone(),
            body: Vec::new().into(),
            content_type: String::new(),
            idempotency_key: Some(format!("key {number}")),
        };
        messages::publish(conn, &message, &names).unwrap();
        messages::publish(conn, &message, &names).unwrap();
    }
    work(conn, a, b);
    ask(conn, a, b, &keys);
    endpoints::unsubscribe(conn, a, &keys).unwrap();
    endpoints::expire(conn, at(5)).unwrap();
    endpoints::remove(conn, a, at(30)).unwrap();
    messages::forget_keys(conn, at(40)).unwrap();
    messages::prune(conn, at(40), (-1, 0)).unwrap();
    endpoints::forget(conn).unwrap();
}

fn work(conn: &Connection, a: &EndpointId, b: &EndpointId) {
    assert_eq!(deliveries::due(conn, at(2), &HashSet::new(), 9).unwrap().len(), 2);
    let claims = deliveries::claim(conn, a, at(2), at(9), 3).unwrap();
    let ends = [Next::Delivered(at(4)), Next::Retry(at(5)), Next::Dead(at(6))];
    for (claim, next) in claims.iter().zip(ends) {
        let id = &claim.delivery.id;
        deliveries::finish(conn, id, Some(&attempt(id)), next).unwrap();
        deliveries::resend(conn, id, at(7)).unwrap();
        deliveries::attempts(conn, id).unwrap();
    }
    let mut change = Change { settings: Some(Default::default()), ..Change::default() };
    change.settings.as_mut().unwrap().ordered = true;
    change.health = Some(Default::default());
    change.keys = Some(Vec::new());
    endpoints::change(conn, b, &change).unwrap();
    assert_eq!(deliveries::claim(conn, b, at(2), at(9), 3).unwrap().len(), 1);
    deliveries::release(conn).unwrap();
    let state = Some(EndpointState::Disabled { why: String::new(), at: at(8) });
    endpoints::change(conn, a, &Change { state, ..Change::default() }).unwrap();
    messages::revive(conn, a, at(0), at(9)).unwrap();
    messages::catch_up(conn, a, at(0), at(9), 0).unwrap();
    deliveries::next_due(conn).unwrap();
}

fn ask(conn: &Connection, a: &EndpointId, b: &EndpointId, keys: &Keys) {
    endpoints::by_id(conn, a).unwrap();
    endpoints::list(conn, Some(a), 9).unwrap();
    endpoints::matching(conn, keys, at(3)).unwrap();
    let m0 = MessageId::parse("m0").unwrap();
    messages::by_id(conn, &m0).unwrap();
    assert_eq!(messages::list(conn, at(2), Some(&m0), 9).unwrap().len(), 3);
    let after = DeliveryId::of(&m0, b);
    for endpoint in [None, Some(a.clone())] {
        for message in [None, Some(m0.clone())] {
            for state in [None, Some(DeliveryState::Delivered), Some(DeliveryState::Pending)] {
                let (endpoint, message) = (endpoint.clone(), message.clone());
                let filter = Filter { endpoint, message, state };
                lists::list(conn, &filter, Some(&after), 9).unwrap();
            }
        }
    }
    lists::totals(conn, None).unwrap();
    lists::totals(conn, Some(a)).unwrap();
}

/// Plans that read from end to end, on purpose.
const WHOLE: &[&str] = &[
    // Totals of everything count everything; the index is the shortest list of it.
    "SCAN deliveries USING COVERING INDEX deliveries_of",
    "SCAN deliveries USING COVERING INDEX deliveries_undelivered",
    "SCAN messages USING COVERING INDEX messages_latest",
    "SCAN subscriptions USING COVERING INDEX subscriptions_of",
    "SCAN queues",
    // The first of an index or of a table; removed endpoints, of which there are few.
    "SCAN queues USING COVERING INDEX queues_next",
    "SCAN messages",
    "SCAN endpoints USING COVERING INDEX endpoints_removed",
];

#[test]
fn every_call_goes_by_an_index() {
    let conn = Connection::open_in_memory().unwrap();
    ready(&conn).unwrap();
    call_everything(&conn);
    let noted = NOTED.with_borrow(BTreeSet::clone);
    assert!(noted.len() > 50, "only {} statements were noted", noted.len());
    let mut faults = Vec::new();
    for sql in noted.iter().filter(|sql| !sql.starts_with("EXPLAIN")) {
        for step in plan(&conn, sql) {
            let bad = step.contains("SCAN") || step.contains("TEMP B-TREE");
            if bad && !WHOLE.contains(&step.as_str()) {
                faults.push(format!("{step}\n    {sql}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    // That the check can fail.
    let found = plan(&conn, "SELECT * FROM deliveries WHERE attempts = 7 ORDER BY created");
    assert_eq!(found, ["SCAN deliveries", "USE TEMP B-TREE FOR ORDER BY"]);
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.raw_query();
    let steps = rows.mapped(|row| row.get::<_, String>(3));
    steps.map(Result::unwrap).collect()
}
