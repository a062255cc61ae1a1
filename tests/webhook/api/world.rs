//! A registry with its API, a client that notes what it was answered, and a store that fails when it is told to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::testing::{Client, Reply};
use sward::http::{Method, Router};
use sward::webhook::api::{self, Tokens};
use sward::webhook::store::{MemoryStore, Store, StoreError};
use sward::webhook::{Config, Guard, Webhooks};

use super::schema;
use crate::calls::*;

pub(super) const MANAGE: &str = "manage-1234";
pub(super) const PUBLISH: &str = "publish-1234";

pub(super) struct Api {
    pub(super) client: Client,
    pub(super) webhooks: Webhooks,
    pub(super) store: Arc<Fails>,
    pub(super) description: Value,
    /// Method, path as it is described, status.
    pub(super) seen: Mutex<BTreeSet<(String, String, String)>>,
}

impl Api {
    pub(super) fn new() -> Api {
        let store = Arc::new(Fails { to: MemoryStore::new(), now: AtomicBool::new(false) });
        let config = Config {
            guard: Guard::default().allow_loopback(),
            max_body: 2_000,
            max_keys: 10,
            ..Config::default()
        };
        let webhooks = Webhooks::new(store.clone(), config);
        let tokens = Tokens::new().manage(MANAGE).publish(PUBLISH);
        let app = Router::new().nest("/v1", api::routes(&webhooks, tokens));
        let client = Client::new(app);
        let description = client.get("/v1/openapi.json").send().json();
        Api { client, webhooks, store, description, seen: Mutex::default() }
    }

    /// Asks with the token for everything.
    #[track_caller]
    pub(super) fn ask(&self, what: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask_as(Some(MANAGE), what, body)
    }

    /// Asks, and holds the answer to the description.
    #[track_caller]
    pub(super) fn ask_as(
        &self,
        token: Option<&str>,
        what: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let (method, path) = what.split_once(' ').unwrap();
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|b| ("authorization", &b[..])).collect();
        let reply = match body {
            Some(body) => {
                self.send(method, path, &headers, Some("application/json"), &body.to_string())
            }
            None => self.send(method, path, &headers, None, ""),
        };
        let body = if reply.body().is_empty() { Value::Null } else { reply.json() };
        (reply.status().as_u16(), body)
    }

    #[track_caller]
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        kind: Option<&str>,
        body: &str,
    ) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut call = self.client.request(method.clone(), &format!("/v1{path}"));
        for (name, value) in headers {
            call = call.header(name, value);
        }
        if let Some(kind) = kind {
            call = call.header("content-type", kind);
        }
        let reply = call.body(body).send();
        self.check(&method, path, &reply);
        reply
    }

    /// The answer is described, and is what is described.
    #[track_caller]
    fn check(&self, method: &Method, path: &str, reply: &Reply) {
        let status = reply.status().as_u16().to_string();
        let Some((template, described)) = self.described(method, path) else {
            assert!(
                ["404", "405"].contains(&&status[..]),
                "{method} {path}: {status}, not described"
            );
            return;
        };
        let what = format!("{method} {template}: {status}");
        let described = described["responses"].get(&status);
        let described =
            described.unwrap_or_else(|| panic!("{what} is not described: {}", reply.text()));
        let described = schema::resolve(&self.description, described);
        self.note(method.as_str(), &template, &status);
        let Some(content) = described.get("content").and_then(Value::as_object) else {
            assert!(reply.body().is_empty(), "{what}: {}", reply.text());
            return;
        };
        let (kind, content) = content.iter().next().unwrap();
        let given = reply.header("content-type").unwrap_or("none");
        assert!(given.starts_with(&kind[..]), "{what}: {given}");
        if kind == "application/json" {
            let faults = schema::faults(&self.description, &content["schema"], &reply.json());
            assert_eq!(faults, [""; 0], "{what}: {}", reply.text());
        }
    }

    pub(super) fn note(&self, method: &str, template: &str, status: &str) {
        let seen = (method.to_uppercase(), template.into(), status.into());
        self.seen.lock().unwrap().insert(seen);
    }

    /// What the description has of it.
    fn described(&self, method: &Method, path: &str) -> Option<(String, &Value)> {
        let path: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
        let fits = |template: &str| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == path.len()
                && parts
                    .iter()
                    .zip(&path)
                    .all(|(part, given)| part.starts_with('{') || part == given)
        };
        let mut paths = self.description["paths"].as_object().unwrap().iter();
        let (template, methods) = paths.find(|(template, _)| fits(template))?;
        let described = methods.get(method.as_str().to_lowercase())?;
        Some((template.clone(), described))
    }

    /// What is there; nothing may have changed it.
    pub(super) fn stored(&self) -> Totals {
        self.webhooks.totals(None).unwrap()
    }

    /// Registers a URL for `account_id` 42.
    pub(super) fn registered(&self, url: &str) -> String {
        let body = json!({"url": url, "keys": {"account_id": 42}});
        let (status, endpoint) = self.ask("POST /endpoints", Some(&body));
        assert!(status < 300, "{endpoint}");
        endpoint["id"].as_str().unwrap().to_owned()
    }

    /// Publishes for `account_id` 42.
    pub(super) fn published(&self) -> String {
        let body = json!({"keys": {"account_id": "42"}, "data": {"x": 1}, "type": "a.b"});
        let (status, accepted) = self.ask("POST /messages", Some(&body));
        assert_eq!(status, 202, "{accepted}");
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// Ends a delivery that is pending as the dispatcher would after an attempt.
    pub(super) fn end(&self, endpoint: &str, next: Next) -> DeliveryId {
        let now = Time::now();
        let endpoint = EndpointId::parse(endpoint).unwrap();
        let until = now + Duration::from_secs(60);
        let claim = self.store.claim(&endpoint, now, until, 1).unwrap().remove(0);
        let delivered = matches!(next, Next::Delivered(_));
        let attempt = Attempt {
            delivery: claim.delivery.id.clone(),
            number: 1,
            at: now,
            took: Duration::from_micros(1_500),
            address: Some("127.0.0.1:80".into()),
            status: Some(if delivered { 204 } else { 500 }),
            error: (!delivered).then(|| "answered 500".into()),
            response: "no".into(),
            truncated: false,
        };
        self.store.finish(&claim.delivery.id, Some(&attempt), next).unwrap();
        claim.delivery.id
    }
}

/// A store that fails while it is told to.
#[derive(Debug)]
pub(super) struct Fails {
    to: MemoryStore,
    pub(super) now: AtomicBool,
}

macro_rules! failing {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Store for Fails {
            $(fn $name(&self, $($arg: $type),*) -> Result<$out> {
                if self.now.load(Ordering::Relaxed) {
                    return Err(StoreError::new("testing", "secret-host:6379 is down"));
                }
                self.to.$name($($arg),*)
            })*
        }
    };
}

each_call!(failing);
