//! [`Hooks`]: callbacks of this process by key, told of by whoever posts to its URL. Together with a store that all processes
//! share it brings a result from where it is made to every process that waits for it: what skyhooks did.
//!
//! A process registers callbacks under keys. The store then has its URL under these keys, with a lease that a timer renews, so
//! that a process that dies is forgotten. Whoever has something to say about a key finds the URLs there and posts
//! `{"keys":{..},"data":..}` to each: [`Poster`] does so from a worker, and `Webhooks::publish` durably.
//!
//! What it is not: durable. A callback that is not there when data comes does not hear of it.
//!
//! To read on: `callbacks.rs` (who is called), `handler.rs` (the HTTP side), `poster.rs` (the worker's side).

#![forbid(unsafe_code)]

mod callbacks;
mod handler;
mod held;
mod poster;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;

use self::callbacks::Callbacks;
pub use self::callbacks::HookId;
pub(crate) use self::handler::{keys_of, read};
pub use self::held::Held;
pub use self::poster::{Form, Posted, Poster};
use super::id::EndpointId;
use super::model::{Endpoint, EndpointState, Health, Keys, SigningKey};
use super::signature::{Secret, Seen, Verifier};
use super::store::{Change, Store, StoreError};
use super::time::Time;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::thread;

/// The callbacks of one process (skyhooks' `WebhookContainer`). Clones are the same.
///
/// ```
/// use sward::http::Router;
/// use sward::webhook::store::MemoryStore;
/// use sward::webhook::{Hooks, Keys};
///
/// sward::run(|| {
///     let store = std::sync::Arc::new(MemoryStore::new());
///     let hooks = Hooks::new(store, "http://10.0.0.7:8000/hooks").start();
///     let app = Router::new().post("/hooks", hooks.handler());
///
///     let (heard, news) = sward::sync::mpsc::channel();
///     let account = Keys::new().with("account_id", "42");
///     let hook = hooks.register(&account, move |data| heard.send(data.clone()).unwrap()).unwrap();
///     assert!(hooks.notify(&account, "done"));
///     assert_eq!(news.recv().unwrap(), "done");
///     hooks.unregister(&account, hook).unwrap();
///     assert!(!hooks.notify(&account, "nobody hears this"));
/// #   drop(app);
/// });
/// ```
#[derive(Clone)]
pub struct Hooks {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    url: String,
    options: Options,
    callbacks: Mutex<Callbacks>,
    /// Held while the store is told. Registering and renewing share it; taking a key away has it alone and looks first
    /// whether the key is wanted again, so that the store ends up with what is here.
    turn: RwLock<()>,
    /// Dropped with us, which ends the renewal.
    renewal: Mutex<Option<Sender<()>>>,
}

struct Options {
    renew_every: Duration,
    lease: Option<Duration>,
    forget_after: u32,
    not_found: bool,
    secret: Option<(String, Verifier)>,
    log: Option<Log>,
}

/// So many messages are known by their ids when they come again.
const REMEMBERED: usize = 10_000;

/// What is told of each step.
type Log = Box<dyn Fn(&str) + Send + Sync>;

impl Hooks {
    /// No callbacks yet, at the URL where [`Hooks::handler`] can be reached from the workers.
    ///
    /// # Panics
    ///
    /// If the URL is empty.
    #[must_use]
    #[track_caller]
    pub fn new(store: Arc<dyn Store>, url: impl Into<String>) -> Hooks {
        let url = url.into();
        assert!(!url.is_empty(), "please provide a webhook URL");
        let options = Options {
            renew_every: Duration::from_secs(120),
            lease: None,
            forget_after: 5,
            not_found: false,
            secret: None,
            log: None,
        };
        let (callbacks, turn, renewal) = (Mutex::default(), RwLock::new(()), Mutex::default());
        Hooks { shared: Arc::new(Shared { store, url, options, callbacks, turn, renewal }) }
    }

    /// Sets how often leases are renewed. Default 120 s.
    ///
    /// # Panics
    ///
    /// This and the other options: after [`Hooks::start`], and when there are clones.
    #[must_use]
    pub fn renew_every(self, every: Duration) -> Hooks {
        self.with(|options| options.renew_every = every)
    }

    /// Sets how long the store believes that we are here without hearing of us. Default three times
    /// [`Hooks::renew_every`].
    #[must_use]
    pub fn lease(self, lease: Duration) -> Hooks {
        self.with(|options| options.lease = Some(lease))
    }

