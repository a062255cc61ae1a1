//! What skyhooks did, line by line: one process's callbacks, and what the store has of them. The worker's side is in
//! `poster.rs`.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::Router;
use sward::http::testing::{Client, Reply};
use sward::webhook::hooks::Hooks;
use sward::webhook::store::{MemoryStore, Store};
use sward::webhook::{Keys, Subscription, Time};

use crate::heard::{Heard, account, eventually};

const URL: &str = "http://10.0.0.7:8000/hooks";

struct World {
    store: Arc<MemoryStore>,
    hooks: Hooks,
    client: Client,
}

impl World {
    fn new() -> World {
        World::with(|hooks| hooks)
    }

    fn with(options: impl FnOnce(Hooks) -> Hooks) -> World {
        let store = Arc::new(MemoryStore::new());
        let hooks = options(Hooks::new(store.clone(), URL));
        let names = &["account_id", "user_id"];
        let app = Router::new()
            .post("/hooks", hooks.handler())
            .post("/hooks/{account_id}", hooks.path_handler(names))
            .post("/hooks/{account_id}/{user_id}", hooks.path_handler(names));
        World { store, hooks, client: Client::new(app) }
    }

    fn post(&self, body: &Value) -> Reply {
        self.client.post("/hooks").json(body).send()
    }

    /// What the store has under our URL.
    fn rows(&self) -> Vec<Subscription> {
        match self.store.endpoint_at(URL).unwrap() {
            Some(endpoint) => self.store.subscriptions(&endpoint.id).unwrap(),
            None => Vec::new(),
        }
    }

