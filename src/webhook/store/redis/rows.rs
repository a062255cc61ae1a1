//! What the scripts answer, read into the nouns; and the nouns as the scripts take them.
//!
//! What it is not: strict about types: Redis answers with numbers and with their text, as it likes.

#![forbid(unsafe_code)]

use redis::Value;
use serde::{Deserialize, Serialize};

use super::link::Args;
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Delivery, Endpoint, Health, Keys, Message, Subscription};
use crate::webhook::time::Time;

pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// So many of them.
pub(super) fn fixed<const N: usize>(value: Value) -> Option<[Value; N]> {
    items(value)?.try_into().ok()
}

pub(super) fn all<T>(value: Value, read: impl Fn(Value) -> Option<T>) -> Option<Vec<T>> {
    items(value)?.into_iter().map(read).collect()
}

/// None within, if the answer was nil.
pub(super) fn optional<T>(value: Value, read: impl Fn(Value) -> Option<T>) -> Option<Option<T>> {
    if value == Value::Nil { Some(None) } else { read(value).map(Some) }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

pub(super) fn number(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => number.try_into().ok(),
        value => {
            let text = text(value)?;
            // Scores are floating point, and so written where they are large.
            text.parse().ok().or_else(|| Some(text.parse::<f64>().ok()? as u64))
        }
    }
}

pub(super) fn time(value: Value) -> Option<Time> {
    number(value).map(Time::from_millis)
}

pub(super) fn json<T: for<'a> Deserialize<'a>>(value: Value) -> Option<T> {
    serde_json::from_slice(&bytes(value)?).ok()
}

/// As JSON. What is kept so has no maps but by text, so it can be written.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

pub(super) fn endpoint_id(value: Value) -> Option<EndpointId> {
    EndpointId::parse(&text(value)?)
}

pub(super) fn message_id(value: Value) -> Option<MessageId> {
    MessageId::parse(&text(value)?)
}

pub(super) fn delivery_id(value: Value) -> Option<DeliveryId> {
    // Longer than an id may be that somebody gives: two of them are in it.
    serde_json::from_value(serde_json::Value::String(text(value)?)).ok()
}

pub(super) fn health([failures, since, success]: [Value; 3]) -> Option<Health> {
    Some(Health {
        failures: number(failures)?.try_into().unwrap_or(u32::MAX),
        failing_since: optional(since, time)?,
        last_success: optional(success, time)?,
    })
}

pub(super) fn endpoint(value: Value) -> Option<Endpoint> {
    let [id, url, created, state, keys, settings, failures, since, success] = fixed(value)?;
    Some(Endpoint {
        id: endpoint_id(id)?,
        url: text(url)?,
        created: time(created)?,
        state: json(state)?,
        keys: json(keys)?,
        settings: json(settings)?,
        health: health([failures, since, success])?,
    })
}

pub(super) fn message(value: Value) -> Option<Message> {
    let [id, published, kind, keys, body, content_type, key] = fixed(value)?;
    Some(Message {
        id: message_id(id)?,
        published: time(published)?,
        kind: text(kind)?,
        keys: json(keys)?,
        body: bytes(body)?.into(),
        content_type: text(content_type)?,
        idempotency_key: optional(key, text)?,
    })
}

pub(super) fn delivery(value: Value) -> Option<Delivery> {
    let [id, message, endpoint, state, attempts, due, created] = fixed(value)?;
    Some(Delivery {
        id: delivery_id(id)?,
        message: message_id(message)?,
        endpoint: endpoint_id(endpoint)?,
        state: serde_json::from_value(serde_json::Value::String(text(state)?)).ok()?,
        attempts: number(attempts)?.try_into().ok()?,
        due: time(due)?,
        created: time(created)?,
    })
}

/// `pair` is as [`pairs`] wrote it, `times` as `subscribe.lua` did.
pub(super) fn subscription(id: &EndpointId, pair: Value, times: Value) -> Option<Subscription> {
    let (name, value) = json(pair)?;
    let times = text(times)?;
    let (updated, expires) = times.split_once(' ')?;
    let updated = Time::from_millis(updated.parse().ok()?);
    let expires = match expires {
        "" => None,
        expires => Some(Time::from_millis(expires.parse().ok()?)),
    };
    Some(Subscription { endpoint: id.clone(), name, value, updated, expires })
}

/// Names with values, one text each.
pub(super) fn pairs(keys: &Keys) -> impl Iterator<Item = String> {
    keys.iter().map(|pair| to_json(&pair))
}

impl Args {
    pub(super) fn time(self, time: Time) -> Args {
        self.number(time.as_millis())
    }

    pub(super) fn maybe_time(self, time: Option<Time>) -> Args {
        self.option(time.map(|time| time.as_millis().to_string()))
    }
}
