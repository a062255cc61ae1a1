//! Registering, leases, challenges, rotation, pauses, recovering; what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use sward::http::Response;
use sward::webhook::{
    Config, DeliveryState, EndpointState, Error, Keys, Publication, Rate, Registration, Secret,
    Settings, Time, Verifier,
};

use super::receiver::{
    Receiver, account, answer, becomes, config, eventually, ms, publish, register, state, webhooks,
};

#[test]
fn registering_twice_is_registering_once() {
    let webhooks = webhooks(config());
    let mut settings = Settings::default();
    settings.description = "billing".into();
    let url = "http://127.0.0.1:9/a";
    let wanted = || Registration::new(url).keys(account("1"));
    let (first, new) = webhooks.register(wanted().settings(settings.clone())).unwrap();
    assert!(new && first.keys.len() == 1, "it has a secret");
    for _ in 0..3 {
        let (again, new) = webhooks.register(wanted()).unwrap();
        assert!(!new);
        assert_eq!(again, first, "nothing has changed");
    }
    let (more, _) = webhooks.register(Registration::new(url).keys(account("2"))).unwrap();
    assert_eq!(more.settings, settings, "not given, not replaced");
    assert_eq!(webhooks.subscriptions(&first.id).unwrap().len(), 2);
    webhooks.register(wanted().settings(Settings::default())).unwrap();
    assert_eq!(webhooks.endpoint(&first.id).unwrap().settings, Settings::default());

    assert_eq!(webhooks.unregister(url, Some(&account("1"))).unwrap(), 1);
    assert_eq!(webhooks.unregister(url, Some(&account("1"))).unwrap(), 0);
    let left = webhooks.subscriptions(&first.id).unwrap();
    assert_eq!(left.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(webhooks.unregister(first.id.as_str(), None).unwrap(), 1);
    assert!(matches!(webhooks.unregister(url, None), Err(Error::NotFound)));
    assert!(matches!(webhooks.endpoint(&first.id), Err(Error::NotFound)));
}

#[test]
fn what_cannot_be_used_is_refused_and_nothing_is_stored() {
    let webhooks = webhooks(Config { max_body: 10, max_keys: 2, ..config() });
    let url = "http://127.0.0.1:9/";
    let field = |registration: Registration| match webhooks.register(registration) {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let long = format!("http://127.0.0.1/{}", "x".repeat(2048));
    for wrong in ["", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "http://10.0.0.1/", &long] {
        assert_eq!(field(Registration::new(wrong)), "url", "{wrong}");
    }
    let many = account("1").with("account_id", "2").with("account_id", "3");
    assert_eq!(field(Registration::new(url).keys(many.clone())), "keys");
    assert_eq!(field(Registration::new(url).keys(Keys::new().with("$x", "1"))), "keys");
    assert_eq!(field(Registration::new(url).ttl(ms(0))), "ttl");
    let mut settings = Settings::default();
    settings.rate = Some(Rate { count: 0, period: ms(1) });
    assert_eq!(field(Registration::new(url).settings(settings)), "settings");

    let field = |publication: Publication| match webhooks.publish(publication) {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let raw = |body: &[u8]| Publication::raw(account("1"), "x/y", body);
    assert_eq!(field(Publication::raw(Keys::new(), "x/y", *b"")), "keys");
    assert_eq!(field(Publication::raw(many, "x/y", *b"")), "keys");
    assert_eq!(field(Publication::raw(account("1"), "x\r\ny", *b"")), "content_type");
    assert_eq!(field(raw(b"").kind("a b")), "type");
    assert_eq!(field(raw(b"").id("a.b")), "id");
    assert_eq!(field(raw(b"").idempotency_key("")), "idempotency_key");
    let no_json = std::collections::HashMap::from([(vec![1], 2)]);
    assert_eq!(field(Publication::new(account("1"), no_json)), "data");
    let too_large = webhooks.publish(raw(&[b'x'; 11]));
    assert!(matches!(too_large, Err(Error::TooLarge { limit: 10 })), "{too_large:?}");
    webhooks.publish(raw(&[b'x'; 10])).unwrap();

    let totals = webhooks.totals(None).unwrap();
    assert_eq!((totals.endpoints, totals.subscriptions, totals.messages), (0, 0, 1));
}

#[test]
fn publishing_again_under_the_same_key_is_the_same_message() {
    let webhooks = webhooks(config());
    register(&webhooks, "http://127.0.0.1:9/");
    let publish = || {
        let publication = Publication::new(account("1"), 1).idempotency_key("invoice-1");
        webhooks.publish(publication).unwrap()
    };
    let (first, again) = (publish(), publish());
    assert_eq!((&again.id, again.deliveries, again.repeated), (&first.id, 1, true));
    assert_eq!(webhooks.totals(None).unwrap().pending, 1);
    assert!(webhooks.metrics().contains("\nsward_webhook_published_total 1\n"));
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    let webhooks = webhooks(config());
    let wanted = Registration::new("http://127.0.0.1:9/").ttl(ms(200));
    let keys = account("1").with("account_id", "2");
    let (endpoint, _) = webhooks.register(wanted.keys(keys)).unwrap();
    let reaches = |value: &str| {
        webhooks.publish(Publication::new(account(value), 1)).unwrap().deliveries == 1
    };
    assert!(reaches("1") && reaches("2"));
    webhooks.renew(&endpoint.id, &account("2"), ms(60_000)).unwrap();
    eventually("one lapses", || !reaches("1"));
    assert!(reaches("2"), "the other was renewed");
    webhooks.renew(&endpoint.id, &account("1"), ms(60_000)).unwrap();
    assert!(reaches("1"));
    webhooks.unregister(endpoint.id.as_str(), None).unwrap();
    let gone = webhooks.renew(&endpoint.id, &account("1"), ms(1));
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
}

/// What stands after `challenge=` in the path that was asked for.
fn asked(path: &str) -> Option<&str> {
    path.split_once("challenge=").map(|(_, token)| token)
}

#[test]
fn who_has_not_answered_its_challenge_gets_nothing() {
    sward::run(|| {
        let echoes = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&echoes);
        let receiver = Receiver::start(move |posted| match asked(&posted.path) {
            Some(token) if theirs.load(SeqCst) => Response::text(format!("{token}\n")),
            Some(_) => Response::text("welcome"),
            None => answer(200),
        });
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let url = format!("{}?room=1", receiver.url);
        let wanted = || Registration::new(&url).keys(account("1")).challenge(true);
        let (endpoint, new) = webhooks.register(wanted()).unwrap();
        assert!(new);
        assert_eq!(endpoint.state, EndpointState::Unverified);
        let nobody = webhooks.publish(Publication::new(account("1"), 1)).unwrap();
        assert_eq!(nobody.deliveries, 0);
        for refused in [webhooks.enable(&endpoint.id), webhooks.pause(&endpoint.id)] {
            assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        }
        // Nor by registering without.
        let without = Registration::new(&url).keys(account("1"));
        assert_eq!(webhooks.register(without).unwrap().0.state, EndpointState::Unverified);
        let why = webhooks.verify(&endpoint.id).unwrap_err().to_string();
        assert!(why.contains("something else"), "{why}");

        echoes.store(true, SeqCst);
        let (endpoint, new) = webhooks.register(wanted()).unwrap();
        assert!(!new);
        assert_eq!(endpoint.state, EndpointState::Active);
        let message = publish(&webhooks, 1);
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        assert_eq!(webhooks.verify(&endpoint.id).unwrap().state, EndpointState::Active);
    });
}

#[test]
fn after_a_rotation_both_secrets_sign_for_a_while() {
    sward::run(|| {
        let receiver = Receiver::saying(200);
        let webhooks = webhooks(Config { rotation: ms(300), ..config() });
        let _dispatcher = webhooks.start();
        let old = Secret::random_ed25519();
        let wanted = Registration::new(&receiver.url).keys(account("1")).secret(old.clone());
        let (endpoint, _) = webhooks.register(wanted).unwrap();
        let new = webhooks.rotate(&endpoint.id).unwrap();
        assert!(new.public_key().is_some(), "of the same kind");
        let verifies = |secret: &Secret| {
            let before = receiver.count();
            publish(&webhooks, 1);
            eventually("a post", || receiver.count() > before);
            let posted = receiver.heard().pop().unwrap();
            let verifier = Verifier::new([&secret.public_key().unwrap()]).unwrap();
            verifier
                .verify(
                    posted.id(),
                    &posted.headers["webhook-timestamp"],
                    &posted.headers["webhook-signature"],
                    &posted.body,
                    Time::now(),
                )
                .is_ok()
        };
        assert!(verifies(&old) && verifies(&new));
        eventually("the old one expires", || !verifies(&old));
        assert!(verifies(&new));
    });
}

#[test]
fn old_secrets_do_not_pile_up() {
    let webhooks = webhooks(config());
    let endpoint = register(&webhooks, "http://127.0.0.1:9/");
    (0..10).for_each(|_| drop(webhooks.rotate(&endpoint.id).unwrap()));
    assert_eq!(webhooks.endpoint(&endpoint.id).unwrap().keys.len(), 11);
    assert!(matches!(webhooks.rotate(&endpoint.id), Err(Error::Conflict(_))));
}

#[test]
fn a_paused_endpoint_gets_its_messages_later() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(200), webhooks(config()));
        let endpoint = register(&webhooks, &receiver.url);
        webhooks.pause(&endpoint.id).unwrap();
        let _dispatcher = webhooks.start();
        let message = publish(&webhooks, 1);
        // The dispatcher is at work.
        let other = Receiver::saying(200);
        let (other_endpoint, _) =
            webhooks.register(Registration::new(&other.url).keys(account("1"))).unwrap();
        let second = publish(&webhooks, 2);
        becomes(&webhooks, &second, &other_endpoint.id, DeliveryState::Delivered);
        assert_eq!(state(&webhooks, &message, &endpoint.id), DeliveryState::Pending);
        assert_eq!(receiver.count(), 0);
        webhooks.enable(&endpoint.id).unwrap();
        becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        becomes(&webhooks, &second, &endpoint.id, DeliveryState::Delivered);
    });
}

