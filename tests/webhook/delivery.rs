//! What becomes of a delivery: taken, tried again, dead, sent again; and of an endpoint that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::Value;
use sward::http::Response;
use sward::webhook::{
    Config, DeliveryId, DeliveryState, EndpointState, Keys, Publication, Registration, Schedule,
    Secret, Settings, Time, Verifier,
};

use super::receiver::{
    Receiver, account, answer, becomes, config, eventually, ms, publish, register, state, webhooks,
};

#[test]
fn what_is_published_is_posted_and_signed() {
    sward::run(|| {
        let receiver = Receiver::start(|_| Response::text("thank you"));
        let webhooks = webhooks(config());
        let watch = webhooks.watch();
        let _dispatcher = webhooks.start();
        let secret = Secret::random();
        let wanted = Registration::new(&receiver.url).keys(account("1")).secret(secret.clone());
        let (endpoint, _) = webhooks.register(wanted).unwrap();
        let keys = account("1").with("user", "7").with("user", "8");
        let publication = Publication::new(keys, [1, 2]).kind("invoice.paid");
        let accepted = webhooks.publish(publication).unwrap();
        assert_eq!((accepted.deliveries, accepted.repeated), (1, false));
        becomes(&webhooks, &accepted.id, &endpoint.id, DeliveryState::Delivered);

        let heard = receiver.heard();
        let [posted] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(posted.id(), accepted.id.as_str());
        assert_eq!(posted.headers["content-type"], "application/json");
        let body: Value = serde_json::from_slice(&posted.body).unwrap();
        assert_eq!(body["type"], "invoice.paid");
        assert_eq!(body["keys"]["account_id"], "1");
        assert_eq!(body["keys"]["user"], serde_json::json!(["7", "8"]));
        assert_eq!(body["data"], serde_json::json!([1, 2]));
        assert_eq!(
            body["timestamp"],
            webhooks.message(&accepted.id).unwrap().published.to_string()
        );
        let verified = Verifier::new([&secret.to_string()]).unwrap().verify(
            posted.id(),
            &posted.headers["webhook-timestamp"],
            &posted.headers["webhook-signature"],
            &posted.body,
            Time::now(),
        );
        assert!(verified.is_ok(), "{verified:?}");

        let attempts = webhooks.attempts(&DeliveryId::of(&accepted.id, &endpoint.id)).unwrap();
        let [attempt] = &attempts[..] else { panic!("{attempts:?}") };
        assert_eq!((attempt.number, attempt.status, &attempt.error), (1, Some(200), &None));
        assert_eq!(attempt.response, "thank you");
        assert!(receiver.url.contains(attempt.address.as_deref().unwrap()));
        assert!(webhooks.endpoint(&endpoint.id).unwrap().health.last_success.is_some());

        let metrics = webhooks.metrics();
        for line in [
            "sward_webhook_published_total 1",
            r#"sward_webhook_attempts_total{result="delivered"} 1"#,
            "sward_webhook_attempt_seconds_count 1",
            "sward_webhook_delivered 1",
            "sward_webhook_queue_pending 0",
            r#"sward_webhook_breakers{state="closed"} 1"#,
            "sward_webhook_store_up 1",
        ] {
            assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
        }
        let mut told: Vec<String> = (0..2)
            .map(|_| {
                let frame = watch.recv_timeout(Duration::from_secs(20)).unwrap();
                let told: Value = serde_json::from_slice(&frame.data).unwrap();
                assert_eq!(told["message"], accepted.id.as_str());
                told["event"].as_str().unwrap().to_owned()
            })
            .collect();
        // Who publishes and who delivers do not wait for each other.
        told.sort();
        assert_eq!(told, ["accepted", "delivered"]);
    });
}

#[test]
fn bytes_are_posted_as_they_are() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(204), webhooks(config()));
        let _dispatcher = webhooks.start();
        let unsigned = Registration::new(&receiver.url).keys(account("1")).unsigned();
        webhooks.register(unsigned).unwrap();
        let publication = Publication::raw(account("1"), "image/x-own", vec![0, 159, 146, 150]);
        webhooks.publish(publication.id("chosen-1")).unwrap();
        eventually("a post", || receiver.count() == 1);
        let posted = &receiver.heard()[0];
        assert_eq!(posted.body, [0, 159, 146, 150]);
        assert_eq!(posted.headers["content-type"], "image/x-own");
        assert_eq!(posted.id(), "chosen-1");
        assert!(!posted.headers.contains_key("webhook-signature"));
    });
}

