//! [`Poster`]: a worker tells everybody who waits for a result, at once and directly, as skyhooks' workers did.
//!
//! What it is not: durable. A post that fails is not made again; that is what `Webhooks::publish` is for, whose messages the
//! same instances understand.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::thread;
use crate::webhook::client::{Answer, Client};
use crate::webhook::id::MessageId;
use crate::webhook::model::{Endpoint, EndpointState, Health, Keys};
use crate::webhook::signature::{self, Secret, sign};
use crate::webhook::store::{Change, Store, StoreError};
use crate::webhook::time::Time;

/// Posts at once to at most so many.
const AT_ONCE: usize = 64;

/// Posts to every URL that the store has for some keys.
///
/// ```
/// use std::sync::Arc;
/// use sward::webhook::hooks::Poster;
/// use sward::webhook::store::MemoryStore;
/// use sward::webhook::{Client, ClientConfig, Guard, Keys};
///
/// let store = Arc::new(MemoryStore::new());
/// let client = Client::new(ClientConfig::default(), Guard::default().allow("10.0.0.0/8").unwrap());
/// let poster = Poster::new(store, client);
/// let posted = poster.post(&Keys::new().with("account_id", "42"), &"done".into()).unwrap();
/// assert!(posted.is_empty(), "nobody has registered");
/// ```
#[derive(Clone)]
pub struct Poster {
    store: Arc<dyn Store>,
    client: Client,
    form: Form,
    forget_after: u32,
}

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Form {
    /// `{"keys":{..},"data":..}`.
    #[default]
    Skyhooks,
    /// The data alone: an object as a form, anything else as JSON. The form before skyhooks had one.
    Data,
}

/// One post that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posted {
    /// Where to.
    pub url: String,
    /// What came back.
    pub answer: Answer,
    /// It has failed so often, or said that it is gone (410), that the store has forgotten it.
    pub forgotten: bool,
}

impl Posted {
    /// Whether it was taken: answered with a 2xx.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(&self.answer.result, Ok(reply) if (200..300).contains(&reply.status))
    }
}

