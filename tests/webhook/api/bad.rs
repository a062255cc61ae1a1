//! What is refused: each with its status, and nothing stored.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use sward::http::Method;
use sward::webhook::api::{ROUTES, Scope};

use super::world::{Api, MANAGE, PUBLISH};
use super::{each_route, sample};

pub(super) fn every_route_wants_its_token(api: &Api) {
    api.registered("https://example.com/1");
    let before = api.stored();
    for (route, what, body) in each_route().filter(|(route, ..)| route.scope != Scope::Open) {
        let (method, path) = what.split_once(' ').unwrap();
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let basic = format!("Basic {MANAGE}");
        let (known, twice) = (format!("Bearer {MANAGE}"), "Bearer wrong");
        for headers in [
            &[][..],
            &[("authorization", twice)],
            &[("authorization", MANAGE)],
            &[("authorization", &basic)],
            &[("authorization", "Bearer ")],
            &[("authorization", &known), ("authorization", twice)],
        ] {
            let reply = api.send(method, path, headers, Some("application/json"), &text);
            assert_eq!(reply.status(), 401, "{route:?} {headers:?}");
            assert!(
                reply.header("www-authenticate").unwrap().starts_with("Bearer realm=\"webhooks\"")
            );
        }
        if route.scope == Scope::Manage {
            let publisher = format!("Bearer {PUBLISH}");
            let headers = [("authorization", &publisher[..])];
            let reply = api.send(method, path, &headers, Some("application/json"), &text);
            assert_eq!(reply.status(), 403, "{route:?}");
            assert!(reply.header("www-authenticate").unwrap().contains("insufficient_scope"));
        }
        // Only where workers cannot choose a header may it stand in the URL.
        if route.path != "/publish" {
            let asked = format!("{path}?access_token={MANAGE}");
            let reply = api.send(method, &asked, &[], Some("application/json"), &text);
            assert_eq!(reply.status(), 401, "{route:?}");
        }
    }
    assert_eq!(api.stored(), before);
}

pub(super) fn malformed_bodies_change_nothing(api: &Api) {
    let before = api.stored();
    let bearer = format!("Bearer {MANAGE}");
    for (route, what, body) in each_route() {
        let Some(body) = body.map(|body| body.to_string()) else { continue };
        let (method, path) = what.split_once(' ').unwrap();
        let cut = &body[..body.len() - 1];
        let deep = "[".repeat(1000);
        for text in ["", "{", "nonsense", cut, "[]", "1", "null", &deep, "{}{}"] {
            let headers = [("authorization", &bearer[..])];
            let reply = api.send(method, path, &headers, Some("application/json"), text);
            assert_eq!(reply.status(), 400, "{route:?} {text}");
            assert_eq!(reply.json::<Value>()["error"]["code"], "malformed", "{route:?} {text}");
        }
        // What is not UTF-8.
        let call = api.client.request(route.method.clone(), &format!("/v1{path}"));
        let call = call.header("authorization", &bearer).header("content-type", "application/json");
        assert_eq!(call.body(b"{\"url\":\"\xff\"}".to_vec()).send().status(), 400, "{route:?}");
    }
    assert_eq!(api.stored(), before);
}

