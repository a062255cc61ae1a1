//! The nouns as JSON, as `docs/webhooks.openapi.json` describes them. Times are RFC 3339 in UTC.

#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::http::{Response, StatusCode};
use crate::webhook::model::{
    Attempt, Delivery, Endpoint, EndpointState, Keys, Message, Settings, Subscription,
};
use crate::webhook::signature::Secret;
use crate::webhook::store::{Accepted, Totals};
use crate::webhook::time::Time;

pub(super) fn ok(value: &Value) -> Response {
    Response::json(value).header("cache-control", "no-store")
}

pub(super) fn nothing() -> Response {
    Response::new(StatusCode::NO_CONTENT)
}

/// A page of a list. There may be more if it is full.
pub(super) fn page<T>(
    items: &[T],
    limit: usize,
    one: impl Fn(&T) -> Value,
    id: impl Fn(&T) -> String,
) -> Response {
    let next = items.last().filter(|_| items.len() >= limit).map(id);
    ok(&json!({"items": items.iter().map(one).collect::<Vec<_>>(), "next": next}))
}

pub(super) fn endpoint(endpoint: &Endpoint) -> Value {
    let disabled = match &endpoint.state {
        EndpointState::Disabled { why, at } => Some(json!({"why": why, "at": time(*at)})),
        _ => None,
    };
    json!({
        "id": endpoint.id, "url": endpoint.url, "created": time(endpoint.created),
        "state": endpoint.state.as_str(), "disabled": disabled, "signed": !endpoint.keys.is_empty(),
        "settings": settings(&endpoint.settings),
        "health": {
            "failures": endpoint.health.failures,
            "failing_since": endpoint.health.failing_since.map(time),
            "last_success": endpoint.health.last_success.map(time),
        },
    })
}

fn settings(settings: &Settings) -> Value {
    let rate = settings
        .rate
        .map(|rate| json!({"count": rate.count, "period_ms": rate.period.as_millis() as u64}));
    json!({
        "description": settings.description, "ordered": settings.ordered,
        "max_in_flight": settings.max_in_flight, "rate": rate,
        "forget_after": settings.forget_after,
    })
}

/// For those who may know.
pub(super) fn secrets(endpoint: &Endpoint) -> Value {
    let newest = endpoint.keys.first().map(|key| &key.text);
    let public = newest.and_then(|text| Secret::parse(text).ok()?.public_key());
    let older = endpoint.keys.iter().skip(1);
    let older = older.map(|key| json!({"secret": key.text, "expires": key.expires.map(time)}));
    json!({"secret": newest, "public_key": public, "older": older.collect::<Vec<_>>()})
}

pub(super) fn subscription(of: &Subscription) -> Value {
    json!({
        "name": of.name, "value": of.value, "updated": time(of.updated),
        "expires": of.expires.map(time),
    })
}

pub(super) fn message(message: &Message) -> Value {
    json!({
        "id": message.id, "published": time(message.published), "type": message.kind,
        "keys": keys(&message.keys), "content_type": message.content_type,
        "idempotency_key": message.idempotency_key, "size": message.body.len(),
        "body": std::str::from_utf8(&message.body).ok(),
    })
}

/// Several values of each, always.
fn keys(keys: &Keys) -> Value {
    keys.names().map(|(name, values)| (name.to_owned(), json!(values))).collect()
}

pub(super) fn accepted(accepted: &Accepted) -> Value {
    json!({
        "id": accepted.id, "deliveries": accepted.deliveries, "repeated": accepted.repeated,
    })
}

pub(super) fn delivery(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id, "message": delivery.message, "endpoint": delivery.endpoint,
        "state": delivery.state, "attempts": delivery.attempts, "due": time(delivery.due),
        "created": time(delivery.created),
    })
}

pub(super) fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number, "at": time(attempt.at),
        "took_ms": attempt.took.as_micros() as f64 / 1000.0, "address": attempt.address,
        "status": attempt.status, "error": attempt.error, "response": attempt.response,
        "truncated": attempt.truncated,
    })
}

pub(super) fn totals(totals: &Totals) -> Value {
    json!({
        "endpoints": totals.endpoints, "subscriptions": totals.subscriptions,
        "messages": totals.messages, "pending": totals.pending, "in_flight": totals.in_flight,
        "delivered": totals.delivered, "dead": totals.dead,
        "oldest": totals.oldest.map(time), "next": totals.next.map(time),
    })
}

fn time(time: Time) -> String {
    time.to_string()
}
