//! [`Webhooks`]: the registry as programs use it, over any store.
//!
//! What it is not: what delivers, which is in `delivery`; or HTTP, which is in `api`. To read on: `config.rs`, then
//! `register.rs` (who wants what), `endpoints.rs` (what may be done to them), `publish.rs` and `letters.rs` (messages, and what
//! became of them).

#![forbid(unsafe_code)]

mod check;
mod config;
mod endpoints;
mod error;
mod letters;
mod publish;
mod register;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use serde_json::Value;

use super::delivery::{ByHttp, Engine, Post};
use super::metrics::Metrics;
use super::store::{self, Store};
use super::time::Time;
use crate::pubsub::{Subscriber, Topic};
use crate::sync::{Event, Mutex, MutexGuard, PoisonError};

pub use self::config::Config;
pub use self::error::Error;
pub use self::publish::Publication;
pub use self::register::Registration;

/// The registry: endpoints that subscribe to keys, messages published under keys, and what became of each delivery.
///
/// Clones are the same registry. Calls wait for the store: they park a green thread and block an OS thread. Nothing is delivered
/// until somebody calls [`start`](Webhooks::start), in this process or in another one on the same store.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use sward::webhook::store::MemoryStore;
/// use sward::webhook::{Config, Guard, Keys, Publication, Registration, Webhooks};
///
/// sward::run(|| {
///     // Without `allow_loopback` only public addresses are posted to.
///     let config = Config { guard: Guard::default().allow_loopback(), ..Config::default() };
///     let webhooks = Webhooks::new(Arc::new(MemoryStore::new()), config);
///     let account = || Keys::new().with("account_id", "42");
///     let here = Registration::new("http://127.0.0.1:9/hook").keys(account());
///     let (endpoint, new) = webhooks.register(here)?;
///     assert!(new);
///     println!("verify with {}", endpoint.keys[0].text);
///
///     let dispatcher = webhooks.start();
///     let paid = Publication::new(account(), [17]).kind("invoice.paid");
///     assert_eq!(webhooks.publish(paid)?.deliveries, 1);
///     dispatcher.stop(Duration::from_secs(30));
///     Ok::<(), sward::webhook::Error>(())
/// })?;
/// # Ok::<(), sward::webhook::Error>(())
/// ```
#[derive(Clone)]
pub struct Webhooks {
    pub(in crate::webhook) inner: Arc<Inner>,
}

/// What clones share, and the dispatcher with them.
pub(in crate::webhook) struct Inner {
    pub(in crate::webhook) store: Arc<dyn Store>,
    pub(in crate::webhook) config: Config,
    /// What happens, as JSON, for those who watch.
    pub(in crate::webhook) events: Topic,
    pub(in crate::webhook) metrics: Metrics,
    /// What posts.
    pub(in crate::webhook) post: Arc<dyn Post>,
    /// Set, before `wake` is, when something may be due.
    pub(in crate::webhook) look: AtomicBool,
    /// Wakes the dispatcher.
    pub(in crate::webhook) wake: Event,
    /// What delivers, if something does.
    engine: Mutex<Weak<Engine>>,
    /// Held while what was read of an endpoint is changed and written.
    changing: Mutex<()>,
}

impl Webhooks {
    /// The registry that is kept in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: Config) -> Webhooks {
        let post = ByHttp::new(config.client.clone(), config.guard.clone());
        Webhooks::with(store, config, Arc::new(post))
    }

    /// As [`new`](Webhooks::new), posting by other means.
    pub(in crate::webhook) fn with(
        store: Arc<dyn Store>,
        config: Config,
        post: Arc<dyn Post>,
    ) -> Webhooks {
        let events = Topic::new(config.events);
        let inner = Inner {
            store,
            config,
            events,
            metrics: Metrics::default(),
            post,
            look: AtomicBool::new(false),
            wake: Event::new(),
            engine: Mutex::new(Weak::new()),
            changing: Mutex::new(()),
        };
        Webhooks { inner: Arc::new(inner) }
    }

    /// Where everything is kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// What happens in this process from now on, one JSON object each: `{"event": "accepted" | "attempt" | "delivered" | "dead" |
    /// "disabled", "at": ..}` and what it is about. For people who watch, and not for programs that must not miss anything: whoever
    /// falls behind by more than [`Config::events`] is told so and goes on with the newest.
    #[must_use]
    pub fn watch(&self) -> Subscriber {
        self.inner.events.subscribe()
    }

    /// As [`watch`](Webhooks::watch), after the event with this number: for those who come back.
    #[must_use]
    pub fn watch_after(&self, id: u64) -> Subscriber {
        self.inner.events.subscribe_after(id)
    }
}

impl Inner {
    /// Something may be due.
    pub(super) fn nudge(&self) {
        self.look.store(true, SeqCst);
        self.wake.set();
    }

    /// The value, if the store did not fail; counts it if it did.
    pub(in crate::webhook) fn noted<T>(&self, result: store::Result<T>) -> Option<T> {
        if result.is_err() {
            self.metrics.store_failed();
        }
        result.ok()
    }

    /// What delivers, if something does.
    pub(in crate::webhook) fn engine(&self) -> Option<Arc<Engine>> {
        locked(&self.engine).upgrade()
    }

    /// This delivers from now on; false if another one does.
    pub(in crate::webhook) fn attach(&self, engine: &Arc<Engine>) -> bool {
        let mut there = locked(&self.engine);
        let free = there.strong_count() == 0;
        if free {
            *there = Arc::downgrade(engine);
        }
        free
    }

    /// Nothing delivers any more.
    pub(in crate::webhook) fn detach(&self) {
        *locked(&self.engine) = Weak::new();
    }

    /// One at a time reads an endpoint, changes it and writes it.
    fn changing(&self) -> MutexGuard<'_, ()> {
        locked(&self.changing)
    }

    /// Tells those who watch, if there are any: nothing is written for nobody.
    pub(in crate::webhook) fn tell(&self, event: &str, at: Time, about: impl FnOnce() -> Value) {
        if self.events.subscribers() == 0 {
            return;
        }
        let mut frame = about();
        frame["event"] = event.into();
        frame["at"] = at.to_string().into();
        self.events.publish(frame.to_string().into_bytes());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("store", &self.inner.store)
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
