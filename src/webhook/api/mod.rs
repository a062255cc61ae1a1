//! The registry over HTTP: [`routes`], for a [`Router`] of yours, with [`Tokens`] that say who may do what.
//!
//! Bodies are JSON, both ways. What cannot be done is answered with `{"error":{"code":..,"message":..,"field":..}}` and nothing has
//! changed then. What is there is in `docs/webhooks.openapi.json`, which is served at `/openapi.json` below the prefix.
//!
//! What it is not: where messages are delivered to; that is [`Hooks`](super::Hooks), or anybody's server.
//!
//! To read on: [`ROUTES`] is all there is; `input.rs` reads requests, `view.rs` writes answers.

#![forbid(unsafe_code)]

mod endpoints;
mod input;
mod messages;
mod tokens;
mod view;
mod watch;

use std::sync::Arc;

use super::problem::Problem;
use super::registry::{Error, Webhooks};
use crate::http::{IntoResponse, Method, Next, Request, Response, Router, StatusCode};

pub use self::tokens::{Scope, Tokens};

/// One thing that can be asked for.
#[derive(Clone)]
#[non_exhaustive]
pub struct Route {
    /// By which method.
    pub method: Method,
    /// At which path, as a [`Router`] writes it.
    pub path: &'static str,
    /// What the token must be good for.
    pub scope: Scope,
    answer: fn(&Api, &mut Request<'_>) -> Answer,
}

/// What handlers share.
struct Api {
    webhooks: Webhooks,
    tokens: Tokens,
}

type Answer = Result<Response, Problem>;

const fn route(
    method: Method,
    path: &'static str,
    scope: Scope,
    answer: fn(&Api, &mut Request<'_>) -> Answer,
) -> Route {
    Route { method, path, scope, answer }
}

use Scope::{Manage, Open, Publish};

/// Where a token may stand in the query.
const CAPABILITY: &str = "/publish";

/// Everything that can be asked for.
pub static ROUTES: &[Route] = &[
    route(Method::GET, "/openapi.json", Open, watch::description),
    route(Method::GET, "/health", Open, watch::health),
    route(Method::POST, "/endpoints", Manage, endpoints::register),
    route(Method::GET, "/endpoints", Manage, endpoints::list),
    route(Method::POST, "/unregister", Manage, endpoints::unregister),
    route(Method::GET, "/endpoints/{id}", Manage, endpoints::get),
    route(Method::DELETE, "/endpoints/{id}", Manage, endpoints::remove),
    route(Method::PUT, "/endpoints/{id}/keys", Manage, endpoints::renew),
    route(Method::PUT, "/endpoints/{id}/settings", Manage, endpoints::configure),
    route(Method::POST, "/endpoints/{id}/pause", Manage, endpoints::pause),
    route(Method::POST, "/endpoints/{id}/enable", Manage, endpoints::enable),
    route(Method::POST, "/endpoints/{id}/ping", Manage, endpoints::ping),
    route(Method::POST, "/endpoints/{id}/challenge", Manage, endpoints::challenge),
    route(Method::GET, "/endpoints/{id}/secret", Manage, endpoints::secret),
    route(Method::POST, "/endpoints/{id}/secret/rotate", Manage, endpoints::rotate),
    route(Method::POST, "/endpoints/{id}/recover", Manage, endpoints::recover),
    route(Method::GET, "/endpoints/{id}/stats", Manage, endpoints::stats),
    route(Method::GET, "/endpoints/{id}/deliveries", Manage, messages::deliveries_to),
    route(Method::POST, "/messages", Publish, messages::publish),
    route(Method::GET, "/messages", Manage, messages::list),
    route(Method::GET, "/messages/{id}", Manage, messages::get),
    route(Method::GET, "/messages/{id}/deliveries", Manage, messages::deliveries_of),
    route(Method::POST, CAPABILITY, Publish, messages::publish_as_skyhooks),
    route(Method::GET, "/deliveries", Manage, messages::deliveries),
    route(Method::GET, "/deliveries/{id}", Manage, messages::delivery),
    route(Method::GET, "/deliveries/{id}/attempts", Manage, messages::attempts),
    route(Method::POST, "/deliveries/{id}/resend", Manage, messages::resend),
    route(Method::GET, "/dead", Manage, messages::dead),
    route(Method::GET, "/stats", Manage, watch::stats),
    route(Method::GET, "/metrics", Manage, watch::metrics),
    route(Method::GET, "/events", Manage, watch::events),
];

/// The API of a registry. Put it below a prefix:
///
/// ```
/// use std::sync::Arc;
/// use sward::http::{Router, testing::Client};
/// use sward::webhook::api::{self, Tokens};
/// use sward::webhook::store::MemoryStore;
/// use sward::webhook::{Config, Webhooks};
///
/// let webhooks = Webhooks::new(Arc::new(MemoryStore::new()), Config::default());
/// let tokens = Tokens::new().manage("secret").publish("less secret");
/// let app = Router::new().nest("/v1", api::routes(&webhooks, tokens));
///
/// let client = Client::new(app);
/// let body = serde_json::json!({"url": "https://example.com/hook", "keys": {"account_id": 42}});
/// let reply = client.post("/v1/endpoints").header("Authorization", "Bearer secret").json(&body).send();
/// assert_eq!(reply.status(), 201);
/// assert_eq!(client.get("/v1/endpoints").send().status(), 401);
/// ```
#[must_use]
pub fn routes(webhooks: &Webhooks, tokens: Tokens) -> Router {
    let api = Arc::new(Api { webhooks: webhooks.clone(), tokens });
    let add = |router: Router, route: &'static Route| {
        let api = api.clone();
        router.route(route.method.clone(), route.path, move |req: &mut Request<'_>| {
            match api.tokens.check(req, route.scope, route.path == CAPABILITY) {
                Ok(()) => (route.answer)(&api, req).into_response(),
                Err(refused) => refused,
            }
        })
    };
    ROUTES
        .iter()
        .fold(Router::new(), add)
        .fallback(|_: &mut Request<'_>| not_found())
        .with(|req: &mut Request<'_>, next: Next<'_>| as_json(next.run(req)))
}

/// What the router says by itself is JSON too.
fn as_json(response: Response) -> Response {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let why = "this method does nothing here";
    let body = Problem::new(response.status(), "method_not_allowed", why).to_json();
    response.body(body).header("content-type", "application/json")
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let status = StatusCode::from_u16(error.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match error {
            Error::Invalid { field, why } => Problem::field(field, why).with_status(status),
            Error::TooLarge { .. } => Problem::new(status, "too_large", error.to_string()),
            Error::NotFound => not_found(),
            Error::Conflict(why) => Problem::new(status, "conflict", why),
            // What the store says is for the log: it may name files and hosts.
            Error::Store(_) => Problem::new(status, "unavailable", "the store failed; try again"),
        }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
