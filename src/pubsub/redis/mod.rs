//! The topics of many machines: [`Redis`], a [`Bus`] over one Redis server.
//!
//! ```no_run
//! use sward::http::{Event, Request, Router, Sse};
//! use sward::pubsub::redis::Redis;
//! use sward::pubsub::{Bus, Message};
//!
//! fn event(message: &Message) -> Vec<u8> {
//!     let text = String::from_utf8_lossy(&message.data);
//!     Event::data(text).id(message.event_id.to_string()).encode()
//! }
//!
//! let bus = Redis::connect("redis://127.0.0.1/")?;
//! let theirs = bus.clone();
//! let app = Router::new()
//!     .get("/accounts/{id}/events", move |req: &mut Request| {
//!         let topic = theirs.topic(&req.param::<String>("id")?)?;
//!         Ok::<_, sward::http::Error>(Sse::follow(&topic).encode(event).resume(req))
//!     });
//! bus.publish("42", b"for the users of account 42, whichever instance they are on"[..].into())?;
//! # drop(app);
//! # Ok::<(), sward::pubsub::BusError>(())
//! ```
//!
//! # How
//! A topic is a stream of Redis, for replay, and a channel of its publish/subscribe, for what is live; a script adds to the one
//! and announces on the other at once, so that both have the same order. Ids are the stream's: `epoch-seq`, where `seq` grows by 1,
//! so that everybody sees from two ids whether something is missing between them. The epoch changes when a stream begins
//! anew, and when the server was restarted.
//!
//! ```text
//!   publish ──► writer: a thread, a connection,      ┌─ stream  sward:t:NAME ── replay ──┐
//!               whatever waits in one script   ──►   └─ channel sward:t:NAME ── live ──► reader: a thread, two connections,
//!                                                                                        feeds the topics of this process
//! ```
//!
//! However many subscribers a process has, it has three connections, and Redis sends it each message once; and only those of
//! topics that somebody here uses. A subscriber is a cursor into the ring of its topic, as always.
//!
//! The `redis` crate does plain blocking I/O, and does it here on two OS threads of the bus's own: it needs no
//! `patch::install`, and blocks no worker. Who publishes, or asks for a topic that this process does not have yet, is parked
//! until the answer comes. All of it can be used from OS threads as well, inside a runtime and outside.
//!
//! # What is promised
//! - A subscriber misses nothing and gets nothing twice, as long as what it has not got is among the stream's newest
//!   [`history`](Builder::history) entries: when connections break, when Redis is restarted, when a client comes back to another
//!   instance. When it is not, it is told, by [`RecvError::Lagged`](super::RecvError::Lagged).
//! - So it is when Redis lost messages: when it comes back empty or with an older state. Who has seen what Redis does not know any
//!   more is told. What was lost before this process saw it, nobody can tell.
//! - Publishing is tried again over new connections for as long as it may take ([`patience`](Builder::patience)), and is done
//!   once, whatever the connections do: Redis remembers a writer's last batch.
//!
//! How much Redis itself can lose is its setting: with `appendfsync always` nothing that was published; with `everysec` the last
//! second or two, of a SIGKILL as well if the disk is busy; without a file everything. With replicas, what the new master did not
//! have yet.
//!
//! # What it is not
//! For Redis Cluster, nor for TLS to Redis (use a tunnel), nor for Redis before 5.0. To read on: `publish.lua`, `writer.rs`,
//! `reader.rs`.

#![forbid(unsafe_code)]

mod local;
mod reader;
mod wire;
mod writer;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use self::local::Local;
use self::writer::Outgoing;
use super::bus::{Bus, BusError};
use super::event_id::EventId;
use super::topic::{Topic, Upstream};
use crate::blocking::os_thread;

/// How long an instance's word on who is there holds.
const PRESENCE: Duration = Duration::from_secs(15);

/// Topics by name, over a Redis server; see the [module](self). Clones are the same bus; when the last is dropped, what was
/// handed in is still published, topics are closed and the connections go.
#[derive(Clone)]
pub struct Redis {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

/// What the handles and the two threads share.
struct Shared {
    settings: Settings,
    client: ::redis::Client,
    /// This instance's name at the server.
    name: String,
    outgoing: Outgoing,
    local: Local,
}

#[derive(Debug, Clone)]
struct Settings {
    prefix: String,
    history: usize,
    keep_for: Duration,
    patience: Duration,
    holds: usize,
}

/// Settings of a [`Redis`], with what holds where nothing is said.
#[derive(Debug, Clone)]
#[must_use = "call connect"]
pub struct Builder {
    url: String,
    settings: Settings,
}

impl Builder {
    /// Sets with what all keys and channels begin. Default `sward`.
    ///
    /// All instances of one program say the same. They are `PREFIX:t:TOPIC` (streams and channels), `PREFIX:h:TOPIC` (who is
    /// there), `PREFIX:state`, and `PREFIX:w:`, `PREFIX:c:` with an instance's name.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Builder {
        self.settings.prefix = prefix.into();
        self
    }

