//! Stopping, dying, failing stores, several dispatchers on one store, and what is cleaned up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use sward::sync::Event;
use sward::webhook::store::Store;
use sward::webhook::{Config, DeliveryId, DeliveryState, Registration, Settings, Time, Webhooks};

use super::flaky::Flaky;
use super::receiver::{
    Receiver, account, answer, becomes, config, eventually, memory, ms, publish, register, state,
    webhooks,
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn stopping_waits_for_what_is_in_flight() {
    sward::run(|| {
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        let receiver = Receiver::start(move |_| {
            theirs.wait();
            answer(200)
        });
        let webhooks = webhooks(config());
        register(&webhooks, &receiver.url);
        let dispatcher = webhooks.start();
        (0..9).for_each(|n| drop(publish(&webhooks, n)));
        eventually("one in flight", || receiver.count() == 1);
        let stopping = sward::thread::spawn(move || dispatcher.stop(LONG));
        sward::thread::sleep(ms(20));
        assert!(!stopping.is_finished());
        go.set();
        stopping.join().unwrap();
        let totals = webhooks.totals(None).unwrap();
        assert_eq!((totals.delivered, totals.in_flight, totals.pending), (1, 0, 8));

        let _again = webhooks.start();
        eventually("the others", || webhooks.totals(None).unwrap().delivered == 9);
        assert_eq!(receiver.count(), 9, "each once");
    });
}

#[test]
fn what_is_in_flight_at_the_deadline_goes_back() {
    sward::run(|| {
        let hangs = Arc::new(AtomicBool::new(true));
        let (theirs, over) = (Arc::clone(&hangs), Arc::new(Event::new()));
        let end = Arc::clone(&over);
        let receiver = Receiver::start(move |_| {
            if theirs.load(SeqCst) {
                end.wait();
            }
            answer(200)
        });
        let webhooks = webhooks(config());
        let endpoint = register(&webhooks, &receiver.url);
        let dispatcher = webhooks.start();
        let message = publish(&webhooks, 1);
        eventually("in flight", || receiver.count() == 1);
        let began = Instant::now();
        dispatcher.stop(ms(50));
        assert!(began.elapsed() < LONG / 4, "it did not wait for the receiver's time-out");
        let delivery = webhooks.delivery(&DeliveryId::of(&message, &endpoint.id)).unwrap();
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 0));
        assert!(delivery.due <= Time::now());
        assert!(webhooks.attempts(&delivery.id).unwrap().is_empty(), "it does not count");
        assert_eq!(webhooks.endpoint(&endpoint.id).unwrap().health.failures, 0);

        hangs.store(false, SeqCst);
        let _again = webhooks.start();
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        over.set();
    });
}

#[test]
fn dropping_the_dispatcher_stops_it() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(200), webhooks(config()));
        let endpoint = register(&webhooks, &receiver.url);
        drop(webhooks.start());
        let message = publish(&webhooks, 1);
        sward::thread::sleep(ms(50));
        assert_eq!(state(&webhooks, &message, &endpoint.id), DeliveryState::Pending);
        let _dispatcher = webhooks.start();
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
    });
}

#[test]
#[should_panic(expected = "delivers already")]
fn one_dispatcher_is_enough() {
    sward::run(|| {
        let webhooks = webhooks(config());
        let (_one, _two) = (webhooks.start(), webhooks.start());
    });
}

#[test]
fn what_a_dead_process_had_claimed_is_delivered_when_that_lapses() {
    sward::run(|| {
        let (receiver, store) = (Receiver::saying(200), memory());
        let webhooks = Webhooks::new(Arc::clone(&store), config());
        let endpoint = register(&webhooks, &receiver.url);
        let message = publish(&webhooks, 1);
        // It claims, and is never heard of again.
        let (claimed, now) = (Instant::now(), Time::now());
        let claims = store.claim(&endpoint.id, now, now + ms(300), 10).unwrap();
        assert_eq!(claims.len(), 1);
        let _dispatcher = webhooks.start();
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        assert!(claimed.elapsed() >= ms(299), "it was somebody else's");
        assert_eq!(receiver.count(), 1);
    });
}

