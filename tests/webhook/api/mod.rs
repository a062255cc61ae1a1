//! The registry over HTTP. Each scenario is a test; all of them together must have seen everything that
//! `docs/webhooks.openapi.json` describes, and nothing else: every answer is held to it as it comes.

mod bad;
mod good;
mod schema;
mod world;

use serde_json::{Value, json};
use sward::webhook::api::{ROUTES, Scope};

use world::Api;

macro_rules! scenarios {
    ($($module:ident::$name:ident)*) => {
        $(#[test] fn $name() { $module::$name(&Api::new()) })*

        const ALL: &[fn(&Api)] = &[$($module::$name),*];
    };
}

scenarios! {
    good::endpoints_are_registered_and_changed
    good::lists_have_pages
    good::messages_are_published_once
    good::what_became_of_a_message
    good::dead_letters_are_sent_again
    good::secrets_are_told_and_rotated
    good::a_challenge_is_asked
    good::what_anybody_may_ask
    good::figures
    good::events_are_told_as_they_happen
    bad::every_route_wants_its_token
    bad::malformed_bodies_change_nothing
    bad::what_is_not_known_is_named
    bad::what_cannot_be_is_said
    bad::bodies_have_a_limit_and_a_type
    bad::what_is_not_there
    bad::a_store_that_fails_is_no_secret
}

/// Every route, method and status of the description is seen; every route of the router is described.
#[test]
fn the_description_holds() {
    let whole = Api::new();
    for scenario in ALL {
        let api = Api::new();
        scenario(&api);
        whole.seen.lock().unwrap().append(&mut api.seen.lock().unwrap());
    }
    let seen = whole.seen.lock().unwrap();
    let mut unseen = Vec::new();
    let mut described = Vec::new();
    for (path, methods) in whole.description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.push((method.to_uppercase(), path.clone()));
            for status in operation["responses"].as_object().unwrap().keys() {
                if !seen.contains(&(method.to_uppercase(), path.clone(), status.clone())) {
                    unseen.push(format!("{method} {path}: {status}"));
                }
            }
        }
    }
    assert_eq!(unseen, [""; 0], "described, and never seen");
    let mut there: Vec<_> =
        ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    described.sort();
    there.sort();
    assert_eq!(described, there);
}

/// What the description says of tokens is what is asked for.
#[test]
fn the_description_has_the_scopes() {
    let api = Api::new();
    for route in ROUTES {
        let operation = &api.description["paths"][route.path][route.method.as_str().to_lowercase()];
        let wanted = match route.scope {
            Scope::Open => json!([]),
            Scope::Publish => json!([{"publish": []}, {"manage": []}]),
            _ => json!([{"manage": []}]),
        };
        assert_eq!(operation["security"], wanted, "{route:?}");
    }
}

/// A body for each route that wants one, with all that it can have; all of them fit the description.
fn sample(method: &str, path: &str) -> Option<Value> {
    let settings = json!({
        "description": "d", "ordered": true, "max_in_flight": 2, "forget_after": 3,
        "rate": {"count": 5, "period_ms": 1000},
    });
    let keys = json!({"account_id": [42, "43"], "user_id": true});
    Some(match (method, path) {
        ("POST", "/endpoints") => json!({
            "url": "https://example.com/hook", "keys": keys, "ttl_seconds": 60, "settings": settings,
            "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "challenge": false,
        }),
        ("POST", "/unregister") => json!({"url": "https://example.com/hook", "keys": keys}),
        ("PUT", "/endpoints/{id}/keys") => json!({"keys": keys, "ttl_seconds": 60}),
        ("PUT", "/endpoints/{id}/settings") => json!({ "settings": settings }),
        ("POST", "/endpoints/{id}/recover") => json!({"since": "2026-11-21T14:00:00Z"}),
        ("POST", "/messages") => {
            json!({"keys": keys, "data": {"x": 1}, "type": "a.b", "id": "m-1"})
        }
        ("POST", "/publish") => json!({"keys": keys, "data": {"x": 1}}),
        _ => return None,
    })
}

/// Each route with a method, a path that has an id that nobody has, and its body.
fn each_route() -> impl Iterator<Item = (&'static sward::webhook::api::Route, String, Option<Value>)>
{
    ROUTES.iter().map(|route| {
        let path = route.path.replace("{id}", "ep_nobody");
        (route, format!("{} {path}", route.method), sample(route.method.as_str(), route.path))
    })
}

#[test]
fn the_samples_are_described_whole() {
    let api = Api::new();
    for route in ROUTES {
        let operation = &api.description["paths"][route.path][route.method.as_str().to_lowercase()];
        let described = operation.pointer("/requestBody/content/application~1json/schema");
        let body = sample(route.method.as_str(), route.path);
        assert_eq!(described.is_some(), body.is_some(), "{route:?}");
        let (Some(described), Some(body)) = (described, body) else { continue };
        assert_eq!(schema::faults(&api.description, described, &body), [""; 0], "{route:?}");
        let names: Vec<_> = described["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, body.as_object().unwrap().keys().collect::<Vec<_>>(), "{route:?}");
    }
}
