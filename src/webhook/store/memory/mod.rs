//! [`MemoryStore`]: everything in this process's memory, and gone with it.
//!
//! For tests, and for programs that may forget: what is in flight when the process ends is not delivered. It is also the model
//! that the other stores are compared with, call by call, so it prefers the plain way to the quick one.
//!
//! What it is not: durable, bounded, or shared between processes.
//!
//! To read on: `state.rs` has what there is; `impl Store` is what may happen to it.

#![forbid(unsafe_code)]

mod state;

use std::collections::HashSet;
use std::time::Duration;

use self::state::{Place, Row, State, is_unfinished, start};
use super::{Accepted, Change, Claim, Filter, Next, Result, Store, StoreError, Totals};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Health, Keys, Message, Subscription,
};
use crate::webhook::time::Time;

/// A store that forgets everything when it is dropped.
///
/// ```
/// use sward::webhook::store::{MemoryStore, Store};
/// use sward::webhook::{Endpoint, Keys, Time};
///
/// let store = MemoryStore::new();
/// let (endpoint, new) = store.add_endpoint(&Endpoint::new("https://example.com/hook"))?;
/// assert!(new);
/// let keys = Keys::new().with("account_id", "42");
/// store.subscribe(&endpoint.id, &keys, Time::now(), None)?;
/// assert_eq!(store.matching(&keys, Time::now())?, [endpoint]);
/// # Ok::<(), sward::webhook::store::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)> {
        let mut state = self.lock();
        if let Some(number) = state.urls.get(&endpoint.url) {
            return Ok((state.endpoints[number].endpoint.clone(), false));
        }
        if state.endpoint_ids.contains_key(&endpoint.id) {
            return Err(StoreError::new("adding an endpoint", "its id is another one's"));
        }
        state.last += 1;
        let number = state.last;
        state.endpoint_ids.insert(endpoint.id.clone(), number);
        state.urls.insert(endpoint.url.clone(), number);
        state.endpoints.insert(number, Row::new(endpoint.clone()));
        Ok((endpoint.clone(), true))
    }

    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        Ok(self.lock().row(id).map(|row| row.endpoint.clone()))
    }

    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>> {
        let state = self.lock();
        Ok(state.urls.get(url).map(|number| state.endpoints[number].endpoint.clone()))
    }

    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        let state = self.lock();
        let after = after.map(|id| state.endpoint_ids.get(id).copied());
        let Some(start) = start(after) else { return Ok(Vec::new()) };
        Ok(state
            .endpoints
            .range(start..)
            .take(limit)
            .map(|(_, row)| row.endpoint.clone())
            .collect())
    }

    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool> {
        let mut state = self.lock();
        let Some((number, row)) = state.row_mut(id) else { return Ok(false) };
        let endpoint = &mut row.endpoint;
        endpoint.keys = change.keys.clone().unwrap_or_else(|| endpoint.keys.clone());
        endpoint.settings = change.settings.clone().unwrap_or_else(|| endpoint.settings.clone());
        endpoint.health = change.health.unwrap_or(endpoint.health);
        endpoint.state = change.state.clone().unwrap_or_else(|| endpoint.state.clone());
        if let Some(EndpointState::Disabled { at, .. }) = change.state {
            let messages: Vec<_> = row.unfinished.keys().copied().collect();
            for message in messages {
                if state.deliveries[&(message, number)].delivery.state == DeliveryState::Pending {
                    state.end((message, number), DeliveryState::Dead, at);
                }
            }
        }
        Ok(true)
    }

    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool> {
        let mut state = self.lock();
        let Some((number, row)) = state.row_mut(id) else { return Ok(false) };
        let messages: Vec<_> = row.unfinished.keys().copied().collect();
        for message in messages {
            state.end((message, number), DeliveryState::Cancelled, now);
        }
        let row = state.endpoints.remove(&number).expect("it was found");
        state.endpoint_ids.remove(id);
        state.urls.remove(&row.endpoint.url);
        Ok(true)
    }

    fn subscribe(
        &self,
        id: &EndpointId,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Result<()> {
        if let Some((_, row)) = self.lock().row_mut(id) {
            for (name, value) in keys.iter() {
                row.subscriptions.insert((name.to_owned(), value.to_owned()), (now, expires));
            }
        }
        Ok(())
    }

    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize> {
        let mut state = self.lock();
        let Some((_, row)) = state.row_mut(id) else { return Ok(0) };
        let before = row.subscriptions.len();
        row.subscriptions.retain(|(name, value), _| !keys.contains(name, value));
        Ok(before - row.subscriptions.len())
    }

    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>> {
        let state = self.lock();
        let subscriptions = state.row(id).into_iter().flat_map(|row| &row.subscriptions);
        let read = |((name, value), (updated, expires)): (&(String, String), &(Time, _))| {
            let (endpoint, updated, expires) = (id.clone(), *updated, *expires);
            Subscription { endpoint, name: name.clone(), value: value.clone(), updated, expires }
        };
        Ok(subscriptions.map(read).collect())
    }

    fn expire(&self, now: Time) -> Result<usize> {
        let mut state = self.lock();
        let mut gone = 0;
        for row in state.endpoints.values_mut() {
            let before = row.subscriptions.len();
            let lasts = |expires: Option<Time>| expires.is_none_or(|expires| expires > now);
            row.subscriptions.retain(|_, (_, expires)| lasts(*expires));
            gone += before - row.subscriptions.len();
        }
        Ok(gone)
    }

    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>> {
        let state = self.lock();
        let matching = state.endpoints.values().filter(|row| row.wants(keys, now));
        Ok(matching.map(|row| row.endpoint.clone()).collect())
    }

    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted> {
        let mut state = self.lock();
        let known = message.idempotency_key.as_ref().and_then(|key| state.idempotency.get(key));
        if let Some(number) = known.or_else(|| state.message_ids.get(&message.id)) {
            return Ok(state.accepted(*number, true));
        }
        state.last += 1;
        let number = state.last;
        state.messages.insert(number, message.clone());
        state.message_ids.insert(message.id.clone(), number);
        if let Some(key) = &message.idempotency_key {
            state.idempotency.insert(key.clone(), number);
        }
        let wants = |row: &Row| {
            let asked = extra.contains(&row.endpoint.id);
            row.listens() && (asked || row.wants(&message.keys, message.published))
        };
        let to: Vec<u64> =
            state.endpoints.iter().filter(|(_, row)| wants(row)).map(|(to, _)| *to).collect();
        for endpoint in to {
            state.add_delivery(number, endpoint, message.published);
        }
        Ok(state.accepted(number, false))
    }

    fn message(&self, id: &MessageId) -> Result<Option<Message>> {
        let state = self.lock();
        Ok(state.message_ids.get(id).map(|number| state.messages[number].clone()))
    }

    fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let state = self.lock();
        let after = after.map(|id| state.message_ids.get(id).copied());
        let Some(start) = start(after) else { return Ok(Vec::new()) };
        let messages = state.messages.range(start..).map(|(_, message)| message);
        Ok(messages.filter(|message| message.published >= since).take(limit).cloned().collect())
    }

    fn prune(&self, keys: Time, messages: Time) -> Result<usize> {
        let mut state = self.lock();
        let mut gone = Vec::new();
        let State { messages: all, idempotency, deliveries, .. } = &mut *state;
        for (&number, message) in all {
            if message.published < keys
                && let Some(key) = message.idempotency_key.take()
            {
                idempotency.remove(&key);
            }
            let mut its = deliveries.range((number, 0)..=(number, u64::MAX));
            if message.published < messages && !its.any(|(_, k)| is_unfinished(k.delivery.state)) {
                gone.push(number);
            }
        }
        for number in &gone {
            let message = state.messages.remove(number).expect("it was found");
            state.message_ids.remove(&message.id);
            if let Some(key) = &message.idempotency_key {
                state.idempotency.remove(key);
            }
            let places: Vec<Place> = state.of_message(*number).map(|(place, _)| *place).collect();
            for place in places {
                let kept = state.deliveries.remove(&place).expect("it was found");
                state.places.remove(&kept.delivery.id);
            }
        }
        Ok(gone.len())
    }

    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>> {
        let state = self.lock();
        let except: HashSet<_> = except.iter().collect();
        let mut due: Vec<_> = state
            .endpoints
            .values()
            .filter_map(|row| Some((row.next()?, &row.endpoint.id)))
            .filter(|(next, id)| *next <= now && !except.contains(id))
            .collect();
        // Stable, so that who registered first comes first among equals.
        due.sort_by_key(|(next, _)| *next);
        Ok(due.into_iter().take(limit).map(|(_, id)| id.clone()).collect())
    }

    fn next_due(&self) -> Result<Option<Time>> {
        Ok(self.lock().endpoints.values().filter_map(Row::next).min())
    }

    fn claim(
        &self,
        endpoint: &EndpointId,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let mut state = self.lock();
        let Some(row) = state.row(endpoint).filter(|row| row.is_active()) else {
            return Ok(Vec::new());
        };
        let number = state.endpoint_ids[endpoint];
        let messages: Vec<u64> = match row.endpoint.settings.ordered {
            true => {
                let first = row.unfinished.first_key_value().filter(|(_, due)| **due <= now);
                first.map(|(message, _)| *message).into_iter().take(limit).collect()
            }
            false => {
                let due = row.waiting.range(..=(now, u64::MAX));
                due.take(limit).map(|(_, message)| *message).collect()
            }
        };
        let endpoint = row.endpoint.clone();
        let mut claims = Vec::new();
        for message in messages {
            let place = (message, number);
            state.end(place, DeliveryState::InFlight, until);
            claims.push(Claim {
                delivery: state.deliveries[&place].delivery.clone(),
                message: state.messages[&message].clone(),
                endpoint: endpoint.clone(),
            });
        }
        Ok(claims)
    }

    fn finish(
        &self,
        delivery: &DeliveryId,
        attempt: Option<&Attempt>,
        next: Next,
    ) -> Result<Option<Health>> {
        let mut state = self.lock();
        let Some(place) = state.places.get(delivery).copied() else { return Ok(None) };
        let kept = state.deliveries.get_mut(&place).expect("it has a place");
        if let Some(attempt) = attempt {
            kept.log.push(attempt.clone());
            kept.delivery.attempts += 1;
        }
        let over = [DeliveryState::Delivered, DeliveryState::Cancelled];
        let over = over.contains(&kept.delivery.state);
        // Of an endpoint that is gone everything has ended.
        let Some(row) = state.endpoints.get_mut(&place.1) else { return Ok(None) };
        row.endpoint.health = row.endpoint.health.after(attempt, next);
        let health = row.endpoint.health;
        let disabled = matches!(row.endpoint.state, EndpointState::Disabled { .. });
        let (to, at) = match next {
            Next::Delivered(at) => (DeliveryState::Delivered, at),
            Next::Retry(at) if !disabled => (DeliveryState::Pending, at),
            Next::Retry(at) | Next::Dead(at) => (DeliveryState::Dead, at),
        };
        if !over {
            state.end(place, to, at);
        }
        Ok(Some(health))
    }

    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        let state = self.lock();
        Ok(state.places.get(id).map(|place| state.deliveries[place].delivery.clone()))
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let state = self.lock();
        let start = match after.map(|id| state.places.get(id)) {
            None => (0, 0),
            Some(Some(place)) => (place.0, place.1 + 1),
            Some(None) => return Ok(Vec::new()),
        };
        let deliveries = state.deliveries.range(start..).map(|(_, kept)| &kept.delivery);
        let fits = |delivery: &&Delivery| {
            filter.endpoint.as_ref().is_none_or(|endpoint| *endpoint == delivery.endpoint)
                && filter.message.as_ref().is_none_or(|message| *message == delivery.message)
                && filter.state.is_none_or(|state| state == delivery.state)
        };
        Ok(deliveries.filter(fits).take(limit).cloned().collect())
    }

    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>> {
        let state = self.lock();
        let log = state.places.get(id).map(|place| state.deliveries[place].log.clone());
        Ok(log.unwrap_or_default())
    }

    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool> {
        let mut state = self.lock();
        let Some(place) = state.places.get(id).copied() else { return Ok(false) };
        let finished = !is_unfinished(state.deliveries[&place].delivery.state);
        let can = finished && state.endpoints.contains_key(&place.1);
        if can {
            state.end(place, DeliveryState::Pending, now);
            state.change(place, |delivery| delivery.attempts = 0);
        }
        Ok(can)
    }

    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize> {
        let mut state = self.lock();
        let Some(row) = state.row(endpoint) else { return Ok(0) };
        let number = state.endpoint_ids[endpoint];
        let (mut dead, mut missed) = (Vec::new(), Vec::new());
        for (&message, it) in state.messages.iter().filter(|(_, it)| it.published >= since) {
            match state.deliveries.get(&(message, number)) {
                Some(kept) if kept.delivery.state == DeliveryState::Dead => dead.push(message),
                Some(_) => {}
                None if row.wants(&it.keys, now) => missed.push(message),
                None => {}
            }
        }
        for &message in &dead {
            state.end((message, number), DeliveryState::Pending, now);
            state.change((message, number), |delivery| delivery.attempts = 0);
        }
        for &message in &missed {
            state.add_delivery(message, number, now);
        }
        Ok(dead.len() + missed.len())
    }

    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals> {
        let state = self.lock();
        let is_it = |id: &EndpointId| endpoint.is_none_or(|endpoint| endpoint == id);
        let mut totals = Totals::default();
        for row in state.endpoints.values().filter(|row| is_it(&row.endpoint.id)) {
            totals.endpoints += 1;
            totals.subscriptions += row.subscriptions.len() as u64;
            totals.next = totals.next.into_iter().chain(row.next()).min();
        }
        if endpoint.is_none() {
            totals.messages = state.messages.len() as u64;
        }
        let deliveries = state.deliveries.values().map(|kept| &kept.delivery);
        for delivery in deliveries.filter(|delivery| is_it(&delivery.endpoint)) {
            totals.messages += u64::from(endpoint.is_some());
            match delivery.state {
                DeliveryState::Pending => totals.pending += 1,
                DeliveryState::InFlight => totals.in_flight += 1,
                DeliveryState::Delivered => totals.delivered += 1,
                DeliveryState::Dead => totals.dead += 1,
                DeliveryState::Cancelled => {}
            }
            if is_unfinished(delivery.state) {
                totals.oldest = totals.oldest.into_iter().chain([delivery.created]).min();
            }
        }
        Ok(totals)
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }
}