    /// Sets after how many failed posts in a row the store forgets us; the next renewal brings us back, if we live. Default 5.
    #[must_use]
    pub fn forget_after(self, failures: u32) -> Hooks {
        self.with(|options| options.forget_after = failures.max(1))
    }

    /// Sets whether a post that nobody waits for is answered with 404 instead of 200, as skyhooks did before 0.11. Off: such a
    /// post is nothing wrong.
    #[must_use]
    pub fn not_found(self, on: bool) -> Hooks {
        self.with(|options| options.not_found = on)
    }

    /// Sets what posts to us are signed with: the store tells it to those who post, and what is not signed with it, or is a
    /// copy of what has come, is refused with 403 or 409. Without, anybody who can reach us may post: `curl` is enough.
    ///
    /// Instances may have secrets of their own, fresh at every start.
    #[must_use]
    pub fn secret(self, secret: &Secret) -> Hooks {
        let text = secret.public_key().unwrap_or_else(|| secret.to_string());
        let verifier = Verifier::new([text]).expect("a secret has a key to verify by");
        let verifier = verifier.remember(Seen::new(REMEMBERED));
        self.with(|options| options.secret = Some((secret.to_string(), verifier)))
    }

    /// Sets what is told of each step, in skyhooks' words. Default: nobody.
    #[must_use]
    pub fn log(self, log: impl Fn(&str) + Send + Sync + 'static) -> Hooks {
        self.with(|options| options.log = Some(Box::new(log)))
    }

    #[track_caller]
    fn with(mut self, change: impl FnOnce(&mut Options)) -> Hooks {
        let shared = Arc::get_mut(&mut self.shared).expect("options are set before it is shared");
        change(&mut shared.options);
        self
    }

    /// Starts to renew the leases, until the last clone is dropped. A second call changes nothing.
    ///
    /// Without it they lapse, unless somebody calls [`Hooks::renew`].
    #[must_use]
    pub fn start(self) -> Hooks {
        let mut renewal = lock(&self.shared.renewal);
        if renewal.is_none() {
            let (end, ended) = channel();
            *renewal = Some(end);
            let (shared, every) = (Arc::downgrade(&self.shared), self.shared.options.renew_every);
            let renew = move || keep_renewing(&shared, every, &ended);
            let named = thread::Builder::new().name("webhook renewal".into());
            drop(named.spawn(renew).expect("a green thread can be spawned anywhere"));
        }
        drop(renewal);
        self
    }

    /// Calls `callback` with what is posted for each of these keys: for two of them at once, twice. Registered twice, it is
    /// called twice.
    ///
    /// It is called on a green thread of its own, in the order in which things come in, so it may wait; what it waits for
    /// delays nobody else. If it panics, it is called again the next time.
    ///
    /// # Errors
    ///
    /// If the store could not be told; the callback is not registered then.
    pub fn register(
        &self,
        keys: &Keys,
        callback: impl Fn(&Value) + Send + Sync + 'static,
    ) -> Result<HookId, StoreError> {
        Ok(self.hold(keys, callback)?.forever())
    }

    /// The same for as long as the value that is returned is kept. Dropping it does not wait for the store, so it may be
    /// dropped wherever a connection ends.
    ///
    /// # Errors
    ///
    /// As [`Hooks::register`].
    pub fn hold(
        &self,
        keys: &Keys,
        callback: impl Fn(&Value) + Send + Sync + 'static,
    ) -> Result<Held, StoreError> {
        let shared = &*self.shared;
        shared.say(|| format!("Registering webhook for {} {}", Shown(keys), shared.url));
        let id = lock(&shared.callbacks).add(keys, Box::new(callback));
        // Before the store is told, so that it is undone however that ends.
        let held = Held::new(self, keys, id);
        let _turn = shared.turn.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.tell(keys)?;
        Ok(held)
    }

    /// Calls it no longer for these keys. The store forgets those that nobody else here wants. False if it was not
    /// registered for any of them.
    ///
    /// # Errors
    ///
    /// If the store could not be told. The callback is gone all the same; what the store has lapses.
    pub fn unregister(&self, keys: &Keys, id: HookId) -> Result<bool, StoreError> {
        self.shared.say(|| format!("Removing callback for {}", Shown(keys)));
        let (found, emptied) = lock(&self.shared.callbacks).remove(keys, id);
        self.shared.forget(&emptied)?;
        Ok(found)
    }

