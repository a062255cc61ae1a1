//! Who waits for what on this instance: a topic per account, and one callback in `Hooks` for as long as anybody listens to it.
//! The three ways to listen, which all give the same: SSE, WebSocket, long poll.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::{
    Event, IntoResponse, LongPoll, Request, Response, Sse, SseWriter, StatusCode, WebSocket,
};
use sward::pubsub::{RecvError, Subscriber, Topic};
use sward::sync::Mutex;
use sward::thread;
use sward::webhook::Keys;
use sward::webhook::hooks::{Held, Hooks};
use sward::webhook::store::StoreError;

/// What the store has the accounts under.
pub(crate) const KEY: &str = "account_id";

/// For how long somebody who polls is taken to be there after an answer.
const LINGER: Duration = Duration::from_secs(30);

/// How often a stream with nothing to say looks whether the server stops.
const LOOK: Duration = Duration::from_secs(1);

/// The accounts that somebody listens to. Clones are the same.
#[derive(Clone)]
pub(crate) struct Accounts {
    hooks: Hooks,
    listened: Arc<Mutex<HashMap<String, Weak<Account>>>>,
}

/// One of them. When the last listener drops it, the store hears that nobody here waits any more.
struct Account {
    topic: Topic,
    held: OnceLock<Held>,
}

impl Accounts {
    pub(crate) fn new(hooks: Hooks) -> Accounts {
        Accounts { hooks, listened: Arc::default() }
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        let listened = self.listened.lock().unwrap_or_else(|e| e.into_inner());
        listened.values().filter_map(Weak::upgrade).for_each(|account| account.topic.close());
    }

    fn join(&self, name: &str) -> Result<Arc<Account>, StoreError> {
        let account = {
            let mut listened = self.listened.lock().unwrap_or_else(|e| e.into_inner());
            match listened.get(name).and_then(Weak::upgrade) {
                Some(account) => account,
                None => {
                    listened.retain(|_, account| account.strong_count() > 0);
                    let account =
                        Arc::new(Account { topic: Topic::new(64), held: OnceLock::new() });
                    listened.insert(name.to_owned(), Arc::downgrade(&account));
                    account
                }
            }
        };
        if account.held.get().is_none() {
            let topic = account.topic.clone();
            let tell = move |data: &Value| _ = topic.publish(data.to_string().into_bytes());
            // Two who come at the same moment both register, and one of them lets go again.
            drop(account.held.set(self.hooks.hold(&Keys::new().with(KEY, name), tell)?));
        }
        Ok(account)
    }

    fn joined(&self, req: &Request<'_>) -> Result<Arc<Account>, Response> {
        let name = req.param::<String>("account").map_err(IntoResponse::into_response)?;
        self.join(&name).map_err(|error| {
            eprintln!("webhooks: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, "the store failed\n").into_response()
        })
    }

    /// `GET /accounts/{account}/events`
    pub(crate) fn events(&self, req: &mut Request<'_>) -> Response {
        let account = match self.joined(req) {
            Ok(account) => account,
            Err(response) => return response,
        };
        let results = account.topic.subscribe();
        let events = move |tx: &mut SseWriter<'_, '_>| {
            let _listening = account;
            tx.send(&Event::data("{}").event("ready"))?;
            follow(&results, tx)
        };
        Sse::new(events).into_response()
    }

    /// `GET /accounts/{account}/ws`
    pub(crate) fn websocket(&self, req: &mut Request<'_>) -> Response {
        let account = match self.joined(req) {
            Ok(account) => account,
            Err(response) => return response,
        };
        let results = account.topic.subscribe();
        let mut config = sward::http::ws::Config::default();
        config.origins = sward::http::ws::Origins::Any; // the page of another instance is one of ours
        WebSocket::upgrade_with(&config, req, move |ws: &mut WebSocket<'_>| {
            let _listening = account;
            ws.send_text(json!({"ready": true}).to_string())?;
            talk(results, ws)
        })
    }

    /// `GET /accounts/{account}/poll?cursor=`
    pub(crate) fn poll(&self, req: &mut Request<'_>) -> Response {
        let account = match self.joined(req) {
            Ok(account) => account,
            Err(response) => return response,
        };
        let cursor = match req.query("cursor") {
            // Who has none yet gets one at once, and misses nothing from there.
            Ok(None) => Some(None),
            Ok(Some(cursor)) => Some(Some(cursor)),
            Err(error) => return error.into_response(),
        };
        let (results, cursor) = match cursor.flatten() {
            None => (Vec::new(), account.topic.last_id()),
            Some(cursor) => match LongPoll::new(&account.topic).poll(req, Some(cursor)) {
                Ok(polled) => (polled.messages, polled.cursor),
                Err(gone) => return gone.into_response(), // who went away does not linger
            },
        };
        thread::spawn(move || {
            thread::sleep(LINGER);
            drop(account);
        });
        let results: Vec<Value> =
            results.iter().filter_map(|one| serde_json::from_slice(&one.data).ok()).collect();
        Response::json(&json!({"cursor": cursor, "results": results}))
            .header("cache-control", "no-store")
    }
}

fn follow(results: &Subscriber, tx: &mut SseWriter<'_, '_>) -> io::Result<()> {
    while !tx.is_stopping() {
        match results.recv_timeout(LOOK) {
            Ok(result) => {
                tx.send(&Event::data(String::from_utf8_lossy(&result.data)).event("result"))?
            }
            Err(RecvError::Timeout | RecvError::Lagged { .. }) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Tells results, and hears when the client leaves.
fn talk(results: Subscriber, ws: &mut WebSocket<'_>) -> io::Result<()> {
    let (mut reader, writer) = ws.split();
    thread::scope(|s| {
        let telling = s.spawn(move || -> io::Result<()> {
            loop {
                match results.recv() {
                    Ok(result) => writer.send_text(String::from_utf8_lossy(&result.data))?,
                    Err(RecvError::Lagged { .. }) => {}
                    Err(_) => return writer.close(1001, "the server stops"),
                }
            }
        });
        let heard = loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        telling.cancel();
        _ = telling.join();
        heard
    })
}
