//! A receiver that answers as it is told and remembers what it was posted; and registries to go with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sward::http::{Request, Response, Server, ServerHandle, StatusCode};
use sward::webhook::store::{MemoryStore, Store};
use sward::webhook::{
    Config, DeliveryId, DeliveryState, Endpoint, EndpointId, Guard, Keys, MessageId, Publication,
    Registration, Schedule, Webhooks,
};

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// The how-manieth time this message came here; from 1.
    pub(crate) time: usize,
}

impl Posted {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// A server on a port of its own. Ends when dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Posted>>>,
    handle: ServerHandle,
}

impl Receiver {
    /// Answers each post with what `answer` says.
    pub(crate) fn start(answer: impl Fn(&Posted) -> Response + Send + Sync + 'static) -> Receiver {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", server.local_addr().unwrap());
        let (handle, heard) = (server.handle(), Arc::new(Mutex::new(Vec::new())));
        let theirs: Arc<Mutex<Vec<Posted>>> = Arc::clone(&heard);
        sward::thread::spawn(move || {
            server.serve(move |req: &mut Request| {
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                let mut posted = Posted {
                    path: req.uri().to_owned(),
                    headers: req.headers().map(|(k, v)| (k.to_lowercase(), text(v))).collect(),
                    body: req.bytes().unwrap(),
                    at: Instant::now(),
                    time: 1,
                };
                if let Some(id) = posted.headers.get("webhook-id") {
                    let mut heard = theirs.lock().unwrap();
                    posted.time += heard.iter().filter(|other| other.id() == id).count();
                    heard.push(posted.clone());
                }
                answer(&posted)
            })
        });
        Receiver { url, heard, handle }
    }

    /// Answers all posts with this status.
    pub(crate) fn saying(status: u16) -> Receiver {
        Receiver::start(move |_| answer(status))
    }

    /// What was posted, in the order in which it came.
    pub(crate) fn heard(&self) -> Vec<Posted> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.handle.shutdown_now();
    }
}

pub(crate) fn answer(status: u16) -> Response {
    Response::new(StatusCode::from_u16(status).unwrap())
}

/// Waits until it is so; how long it may take does not matter.
#[track_caller]
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        sward::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn account(value: &str) -> Keys {
    Keys::new().with("account_id", value)
}

/// For the loopback: three attempts within no time, and nothing that holds an endpoint back.
pub(crate) fn config() -> Config {
    let mut config = Config {
        guard: Guard::default().allow_loopback(),
        schedule: Schedule::new([ms(10), ms(20)]),
        breaker: None,
        ..Config::default()
    };
    config.client.total_timeout = Duration::from_secs(20);
    config
}

pub(crate) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// An empty registry in memory.
pub(crate) fn webhooks(config: Config) -> Webhooks {
    Webhooks::new(memory(), config)
}

/// This URL wants what is published for account 1.
pub(crate) fn register(webhooks: &Webhooks, url: &str) -> Endpoint {
    webhooks.register(Registration::new(url).keys(account("1"))).unwrap().0
}

/// Something for account 1.
pub(crate) fn publish(webhooks: &Webhooks, n: usize) -> MessageId {
    webhooks.publish(Publication::new(account("1"), n)).unwrap().id
}

pub(crate) fn state(webhooks: &Webhooks, message: &MessageId, to: &EndpointId) -> DeliveryState {
    webhooks.delivery(&DeliveryId::of(message, to)).unwrap().state
}

/// Waits until the delivery is in this state.
#[track_caller]
pub(crate) fn becomes(
    webhooks: &Webhooks,
    message: &MessageId,
    to: &EndpointId,
    wanted: DeliveryState,
) {
    eventually(&format!("{wanted:?}"), || state(webhooks, message, to) == wanted);
}