    /// Calls the callbacks of these keys with `data`, and does not wait for them. True if every one of the keys has a
    /// callback; so without keys it is true.
    pub fn notify(&self, keys: &Keys, data: impl Into<Value>) -> bool {
        let (all, found) = lock(&self.shared.callbacks).find(keys);
        let data = Arc::new(data.into());
        found.iter().for_each(|callback| callback.give(data.clone()));
        all
    }

    /// Renews the leases of all keys that have a callback, now. Returns how many callbacks there are; none: nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// If the store could not be told.
    pub fn renew(&self) -> Result<usize, StoreError> {
        self.shared.renew()
    }

    /// The keys that have a callback here.
    #[must_use]
    pub fn keys(&self) -> Keys {
        lock(&self.shared.callbacks).keys()
    }

    /// How many callbacks there are.
    #[must_use]
    pub fn callbacks(&self) -> usize {
        lock(&self.shared.callbacks).len()
    }

    /// Where the store says that we are.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }
}

impl Shared {
    /// The store has our URL under these keys, for a lease from now on. Every time, since it may have forgotten us.
    fn tell(&self, keys: &Keys) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let lease = self.options.lease.unwrap_or(self.options.renew_every.saturating_mul(3));
        let now = Time::now();
        self.store.subscribe(&self.endpoint()?, keys, now, Some(now + lease))
    }

    /// The store has our URL no longer under those of these keys that still have no callback.
    fn forget(&self, emptied: &Keys) -> Result<(), StoreError> {
        if emptied.is_empty() {
            return Ok(());
        }
        let _turn = self.turn.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let there = lock(&self.callbacks).keys();
        let gone: Keys =
            emptied.iter().filter(|(name, value)| !there.contains(name, value)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.say(|| format!("Removing webhook for {} {}", Shown(&gone), self.url));
        if let Some(endpoint) = self.store.endpoint_at(&self.url)? {
            self.store.unsubscribe(&endpoint.id, &gone)?;
        }
        Ok(())
    }

    /// Our endpoint, there and active.
    fn endpoint(&self) -> Result<EndpointId, StoreError> {
        let mut wanted = Endpoint::new(&self.url);
        wanted.settings.forget_after = Some(self.options.forget_after);
        if let Some((text, _)) = &self.options.secret {
            wanted.keys = vec![SigningKey { text: text.clone(), expires: None }];
        }
        let (endpoint, _) = self.store.add_endpoint(&wanted)?;
        // It failed for too long; but here we are. Or it was one before us, with another secret.
        let revived = matches!(endpoint.state, EndpointState::Disabled { .. });
        let keys = (endpoint.keys != wanted.keys).then_some(wanted.keys);
        if revived || keys.is_some() {
            let state = revived.then_some(EndpointState::Active);
            let health = revived.then(Health::default);
            let change = Change { state, health, keys, ..Change::default() };
            self.store.change_endpoint(&endpoint.id, &change)?;
        }
        Ok(endpoint.id)
    }

    fn renew(&self) -> Result<usize, StoreError> {
        let _turn = self.turn.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (keys, callbacks) = {
            let callbacks = lock(&self.callbacks);
            (callbacks.keys(), callbacks.len())
        };
        if callbacks == 0 {
            self.say(|| "No webhooks to renew.".into());
            return Ok(0);
        }
        self.say(|| "Renewing webhooks.".into());
        self.tell(&keys)?;
        self.say(|| format!("{callbacks} callbacks registered in skyhooks."));
        Ok(callbacks)
    }

    fn say(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.options.log {
            log(&line());
        }
    }
}

/// The next cycle begins when the update of the last is done, or has failed.
fn keep_renewing(shared: &Weak<Shared>, every: Duration, ended: &Receiver<()>) {
    loop {
        match shared.upgrade() {
            Some(shared) => shared.say(|| "Queued webhook renewal cycle.".into()),
            None => return,
        }
        if !matches!(ended.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
            return;
        }
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = shared.renew() {
            shared.say(|| format!("The renewal failed: {error}"));
        }
    }
}

/// Keys as people read them.
struct Shown<'k>(&'k Keys);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("url", &self.shared.url)
            .field("callbacks", &self.callbacks())
            .finish_non_exhaustive()
    }
}
