//! How many at once, how fast, and who is left in peace: what one endpoint does is no concern of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use sward::sync::Event;
use sward::webhook::{
    Breaking, Config, DeliveryState, Publication, Rate, Registration, Schedule, Settings, Webhooks,
};

use super::receiver::{
    Receiver, account, answer, becomes, config, eventually, ms, publish, register, state, webhooks,
};

/// A receiver that answers while it is let go, as it is first; and how many wait for that at most and now.
struct Held {
    receiver: Receiver,
    go: Arc<Event>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

fn held() -> Held {
    let (go, now, most) = (Arc::new(Event::new()), Arc::default(), Arc::default());
    go.set();
    let theirs = (Arc::clone(&go), Arc::clone(&now), Arc::clone(&most));
    let receiver = Receiver::start(move |_| {
        let (go, now, most): &(Arc<Event>, Arc<AtomicUsize>, Arc<AtomicUsize>) = &theirs;
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        go.wait();
        now.fetch_sub(1, SeqCst);
        answer(200)
    });
    Held { receiver, go, now, most }
}

/// They succeed until they may have as many at once as they will ever have; then they are held.
fn warm_up(webhooks: &Webhooks, held: &[&Held]) {
    (0..30).for_each(|n| drop(publish(webhooks, n)));
    let all = 30 * held.len() as u64;
    eventually("they are warm", || webhooks.totals(None).unwrap().delivered == all);
    for one in held {
        one.most.store(0, SeqCst);
        one.go.clear();
    }
}

#[test]
fn one_that_hangs_holds_its_share_and_no_more() {
    sward::run(|| {
        let held = held();
        // Fewer slots than two endpoints could fill: a limit for each alone would not do.
        let webhooks = webhooks(Config { concurrency: 12, per_endpoint: 10, ..config() });
        let _dispatcher = webhooks.start();
        let hanging = register(&webhooks, &held.receiver.url);
        warm_up(&webhooks, &[&held]);
        let messages: Vec<_> = (0..100).map(|n| publish(&webhooks, n)).collect();
        eventually("it hangs", || held.now.load(SeqCst) > 0);

        let others: Vec<_> = (0..5).map(|_| Receiver::saying(200)).collect();
        let ids: Vec<_> = others
            .iter()
            .map(|other| {
                let wanted = Registration::new(&other.url).keys(account("2"));
                webhooks.register(wanted).unwrap().0.id
            })
            .collect();
        let of_others: Vec<_> = (0..100)
            .map(|n| webhooks.publish(Publication::new(account("2"), n)).unwrap().id)
            .collect();
        for (message, other) in of_others.iter().flat_map(|m| ids.iter().map(move |id| (m, id))) {
            becomes(&webhooks, message, other, DeliveryState::Delivered);
        }
        let done = |message| state(&webhooks, message, &hanging.id) == DeliveryState::Delivered;
        assert!(!messages.iter().any(done), "it hangs still");
        let most = held.most.load(SeqCst);
        assert!((1..=3).contains(&most), "{most} of 12 slots");

        held.go.set();
        eventually("all of them", || messages.iter().all(done));
    });
}

#[test]
fn an_endpoint_has_no_more_in_flight_than_it_wants() {
    sward::run(|| {
        let (held, plain) = (held(), held());
        let webhooks = webhooks(config());
        let mut settings = Settings::default();
        settings.max_in_flight = Some(3);
        let wanted = Registration::new(&held.receiver.url).keys(account("1")).settings(settings);
        webhooks.register(wanted).unwrap();
        register(&webhooks, &plain.receiver.url);
        let _dispatcher = webhooks.start();
        warm_up(&webhooks, &[&held, &plain]);
        (0..40).for_each(|n| drop(publish(&webhooks, n)));
        eventually("both are full", || held.now.load(SeqCst) == 3 && plain.now.load(SeqCst) == 10);
        held.go.set();
        plain.go.set();
        eventually("all of them", || webhooks.totals(None).unwrap().delivered == 140);
        assert_eq!((held.most.load(SeqCst), plain.most.load(SeqCst)), (3, 10));
    });
}

#[test]
fn an_endpoint_has_no_more_in_a_time_than_it_wants() {
    sward::run(|| {
        let (receiver, webhooks) = (Receiver::saying(200), webhooks(config()));
        let mut settings = Settings::default();
        settings.rate = Some(Rate { count: 4, period: ms(200) });
        let wanted = Registration::new(&receiver.url).keys(account("1")).settings(settings);
        webhooks.register(wanted).unwrap();
        (0..16).for_each(|n| drop(publish(&webhooks, n)));
        let began = Instant::now();
        let _dispatcher = webhooks.start();
        eventually("all of them", || receiver.count() == 16);
        // Four at once, and the other twelve as the bucket fills.
        assert!(began.elapsed() >= ms(600), "{:?}", began.elapsed());
    });
}

#[test]
fn the_breaker_leaves_it_in_peace_until_one_attempt_succeeds() {
    sward::run(|| {
        let is_well = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&is_well);
        let receiver =
            Receiver::start(move |_| answer(if theirs.load(SeqCst) { 200 } else { 500 }));
        let breaking = Breaking { requests: 5, pause: ms(300), ..Breaking::default() };
        let schedule = Schedule::new(vec![ms(1); 100]);
        let webhooks =
            webhooks(Config { per_endpoint: 2, schedule, breaker: Some(breaking), ..config() });
        register(&webhooks, &receiver.url);
        (0..20).for_each(|n| drop(publish(&webhooks, n)));
        let _dispatcher = webhooks.start();
        let open = r#"sward_webhook_breakers{state="open"} 1"#;
        eventually("it opens", || webhooks.metrics().contains(open));
        // One may have been on its way beside the fifth.
        let before = receiver.count();
        assert!((5..=6).contains(&before), "{before}");
        eventually("one more, to see", || receiver.count() > before);
        // The fifth answer opened it.
        let heard = receiver.heard();
        assert!(heard[before].at - heard[4].at >= ms(300), "it was left in peace");

        is_well.store(true, SeqCst);
        eventually("all of them", || webhooks.totals(None).unwrap().delivered == 20);
        assert!(webhooks.metrics().contains(r#"sward_webhook_breakers{state="closed"} 1"#));
        assert_eq!(webhooks.totals(None).unwrap().dead, 0, "what waited used up no attempts");
    });
}

#[test]
fn dead_endpoints_hold_up_nobody() {
    sward::run(|| {
        // Twice as many that hang as there are slots. Their attempts end, and are retried, all the time.
        let stopped = Arc::new(Event::new());
        let theirs = Arc::clone(&stopped);
        let hanging = Receiver::start(move |_| {
            theirs.wait();
            answer(200)
        });
        let mut config = Config { concurrency: 10, ..config() };
        config.client.total_timeout = ms(150);
        config.schedule = Schedule::new(vec![ms(1); 1000]);
        let webhooks = webhooks(config);
        let _dispatcher = webhooks.start();
        for n in 0..20 {
            let url = format!("{}/{n}", hanging.url);
            webhooks.register(Registration::new(url).keys(account("2"))).unwrap();
        }
        (0..5).for_each(|n| {
            drop(webhooks.publish(Publication::new(account("2"), n)).unwrap());
        });
        let failed = r#"sward_webhook_attempts_total{result="failed"} "#;
        eventually("all of them have failed", || {
            let metrics = webhooks.metrics();
            let count = metrics.lines().find_map(|line| line.strip_prefix(failed)).unwrap();
            count.parse::<usize>().unwrap() >= 60
        });
        let well = Receiver::saying(200);
        let endpoint = register(&webhooks, &well.url);
        let before = hanging.count();
        for n in 0..20 {
            let message = publish(&webhooks, n);
            becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
        }
        // None of the twenty had to wait until one that hangs gave its slot back: that alone would have been twenty rounds of
        // eight.
        let meanwhile = hanging.count() - before;
        assert!(meanwhile < 160, "{meanwhile} attempts at dead endpoints meanwhile");
        stopped.set();
    });
}