    /// Sets how many messages of a topic are kept for those who come back: at least so many by Redis, and so many in the memory of each
    /// process in which somebody uses the topic. 0 counts as 1. Default 1,000.
    pub fn history(mut self, messages: usize) -> Builder {
        self.settings.history = messages.max(1);
        self
    }

    /// Sets how long Redis keeps a topic after the last message, and after the last subscriber. Default 1 h.
    pub fn keep_for(mut self, time: Duration) -> Builder {
        self.settings.keep_for = time;
        self
    }

    /// Sets how long a call waits for Redis, new connections included. Default 5 s.
    pub fn patience(mut self, time: Duration) -> Builder {
        self.settings.patience = time.max(Duration::from_millis(1));
        self
    }

    /// Sets how many messages may wait for Redis; further ones are refused, as [`Full`](BusError::Full). Default 10,000.
    pub fn holds(mut self, messages: usize) -> Builder {
        self.settings.holds = messages.max(1);
        self
    }

    /// Starts the bus. It does not wait for Redis: that may come later, and go and come back.
    ///
    /// # Errors
    /// [`Refused`](BusError::Refused) if the URL is none of Redis, or a thread cannot be started.
    pub fn connect(self) -> Result<Redis, BusError> {
        let refused = |error: &dyn fmt::Display| BusError::Refused(error.to_string());
        let shared = Arc::new(Shared {
            client: wire::client(&self.url).map_err(|error| refused(&error))?,
            settings: self.settings,
            name: format!("{:016x}", wire::random()),
            outgoing: Outgoing::default(),
            local: Local::default(),
        });
        // From here on an early end stops what has been started.
        let redis = Redis { handle: Arc::new(Handle { shared: shared.clone() }) };
        let (theirs, name) = (shared.clone(), "sward-redis-out");
        os_thread(name, move || writer::run(&theirs)).map_err(|error| refused(&error))?;
        os_thread("sward-redis-in", move || reader::run(&shared))
            .map_err(|error| refused(&error))?;
        Ok(redis)
    }
}

impl Redis {
    /// A bus over the server at `url` (`redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `unix://PATH`), with the defaults.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub fn connect(url: &str) -> Result<Redis, BusError> {
        Redis::builder(url).connect()
    }

    /// The same with settings.
    pub fn builder(url: &str) -> Builder {
        let settings = Settings {
            prefix: "sward".into(),
            history: 1000,
            keep_for: Duration::from_secs(3600),
            patience: Duration::from_secs(5),
            holds: 10_000,
        };
        Builder { url: url.into(), settings }
    }

    /// Whether messages arrive at this moment, as far as is known. For a health check; nothing depends on it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared().local.is_connected()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Bus for Redis {
    /// Parks until Redis has it.
    fn publish(&self, topic: &str, data: Arc<[u8]>) -> Result<EventId, BusError> {
        let shared = self.shared();
        let slot = shared.outgoing.publish(shared.stream(topic), data, shared.settings.holds)?;
        slot.wait(shared.deadline())
    }

    /// Parks if this process does not have it yet.
    fn topic(&self, name: &str) -> Result<Topic, BusError> {
        let shared = self.shared();
        if let Some(topic) = shared.local.get(name)? {
            return Ok(topic);
        }
        let upstream: Weak<Shared> = Arc::downgrade(shared);
        let fresh = || Topic::fed(shared.settings.history, upstream);
        let topic = shared.local.want(name, fresh)?;
        shared.outgoing.poke();
        shared.local.wait_for(name, shared.deadline())?;
        Ok(topic)
    }

    /// Parks until Redis has said it. What other instances have is a few seconds old, and 15 s if one has died.
    fn present(&self, topic: &str) -> Result<u64, BusError> {
        let shared = self.shared();
        let slot = shared.outgoing.count(shared.hash(topic))?;
        let others = slot.wait(shared.deadline())?;
        Ok(others + shared.local.subscribers(topic) as u64)
    }
}

impl Shared {
    fn stream(&self, topic: &str) -> String {
        format!("{}:t:{topic}", self.settings.prefix)
    }

    fn hash(&self, topic: &str) -> String {
        format!("{}:h:{topic}", self.settings.prefix)
    }

    /// On which the reader hears from the writer.
    fn calls(&self) -> String {
        format!("{}:c:{}", self.settings.prefix, self.name)
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.settings.patience).unwrap_or(now + Duration::from_secs(1 << 30))
    }
}

impl Upstream for Shared {
    fn settle(&self) {
        let ticket = self.local.ask();
        self.outgoing.poke();
        self.local.wait_until_settled(ticket, self.deadline());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.local.close();
        self.shared.outgoing.close();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("settings", &self.shared().settings)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