/// Fields and parameters that there are not, or that are something else: the answer names them.
pub(super) fn what_is_not_known_is_named(api: &Api) {
    let id = api.registered("https://example.com/1");
    let message = api.published();
    let before = api.stored();
    let refused = |what: &str, body: Option<&Value>, field: &str| {
        let (status, said) = api.ask(what, body);
        assert_eq!((status, said["error"]["field"].as_str()), (400, Some(field)), "{what}: {said}");
        assert!(!said["error"]["message"].as_str().unwrap().is_empty());
    };
    for (route, what, body) in each_route() {
        let Some(body) = body else { continue };
        let what = what.replace("ep_nobody", &id);
        for name in body.as_object().unwrap().keys() {
            // Data may be anything.
            for wrong in [json!([[]]), json!({"x": {}}), json!(-1), json!({"x": null})] {
                let mut other = body.clone();
                other[name] = wrong;
                if name != "data" {
                    let (status, said) = api.ask(&what, Some(&other));
                    let field = said["error"]["field"].as_str().unwrap_or("");
                    let named = field == name || field.starts_with(&format!("{name}."));
                    assert!(status == 400 && named, "{what} {other}: {said}");
                }
            }
        }
        if route.path != "/publish" {
            let mut more = body.clone();
            more["key"] = json!(1);
            refused(&what, Some(&more), "key");
        }
    }
    let endpoints = |body: Value, field: &str| refused("POST /endpoints", Some(&body), field);
    let url = "https://example.com/2";
    endpoints(json!({}), "url");
    endpoints(json!({"url": url, "settings": {"colour": 1}}), "settings.colour");
    endpoints(json!({"url": url, "settings": {"rate": {"count": 1}}}), "settings.rate.period_ms");
    endpoints(
        json!({"url": url, "settings": {"rate": {"count": 0, "period_ms": 1}}}),
        "settings.rate.count",
    );
    endpoints(json!({"url": url, "settings": {"max_in_flight": 0}}), "settings.max_in_flight");
    endpoints(json!({"url": url, "ttl_seconds": 0}), "ttl_seconds");
    endpoints(json!({"url": url, "ttl_seconds": 1e18}), "ttl_seconds");
    endpoints(json!({"url": url, "secret": "whsec_"}), "secret");
    endpoints(json!({"url": url, "secret": "password"}), "secret");
    refused("POST /messages", Some(&json!({"keys": {}})), "data");
    refused("POST /messages", Some(&json!({"data": {}})), "keys");
    refused("POST /unregister", Some(&json!({})), "url");
    for path in ROUTES.iter().filter(|route| route.method == Method::GET).map(|route| route.path) {
        let described = &api.description["paths"][path]["get"];
        if described["responses"].get("400").is_none() {
            continue;
        }
        let id = if path.starts_with("/messages") { &message } else { &id };
        let path = path.replace("{id}", id);
        refused(&format!("GET {path}?colour=1"), None, "colour");
        for (name, wrong) in [
            ("limit", "0"),
            ("limit", "201"),
            ("limit", "x"),
            ("after", "a.b"),
            ("state", "lost"),
            ("since", "x"),
            ("key", "a"),
        ] {
            let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
            if parameters.iter().any(|parameter| parameter["name"] == name) {
                refused(&format!("GET {path}?{name}={wrong}"), None, name);
            }
        }
    }
    refused("POST /publish?colour=1", sample("POST", "/publish").as_ref(), "colour");
    assert_eq!(api.stored(), before);
}

