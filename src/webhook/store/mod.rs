//! Stores: where endpoints, messages and deliveries are kept, behind one trait.
//!
//! A store decides nothing. When to try again, when to give up, who may register: its callers say so. What it owes them is
//! that each call happens as a whole or not at all, that what a call has returned from is durable in the sense of the store
//! (each says what that is), and that calls from several threads, and from several processes where it allows them, do not
//! lose each other's changes.
//!
//! What it is not: async. A call waits for its disk or its server: it parks a green thread and blocks an OS thread.
//!
//! All stores pass the same battery of tests: `tests/webhook/battery`.

#![forbid(unsafe_code)]

mod memory;
#[cfg(feature = "mongodb")]
mod mongodb;
mod open;
#[cfg(feature = "redis")]
mod redis;
mod sqlite;

use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use self::memory::MemoryStore;
#[cfg(feature = "mongodb")]
pub use self::mongodb::MongoStore;
pub use self::open::open;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::sqlite::{Durability, SqliteOptions, SqliteStore};

use super::id::{DeliveryId, EndpointId, MessageId};
use super::model::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Health, Keys, Message, Settings,
    SigningKey, Subscription,
};
use super::time::Time;

/// Where everything is kept.
///
/// Times are given by the caller, so that a store needs no clock. Lists are in the order of acceptance or registration unless
/// said otherwise, and go on after the id that the last page ended with; after an id that is not there comes nothing. Deliveries
/// are in the order in which their messages were accepted, those of one message in the order in which their endpoints were
/// registered; that is also what "first" means among them, and what decides between two that are due at the same time.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    // Endpoints.

    /// Keeps a new endpoint. If there is one with its URL already, nothing changes and that one is returned, with false.
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)>;

    /// The endpoint with this id.
    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>>;

    /// The endpoint with this URL, compared byte by byte.
    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>>;

    /// At most `limit` endpoints.
    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>>;

    /// Changes what is given of an endpoint; false if there is none. Changing the state to `Disabled` makes its pending deliveries
    /// dead, at the time that the state says; those in flight end as they end.
    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool>;

    /// Removes an endpoint with its subscriptions; false if there was none. What was pending or in flight is cancelled, at `now`;
    /// all its deliveries keep their records until they are pruned.
    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool>;

    // Subscriptions.

    /// The endpoint wants these keys, from `now` until `expires`. Asking again moves both, and adds nothing. Does nothing if
    /// there is no such endpoint.
    fn subscribe(
        &self,
        id: &EndpointId,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Result<()>;

    /// The endpoint no longer wants these keys. Returns how many it had wanted.
    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize>;

    /// What the endpoint subscribes to, lapsed or not, sorted by name and value.
    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>>;

    /// Removes the subscriptions that lapsed at `now` or before. Returns how many. Endpoints stay.
    fn expire(&self, now: Time) -> Result<usize>;

    /// The endpoints, whatever their state, that subscribe to one of these keys and have not lapsed at `now`; each once.
    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>>;

    // Messages.

    /// Accepts a message: it and one pending delivery, due at once, for each endpoint that is active or paused and subscribes
    /// to one of its keys when it was published, all or nothing. If its idempotency key or its id is known, nothing changes, and
    /// what was accepted then is returned; the key counts if they lead to two messages. `extra` endpoints get it whatever they
    /// subscribe to, if they are active or paused.
    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted>;

    /// The message with this id.
    fn message(&self, id: &MessageId) -> Result<Option<Message>>;

    /// At most `limit` messages that were published at `since` or later.
    fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>>;

    /// Forgets idempotency keys of messages published before `keys` (they have none any more), and messages published before
    /// `messages` with all their deliveries and attempts, unless one is pending or in flight. Returns how many messages went.
    fn prune(&self, keys: Time, messages: Time) -> Result<usize>;

    // Deliveries.

    /// Active endpoints that have a delivery due at `now`, without those in `except`, the one that waits longest first; at
    /// most `limit`. Deliveries whose claim has lapsed are due. An ordered endpoint is due only if its first unfinished
    /// delivery is.
    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>>;

    /// When the next delivery of an active endpoint becomes due, claims that lapse included; none if nothing is unfinished. Of
    /// an ordered endpoint its first unfinished delivery counts.
    fn next_due(&self) -> Result<Option<Time>>;

    /// Takes at most `limit` due deliveries of an active endpoint, the ones due longest first, so that nobody else does before
    /// `until`. Of an ordered endpoint: its first unfinished delivery, if it is due, and no other. Counts no attempt.
    fn claim(
        &self,
        endpoint: &EndpointId,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>>;

    /// Ends a claim: keeps the attempt, if one was made, counts it, moves the delivery on, and keeps the endpoint's health.
    /// Returns that health; none if the endpoint or the delivery is gone. A delivery that has been delivered or cancelled
    /// meanwhile keeps its state, and so does one whose endpoint is gone. Of a disabled endpoint, what would be retried is dead.
    fn finish(
        &self,
        delivery: &DeliveryId,
        attempt: Option<&Attempt>,
        next: Next,
    ) -> Result<Option<Health>>;

    /// The delivery with this id.
    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>>;

    /// At most `limit` deliveries that the filter lets through.
    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>>;

    /// The attempts of a delivery, in the order in which they ended.
    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>>;

    /// Makes a finished delivery pending again, due at `now`, with its attempts counted from 0 and its log kept. False if it is
    /// not there, is not finished, or its endpoint is gone.
    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool>;

    /// Resends every dead delivery of an endpoint whose message was published at `since` or later, and delivers to it what it
    /// subscribes to at `now` and has missed since then because it was disabled or not there. Whatever its state: it is attempted
    /// when it is active. Returns how many it made pending; all of them are due at `now`.
    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize>;

    // The whole.

    /// Counts, of one endpoint or of all.
    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals>;

    /// How often to look for what other processes have put in; none: no other process can. 1 s.
    fn poll_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

/// What to change of an endpoint; what is none stays.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of `Endpoint`")]
pub struct Change {
    pub state: Option<EndpointState>,
    pub keys: Option<Vec<SigningKey>>,
    pub settings: Option<Settings>,
    pub health: Option<Health>,
}

/// What became of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The message's id: of the first one, if this was a repetition.
    pub id: MessageId,
    /// How many deliveries it has.
    pub deliveries: usize,
    /// It was known already.
    pub repeated: bool,
}

/// A delivery that is the caller's for a while.
#[derive(Debug, Clone)]
pub struct Claim {
    /// It, in flight.
    pub delivery: Delivery,
    /// What to post.
    pub message: Message,
    /// Where to.
    pub endpoint: Endpoint,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The endpoint has taken it; the endpoint is well.
    Delivered(Time),
    /// Another attempt at this time. The endpoint has failed once more, if an attempt was made.
    Retry(Time),
    /// No further attempt. The endpoint has failed once more, if an attempt was made.
    Dead(Time),
}

/// Which deliveries; what is none does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of this message.
    pub message: Option<MessageId>,
    /// In this state.
    pub state: Option<DeliveryState>,
}

/// How many of everything there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Endpoints. Of one endpoint: 1, or 0 if it is gone.
    pub endpoints: u64,
    /// Subscriptions, lapsed or not.
    pub subscriptions: u64,
    /// Messages kept. Of one endpoint: its deliveries.
    pub messages: u64,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that somebody has claimed.
    pub in_flight: u64,
    /// Deliveries that are done.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
    /// Since when the oldest unfinished delivery is there, whatever its endpoint's state.
    pub oldest: Option<Time>,
    /// What [`Store::next_due`] says; of one endpoint: of that one.
    pub next: Option<Time>,
}

/// Of stores.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store could not do what it was asked for. Nothing has changed then, as far as the store can know.
#[derive(Debug)]
pub struct StoreError {
    doing: &'static str,
    cause: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// `doing` names the call, for people: "claiming deliveries".
    pub fn new(doing: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError { doing, cause: cause.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store failed at {}: {}", self.doing, self.cause)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