#[test]
fn who_registers_late_can_recover_what_it_missed() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(200), webhooks(config()));
        let _dispatcher = webhooks.start();
        let before = publish(&webhooks, 0);
        sward::thread::sleep(ms(5));
        let since = Time::now();
        let missed: Vec<_> = (1..4).map(|n| publish(&webhooks, n)).collect();
        let endpoint = register(&webhooks, &receiver.url);
        assert_eq!(webhooks.recover(&endpoint.id, since).unwrap(), 3);
        for message in &missed {
            becomes(&webhooks, message, &endpoint.id, DeliveryState::Delivered);
        }
        assert!(receiver.heard().iter().all(|posted| posted.id() != before.as_str()));
        assert_eq!(webhooks.recover(&endpoint.id, since).unwrap(), 0, "nothing is missing now");
    });
}

#[test]
fn registering_again_enables() {
    let webhooks = webhooks(config());
    let endpoint = register(&webhooks, "http://127.0.0.1:9/");
    let disabled = EndpointState::Disabled { why: "for a test".into(), at: Time::now() };
    let change = sward::webhook::store::Change { state: Some(disabled), ..Default::default() };
    webhooks.store().change_endpoint(&endpoint.id, &change).unwrap();
    assert_eq!(register(&webhooks, "http://127.0.0.1:9/").state, EndpointState::Active);
    webhooks.pause(&endpoint.id).unwrap();
    let still = register(&webhooks, "http://127.0.0.1:9/").state;
    assert_eq!(still, EndpointState::Paused, "its owner wants a pause");
}