#[test]
fn what_failed_is_tried_again_under_the_same_id() {
    sward::run(|| {
        let receiver = Receiver::start(|posted| answer([500, 404, 200][posted.time - 1]));
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        let attempts = webhooks.attempts(&DeliveryId::of(&message, &endpoint.id)).unwrap();
        let seen: Vec<_> =
            attempts.iter().map(|a| (a.number, a.status, a.error.is_some())).collect();
        assert_eq!(seen, [(1, Some(500), true), (2, Some(404), true), (3, Some(200), false)]);
        let heard = receiver.heard();
        assert!(heard.iter().all(|posted| posted.id() == message.as_str()), "{heard:?}");
        // Never before it is due: a fifth earlier by chance, and the store's clock has whole milliseconds.
        assert!(heard[1].at - heard[0].at >= ms(7) && heard[2].at - heard[1].at >= ms(15));
        assert_eq!(webhooks.endpoint(&endpoint.id).unwrap().health.failures, 0);
    });
}

#[test]
fn what_fails_every_time_is_a_dead_letter_until_it_is_sent_again() {
    sward::run(|| {
        let receiver = Receiver::start(|posted| answer(if posted.time <= 3 { 500 } else { 200 }));
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Dead);
        assert_eq!(receiver.count(), 3);
        let dead = webhooks.dead(Some(&endpoint.id), None, 10).unwrap();
        let id = DeliveryId::of(&message, &endpoint.id);
        assert_eq!(dead.iter().map(|d| &d.id).collect::<Vec<_>>(), [&id]);
        assert!(webhooks.metrics().contains("\nsward_webhook_dead_total 1\n"));

        webhooks.resend(&id).unwrap();
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        assert_eq!(webhooks.attempts(&id).unwrap().len(), 4, "the log is kept");
        assert!(webhooks.dead(None, None, 10).unwrap().is_empty());
        webhooks.resend(&id).unwrap();
        eventually("what was delivered, again", || receiver.count() == 5);
    });
}

#[test]
fn nobody_there_is_a_failure_too() {
    sward::run(|| {
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", gone.local_addr().unwrap());
        drop(gone);
        let endpoint = register(&webhooks, &url);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Dead);
        let attempts = webhooks.attempts(&DeliveryId::of(&message, &endpoint.id)).unwrap();
        assert_eq!(attempts.len(), 3);
        assert!(attempts.iter().all(|a| a.status.is_none() && a.error.is_some()), "{attempts:?}");
    });
}

#[test]
fn redirects_are_failures_and_lead_nowhere() {
    sward::run(|| {
        let target = Receiver::saying(200);
        let there = target.url.clone();
        let receiver = Receiver::start(move |_| answer(307).header("location", &there));
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Dead);
        assert_eq!((receiver.count(), target.count()), (3, 0));
    });
}

#[test]
fn gone_disables_and_what_died_can_be_recovered() {
    sward::run(|| {
        let is_gone = Arc::new(AtomicBool::new(true));
        let theirs = Arc::clone(&is_gone);
        let receiver =
            Receiver::start(move |_| answer(if theirs.load(SeqCst) { 410 } else { 200 }));
        let webhooks = webhooks(config());
        let began = Time::now();
        let endpoint = register(&webhooks, &receiver.url);
        let mut settings = Settings::default();
        settings.ordered = true;
        webhooks.configure(&endpoint.id, settings).unwrap();
        let mut messages: Vec<_> = (0..3).map(|n| publish(&webhooks, n)).collect();
        let _dispatcher = webhooks.start();
        for message in &messages {
            becomes(&webhooks, message, &endpoint.id, DeliveryState::Dead);
        }
        assert_eq!(
            receiver.count(),
            1,
            "one at a time, and the first was answered that it is gone"
        );
        let is = webhooks.endpoint(&endpoint.id).unwrap().state;
        assert!(
            matches!(&is, EndpointState::Disabled { why, .. } if why.contains("410")),
            "{is:?}"
        );
        let missed = webhooks.publish(Publication::new(account("1"), "missed")).unwrap();
        assert_eq!(missed.deliveries, 0);
        let id = DeliveryId::of(&messages[0], &endpoint.id);
        assert!(webhooks.resend(&id).is_err() && webhooks.recover(&endpoint.id, began).is_err());

        is_gone.store(false, SeqCst);
        webhooks.enable(&endpoint.id).unwrap();
        assert_eq!(webhooks.recover(&endpoint.id, began).unwrap(), 4);
        messages.push(missed.id);
        for message in &messages {
            becomes(&webhooks, message, &endpoint.id, DeliveryState::Delivered);
        }
    });
}