impl Poster {
    /// Posts by `client` to what `store` has.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, client: Client) -> Poster {
        Poster { store, client, form: Form::default(), forget_after: 5 }
    }

    /// Sets what is posted. Default [`Form::Skyhooks`].
    #[must_use]
    pub fn form(self, form: Form) -> Poster {
        Poster { form, ..self }
    }

    /// Sets after how many failures in a row a URL is forgotten that has not chosen it for itself. Default 5.
    #[must_use]
    pub fn forget_after(self, failures: u32) -> Poster {
        Poster { forget_after: failures.max(1), ..self }
    }

    /// Posts `data` to every URL that is registered for one of `keys`: once to each, to all at the same time, and waits for
    /// the answers. Data that are nothing (null, `""`, `[]`, `{}`) are not posted. If the instance has a secret, the post is
    /// signed.
    ///
    /// # Errors
    ///
    /// If the store could not be asked; nothing is posted then. That an answer could not be noted is no error.
    pub fn post(&self, keys: &Keys, data: &Value) -> Result<Vec<Posted>, StoreError> {
        if is_nothing(data) {
            return Ok(Vec::new());
        }
        let mut endpoints = self.store.matching(keys, Time::now())?;
        endpoints.retain(|endpoint| endpoint.state == EndpointState::Active);
        let (kind, body) = self.body(keys, data);
        let mut posted = Vec::with_capacity(endpoints.len());
        for some in endpoints.chunks(AT_ONCE) {
            let body = &body;
            thread::scope(|s| {
                let one = |endpoint| s.spawn(move || self.post_to(endpoint, kind, body));
                let posts: Vec<_> = some.iter().map(one).collect();
                // OK to unwrap: nothing in it panics.
                posted.extend(posts.into_iter().map(|post| post.join().expect("a post")));
            });
        }
        Ok(posted)
    }

    /// Removes what the store has of instances that are gone: leases that lapsed. Returns how many. (`Webhooks` does so by
    /// itself.)
    ///
    /// # Errors
    ///
    /// If the store could not.
    pub fn clean(&self) -> Result<usize, StoreError> {
        self.store.expire(Time::now())
    }

    fn body(&self, keys: &Keys, data: &Value) -> (&'static str, String) {
        match (self.form, data) {
            (Form::Data, Value::Object(fields)) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    match value {
                        Value::String(text) => form.append_pair(name, text),
                        value => form.append_pair(name, &value.to_string()),
                    };
                }
                ("application/x-www-form-urlencoded", form.finish())
            }
            (Form::Data, data) => ("application/json", data.to_string()),
            (Form::Skyhooks, data) => {
                ("application/json", json!({"keys": named(keys), "data": data}).to_string())
            }
        }
    }

    fn post_to(&self, endpoint: &Endpoint, kind: &str, body: &str) -> Posted {
        let now = Time::now();
        let (id, seconds) = (MessageId::random(), now.as_secs().to_string());
        let fresh = endpoint.keys.iter().filter(|key| key.expires.is_none_or(|at| at > now));
        let secrets: Vec<_> = fresh.filter_map(|key| Secret::parse(&key.text).ok()).collect();
        let signature = sign(&secrets, id.as_str(), now.as_secs(), body.as_bytes());
        let mut headers = vec![("content-type", kind), (signature::ID, id.as_str())];
        if !secrets.is_empty() {
            headers.push((signature::TIMESTAMP, &seconds));
            headers.push((signature::SIGNATURE, &signature));
        }
        let answer = self.client.post(&endpoint.url, &headers, body.as_bytes());
        let mut posted = Posted { url: endpoint.url.clone(), answer, forgotten: false };
        // OK to ignore: it is counted the next time.
        posted.forgotten = self.note(endpoint, &posted).unwrap_or(false);
        posted
    }

    /// Keeps how it went; true if the endpoint is forgotten.
    fn note(&self, endpoint: &Endpoint, posted: &Posted) -> Result<bool, StoreError> {
        let (now, health) = (Time::now(), endpoint.health);
        if posted.is_taken() && health.failures == 0 {
            return Ok(false); // most of the time: nothing is written
        }
        let failures = if posted.is_taken() { 0 } else { health.failures.saturating_add(1) };
        let gone = matches!(&posted.answer.result, Ok(reply) if reply.status == 410);
        let limit = endpoint.settings.forget_after.unwrap_or(self.forget_after);
        if gone || failures >= limit {
            return self.store.remove_endpoint(&endpoint.id, now);
        }
        let health = match failures {
            0 => Health { last_success: Some(now), ..Health::default() },
            _ => Health { failures, failing_since: health.failing_since.or(Some(now)), ..health },
        };
        let change = Change { health: Some(health), ..Change::default() };
        self.store.change_endpoint(&endpoint.id, &change)?;
        Ok(false)
    }
}

fn is_nothing(data: &Value) -> bool {
    match data {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// One value as text, several as a list.
fn named(keys: &Keys) -> Map<String, Value> {
    let one = |values: &std::collections::BTreeSet<String>| match values.len() {
        1 => values.first().map(|value| json!(value)).unwrap_or_default(),
        _ => json!(values),
    };
    keys.names().map(|(name, values)| (name.to_owned(), one(values))).collect()
}

/// For logs: where to, and what came of it.
impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.url)?;
        match &self.answer.result {
            Ok(reply) => write!(f, "{}", reply.status)?,
            Err(failure) => write!(f, "{failure}")?,
        }
        if self.forgotten { f.write_str(", forgotten") } else { Ok(()) }
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster")
            .field("form", &self.form)
            .field("forget_after", &self.forget_after)
            .finish_non_exhaustive()
    }
}
