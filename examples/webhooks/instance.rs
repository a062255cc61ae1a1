//! One web instance: the accounts of its users, its own URL for what workers post, the registry's API, the gateway, a few
//! receivers to try deliveries on, and the page.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::middleware::Cors;
use sward::http::{IntoResponse, Request, Response, Router, StatusCode};
use sward::thread;
use sward::webhook::api::{self, Tokens};
use sward::webhook::hooks::Hooks;
use sward::webhook::{Client, Webhooks};

use super::accounts::{Accounts, KEY};
use super::gateway::{self, Gateway};

/// The page may load its own files and talk to our instances, which are on other ports.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' http: ws:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What an instance is made of.
pub(crate) struct Instance {
    pub(crate) webhooks: Webhooks,
    pub(crate) hooks: Hooks,
    pub(crate) accounts: Accounts,
    pub(crate) gateway: Gateway,
    /// Where the workers are asked, and by what.
    pub(crate) jobs: String,
    pub(crate) client: Client,
    pub(crate) token: String,
    /// All of them, for the page.
    pub(crate) instances: Vec<String>,
}

impl Instance {
    pub(crate) fn routes(self) -> Router {
        let Instance { webhooks, hooks, accounts, gateway, jobs, client, token, instances } = self;
        let tokens = Tokens::new().manage(&token);
        let (listed, store) = (hooks.clone(), webhooks.store().clone());
        let app = users(accounts, jobs.clone(), client.clone())
            .post("/hooks", hooks.handler())
            .get("/hooks", move |_: &mut Request<'_>| {
                let rows = match store.endpoint_at(listed.url()) {
                    Ok(Some(endpoint)) => store.subscriptions(&endpoint.id),
                    Ok(None) => Ok(Vec::new()),
                    Err(error) => Err(error),
                };
                let row = |row: &sward::webhook::Subscription| {
                    json!({"name": row.name, "value": row.value, "updated": row.updated.to_string()})
                };
                match rows {
                    Ok(rows) => Response::json(&json!({
                        "url": listed.url(), "callbacks": listed.callbacks(),
                        "stored": rows.iter().map(row).collect::<Vec<_>>(),
                    })),
                    Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
                }
            })
            .get("/about", move |_: &mut Request<'_>| {
                Response::json(&json!({"instances": instances, "key": KEY}))
            });
        let app = gateway::backend(gateway.routes(sinks(page(app))));
        app.nest("/v1", api::routes(&webhooks, tokens)).with(Cors::new().any_origin().any_header())
    }
}

/// What users of accounts do.
fn users(accounts: Accounts, jobs: String, client: Client) -> Router {
    let (events, sockets, polls) = (accounts.clone(), accounts.clone(), accounts);
    let (asking, getting) = ((jobs.clone(), client.clone()), (jobs, client));
    Router::new()
        .get("/accounts/{account}/events", move |req: &mut Request<'_>| events.events(req))
        .get("/accounts/{account}/ws", move |req: &mut Request<'_>| sockets.websocket(req))
        .get("/accounts/{account}/poll", move |req: &mut Request<'_>| polls.poll(req))
        .post("/accounts/{account}/tasks", move |req: &mut Request<'_>| {
            let account = req.param::<String>("account")?;
            let mut asked: Value = req.json()?;
            if !asked.is_object() {
                let what = "wanted: {\"task\":..,\"ms\":..}";
                return Err(sward::http::Error::new(StatusCode::BAD_REQUEST, what));
            }
            asked["account"] = account.into();
            let (jobs, client) = &asking;
            let kind = [("content-type", "application/json")];
            Ok(passed_on(client.post(&format!("{jobs}/jobs"), &kind, asked.to_string().as_bytes())))
        })
        .get("/tasks/{id}/get", move |req: &mut Request<'_>| {
            let id = req.param::<u64>("id")?;
            let (jobs, client) = &getting;
            let query = req.query_str().unwrap_or("");
            Ok::<_, sward::http::Error>(passed_on(
                client.get(&format!("{jobs}/jobs/{id}/get?{query}")),
            ))
        })
}

/// What the workers said is what we say.
fn passed_on(answer: sward::webhook::Answer) -> Response {
    match answer.result {
        Ok(reply) => {
            let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
            Response::new(status).body(reply.body).header("content-type", "application/json")
        }
        Err(failure) => {
            (StatusCode::BAD_GATEWAY, format!("no worker answers: {failure}\n")).into_response()
        }
    }
}

/// Receivers to register: `/sink/ok`, `/sink/fail`, `/sink/flaky` (two of three fail), `/sink/slow`, `/sink/gone`,
/// `/sink/busy`. Each echoes a challenge.
fn sinks(router: Router) -> Router {
    let count = AtomicU64::new(1);
    router
        .post("/sink/{kind}", move |req: &mut Request<'_>| {
            let kind = req.param::<String>("kind")?;
            req.bytes()?;
            Ok::<_, sward::http::Error>(match &kind[..] {
                "ok" => (StatusCode::OK, "thank you\n").into_response(),
                "flaky" if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) => {
                    (StatusCode::OK, "at last\n").into_response()
                }
                "flaky" | "fail" => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "something broke\n").into_response()
                }
                "slow" => {
                    thread::sleep(Duration::from_secs(3));
                    (StatusCode::OK, "that took a while\n").into_response()
                }
                "gone" => StatusCode::GONE.into_response(),
                "busy" => StatusCode::TOO_MANY_REQUESTS.into_response().header("retry-after", "2"),
                _ => StatusCode::NOT_FOUND.into_response(),
            })
        })
        .get("/sink/{kind}", |req: &mut Request<'_>| {
            req.query::<String>("challenge").ok().flatten()
        })
}

fn page(router: Router) -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        move |_: &mut Request<'_>| {
            Response::bytes_static(text.as_bytes())
                .header("content-type", kind)
                .header("cache-control", "no-cache")
                .header("content-security-policy", POLICY)
                .header("x-content-type-options", "nosniff")
        }
    };
    router
        .get("/", asset("text/html; charset=utf-8", include_str!("page/index.html")))
        .get("/style.css", asset("text/css; charset=utf-8", include_str!("page/style.css")))
        .get("/app.js", asset("text/javascript; charset=utf-8", include_str!("page/app.js")))
}
