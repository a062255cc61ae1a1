//! Messages and deliveries over HTTP: publish, look, send again.

#![forbid(unsafe_code)]

use serde_json::json;

use super::input::{self, Fields, needed};
use super::{Answer, Api, endpoints, view};
use crate::http::{Request, Response, StatusCode};
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Delivery, DeliveryState, Message};
use crate::webhook::problem::Problem;
use crate::webhook::registry::Publication;
use crate::webhook::store::Filter;

/// What a request may have beside the data.
const ENVELOPE: u64 = 64 << 10;

fn limit(api: &Api) -> u64 {
    api.webhooks.config().max_body as u64 + ENVELOPE
}

/// `POST /messages`
pub(super) fn publish(api: &Api, req: &mut Request<'_>) -> Answer {
    let idempotency_key = req.header("idempotency-key").map(str::to_owned);
    let mut fields = Fields::of(req, limit(api))?;
    let keys = needed(fields.keys("keys")?, "keys")?;
    let mut publication = Publication::new(keys, fields.any("data")?);
    if let Some(kind) = fields.text("type")? {
        publication = publication.kind(kind);
    }
    if let Some(id) = fields.text("id")? {
        publication = publication.id(id);
    }
    if let Some(key) = idempotency_key {
        publication = publication.idempotency_key(key);
    }
    fields.end()?;
    let accepted = api.webhooks.publish(publication)?;
    Ok(view::ok(&view::accepted(&accepted)).with_status(StatusCode::ACCEPTED))
}

/// `POST /publish`: skyhooks' form, which has no more to say than who and what. Whatever its Content-Type is.
pub(super) fn publish_as_skyhooks(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["access_token"])?;
    req.set_body_limit(limit(api));
    let (keys, data) = crate::webhook::hooks::read(req)?;
    // Nobody in particular is everybody who was asked for.
    let notified =
        keys.is_empty() || api.webhooks.publish(Publication::new(keys, data))?.deliveries > 0;
    Ok(view::ok(&json!({"status": "ok", "notified": notified})))
}

/// `GET /messages`
pub(super) fn list(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["since", "after", "limit"])?;
    let (since, limit) = (input::since(req)?, input::limit(req)?);
    let after = input::id(req, "after", MessageId::parse)?;
    let found = api.webhooks.messages(since, after.as_ref(), limit)?;
    Ok(view::page(&found, limit, view::message, |message: &Message| message.id.to_string()))
}

/// `GET /messages/{id}`
pub(super) fn get(api: &Api, req: &mut Request<'_>) -> Answer {
    Ok(view::ok(&view::message(&api.webhooks.message(&message_of(req)?)?)))
}

/// `GET /messages/{id}/deliveries`
pub(super) fn deliveries_of(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["after", "limit"])?;
    let id = message_of(req)?;
    api.webhooks.message(&id)?;
    found(api, req, &Filter { message: Some(id), ..Filter::default() })
}

/// `GET /deliveries`
pub(super) fn deliveries(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["endpoint", "message", "state", "after", "limit"])?;
    let filter = Filter {
        endpoint: input::id(req, "endpoint", EndpointId::parse)?,
        message: input::id(req, "message", MessageId::parse)?,
        state: input::id(req, "state", state_named)?,
    };
    found(api, req, &filter)
}

/// `GET /endpoints/{id}/deliveries`
pub(super) fn deliveries_to(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["state", "after", "limit"])?;
    let id = endpoints::id_of(req)?;
    api.webhooks.endpoint(&id)?;
    let state = input::id(req, "state", state_named)?;
    found(api, req, &Filter { endpoint: Some(id), state, ..Filter::default() })
}

/// `GET /dead`
pub(super) fn dead(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["endpoint", "after", "limit"])?;
    let endpoint = input::id(req, "endpoint", EndpointId::parse)?;
    let state = Some(DeliveryState::Dead);
    found(api, req, &Filter { endpoint, state, ..Filter::default() })
}

fn found(api: &Api, req: &Request<'_>, filter: &Filter) -> Answer {
    let limit = input::limit(req)?;
    let after = input::id(req, "after", DeliveryId::parse)?;
    let found = api.webhooks.deliveries(filter, after.as_ref(), limit)?;
    let id = |delivery: &Delivery| delivery.id.to_string();
    Ok(view::page(&found, limit, view::delivery, id))
}

fn state_named(text: &str) -> Option<DeliveryState> {
    serde_json::from_value(text.into()).ok()
}

/// `GET /deliveries/{id}`
pub(super) fn delivery(api: &Api, req: &mut Request<'_>) -> Answer {
    Ok(view::ok(&view::delivery(&api.webhooks.delivery(&delivery_of(req)?)?)))
}

/// `GET /deliveries/{id}/attempts`
pub(super) fn attempts(api: &Api, req: &mut Request<'_>) -> Answer {
    let attempts = api.webhooks.attempts(&delivery_of(req)?)?;
    let shown: Vec<_> = attempts.iter().map(view::attempt).collect();
    Ok(view::ok(&json!({ "items": shown })))
}

/// `POST /deliveries/{id}/resend`
pub(super) fn resend(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = delivery_of(req)?;
    api.webhooks.resend(&id)?;
    let shown: Response = view::ok(&view::delivery(&api.webhooks.delivery(&id)?));
    Ok(shown.with_status(StatusCode::ACCEPTED))
}

fn message_of(req: &Request<'_>) -> Result<MessageId, Problem> {
    MessageId::parse(&req.param::<String>("id")?).ok_or_else(super::not_found)
}

fn delivery_of(req: &Request<'_>) -> Result<DeliveryId, Problem> {
    DeliveryId::parse(&req.param::<String>("id")?).ok_or_else(super::not_found)
}
