//! Many at once: green threads on two workers, and OS threads beside them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sward::thread;
use sward::webhook::Endpoint;
use sward::webhook::store::{Filter, Next, Store};

use super::*;

const GREEN: usize = 12;
const OS: usize = 4;

/// Runs `work` on green threads and on OS threads at once, each with a number.
fn crowd(work: impl Fn(usize) + Send + Sync + 'static) {
    let work = Arc::new(work);
    let os: Vec<_> = (0..OS)
        .map(|number| {
            let work = Arc::clone(&work);
            std::thread::spawn(move || work(number))
        })
        .collect();
    let green: Vec<_> = (OS..OS + GREEN)
        .map(|number| {
            let work = Arc::clone(&work);
            thread::spawn(move || work(number))
        })
        .collect();
    for thread in green {
        thread.join().unwrap();
    }
    for thread in os {
        sward::blocking(move || thread.join()).unwrap();
    }
}

pub(crate) fn nobody_claims_what_another_has(store: &Arc<dyn Store>) {
    const ENDPOINTS: usize = 4;
    const MESSAGES: usize = 60;
    for n in 0..ENDPOINTS {
        register(store, &format!("e{n}"), &[("k", "1")]);
    }
    let claimed = Arc::new(Mutex::new(Vec::new()));
    let published = Arc::new(AtomicUsize::new(0));
    let (theirs, counted, shared) = (claimed.clone(), published.clone(), store.clone());
    crowd(move |me| {
        let store = &shared;
        let mut round = me;
        loop {
            // Some of them publish while the others claim.
            let number = match me % 4 == 0 {
                true => counted.fetch_add(1, Ordering::SeqCst),
                false => MESSAGES,
            };
            if number < MESSAGES {
                publish(store, &format!("m{number}"), at(1), &[("k", "1")]);
            }
            round += 1;
            let endpoint = endpoint_id(&format!("e{}", round % ENDPOINTS));
            for claim in store.claim(&endpoint, at(1), at(1_000), 1 + round % 3).unwrap() {
                let id = claim.delivery.id;
                theirs.lock().unwrap().push(id.clone());
                let attempt = succeeded(&id, 1, at(2));
                store.finish(&id, Some(&attempt), Next::Delivered(at(3))).unwrap();
            }
            let totals = store.totals(None).unwrap();
            if totals.delivered == (ENDPOINTS * MESSAGES) as u64 {
                break;
            }
            thread::yield_now();
        }
    });
    let claimed = claimed.lock().unwrap();
    assert_eq!(claimed.len(), ENDPOINTS * MESSAGES, "each was claimed once");
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), claimed.len());
    for id in claimed.iter() {
        assert_eq!(store.attempts(id).unwrap().len(), 1);
    }
    assert_eq!(store.next_due().unwrap(), None);
}

pub(crate) fn order_holds_in_a_crowd(store: &Arc<dyn Store>) {
    const MESSAGES: usize = 60;
    let a = register(store, "a", &[("k", "1")]);
    set_ordered(store, &a, true);
    for n in 0..MESSAGES {
        publish(store, &format!("m{}", MESSAGES - n), at(1), &[("k", "1")]);
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let flying = Arc::new(AtomicUsize::new(0));
    let (theirs, shared) = (seen.clone(), store.clone());
    crowd(move |me| {
        let mut tries = me;
        while theirs.lock().unwrap().len() < MESSAGES {
            for claim in shared.claim(&a, at(1), at(1_000), 3).unwrap() {
                assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                let id = claim.delivery.id;
                tries += 1;
                let fails = tries % 3 == 0;
                if !fails {
                    theirs.lock().unwrap().push(claim.message.id.to_string());
                }
                flying.fetch_sub(1, Ordering::SeqCst);
                let (attempt, next) = match fails {
                    true => (failed(&id, 1, at(1)), Next::Retry(at(1))),
                    false => (succeeded(&id, 1, at(1)), Next::Delivered(at(1))),
                };
                shared.finish(&id, Some(&attempt), next).unwrap();
            }
            thread::yield_now();
        }
    });
    let expected: Vec<_> = (0..MESSAGES).map(|n| format!("m{}", MESSAGES - n)).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

pub(crate) fn one_of_many_publishers_is_first(store: &Arc<dyn Store>) {
    const ROUNDS: usize = 5;
    register(store, "a", &[("k", "1")]);
    let firsts = Arc::new(AtomicUsize::new(0));
    let (counted, shared) = (firsts.clone(), store.clone());
    crowd(move |me| {
        for round in 0..ROUNDS {
            let mut message = message(&format!("m{round}-{me}"), at(1), &[("k", "1")]);
            message.idempotency_key = Some(format!("key {round}"));
            let accepted = shared.publish(&message, &[]).unwrap();
            assert_eq!(accepted.deliveries, 1);
            assert_eq!(accepted.repeated, accepted.id != message.id);
            counted.fetch_add(usize::from(!accepted.repeated), Ordering::SeqCst);
        }
    });
    assert_eq!(firsts.load(Ordering::SeqCst), ROUNDS);
    assert_eq!(store.totals(None).unwrap().messages, ROUNDS as u64);
    assert_eq!(store.deliveries(&Filter::default(), None, 99).unwrap().len(), ROUNDS);
}

pub(crate) fn one_of_many_registrations_is_new(store: &Arc<dyn Store>) {
    let new = Arc::new(AtomicUsize::new(0));
    let (counted, shared) = (new.clone(), store.clone());
    crowd(move |me| {
        let (endpoint, first) =
            shared.add_endpoint(&Endpoint::new("http://a.example/hook")).unwrap();
        counted.fetch_add(usize::from(first), Ordering::SeqCst);
        let own = me.to_string();
        let wants = keys(&[("k", "all"), ("k", &own)]);
        shared.subscribe(&endpoint.id, &wants, at(1), None).unwrap();
        let found = shared.matching(&keys(&[("k", &own)]), at(1)).unwrap();
        assert_eq!(found[0].id, endpoint.id);
    });
    assert_eq!(new.load(Ordering::SeqCst), 1);
    let all = store.endpoints(None, 9).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(store.subscriptions(&all[0].id).unwrap().len(), GREEN + OS + 1);
}
