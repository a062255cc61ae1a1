//! The whole over HTTP: counts, metrics, events as they happen, the description of it all.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use serde_json::json;

use super::{Answer, Api, input, view};
use crate::http::{Event, IntoResponse, Request, Response, Sse, SseWriter};
use crate::pubsub::{RecvError, Subscriber};

/// What this API is, for programs.
pub(super) const DESCRIPTION: &str = include_str!("../../../docs/webhooks.openapi.json");

/// How often a stream with nothing to say looks whether the server stops.
const LOOK: Duration = Duration::from_secs(1);

/// `GET /openapi.json`
pub(super) fn description(_: &Api, _: &mut Request<'_>) -> Answer {
    Ok(Response::bytes_static(DESCRIPTION.as_bytes())
        .header("content-type", "application/json")
        .header("access-control-allow-origin", "*"))
}

/// `GET /health`
pub(super) fn health(_: &Api, _: &mut Request<'_>) -> Answer {
    Ok(view::ok(&json!({"status": "ok"})).header("access-control-allow-origin", "*"))
}

/// `GET /stats`
pub(super) fn stats(api: &Api, _: &mut Request<'_>) -> Answer {
    Ok(view::ok(&view::totals(&api.webhooks.totals(None)?)))
}

/// `GET /metrics`
pub(super) fn metrics(api: &Api, _: &mut Request<'_>) -> Answer {
    Ok(Response::text(api.webhooks.metrics()).header("cache-control", "no-store"))
}

/// `GET /events`
pub(super) fn events(api: &Api, req: &mut Request<'_>) -> Answer {
    input::only(req, &[])?;
    let seen = req.header("last-event-id").and_then(|id| id.trim().parse().ok());
    let events = match seen {
        Some(id) => api.webhooks.watch_after(id),
        None => api.webhooks.watch(),
    };
    Ok(Sse::new(move |tx: &mut SseWriter<'_, '_>| follow(&events, tx)).into_response())
}

fn follow(events: &Subscriber, tx: &mut SseWriter<'_, '_>) -> io::Result<()> {
    while !tx.is_stopping() {
        match events.recv_timeout(LOOK) {
            Ok(event) => {
                let data = String::from_utf8_lossy(&event.data);
                tx.send(&Event::data(data).id(event.id.to_string()))?;
            }
            Err(RecvError::Lagged { missed }) => {
                let data = json!({ "missed": missed }).to_string();
                tx.send(&Event::data(data).event("lagged"))?;
            }
            Err(RecvError::Timeout) => {}
            Err(_) => break,
        }
    }
    Ok(())
}
