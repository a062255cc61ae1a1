//! Publishing: a message, and the envelope it is posted in.

#![forbid(unsafe_code)]

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Webhooks;
use super::check;
use super::error::Error;
use crate::webhook::id::{EndpointId, MessageId};
use crate::webhook::model::{Keys, Message};
use crate::webhook::store::Accepted;
use crate::webhook::time::Time;

/// What the publisher may choose as an id, in bytes: with an endpoint's it must make a delivery's.
const LONGEST_ID: usize = 128;

/// A message to be, for [`Webhooks::publish`].
///
/// ```
/// use sward::webhook::{Keys, Publication};
///
/// let paid = serde_json::json!({"invoice": 17, "amount": "99.50"});
/// let publication = Publication::new(Keys::new().with("account_id", "42"), &paid)
///     .kind("invoice.paid")
///     .idempotency_key("invoice-17");
/// # drop(publication);
/// ```
#[derive(Debug, Clone)]
#[must_use = "publish it"]
pub struct Publication {
    keys: Keys,
    data: Data,
    kind: String,
    id: Option<String>,
    idempotency_key: Option<String>,
    extra: Vec<EndpointId>,
}

#[derive(Debug, Clone)]
enum Data {
    /// JSON, to be put into the envelope; or why it is none.
    Json(Result<String, String>),
    /// Posted as they are.
    Raw { content_type: String, body: Arc<[u8]> },
}

impl Publication {
    /// `data`, as JSON, for those who subscribe to one of `keys`. What is posted is
    /// `{"type": .., "timestamp": .., "keys": {..}, "data": ..}`: the fields of Standard Webhooks, and skyhooks' own. A key with one
    /// value is a string there, with several a list of strings.
    pub fn new(keys: Keys, data: impl Serialize) -> Publication {
        let data = serde_json::to_string(&data).map_err(|error| error.to_string());
        Publication::with(keys, Data::Json(data))
    }

    /// These bytes, posted as they are, for those who subscribe to one of `keys`.
    pub fn raw(
        keys: Keys,
        content_type: impl Into<String>,
        body: impl Into<Arc<[u8]>>,
    ) -> Publication {
        let (content_type, body) = (content_type.into(), body.into());
        Publication::with(keys, Data::Raw { content_type, body })
    }

    fn with(keys: Keys, data: Data) -> Publication {
        let (kind, id, idempotency_key, extra) = (String::new(), None, None, Vec::new());
        Publication { keys, data, kind, id, idempotency_key, extra }
    }

    /// What it is about: a dotted name such as `invoice.paid`. Without, the envelope has no `type`.
    pub fn kind(mut self, kind: impl Into<String>) -> Publication {
        self.kind = kind.into();
        self
    }

    /// Publishing again under this key, within [`Config::idempotency`](super::Config::idempotency), does nothing and returns what was
    /// accepted then.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Publication {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Its id, which is its `webhook-id` too: at most 128 ASCII letters, digits, `_`, `-`. Without, a new one. Publishing an id again
    /// does nothing for as long as the message is kept.
    pub fn id(mut self, id: impl Into<String>) -> Publication {
        self.id = Some(id.into());
        self
    }

    /// For this endpoint too, whatever it subscribes to.
    pub fn to(mut self, endpoint: EndpointId) -> Publication {
        self.extra.push(endpoint);
        self
    }
}