#[test]
fn two_dispatchers_share_a_store() {
    sward::run(|| {
        let (receiver, store) = (Receiver::saying(200), memory());
        let one = Webhooks::new(Arc::clone(&store), config());
        let two = Webhooks::new(store, config());
        register(&one, &receiver.url);
        let (_one, _two) = (one.start(), two.start());
        for n in 0..200 {
            publish(if n % 2 == 0 { &one } else { &two }, n);
        }
        eventually("all of them", || one.totals(None).unwrap().delivered == 200);
        assert_eq!(receiver.count(), 200, "each once");
    });
}

#[test]
fn a_store_that_fails_for_a_while_loses_nothing() {
    sward::run(|| {
        let store = Flaky::new();
        let fail = Arc::clone(&store);
        // It fails when the first post arrives: that attempt cannot be recorded then.
        let receiver = Receiver::start(move |posted| {
            if posted.time == 1 && posted.body == b"\0" {
                fail.failing.store(true, SeqCst);
            }
            answer(200)
        });
        let webhooks = Webhooks::new(Arc::clone(&store) as Arc<dyn Store>, config());
        register(&webhooks, &receiver.url);
        let raw = |n: u8| {
            let publication = sward::webhook::Publication::raw(account("1"), "x/y", vec![n]);
            webhooks.publish(publication)
        };
        let dispatcher = webhooks.start();
        raw(0).unwrap();
        eventually("it fails", || store.failed("finish") >= 3);
        assert!(raw(1).is_err());
        assert!(webhooks.metrics().contains("sward_webhook_store_up 0"));
        store.failing.store(false, SeqCst);
        for n in 2..10 {
            raw(n).unwrap();
        }
        eventually("all of them", || webhooks.totals(None).unwrap().delivered == 9);
        assert_eq!(receiver.count(), 9, "the first was recorded in the end, and posted once");

        // Down when it looks for what is due.
        store.failing.store(true, SeqCst);
        eventually("it looks", || store.failed("due") >= 2);
        store.failing.store(false, SeqCst);
        // Nobody tells it: what is published elsewhere is found all the same.
        let elsewhere = Webhooks::new(Arc::clone(&store) as Arc<dyn Store>, config());
        publish(&elsewhere, 10);
        eventually("one more", || webhooks.totals(None).unwrap().delivered == 10);
        dispatcher.stop(LONG);
    });
}

#[test]
fn leases_that_lapsed_and_messages_of_old_are_cleaned_up() {
    sward::run(|| {
        let receiver = Receiver::saying(200);
        let webhooks = webhooks(Config { sweep: ms(20), retention: ms(200), ..config() });
        let _dispatcher = webhooks.start();
        let leased = |url: &str, settings: Settings| {
            let wanted = Registration::new(url).keys(account("2")).settings(settings);
            webhooks.register(wanted.ttl(ms(50))).unwrap().0
        };
        let mut registers_itself = Settings::default();
        registers_itself.forget_after = Some(3);
        let stays = leased(&receiver.url, Settings::default());
        let goes = leased("http://127.0.0.1:9/", registers_itself);
        register(&webhooks, &receiver.url);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &stays.id, DeliveryState::Delivered);
        eventually("the lease ends", || webhooks.subscriptions(&stays.id).unwrap().len() == 1);
        eventually("who registered itself is forgotten", || webhooks.endpoint(&goes.id).is_err());
        eventually("the message is forgotten", || webhooks.message(&message).is_err());
        assert!(webhooks.endpoint(&stays.id).is_ok());
        assert_eq!(webhooks.totals(None).unwrap().messages, 0);
    });
}

#[test]
fn a_panic_beside_it_does_not_hang() {
    let panicked = std::panic::catch_unwind(|| {
        sward::run(|| {
            let webhooks = webhooks(config());
            let _dispatcher = webhooks.start();
            register(&webhooks, "http://127.0.0.1:9/");
            publish(&webhooks, 1);
            panic!("on purpose");
        });
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
}
