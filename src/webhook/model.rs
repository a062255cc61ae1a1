//! The nouns: endpoint, keys, message, delivery, attempt. Values only; what may happen to them is in `store`.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{DeliveryId, EndpointId, MessageId};
use super::store::Next;
use super::time::Time;

/// Names with values, several of each: what an endpoint subscribes to, and what a message is published under. They match if
/// they have a value of the same name in common.
///
/// ```
/// use sward::webhook::Keys;
///
/// let keys = Keys::new().with("account_id", "42").with("user_id", "7").with("user_id", "8");
/// assert_eq!(keys.iter().count(), 3);
/// assert!(keys.contains("user_id", "8"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keys(BTreeMap<String, BTreeSet<String>>);

impl Keys {
    /// None.
    #[must_use]
    pub fn new() -> Keys {
        Keys::default()
    }

    /// With one value more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Keys {
        self.insert(name, value);
        self
    }

    /// Adds a value; false if it was there.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> bool {
        self.0.entry(name.into()).or_default().insert(value.into())
    }

    /// Takes a value out; false if it was not there.
    pub fn remove(&mut self, name: &str, value: &str) -> bool {
        let Some(values) = self.0.get_mut(name) else { return false };
        let was = values.remove(value);
        if values.is_empty() {
            self.0.remove(name);
        }
        was
    }

    /// Whether the value is there.
    #[must_use]
    pub fn contains(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|values| values.contains(value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every name with every one of its values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str())))
    }

    /// Every name with its values, sorted.
    pub fn names(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(name, values)| (name.as_str(), values))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Keys {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Keys {
        pairs.into_iter().fold(Keys::new(), |keys, (name, value)| keys.with(name, value))
    }
}

/// A URL that messages are posted to. There is one endpoint per URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// Where to post: `http` or `https`.
    pub url: String,
    /// Since when it is there.
    pub created: Time,
    /// Whether it is posted to.
    pub state: EndpointState,
    /// What its deliveries are signed with, the newest first. Each that has not expired signs; none: nothing is signed.
    pub keys: Vec<SigningKey>,
    /// What its owner chose.
    pub settings: Settings,
    /// How it has been doing.
    pub health: Health,
}

impl Endpoint {
    /// An active endpoint with a new id, no keys to sign with, and the default settings.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Endpoint {
        Endpoint {
            id: EndpointId::random(),
            url: url.into(),
            created: Time::now(),
            state: EndpointState::Active,
            keys: Vec::new(),
            settings: Settings::default(),
            health: Health::default(),
        }
    }
}

/// Whether an endpoint is posted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndpointState {
    /// It is.
    Active,
    /// Not yet: it has not answered the challenge that shows that its owner wants this. It gets no messages.
    Unverified,
    /// Its owner wants a pause: messages are kept for it, and delivered when it is active again.
    Paused,
    /// It failed for too long, or said that it is gone (410). It gets no messages, and what was not delivered is dead.
    Disabled {
        /// Why, for its owner.
        why: String,
        /// Since when.
        at: Time,
    },
}

impl EndpointState {
    /// Its name, as JSON and stores have it: `active`, `unverified`, `paused`, `disabled`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            EndpointState::Active => "active",
            EndpointState::Unverified => "unverified",
            EndpointState::Paused => "paused",
            EndpointState::Disabled { .. } => "disabled",
        }
    }
}

/// A key to sign with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// As Standard Webhooks writes it: `whsec_...` (HMAC-SHA256) or `whsk_...` (Ed25519).
    pub text: String,
    /// Until when it signs beside its successor; the newest has none.
    pub expires: Option<Time>,
}

/// What an endpoint's owner chose.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// What it is, for people.
    pub description: String,
    /// Deliver one message at a time, in the order in which they were accepted; a failure holds up what comes after it. Off.
    pub ordered: bool,
    /// At most so many deliveries at once; without, the registry's limit.
    pub max_in_flight: Option<u32>,
    /// At most so many attempts in a time; without, the registry's limit.
    pub rate: Option<Rate>,
    /// Remove it after so many attempts failed in a row: for instances that register themselves and will again. Without, it
    /// is disabled, after the registry's time, and stays.
    pub forget_after: Option<u32>,
}

/// At most `count` in `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many. At least 1.
    pub count: u32,
    /// In which time. More than zero.
    pub period: Duration,
}

/// How an endpoint has been doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Attempts that failed since the last that did not.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Time>,
    /// When the last attempt succeeded.
    pub last_success: Option<Time>,
}

impl Health {
    /// After an attempt that ended so, or after none. Pure; stores keep what it says.
    pub(super) fn after(self, attempt: Option<&Attempt>, next: Next) -> Health {
        match (next, attempt) {
            (Next::Delivered(at), _) => Health { last_success: Some(at), ..Health::default() },
            (_, None) => self,
            (_, Some(attempt)) => Health {
                failures: self.failures.saturating_add(1),
                failing_since: self.failing_since.or(Some(attempt.at)),
                last_success: self.last_success,
            },
        }
    }
}

/// That an endpoint wants the messages of one value of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Who.
    pub endpoint: EndpointId,
    /// The key's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was last asked for.
    pub updated: Time,
    /// When it ends by itself, unless it is asked for again. Without, it does not.
    pub expires: Option<Time>,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name, the same in every attempt: what receivers tell doubles by.
    pub id: MessageId,
    /// When it was accepted.
    pub published: Time,
    /// What it is about, as a dotted name (`invoice.paid`). May be empty.
    pub kind: String,
    /// Who it is for.
    pub keys: Keys,
    /// The bytes that are posted.
    pub body: Arc<[u8]>,
    /// Their type.
    pub content_type: String,
    /// Publishing again under the same key is the same message, for as long as the registry remembers.
    pub idempotency_key: Option<String>,
}

/// A message on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// What.
    pub message: MessageId,
    /// To whom.
    pub endpoint: EndpointId,
    /// How far it is.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the next attempt is due; of one in flight, when its claim lapses; else, when it ended.
    pub due: Time,
    /// Since when it is there.
    pub created: Time,
}

impl Delivery {
    /// The delivery of `message` to `endpoint`, to be attempted from `due` on.
    #[must_use]
    pub fn new(message: &MessageId, endpoint: &EndpointId, due: Time) -> Delivery {
        Delivery {
            id: DeliveryId::of(message, endpoint),
            message: message.clone(),
            endpoint: endpoint.clone(),
            state: DeliveryState::Pending,
            attempts: 0,
            due,
            created: due,
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// Waits for its next attempt.
    Pending,
    /// Is being attempted by whoever claimed it.
    InFlight,
    /// The endpoint has taken it.
    Delivered,
    /// A dead letter: no attempt is left. It can be sent again.
    Dead,
    /// The endpoint was removed before it was delivered.
    Cancelled,
}

impl DeliveryState {
    /// Its name, as JSON and stores have it: `pending`, `in_flight`, `delivered`, `dead`, `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::InFlight => "in_flight",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Cancelled => "cancelled",
        }
    }
}

/// One try, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// The first is 1.
    pub number: u32,
    /// When it began.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// The address that was dialled, if it came to that.
    pub address: Option<String>,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// Why it failed, for people; none if it succeeded.
    pub error: Option<String>,
    /// The beginning of the answer's body, as far as it is UTF-8.
    pub response: String,
    /// Whether the answer was longer.
    pub truncated: bool,
}
