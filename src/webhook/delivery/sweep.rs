//! Cleaning up, now and then: leases that lapsed, messages that were kept long enough, endpoints that nobody will come back for.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::engine::Engine;
use crate::sync::Event;
use crate::webhook::model::{Endpoint, EndpointState};
use crate::webhook::store::{Change, Result};
use crate::webhook::time::Time;

const PAGE: usize = 500;

/// Until `over` is set.
pub(super) fn sweep(engine: &Engine, over: &Event) {
    loop {
        let swept = once(engine, Time::now());
        engine.inner.noted(swept);
        engine.board().tidy(Instant::now());
        if over.wait_timeout(engine.inner.config.sweep) {
            return;
        }
    }
}

fn once(engine: &Engine, now: Time) -> Result<()> {
    let (store, config) = (&engine.inner.store, &engine.inner.config);
    store.expire(now)?;
    store.prune(now - config.idempotency, now - config.retention)?;
    let mut last = None;
    while !engine.is_stopping() {
        let page = store.endpoints(last.as_ref(), PAGE)?;
        for endpoint in &page {
            tidy(engine, endpoint, now)?;
        }
        let Some(endpoint) = page.last().filter(|_| page.len() == PAGE) else { break };
        last = Some(endpoint.id.clone());
    }
    Ok(())
}

fn tidy(engine: &Engine, endpoint: &Endpoint, now: Time) -> Result<()> {
    let (store, id) = (&engine.inner.store, &endpoint.id);
    if let EndpointState::Disabled { .. } = endpoint.state {
        // What was in flight when it was disabled may have become pending since.
        if store.totals(Some(id))?.pending > 0 {
            let state = Some(endpoint.state.clone());
            store.change_endpoint(id, &Change { state, ..Change::default() })?;
        }
    }
    // It registered itself and its leases have lapsed: it has no messages, so it cannot fail either.
    let registers_itself = endpoint.settings.forget_after.is_some();
    let is_old = now.since(endpoint.created) > engine.inner.config.sweep;
    if registers_itself && is_old && store.subscriptions(id)?.is_empty() {
        let totals = store.totals(Some(id))?;
        if totals.pending == 0 && totals.in_flight == 0 {
            store.remove_endpoint(id, now)?;
        }
    }
    Ok(())
}
