//! The reverse webhook proxy: a request goes on to a backend with a URL to answer at. The backend answers at once, or says that it is
//! thinking (202) and posts the answer to that URL later; either way the client gets it as the answer to its request.
//!
//! And a backend to show it with.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::{Request, Response, Router, StatusCode};
use sward::sync::Mutex;
use sward::sync::mpsc::{Sender, channel};
use sward::thread;
use sward::webhook::MessageId;

use super::client;

/// So many requests that are over are known: what comes late for them is told so.
const REMEMBERED: usize = 1024;

/// Holds requests until their answers come. Clones are the same.
#[derive(Clone)]
pub(crate) struct Gateway {
    held: Arc<Mutex<Held>>,
    /// Where we are, for backends.
    base: String,
    backend: String,
    patience: Duration,
    agent: ureq::Agent,
}

#[derive(Default)]
struct Held {
    waiting: HashMap<String, Sender<Value>>,
    over: VecDeque<String>,
}

impl Gateway {
    pub(crate) fn new(base: &str, backend: &str, patience: Duration) -> Gateway {
        let agent = client::agent(patience);
        Gateway {
            held: Arc::default(),
            base: base.into(),
            backend: backend.into(),
            patience,
            agent,
        }
    }

    /// `GET` and `POST /gateway/{*path}` for clients, `POST /gateway-hooks/{id}` for the backend.
    pub(crate) fn routes(&self, router: Router) -> Router {
        let (get, post, hook) = (self.clone(), self.clone(), self.clone());
        router
            .get("/gateway/{*path}", move |req: &mut Request<'_>| get.forward(req))
            .post("/gateway/{*path}", move |req: &mut Request<'_>| post.forward(req))
            .post("/gateway-hooks/{id}", move |req: &mut Request<'_>| hook.release(req))
    }

    fn forward(&self, req: &mut Request<'_>) -> Result<Response, sward::http::Error> {
        let body = req.bytes()?;
        let id = MessageId::random().to_string();
        let (release, answer) = channel();
        // Before the backend hears of it: it may answer while we still read that it is thinking.
        self.lock().waiting.insert(id.clone(), release);
        let _over = Over { gateway: self, id: &id };
        let (path, query) = (req.param::<String>("path")?, req.query_str().unwrap_or(""));
        let url = format!("{}/{path}?{query}", self.backend);
        let hook = format!("{}/gateway-hooks/{id}", self.base);
        let asked = match req.method().as_str() {
            "GET" => self.agent.get(&url).header("x-webhook-url", &hook).call(),
            _ => self.agent.post(&url).header("x-webhook-url", &hook).send(&body[..]),
        };
        let Ok(mut asked) = asked else {
            return Ok(said(StatusCode::BAD_GATEWAY, "the backend failed"));
        };
        if asked.status() != StatusCode::ACCEPTED {
            let kind = asked.headers().get("content-type").cloned();
            let text = asked.body_mut().read_to_vec().unwrap_or_default();
            let status =
                StatusCode::from_u16(asked.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            let kind = kind.map_or(b"text/plain".to_vec(), |kind| kind.as_bytes().to_vec());
            return Ok(Response::new(status).body(text).header("content-type", kind));
        }
        // No loop, no look-up: it is woken. Who has gone away is not waited for.
        match req.while_connected(|| answer.recv_timeout(self.patience))? {
            Ok(late) => Ok(released(&late)),
            Err(_) => Ok(said(StatusCode::GATEWAY_TIMEOUT, "the backend is still thinking")),
        }
    }

    fn release(&self, req: &mut Request<'_>) -> Result<Response, sward::http::Error> {
        let (id, answer) = (req.param::<String>("id")?, req.json::<Value>()?);
        if !answer.is_object() || answer["status"].as_u64().is_none_or(|n| !(200..600).contains(&n))
        {
            return Ok(said(
                StatusCode::BAD_REQUEST,
                "wanted: {\"status\":200..599,\"headers\":{},\"body\":..}",
            ));
        }
        let mut held = self.lock();
        if let Some(waiting) = held.waiting.remove(&id) {
            held.finish(&id);
            // OK to ignore: the client has gone away in this moment.
            drop(waiting.send(answer));
            return Ok(said(StatusCode::OK, "released"));
        }
        match held.over.contains(&id) {
            true => Ok(said(StatusCode::GONE, "the request is over; this is ignored")),
            false => Ok(said(StatusCode::NOT_FOUND, "there is no such request")),
        }
    }

    fn lock(&self) -> sward::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Held {
    fn finish(&mut self, id: &str) {
        if self.over.len() == REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back(id.to_owned());
    }
}

/// However the request ends: nobody waits for its answer any more.
struct Over<'g> {
    gateway: &'g Gateway,
    id: &'g str,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut held = self.gateway.lock();
        if held.waiting.remove(self.id).is_some() {
            held.finish(self.id);
        }
    }
}

fn released(answer: &Value) -> Response {
    let status = answer["status"].as_u64().and_then(|n| StatusCode::from_u16(n as u16).ok());
    let mut response = Response::new(status.unwrap_or(StatusCode::OK));
    response = match &answer["body"] {
        Value::Null => response,
        Value::String(text) => {
            response.body(text.as_bytes()).header("content-type", "text/plain; charset=utf-8")
        }
        other => response.body(other.to_string()).header("content-type", "application/json"),
    };
    // One header that is known to be harmless; a backend could break the answer by others.
    match answer["headers"]["content-type"].as_str() {
        Some(kind) if kind.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => {
            response.header("content-type", kind)
        }
        _ => response,
    }
}

fn said(status: StatusCode, what: &str) -> Response {
    Response::json(&json!({ "said": what })).with_status(status)
}

/// A backend: `/backend/immediate`; `/backend/deferred?ms=200&times=1`, which thinks for so long and posts so often;
/// `/backend/never`.
pub(crate) fn backend(router: Router) -> Router {
    let accepted =
        || Response::json(&json!({"status": "accepted"})).with_status(StatusCode::ACCEPTED);
    router
        .get("/backend/immediate", |_: &mut Request<'_>| "here is the response\n")
        .get("/backend/never", move |_: &mut Request<'_>| accepted())
        .get("/backend/deferred", move |req: &mut Request<'_>| {
            let (ms, times) =
                (req.query("ms")?.unwrap_or(200_u64), req.query("times")?.unwrap_or(1_u32));
            let hook = req.header("x-webhook-url").unwrap_or_default().to_owned();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(ms.min(60_000)));
                let agent = client::agent(Duration::from_secs(5));
                for n in 1..=times.min(10) {
                    let answer = json!({"status": 200, "body": {"thought_ms": ms, "post": n}});
                    let posted = agent
                        .post(&hook)
                        .header("content-type", "application/json")
                        .send(answer.to_string());
                    println!(
                        "webhooks: the backend's post {n}: {}",
                        posted.map_or_else(|e| e.to_string(), |r| r.status().to_string())
                    );
                }
            });
            Ok::<_, sward::http::Error>(accepted())
        })
}