/// What is understood, and not possible.
pub(super) fn what_cannot_be_is_said(api: &Api) {
    let id = api.registered("https://example.com/1");
    let before = api.stored();
    let many: Value = (0..11).map(|n| json!(n)).collect();
    let refused = |what: &str, body: Value, field: &str| {
        let (status, said) = api.ask(what, Some(&body));
        assert_eq!((status, said["error"]["field"].as_str()), (422, Some(field)), "{what}: {said}");
    };
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://user:password@example.com/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:192.168.0.1]/",
        "http://0x0a000001/",
        &format!("http://example.com/{}", "x".repeat(2048)),
    ] {
        refused("POST /endpoints", json!({"url": url}), "url");
    }
    for keys in [
        json!({"$where": "1"}),
        json!({"": "1"}),
        json!({"url": "1"}),
        json!({"account_id": "x".repeat(513)}),
        json!({"account_id": "a\nb"}),
        json!({"account_id": many}),
    ] {
        refused("POST /endpoints", json!({"url": "https://example.com/2", "keys": keys}), "keys");
        refused("POST /messages", json!({"keys": keys, "data": 1}), "keys");
        refused("POST /publish", json!({"keys": keys, "data": 1}), "keys");
        let body = json!({"keys": keys, "ttl_seconds": 1});
        refused(&format!("PUT /endpoints/{id}/keys"), body, "keys");
    }
    let description = json!({"settings": {"description": "x".repeat(1025)}});
    refused(&format!("PUT /endpoints/{id}/settings"), description, "settings");
    let message = |more: Value| {
        let mut body = json!({"keys": {"account_id": 42}, "data": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    refused("POST /messages", json!({"keys": {}, "data": 1}), "keys");
    refused("POST /messages", message(json!({"type": "a b"})), "type");
    refused("POST /messages", message(json!({"id": "a.b"})), "id");
    let bearer = format!("Bearer {MANAGE}");
    let long = "x".repeat(257);
    for key in ["", "é", &long] {
        let headers = [("authorization", &bearer[..]), ("idempotency-key", key)];
        let body = message(json!({})).to_string();
        let reply = api.send("POST", "/messages", &headers, Some("application/json"), &body);
        let said: Value = reply.json();
        assert_eq!(
            (reply.status().as_u16(), &said["error"]["field"]),
            (422, &json!("idempotency_key")),
            "{key:?}"
        );
    }
    assert_eq!(api.stored(), before);
}

pub(super) fn bodies_have_a_limit_and_a_type(api: &Api) {
    let id = api.registered("https://example.com/1");
    let before = api.stored();
    let bearer = format!("Bearer {MANAGE}");
    let headers = [("authorization", &bearer[..])];
    for (route, what, body) in each_route() {
        let Some(body) = body else { continue };
        let what = what.replace("ep_nobody", &id);
        let (method, path) = what.split_once(' ').unwrap();
        let padded = format!("{}{body}", " ".repeat(3 << 20));
        let reply = api.send(method, path, &headers, Some("application/json"), &padded);
        let said: Value = reply.json();
        assert_eq!(
            (reply.status().as_u16(), &said["error"]["code"]),
            (413, &json!("too_large")),
            "{route:?}"
        );
        if route.path == "/publish" {
            continue;
        }
        for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let reply = api.send(method, path, &headers, kind, &body.to_string());
            assert_eq!(reply.status(), 415, "{route:?} {kind:?}");
        }
    }
    // A message of its own limit, and one byte more.
    let message = |n: usize| json!({"keys": {"account_id": 1}, "data": "x".repeat(n)});
    let (mut fits, mut not) = (1, 2_000);
    while fits + 1 < not {
        let middle = (fits + not) / 2;
        match api.ask("POST /messages", Some(&message(middle))).0 {
            202 => fits = middle,
            413 => not = middle,
            other => panic!("{other}"),
        }
    }
    let published = api.webhooks.messages(sward::webhook::Time::from_millis(0), None, 100).unwrap();
    assert_eq!(published.iter().map(|message| message.body.len()).max(), Some(2_000));
    assert_eq!(api.stored().endpoints, before.endpoints);
}

pub(super) fn what_is_not_there(api: &Api) {
    let before = api.stored();
    for (route, what, body) in each_route() {
        let methods = ROUTES.iter().filter(|other| other.path == route.path);
        let methods: Vec<_> = methods.map(|other| other.method.as_str()).collect();
        let (_, path) = what.split_once(' ').unwrap();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !methods.contains(&method) {
                let (status, said) = api.ask(&format!("{method} {path}"), None);
                assert_eq!(
                    (status, &said["error"]["code"]),
                    (405, &json!("method_not_allowed")),
                    "{method} {path}"
                );
            }
        }
        if route.path.contains("{id}") {
            for id in ["ep_nobody", "a.b", "%00", "%F0%9F%8C%B1"] {
                let (status, said) = api.ask(&what.replace("ep_nobody", id), body.as_ref());
                assert_eq!(
                    (status, &said["error"]["code"]),
                    (404, &json!("not_found")),
                    "{what} {id}"
                );
            }
        }
    }
    let (status, _) =
        api.ask("POST /unregister", Some(&json!({"url": "https://example.com/nobody"})));
    assert_eq!(status, 404);
    for path in ["/", "/nothing", "/endpoints/", "/endpoints/a/b/c", "/openapi.yaml"] {
        let (status, said) = api.ask(&format!("GET {path}"), None);
        assert_eq!((status, &said["error"]["code"]), (404, &json!("not_found")), "{path}");
    }
    assert_eq!(api.stored(), before);
}

pub(super) fn a_store_that_fails_is_no_secret(api: &Api) {
    let id = api.registered("https://example.com/1");
    for (route, what, body) in each_route() {
        let path = &api.description["paths"][route.path];
        let described = &path[route.method.as_str().to_lowercase()]["responses"];
        api.store.now.store(true, Ordering::Relaxed);
        if described.get("503").is_some() {
            let (status, said) = api.ask(&what.replace("ep_nobody", &id), body.as_ref());
            assert_eq!((status, &said["error"]["code"]), (503, &json!("unavailable")), "{route:?}");
            assert!(!said.to_string().contains("secret-host"), "{said}");
        }
        api.store.now.store(false, Ordering::Relaxed);
    }
    assert_eq!(api.stored().messages, 0);
}
