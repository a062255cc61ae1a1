//! Endpoints over HTTP: register, look, change, remove.

#![forbid(unsafe_code)]

use serde_json::{Value, json};

use super::input::{self, BODY, Fields, needed};
use super::{Answer, Api, view};
use crate::http::{Request, StatusCode};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, Keys};
use crate::webhook::problem::Problem;
use crate::webhook::registry::{Error, Registration};
use crate::webhook::signature::Secret;
use crate::webhook::time::Time;

/// `POST /endpoints`
pub(super) fn register(api: &Api, req: &mut Request<'_>) -> Answer {
    let mut fields = Fields::of(req, BODY)?;
    let mut registration = Registration::new(needed(fields.text("url")?, "url")?);
    if let Some(keys) = fields.keys("keys")? {
        registration = registration.keys(keys);
    }
    if let Some(ttl) = fields.ttl()? {
        registration = registration.ttl(ttl);
    }
    if let Some(settings) = fields.settings("settings")? {
        registration = registration.settings(settings);
    }
    if let Some(text) = fields.text("secret")? {
        let secret = Secret::parse(&text);
        registration = registration
            .secret(secret.map_err(|error| Problem::field("secret", error.to_string()))?);
    }
    if let Some(challenge) = fields.flag("challenge")? {
        registration = registration.challenge(challenge);
    }
    fields.end()?;
    let (endpoint, created) = api.webhooks.register(registration)?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(whole(api, &endpoint.id)?.with_status(status))
}

/// `POST /unregister`
pub(super) fn unregister(api: &Api, req: &mut Request<'_>) -> Answer {
    let mut fields = Fields::of(req, BODY)?;
    let url = needed(fields.text("url")?, "url")?;
    let keys = fields.keys("keys")?;
    fields.end()?;
    let removed = api.webhooks.unregister(&url, keys.as_ref())?;
    Ok(view::ok(&json!({ "removed": removed })))
}

/// `GET /endpoints`
pub(super) fn list(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &["url", "key", "after", "limit"])?;
    let limit = input::limit(req)?;
    let id = |endpoint: &Endpoint| endpoint.id.to_string();
    let store = api.webhooks.store();
    if let Some(url) = req.query::<String>("url")? {
        let found = store.endpoint_at(&url).map_err(Error::from)?;
        return Ok(view::page(found.as_slice(), usize::MAX, view::endpoint, id));
    }
    let keys = keys_asked(req)?;
    if !keys.is_empty() {
        let found = store.matching(&keys, Time::now()).map_err(Error::from)?;
        return Ok(view::page(&found, usize::MAX, view::endpoint, id));
    }
    let after = input::id(req, "after", EndpointId::parse)?;
    let found = api.webhooks.endpoints(after.as_ref(), limit)?;
    Ok(view::page(&found, limit, view::endpoint, id))
}

/// `key=name:value`, as often as one likes.
fn keys_asked(req: &Request<'_>) -> Result<Keys, Problem> {
    let wrong = || Problem::field("key", "must be name:value");
    let asked = req.query_pairs().filter(|(name, _)| name == "key");
    let pair = |(_, text): (_, std::borrow::Cow<'_, str>)| {
        text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    asked.map(|asked| pair(asked).ok_or_else(wrong)).collect()
}

/// `GET /endpoints/{id}`
pub(super) fn get(api: &Api, req: &mut Request<'_>) -> Answer {
    whole(api, &id_of(req)?)
}

/// `DELETE /endpoints/{id}`
pub(super) fn remove(api: &Api, req: &mut Request<'_>) -> Answer {
    api.webhooks.unregister(id_of(req)?.as_str(), None)?;
    Ok(view::nothing())
}

/// `PUT /endpoints/{id}/settings`
pub(super) fn configure(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    let mut fields = Fields::of(req, BODY)?;
    let settings = needed(fields.settings("settings")?, "settings")?;
    fields.end()?;
    api.webhooks.configure(&id, settings)?;
    whole(api, &id)
}

/// `PUT /endpoints/{id}/keys`
pub(super) fn renew(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    let mut fields = Fields::of(req, BODY)?;
    let keys = needed(fields.keys("keys")?, "keys")?;
    let ttl = needed(fields.ttl()?, "ttl_seconds")?;
    fields.end()?;
    api.webhooks.renew(&id, &keys, ttl)?;
    whole(api, &id)
}

/// `POST /endpoints/{id}/pause`
pub(super) fn pause(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    api.webhooks.pause(&id)?;
    whole(api, &id)
}

/// `POST /endpoints/{id}/enable`
pub(super) fn enable(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    api.webhooks.enable(&id)?;
    whole(api, &id)
}

/// `POST /endpoints/{id}/ping`
pub(super) fn ping(api: &Api, req: &mut Request<'_>) -> Answer {
    let accepted = api.webhooks.test_ping(&id_of(req)?)?;
    Ok(view::ok(&view::accepted(&accepted)).with_status(StatusCode::ACCEPTED))
}

/// `POST /endpoints/{id}/recover`
pub(super) fn recover(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    let mut fields = Fields::of(req, BODY)?;
    let since = needed(fields.time("since")?, "since")?;
    fields.end()?;
    let resent = api.webhooks.recover(&id, since)?;
    Ok(view::ok(&json!({ "resent": resent })).with_status(StatusCode::ACCEPTED))
}

/// `POST /endpoints/{id}/challenge`
pub(super) fn challenge(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    api.webhooks.verify(&id)?;
    whole(api, &id)
}

/// `GET /endpoints/{id}/secret`
pub(super) fn secret(api: &Api, req: &mut Request<'_>) -> Answer {
    Ok(view::ok(&view::secrets(&api.webhooks.endpoint(&id_of(req)?)?)))
}

/// `POST /endpoints/{id}/secret/rotate`
pub(super) fn rotate(api: &Api, req: &mut Request<'_>) -> Answer {
    let id = id_of(req)?;
    api.webhooks.rotate(&id)?;
    Ok(view::ok(&view::secrets(&api.webhooks.endpoint(&id)?)))
}

/// `GET /endpoints/{id}/stats`
pub(super) fn stats(api: &Api, req: &mut Request<'_>) -> Answer {
    Ok(view::ok(&view::totals(&api.webhooks.totals(Some(&id_of(req)?))?)))
}

fn whole(api: &Api, id: &EndpointId) -> Answer {
    let mut shown = view::endpoint(&api.webhooks.endpoint(id)?);
    let subscriptions = api.webhooks.subscriptions(id)?;
    shown["subscriptions"] = subscriptions.iter().map(view::subscription).collect::<Value>();
    Ok(view::ok(&shown))
}

pub(super) fn id_of(req: &Request<'_>) -> Result<EndpointId, Problem> {
    EndpointId::parse(&req.param::<String>("id")?).ok_or_else(super::not_found)
}