impl Webhooks {
    /// Accepts a message: when this returns, it and its deliveries are in the store, and they will be delivered whatever happens to
    /// this process. A message that nobody subscribes to is accepted too, with no deliveries.
    ///
    /// # Errors
    /// [`Invalid`](Error::Invalid) for what cannot be used, no key and no endpoint included, [`TooLarge`](Error::TooLarge) for a body
    /// over [`Config::max_body`](super::Config::max_body), [`Store`](Error::Store). After an error of the store the message may have
    /// been accepted all the same: publish it again with the same id or idempotency key.
    pub fn publish(&self, publication: Publication) -> Result<Accepted, Error> {
        let config = &self.inner.config;
        let Publication { keys, data, kind, id, idempotency_key, extra } = publication;
        check::keys(&keys, config.max_keys)?;
        check::kind(&kind)?;
        idempotency_key.as_deref().map_or(Ok(()), check::idempotency_key)?;
        if keys.is_empty() && extra.is_empty() {
            return Err(Error::invalid("keys", "none: nobody would get it"));
        }
        let id = id.map_or_else(|| Ok(MessageId::random()), |id| chosen_id(&id))?;
        let published = Time::now();
        let (content_type, body) = match data {
            Data::Raw { content_type, body } => (content_type, body),
            Data::Json(Err(why)) => return Err(Error::invalid("data", why)),
            Data::Json(Ok(data)) => {
                let body = envelope(&kind, published, &keys, &data);
                ("application/json".to_owned(), body.into_bytes().into())
            }
        };
        check::content_type(&content_type)?;
        if body.len() > config.max_body {
            return Err(Error::TooLarge { limit: config.max_body });
        }
        let message = Message { id, published, kind, keys, body, content_type, idempotency_key };
        let accepted = self.inner.store.publish(&message, &extra)?;
        if !accepted.repeated {
            self.inner.metrics.published();
        }
        self.inner.tell("accepted", published, || {
            json!({
                "message": accepted.id, "type": message.kind, "keys": message.keys,
                "deliveries": accepted.deliveries, "repeated": accepted.repeated,
            })
        });
        self.inner.nudge();
        Ok(accepted)
    }

    /// Publishes a message of the kind `webhook.ping` for one endpoint only: it goes the way of all others, and its delivery and
    /// attempts can be looked at.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn test_ping(&self, id: &EndpointId) -> Result<Accepted, Error> {
        self.endpoint(id)?;
        let data = json!({ "endpoint": id });
        self.publish(Publication::new(Keys::new(), data).kind("webhook.ping").to(id.clone()))
    }
}

/// `~` divides a delivery's id.
fn chosen_id(text: &str) -> Result<MessageId, Error> {
    let why = "1 to 128 ASCII letters, digits, `_` or `-`";
    let fine = text.len() <= LONGEST_ID && !text.contains('~');
    let id = fine.then(|| MessageId::parse(text)).flatten();
    id.ok_or_else(|| Error::invalid("id", why))
}

/// The data go in as they were written.
fn envelope(kind: &str, published: Time, keys: &Keys, data: &str) -> String {
    let mut named = Map::new();
    for (name, values) in keys.names() {
        let mut values: Vec<Value> = values.iter().map(|value| value.as_str().into()).collect();
        let value = if values.len() == 1 { values.remove(0) } else { values.into() };
        named.insert(name.to_owned(), value);
    }
    let kind = if kind.is_empty() { String::new() } else { format!(r#""type":"{kind}","#) };
    let keys = Value::Object(named);
    format!(r#"{{{kind}"timestamp":"{published}","keys":{keys},"data":{data}}}"#)
}

#[cfg(test)]
mod tests {
    use super::{Keys, Time, chosen_id, envelope};

    #[test]
    fn the_envelope_suits_both() {
        let keys = Keys::new().with("account_id", "4\"2").with("user", "7").with("user", "8");
        let text = envelope("a.b", Time::from_millis(0), &keys, r#"{"x": 1}"#);
        assert_eq!(
            text,
            r#"{"type":"a.b","timestamp":"1970-01-01T00:00:00.000Z","keys":{"account_id":"4\"2","user":["7","8"]},"data":{"x": 1}}"#
        );
        let bare = envelope("", Time::from_millis(0), &Keys::new(), "null");
        assert_eq!(bare, r#"{"timestamp":"1970-01-01T00:00:00.000Z","keys":{},"data":null}"#);
    }

    #[test]
    fn ids_that_are_chosen_divide_deliveries_as_others_do() {
        assert_eq!(chosen_id("order-17").unwrap().as_str(), "order-17");
        for wrong in ["", "a~b", "a.b", "a b", &"x".repeat(129)] {
            assert!(chosen_id(wrong).is_err(), "{wrong:?}");
        }
    }
}
