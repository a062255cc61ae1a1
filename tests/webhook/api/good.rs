//! What can be done.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::{Request, Router, Server};
use sward::webhook::store::Next;
use sward::webhook::{DeliveryId, EndpointId, Time};

use super::world::{Api, MANAGE, PUBLISH};
use crate::heard::eventually;

fn items(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

pub(super) fn endpoints_are_registered_and_changed(api: &Api) {
    let body = json!({
        "url": "https://example.com/hook", "keys": {"account_id": [42, "43"]}, "ttl_seconds": 60,
        "settings": {"description": "shop", "rate": {"count": 5, "period_ms": 1500}},
    });
    let (status, endpoint) = api.ask("POST /endpoints", Some(&body));
    assert_eq!(
        (status, &endpoint["state"], &endpoint["signed"]),
        (201, &json!("active"), &json!(true))
    );
    assert_eq!(endpoint["settings"]["rate"], json!({"count": 5, "period_ms": 1500}));
    let id = endpoint["id"].as_str().unwrap();
    let names = |endpoint: &Value| {
        let rows = endpoint["subscriptions"].as_array().unwrap().iter();
        rows.map(|row| format!("{}={}", row["name"], row["value"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&endpoint), ["account_id=42", "account_id=43"]);
    assert!(endpoint["subscriptions"][0]["expires"].is_string());
    // Again, by URL: the same one; without an end, with what was chosen before.
    let more = json!({"url": "https://example.com/hook", "keys": {"user_id": 7}});
    let (status, again) = api.ask("POST /endpoints", Some(&more));
    assert_eq!((status, again["id"].as_str()), (200, Some(id)));
    assert_eq!(names(&again), ["account_id=42", "account_id=43", "user_id=7"]);
    assert_eq!(again["subscriptions"][2]["expires"], Value::Null);
    assert_eq!(again["settings"], endpoint["settings"]);

    let (status, renewed) = api.ask(
        &format!("PUT /endpoints/{id}/keys"),
        Some(&json!({"keys": {"user_id": 7}, "ttl_seconds": 9})),
    );
    assert_eq!(status, 200);
    assert!(renewed["subscriptions"][2]["expires"].is_string());
    let settings = json!({"settings": {"ordered": true}});
    let (status, changed) = api.ask(&format!("PUT /endpoints/{id}/settings"), Some(&settings));
    assert_eq!((status, &changed["settings"]["ordered"]), (200, &json!(true)));
    assert_eq!(changed["settings"]["description"], "", "all of it is replaced");

    let state = |what: &str| {
        let (status, endpoint) = api.ask(&format!("POST /endpoints/{id}/{what}"), None);
        assert_eq!(status, 200, "{endpoint}");
        endpoint["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state("pause"), state("pause"), state("enable")),
        ("paused".into(), "paused".into(), "active".into())
    );

    for (asked, found) in [
        ("url=https://example.com/hook", 1),
        ("url=https://example.com/other", 0),
        ("key=account_id:42", 1),
        ("key=account_id:41&key=user_id:7", 1),
        ("key=account_id:41", 0),
    ] {
        let (status, page) = api.ask(&format!("GET /endpoints?{asked}"), None);
        assert_eq!((status, items(&page).len()), (200, found), "{asked}");
    }
    let (_, whole) = api.ask(&format!("GET /endpoints/{id}"), None);
    assert_eq!(whole["subscriptions"].as_array().unwrap().len(), 3);

    let some = json!({"url": "https://example.com/hook", "keys": {"account_id": [42, 44]}});
    assert_eq!(api.ask("POST /unregister", Some(&some)), (200, json!({"removed": 1})));
    let all = json!({"url": "https://example.com/hook"});
    assert_eq!(api.ask("POST /unregister", Some(&all)), (200, json!({"removed": 2})));
    assert_eq!(api.stored().endpoints, 0);
    let id = api.registered("https://example.com/hook");
    assert_eq!(api.ask(&format!("DELETE /endpoints/{id}"), None), (204, Value::Null));
    assert_eq!(api.ask(&format!("GET /endpoints/{id}"), None).0, 404);
}

pub(super) fn lists_have_pages(api: &Api) {
    let ids: Vec<_> = (0..5).map(|n| api.registered(&format!("https://example.com/{n}"))).collect();
    let messages: Vec<_> = (0..3).map(|_| api.published()).collect();
    let walk = |path: &str| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = api.ask(&format!("GET {path}limit=2{after}"), None);
            assert_eq!(status, 200, "{page}");
            assert!(items(&page).len() <= 2);
            found.extend(items(&page).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(walk("/endpoints?"), ids);
    assert_eq!(walk("/messages?"), messages);
    assert_eq!(walk("/deliveries?").len(), 15);
    assert_eq!(walk(&format!("/messages/{}/deliveries?", messages[1])).len(), 5);
    assert_eq!(walk(&format!("/endpoints/{}/deliveries?", ids[1])).len(), 3);
    assert_eq!(walk(&format!("/deliveries?endpoint={}&message={}&", ids[1], messages[0])).len(), 1);
    assert_eq!(walk("/deliveries?state=delivered&"), [""; 0]);
    assert_eq!(walk("/messages?since=2100-01-01T00:00:00Z&"), [""; 0]);
    assert_eq!(walk("/messages?since=0&"), messages);
}

pub(super) fn messages_are_published_once(api: &Api) {
    api.registered("https://example.com/1");
    let body = json!({"keys": {"account_id": 42}, "data": {"x": 1}, "type": "a.b"});
    let bearer = format!("Bearer {PUBLISH}");
    let publish = |key: &str| {
        let headers = [("authorization", &bearer[..]), ("idempotency-key", key)];
        let reply =
            api.send("POST", "/messages", &headers, Some("application/json"), &body.to_string());
        assert_eq!(reply.status(), 202);
        reply.json::<Value>()
    };
    let first = publish("a");
    assert_eq!((&first["deliveries"], &first["repeated"]), (&json!(1), &json!(false)));
    let again = publish("a");
    assert_eq!((&again["id"], &again["repeated"]), (&first["id"], &json!(true)));
    assert_ne!(publish("b")["id"], first["id"]);
    let own = json!({"keys": {"account_id": 42}, "data": null, "id": "order-17"});
    let (_, accepted) = api.ask_as(Some(PUBLISH), "POST /messages", Some(&own));
    assert_eq!(accepted, json!({"id": "order-17", "deliveries": 1, "repeated": false}));
    assert_eq!(api.stored().messages, 3);
    // skyhooks' form, with the token where its workers can put it; the type is curl's.
    for (keys, notified) in [
        (json!({"account_id": "42"}), true),
        (json!({"account_id": "43"}), false),
        (json!({}), true),
    ] {
        let (path, kind) =
            (format!("/publish?access_token={PUBLISH}"), Some("application/x-www-form-urlencoded"));
        let reply =
            api.send("POST", &path, &[], kind, &json!({"keys": keys, "data": 1}).to_string());
        assert_eq!(reply.json::<Value>(), json!({"status": "ok", "notified": notified}));
    }
    assert_eq!(api.stored().messages, 5, "none for nobody in particular");
}

pub(super) fn what_became_of_a_message(api: &Api) {
    let endpoint = api.registered("https://example.com/1");
    let id = api.published();
    let (status, message) = api.ask(&format!("GET /messages/{id}"), None);
    assert_eq!(
        (status, &message["type"], &message["keys"]),
        (200, &json!("a.b"), &json!({"account_id": ["42"]}))
    );
    let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["data"], &body["keys"]), (&json!({"x": 1}), &json!({"account_id": "42"})));
    let delivery = api.end(&endpoint, Next::Delivered(Time::now()));
    let (status, shown) = api.ask(&format!("GET /deliveries/{delivery}"), None);
    assert_eq!(
        (status, &shown["state"], &shown["attempts"]),
        (200, &json!("delivered"), &json!(1))
    );
    let (status, attempts) = api.ask(&format!("GET /deliveries/{delivery}/attempts"), None);
    let first = &attempts["items"][0];
    assert_eq!((status, &first["status"], &first["took_ms"]), (200, &json!(204), &json!(1.5)));
    let (status, stats) = api.ask(&format!("GET /endpoints/{endpoint}/stats"), None);
    assert_eq!((status, &stats["delivered"], &stats["pending"]), (200, &json!(1), &json!(0)));
    let (status, ping) = api.ask(&format!("POST /endpoints/{endpoint}/ping"), None);
    assert_eq!((status, &ping["deliveries"]), (202, &json!(1)));
}

pub(super) fn dead_letters_are_sent_again(api: &Api) {
    let endpoint = api.registered("https://example.com/1");
    api.published();
    let dead = api.end(&endpoint, Next::Dead(Time::now()));
    let (status, page) = api.ask(&format!("GET /dead?endpoint={endpoint}"), None);
    assert_eq!((status, items(&page)), (200, vec![dead.as_str()]));
    let resend = format!("POST /deliveries/{dead}/resend");
    let (status, shown) = api.ask(&resend, None);
    assert_eq!((status, &shown["state"], &shown["attempts"]), (202, &json!("pending"), &json!(0)));
    let (status, said) = api.ask(&resend, None);
    assert_eq!((status, &said["error"]["code"]), (409, &json!("conflict")));
    api.end(&endpoint, Next::Dead(Time::now()));
    let recover = format!("POST /endpoints/{endpoint}/recover");
    for (since, resent) in
        [(json!("2100-01-01T00:00:00+01:00"), 0), (json!("2026-01-01T00:00:00Z"), 1), (json!(0), 0)]
    {
        assert_eq!(
            api.ask(&recover, Some(&json!({"since": since}))),
            (202, json!({"resent": resent}))
        );
    }
    // Not while it is disabled.
    let state =
        sward::webhook::EndpointState::Disabled { why: "it is gone".into(), at: Time::now() };
    let change = sward::webhook::store::Change { state: Some(state), ..Default::default() };
    let id = EndpointId::parse(&endpoint).unwrap();
    api.webhooks.store().change_endpoint(&id, &change).unwrap();
    assert_eq!(api.ask(&recover, Some(&json!({"since": 0}))).0, 409);
    assert_eq!(api.ask(&resend, None).0, 409);
    assert_eq!(api.ask(&format!("POST /endpoints/{endpoint}/pause"), None).0, 409);
    let (_, shown) = api.ask(&format!("GET /endpoints/{endpoint}"), None);
    assert_eq!(
        (&shown["state"], &shown["disabled"]["why"]),
        (&json!("disabled"), &json!("it is gone"))
    );
    assert_eq!(api.ask(&format!("POST /endpoints/{endpoint}/enable"), None).0, 200);
    assert_eq!(api.ask(&resend, None).0, 202);
    assert_eq!(DeliveryId::parse(dead.as_str()), Some(dead));
}

pub(super) fn secrets_are_told_and_rotated(api: &Api) {
    let id = api.registered("https://example.com/1");
    let (status, first) = api.ask(&format!("GET /endpoints/{id}/secret"), None);
    assert!(status == 200 && first["secret"].as_str().unwrap().starts_with("whsec_"), "{first}");
    assert_eq!((&first["public_key"], &first["older"]), (&Value::Null, &json!([])));
    let rotate = format!("POST /endpoints/{id}/secret/rotate");
    let (status, second) = api.ask(&rotate, None);
    assert_eq!(status, 200);
    assert_ne!(second["secret"], first["secret"]);
    assert_eq!(second["older"][0]["secret"], first["secret"]);
    assert!(second["older"][0]["expires"].is_string());
    let said: Vec<_> = (0..10).map(|_| api.ask(&rotate, None).0).collect();
    assert_eq!((&said[..9], said[9]), (&[200; 9][..], 409), "ten old ones");
    let key = sward::webhook::Secret::random_ed25519();
    let body = json!({"url": "https://example.com/2", "secret": key.to_string()});
    let (_, other) = api.ask("POST /endpoints", Some(&body));
    let id = other["id"].as_str().unwrap();
    let (_, shown) = api.ask(&format!("GET /endpoints/{id}/secret"), None);
    assert_eq!(shown["public_key"].as_str().map(str::to_owned), key.public_key());
    assert!(!other.to_string().contains("whsk_"), "only where it is asked for");
}

pub(super) fn a_challenge_is_asked(api: &Api) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let app = Router::new()
        .get("/yes", |req: &mut Request| req.query::<String>("challenge").unwrap())
        .get("/no", |_: &mut Request| "no");
    let serving = sward::thread::spawn(move || server.serve(app));
    let register = |path: &str| {
        let body = json!({"url": format!("http://{address}/{path}"), "challenge": true});
        let (status, endpoint) = api.ask("POST /endpoints", Some(&body));
        assert_eq!(status, 201);
        endpoint
    };
    let (yes, no) = (register("yes"), register("no"));
    assert_eq!((&yes["state"], &no["state"]), (&json!("active"), &json!("unverified")));
    let challenge = |of: &Value| {
        api.ask(&format!("POST /endpoints/{}/challenge", of["id"].as_str().unwrap()), None)
    };
    assert_eq!(challenge(&yes).0, 200);
    let (status, said) = challenge(&no);
    assert_eq!((status, &said["error"]["code"]), (409, &json!("conflict")));
    let enable = format!("POST /endpoints/{}/enable", no["id"].as_str().unwrap());
    assert_eq!(api.ask(&enable, None).0, 409);
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

pub(super) fn what_anybody_may_ask(api: &Api) {
    let (status, description) = api.ask_as(None, "GET /openapi.json", None);
    assert_eq!((status, description), (200, api.description.clone()));
    let reply = api.send("GET", "/health", &[], None, "");
    assert_eq!(reply.json::<Value>(), json!({"status": "ok"}));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

pub(super) fn figures(api: &Api) {
    api.registered("https://example.com/1");
    api.published();
    let (status, stats) = api.ask("GET /stats", None);
    assert_eq!((status, &stats["endpoints"], &stats["pending"]), (200, &json!(1), &json!(1)));
    let headers = [("authorization", &format!("Bearer {MANAGE}")[..])];
    let reply = api.send("GET", "/metrics", &headers, None, "");
    assert!(reply.text().contains("published_total 1\n"), "{}", reply.text());
}

pub(super) fn events_are_told_as_they_happen(api: &Api) {
    let bearer = format!("Bearer {MANAGE}");
    let mut open = api.client.get("/v1/events").header("authorization", &bearer).open().unwrap();
    assert_eq!(
        (open.status().as_u16(), open.header("content-type")),
        (200, Some("text/event-stream"))
    );
    api.note("get", "/events", "200");
    let mut heard = String::new();
    // Nothing is told to nobody, so it is published until the stream has it.
    let mut published = Vec::new();
    eventually("the event", || {
        published.push(api.published());
        sward::thread::sleep(Duration::from_millis(10));
        let mut bytes = [0; 4096];
        let n = open.read(&mut bytes).unwrap();
        heard += std::str::from_utf8(&bytes[..n]).unwrap();
        heard.contains("data: {")
    });
    let line = heard.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["event"], "accepted");
    assert!(published.contains(&event["message"].as_str().unwrap().to_owned()), "{event}");
    assert!(heard.contains("\nid: ") || heard.starts_with("id: "), "{heard}");
}