    fn row_names(&self) -> Vec<(String, String)> {
        self.rows().into_iter().map(|row| (row.name, row.value)).collect()
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

/// SKY 1
#[test]
fn a_registered_key_is_notified_with_exactly_the_data() {
    let world = World::new();
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    let data = json!({"x": [1, null, "é", {"y": 1.5}], "</script>": ""});
    let reply = world.post(&json!({"keys": {"account_id": "42"}, "data": data}));
    assert_eq!(
        (reply.status().as_u16(), reply.text()),
        (200, r#"{"notified":true,"status":"ok"}"#)
    );
    assert_eq!(reply.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(heard.times(1), [data]);
}

/// SKY 2
#[test]
fn what_nobody_waits_for_is_not_notified_but_what_is_known_is_called() {
    let world = World::new();
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    let ask = |keys: Value| {
        let reply = world.post(&json!({"keys": keys, "data": keys}));
        assert_eq!(reply.status(), 200);
        reply.json::<Value>()
    };
    let (yes, no) =
        (json!({"status": "ok", "notified": true}), json!({"status": "ok", "notified": false}));
    assert_eq!(ask(json!({"account_id": "43"})), no);
    assert_eq!(ask(json!({"account": "42"})), no);
    let both = json!({"account_id": "42", "user_id": "7"});
    assert_eq!(ask(both.clone()), no);
    assert_eq!(heard.times(1), std::slice::from_ref(&both), "the one that is known, and it alone");
    world.hooks.register(&Keys::new().with("user_id", "7"), heard.callback()).unwrap();
    assert_eq!(ask(both), yes);
    heard.times(3);
}

/// SKY 3
#[test]
fn no_keys_are_all_there() {
    let world = World::new();
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    for keys in [json!({}), json!({"account_id": []})] {
        let reply = world.post(&json!({"keys": keys, "data": 1}));
        assert_eq!(reply.json::<Value>(), json!({"status": "ok", "notified": true}));
    }
    assert!(world.hooks.notify(&account("42"), "last"));
    assert_eq!(heard.times(1), ["last"]);
}

/// SKY 4
#[test]
fn registered_twice_called_twice() {
    let world = World::new();
    let heard = Heard::default();
    let [first, second] =
        [(); 2].map(|()| world.hooks.register(&account("42"), heard.callback()).unwrap());
    world.post(&json!({"keys": {"account_id": "42"}, "data": 1}));
    assert_eq!(heard.times(2), [1, 1]);
    assert!(world.hooks.unregister(&account("42"), first).unwrap());
    assert_eq!(world.row_names(), [pair("account_id", "42")]);
    world.post(&json!({"keys": {"account_id": "42"}, "data": 2}));
    assert_eq!(heard.times(3), [1, 1, 2]);
    assert!(world.hooks.unregister(&account("42"), second).unwrap());
    assert_eq!(world.row_names(), []);
    assert!(!world.hooks.unregister(&account("42"), second).unwrap(), "it is not known any more");
    assert!(!world.hooks.notify(&account("42"), 3));
    heard.times(3);
}

/// One callback under two keys that are both posted to is called for each, in order.
#[test]
fn two_matching_keys_call_twice() {
    let world = World::new();
    let heard = Heard::default();
    let keys = account("42").with("user_id", "7").with("user_id", "8");
    let id = world.hooks.register(&keys, heard.callback()).unwrap();
    for n in 0..100 {
        assert!(world.hooks.notify(&account("42").with("user_id", "8"), n));
    }
    let expected: Vec<_> = (0..100).flat_map(|n| [json!(n), json!(n)]).collect();
    assert_eq!(heard.times(200), expected);
    // A part of its keys: the rest goes on.
    assert!(world.hooks.unregister(&Keys::new().with("user_id", "7"), id).unwrap());
    assert_eq!(world.row_names(), [pair("account_id", "42"), pair("user_id", "8")]);
    assert!(world.hooks.notify(&account("42"), "more"));
    heard.times(201);
}

/// SKY 5
#[test]
fn registering_is_idempotent_in_the_store() {
    let world = World::new();
    let ids: Vec<_> =
        (0..100).map(|_| world.hooks.register(&account("42"), |_| {}).unwrap()).collect();
    assert_eq!(world.row_names(), [pair("account_id", "42")]);
    assert_eq!(world.store.endpoints(None, 10).unwrap().len(), 1);
    assert_eq!(world.hooks.callbacks(), 100);
    for id in &ids {
        assert_eq!(world.row_names(), [pair("account_id", "42")]);
        assert!(world.hooks.unregister(&account("42"), *id).unwrap());
    }
    assert_eq!(world.row_names(), []);
}

/// SKY 8
#[test]
fn leases_are_renewed_while_there_are_callbacks() {
    let lines = Arc::new(Mutex::new(Vec::<String>::new()));
    let told = lines.clone();
    let world = World::with(|hooks| {
        let hooks = hooks.renew_every(Duration::from_millis(300)).lease(Duration::from_secs(60));
        hooks.log(move |line| told.lock().unwrap().push(line.into())).start()
    });
    let said = |line: &str| lines.lock().unwrap().iter().filter(|said| *said == line).count();
    let before = Time::now();
    let id = world.hooks.register(&account("42").with("user_id", "7"), |_| {}).unwrap();
    let mut last = world.rows()[0].updated;
    assert!(last >= before);
    for _ in 0..3 {
        eventually("a renewal", || world.rows().iter().all(|row| row.updated > last));
        let rows = world.rows();
        last = rows[0].updated;
        assert!(rows.iter().all(|row| row.expires == Some(last + Duration::from_secs(60))));
        assert!(rows.iter().all(|row| row.updated == last), "in one update");
    }
    world.hooks.unregister(&account("42").with("user_id", "7"), id).unwrap();
    // Somebody else's row under our URL: it is not ours to renew.
    let endpoint = world.store.endpoint_at(URL).unwrap().unwrap();
    world.store.subscribe(&endpoint.id, &account("43"), before, None).unwrap();
    let idle = said("No webhooks to renew.");
    eventually("two idle cycles", || said("No webhooks to renew.") >= idle + 2);
    assert_eq!(world.rows()[0].updated, before);
    let url = URL;
    let keys = r#"{"account_id": "42", "user_id": "7"}"#;
    for line in [
        &format!("Registering webhook for {keys} {url}"),
        &format!("Removing callback for {keys}"),
        &format!("Removing webhook for {keys} {url}"),
        "Queued webhook renewal cycle.",
        "Renewing webhooks.",
        "1 callbacks registered in skyhooks.",
    ] {
        assert!(said(line) > 0, "{line} is not in {:#?}", lines.lock().unwrap());
    }
    let world_hooks = Arc::downgrade(&world.store);
    drop(world);
    eventually("the timer ends with the last clone", || world_hooks.upgrade().is_none());
}

/// Whoever removed it: the store is told all of it again.
#[test]
fn a_forgotten_instance_is_back_after_the_next_renewal() {
    let world = World::with(|hooks| hooks.renew_every(Duration::from_millis(50)).start());
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    let endpoint = world.store.endpoint_at(URL).unwrap().unwrap();
    assert_eq!(endpoint.settings.forget_after, Some(5));
    world.store.remove_endpoint(&endpoint.id, Time::now()).unwrap();
    eventually("it is back", || world.row_names() == [pair("account_id", "42")]);
}

/// SKY 9, and the others of the original's bugs that are about data.
#[test]
fn values_do_not_disturb_each_other() {
    let world = World::new();
    let (one, two) = (account("1"), account("2"));
    let first = world.hooks.register(&one, |_| {}).unwrap();
    let second = world.hooks.register(&two, |_| {}).unwrap();
    assert_eq!(world.hooks.renew().unwrap(), 2);
    world.hooks.unregister(&two, second).unwrap();
    assert_eq!(world.row_names(), [pair("account_id", "1")], "after a renewal merged them");
    // Containers do not share callbacks.
    let other = Hooks::new(world.store.clone(), "http://10.0.0.8:8000/hooks");
    assert!(!other.notify(&one, 1));
    other.register(&one, |_| {}).unwrap();
    assert_eq!(world.store.matching(&one, Time::now()).unwrap().len(), 2);
    world.hooks.unregister(&one, first).unwrap();
    let left = world.store.matching(&one, Time::now()).unwrap();
    assert_eq!(left.iter().map(|e| &e.url[..]).collect::<Vec<_>>(), [other.url()]);
}

/// SKY 10
#[test]
fn a_callback_that_blocks_or_panics_delays_nobody() {
    let world = World::new();
    let (go, gate) = sward::sync::mpsc::channel::<()>();
    let gate = sward::sync::Mutex::new(gate);
    let (blocked, panicked, heard) =
        (Heard::default(), Arc::new(AtomicUsize::new(0)), Heard::default());
    let waits = blocked.callback();
    world
        .hooks
        .register(&account("42"), move |data| {
            _ = gate.lock().unwrap().recv();
            waits(data);
        })
        .unwrap();
    let count = panicked.clone();
    world
        .hooks
        .register(&account("42"), move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            panic!("as it should");
        })
        .unwrap();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    for n in 1..=2 {
        let reply = world.post(&json!({"keys": {"account_id": 42}, "data": n}));
        assert_eq!(reply.json::<Value>(), json!({"status": "ok", "notified": true}));
    }
    assert_eq!(heard.times(2), [1, 2]);
    eventually("it is called again", || panicked.load(Ordering::Relaxed) == 2);
    assert_eq!(blocked.all().len(), 0);
    drop(go);
    assert_eq!(blocked.times(2), [1, 2], "in order, one after the other");
}

/// What is not yet called when a callback is unregistered is not called.
#[test]
fn who_is_gone_hears_nothing_more() {
    let world = World::new();
    let (go, gate) = sward::sync::mpsc::channel::<()>();
    let gate = sward::sync::Mutex::new(gate);
    let heard = Heard::default();
    let waits = heard.callback();
    let callback = move |data: &Value| {
        waits(data);
        _ = gate.lock().unwrap().recv();
    };
    let held = world.hooks.hold(&account("42"), callback).unwrap();
    (0..3).for_each(|n| assert!(world.hooks.notify(&account("42"), n)));
    heard.times(1);
    drop(held);
    assert!(!world.hooks.notify(&account("42"), 3));
    eventually("the row is gone", || world.row_names().is_empty());
    drop(go);
    let last = world.hooks.register(&account("43"), heard.callback()).unwrap();
    assert!(world.hooks.notify(&account("43"), "last"));
    assert_eq!(heard.times(2), [json!(0), json!("last")]);
    assert!(world.hooks.unregister(&account("43"), last).unwrap());
}

/// SKY 12: the bytes that `curl -d '{..}' URL` sends.
#[test]
fn curl_is_enough() {
    let world = World::new();
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    let post =
        world.client.post("/hooks").header("User-Agent", "curl/8.14.1").header("Accept", "*/*");
    let post = post.header("Content-Type", "application/x-www-form-urlencoded");
    let reply = post.body(r#"{"keys":{"account_id":"42"},"data":{"x":1}}"#).send();
    assert_eq!(reply.json::<Value>(), json!({"status": "ok", "notified": true}));
    assert_eq!(heard.times(1), [json!({"x": 1})]);
}

/// What is malformed is a 400 and calls nobody.
#[test]
fn what_is_malformed_is_refused() {
    let world = World::new();
    let heard = Heard::default();
    world.hooks.register(&account("42"), heard.callback()).unwrap();
    for (body, field) in [
        ("", None),
        ("{", None),
        ("[]", None),
        ("\"a\"", None),
        (r#"{"data":1}"#, Some("keys")),
        (r#"{"keys":{"account_id":"42"}}"#, Some("data")),
        (r#"{"keys":["account_id"],"data":1}"#, Some("keys")),
        (r#"{"keys":{"account_id":null},"data":1}"#, Some("keys.account_id")),
        (r#"{"keys":{"account_id":["42",{}]},"data":1}"#, Some("keys.account_id")),
        ("{\"keys\":{\"account_id\":\"42\"},\"data\":\"\u{1}\"}", None),
    ] {
        let reply = world.client.post("/hooks").body(body).send();
        let said: Value = reply.json();
        assert_eq!(reply.status(), 400, "{body}: {said}");
        assert_eq!(said["error"]["field"].as_str(), field, "{body}: {said}");
        assert!(said["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
    }
    let large = world.client.post("/hooks").body(vec![b' '; (2 << 20) + 1]).send();
    assert_eq!(
        (large.status().as_u16(), &large.json::<Value>()["error"]["code"]),
        (413, &json!("too_large"))
    );
    assert!(world.hooks.notify(&account("42"), "last"));
    assert_eq!(heard.times(1), ["last"]);
}

/// How older workers posted: 2012-09, and until 0.10.
#[test]
fn the_older_forms_are_understood() {
    let world = World::with(|hooks| hooks.not_found(true));
    let heard = Heard::default();
    world.hooks.register(&account("4 2"), heard.callback()).unwrap();
    world.hooks.register(&Keys::new().with("user_id", "7"), heard.callback()).unwrap();
    let post =
        |path: &str, body: &Value| world.client.post(path).json(body).send().status().as_u16();
    assert_eq!(post("/hooks/4%202", &json!({"a": 1})), 200);
    assert_eq!(heard.times(1), [json!({"a": 1})]);
    assert_eq!(post("/hooks/4%202/7", &json!(2)), 200);
    heard.times(3);
    assert_eq!(post("/hooks/43", &json!(1)), 404);
    assert_eq!(post("/hooks", &json!({"keys": {"account_id": "43"}, "data": 1})), 404);
    assert_eq!(post("/hooks", &json!({"keys": {"account_id": "4 2"}, "data": 1})), 200);
    heard.times(4);
    assert_eq!(world.client.post("/hooks/43").body("{").send().status(), 400);
}

#[test]
#[should_panic(expected = "please provide a webhook URL")]
fn a_url_is_needed() {
    drop(Hooks::new(Arc::new(MemoryStore::new()), ""));
}