#[test]
fn retry_after_is_honoured_and_holds_the_whole_endpoint() {
    sward::run(|| {
        let receiver = Receiver::start(|posted| match (posted.id(), posted.time) {
            ("first", 1) => answer(429).header("retry-after", "1"),
            _ => answer(200),
        });
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let to = |id: &str| webhooks.publish(Publication::new(account("1"), 0).id(id)).unwrap().id;
        let first = to("first");
        eventually("it is heard", || {
            webhooks.delivery(&DeliveryId::of(&first, &endpoint.id)).unwrap().attempts == 1
        });
        let second = to("second");
        becomes(&webhooks, &second, &endpoint.id, DeliveryState::Delivered);
        becomes(&webhooks, &first, &endpoint.id, DeliveryState::Delivered);
        let heard = receiver.heard();
        assert_eq!(heard.len(), 3);
        for later in &heard[1..] {
            assert!(later.at - heard[0].at >= ms(1000), "{} came too soon", later.id());
        }
    });
}

#[test]
fn retry_after_is_capped() {
    sward::run(|| {
        let receiver = Receiver::start(|posted| match posted.time {
            1 => answer(503).header("retry-after", "86400"),
            _ => answer(200),
        });
        let mut config = config();
        config.schedule = Schedule::new([ms(10)]).longest_retry_after(ms(50));
        let webhooks = webhooks(config);
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let began = Instant::now();
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        assert!(began.elapsed() >= ms(50));
    });
}

#[test]
fn who_fails_for_too_long_is_disabled() {
    sward::run(|| {
        let receiver = Receiver::saying(500);
        let mut config = config();
        config.disable_after = ms(150);
        let webhooks = webhooks(config);
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        let is_active = || webhooks.endpoint(&endpoint.id).unwrap().state == EndpointState::Active;
        let mut published = 0;
        let began = Instant::now();
        while is_active() {
            let message = publish(&webhooks, published);
            published += 1;
            eventually("its end", || {
                !is_active() || state(&webhooks, &message, &endpoint.id) == DeliveryState::Dead
            });
        }
        assert!(began.elapsed() >= ms(149), "not before its time");
        assert!(webhooks.metrics().contains("\nsward_webhook_disabled_total 1\n"));
    });
}

#[test]
fn nobody_is_disabled_before_a_delivery_had_all_its_attempts() {
    sward::run(|| {
        let receiver = Receiver::saying(500);
        let webhooks = webhooks(Config { disable_after: Duration::ZERO, ..config() });
        let _dispatcher = webhooks.start();
        let endpoint = register(&webhooks, &receiver.url);
        publish(&webhooks, 1);
        eventually("it is disabled", || {
            webhooks.endpoint(&endpoint.id).unwrap().state != EndpointState::Active
        });
        assert_eq!(receiver.count(), 3);
    });
}

#[test]
fn who_registers_itself_is_forgotten_after_some_failures() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(500), webhooks(config()));
        let _dispatcher = webhooks.start();
        let mut settings = Settings::default();
        settings.forget_after = Some(2);
        let wanted = Registration::new(&receiver.url).keys(account("1")).settings(settings);
        let (endpoint, _) = webhooks.register(wanted).unwrap();
        publish(&webhooks, 1);
        eventually("it is gone", || webhooks.endpoint(&endpoint.id).is_err());
        assert_eq!(receiver.count(), 2);
    });
}

#[test]
fn order_is_kept_by_those_who_ask_for_it() {
    sward::run(|| {
        let receiver = Receiver::start(|posted| {
            let n: usize = posted.body.iter().map(|b| usize::from(*b)).sum();
            answer(if n % 7 == 3 && posted.time < 3 { 500 } else { 200 })
        });
        let webhooks = webhooks(config());
        let endpoint = register(&webhooks, &receiver.url);
        let mut settings = Settings::default();
        settings.ordered = true;
        webhooks.configure(&endpoint.id, settings).unwrap();
        let _dispatcher = webhooks.start();
        for n in 0..30_u8 {
            webhooks.publish(Publication::raw(account("1"), "x/y", vec![n])).unwrap();
        }
        eventually("all of them", || webhooks.totals(None).unwrap().delivered == 30);
        let mut heard: Vec<u8> = receiver.heard().iter().map(|posted| posted.body[0]).collect();
        assert_eq!(heard.len(), 30 + 4 * 2, "3, 10, 17 and 24 came three times: {heard:?}");
        heard.dedup();
        assert_eq!(heard, (0..30).collect::<Vec<_>>());
    });
}

#[test]
fn a_ping_goes_to_one_only() {
    sward::run(|| {
        let (receiver, other) = (Receiver::saying(200), Receiver::saying(200));
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let wanted = Registration::new(&receiver.url).keys(Keys::new());
        let (endpoint, _) = webhooks.register(wanted).unwrap();
        register(&webhooks, &other.url);
        let ping = webhooks.test_ping(&endpoint.id).unwrap();
        becomes(&webhooks, &ping.id, &endpoint.id, DeliveryState::Delivered);
        assert_eq!((ping.deliveries, receiver.count(), other.count()), (1, 1, 0));
    });
}
