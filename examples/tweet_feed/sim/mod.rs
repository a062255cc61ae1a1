//! A simulated upstream: an HTTP server on a loopback port that speaks X's v2 filtered stream, with
//! made-up people, and that can be broken on purpose. Built on sward itself, so the program needs
//! neither an account nor a network.
//!
//! Read in this order: `people.rs` and `talk.rs` (who says what), `rules.rs` (the rule language), `api.rs` (the rules'
//! endpoints), `stream.rs` (the stream), `mastodon.rs` (the same in Mastodon's dialect), `fault.rs` (what
//! can go wrong).

#![forbid(unsafe_code)]

pub(crate) mod api;
pub(crate) mod fault;
pub(crate) mod mastodon;
pub(crate) mod people;
pub(crate) mod rules;
pub(crate) mod stream;
pub(crate) mod talk;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sward::http::{Request, Response, Router, Server, ServerHandle, StatusCode};
use sward::sync::{Condvar, Mutex, MutexGuard};
use sward::thread;

use fault::Faults;
use rules::Rule;
use talk::{Rng, Talk};

/// How the simulator behaves.
#[derive(Clone, Debug)]
pub(crate) struct SimConfig {
    /// Posts per second.
    pub(crate) rate: f64,
    pub(crate) seed: u64,
    /// Multiplies the keep-alive interval.
    pub(crate) time_scale: f64,
    /// The bearer token that it accepts.
    pub(crate) token: String,
}

/// A running simulator.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) addr: SocketAddr,
    handle: ServerHandle,
    world: Arc<World>,
}

/// What all its handlers share.
#[derive(Debug)]
pub(crate) struct World {
    config: SimConfig,
    start: Instant,
    state: Mutex<State>,
    /// Rung when a fault is ordered, so that a stream that waits for its next post hears of it.
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    rules: Vec<StoredRule>,
    next_rule: u64,
    talk: Talk,
    pace: Rng,
    /// The number of the stream that has the one connection which the upstream allows.
    holder: Option<u64>,
    streams: u64,
    /// What was sent lately, for `backfill_minutes`: when, and the line.
    recent: VecDeque<(i64, String)>,
    faults: Faults,
    /// When somebody asked for the stream, in ms since the start, and the status they got.
    visits: Vec<(u64, u16)>,
    ended: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredRule {
    id: u64,
    value: String,
    tag: String,
    rule: Rule,
}

impl Sim {
    /// Binds `addr` (a loopback address; port 0 picks a free one) and serves on a green thread of
    /// its own.
    pub(crate) fn start(addr: &str, config: SimConfig) -> io::Result<Sim> {
        let world = Arc::new(World::new(config));
        let server = Server::bind(addr)?;
        let sim = Sim { addr: server.local_addr()?, handle: server.handle(), world: world.clone() };
        thread::Builder::new().name("sim".into()).spawn(move || {
            if let Err(error) = server.serve(routes(&world)) {
                eprintln!("tweet_feed: the simulator stopped: {error}");
            }
        })?;
        Ok(sim)
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Ends the streams and then the server.
    pub(crate) fn stop(&self) {
        self.world.lock().ended = true;
        self.world.changed.notify_all();
        self.handle.shutdown();
    }
}

impl World {
    fn new(config: SimConfig) -> World {
        let state = State {
            rules: Vec::new(),
            next_rule: 1_800_000_000_000_000_001,
            talk: Talk::new(config.seed),
            pace: Rng::new(config.seed ^ 0x5eed),
            holder: None,
            streams: 0,
            recent: VecDeque::new(),
            faults: Faults::default(),
            visits: Vec::new(),
            ended: false,
        };
        World { config, start: Instant::now(), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// `None` if the bearer token is right, else the answer.
    fn refuse(&self, req: &Request<'_>) -> Option<Response> {
        let token = req.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        if token == Some(self.config.token.as_str()) {
            return None;
        }
        let why = json!({"title": "Unauthorized", "type": "about:blank", "status": 401,
            "detail": "Unauthorized"});
        Some(answer(401, &why))
    }
}

fn routes(world: &Arc<World>) -> Router {
    const STREAM: &str = "/2/tweets/search/stream";
    const RULES: &str = "/2/tweets/search/stream/rules";
    let with = |handler: fn(&Arc<World>, &mut Request<'_>) -> Response| {
        let world = world.clone();
        move |req: &mut Request<'_>| handler(&world, req)
    };
    Router::new()
        .get(STREAM, with(stream::open))
        .get(RULES, with(api::list))
        .post(RULES, with(api::change))
        .get("/api/v1/streaming/public", with(mastodon::public))
        .get("/api/v1/streaming/hashtag", with(mastodon::hashtag))
        .post("/sim/fault", with(fault::order))
        .get("/sim/connections", with(visits))
}

/// `GET /sim/connections`: when the stream was asked for, to check a client's back-off.
fn visits(world: &Arc<World>, _req: &mut Request<'_>) -> Response {
    let visits = world.lock().visits.clone();
    let list: Vec<Value> =
        visits.iter().map(|(at, status)| json!({"at_ms": at, "status": status})).collect();
    answer(200, &Value::Array(list))
}

fn answer(status: u16, body: &Value) -> Response {
    // OK because every status in this folder is written out in its code, or was checked in `fault.rs`.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::json(body).with_status(status)
}
