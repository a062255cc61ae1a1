//! What a memory store holds: endpoints, messages and deliveries, and the indices from one to another.
//!
//! What it is not: the rules of what may happen to a delivery. Those are in `mod.rs`.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Keys, Message,
};
use crate::webhook::store::Accepted;
use crate::webhook::time::Time;

/// Endpoints and messages have numbers, in the order in which they came; a delivery is at its message's and its endpoint's.
pub(super) type Place = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) last: u64,
    pub(super) endpoints: BTreeMap<u64, Row>,
    pub(super) endpoint_ids: HashMap<EndpointId, u64>,
    pub(super) urls: HashMap<String, u64>,
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) message_ids: HashMap<MessageId, u64>,
    pub(super) idempotency: HashMap<String, u64>,
    pub(super) deliveries: BTreeMap<Place, Kept>,
    pub(super) places: HashMap<DeliveryId, Place>,
}

/// An endpoint, with its subscriptions and what it has not got yet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) endpoint: Endpoint,
    pub(super) subscriptions: BTreeMap<(String, String), (Time, Option<Time>)>,
    /// Its unfinished deliveries: by message, and by when they are due.
    pub(super) unfinished: BTreeMap<u64, Time>,
    pub(super) waiting: BTreeSet<(Time, u64)>,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) delivery: Delivery,
    pub(super) log: Vec<Attempt>,
}

impl Row {
    pub(super) fn new(endpoint: Endpoint) -> Row {
        Row {
            endpoint,
            subscriptions: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.endpoint.state == EndpointState::Active
    }

    /// Whether messages are kept for it.
    pub(super) fn listens(&self) -> bool {
        matches!(self.endpoint.state, EndpointState::Active | EndpointState::Paused)
    }

    /// When it is to be attended to.
    pub(super) fn next(&self) -> Option<Time> {
        let first = match self.endpoint.settings.ordered {
            true => self.unfinished.first_key_value().map(|(_, due)| *due),
            false => self.waiting.first().map(|(due, _)| *due),
        };
        first.filter(|_| self.is_active())
    }

    /// Whether it subscribes to one of these keys at `now`.
    pub(super) fn wants(&self, keys: &Keys, now: Time) -> bool {
        let lasts = |expires: &Option<Time>| expires.is_none_or(|expires| expires > now);
        keys.iter().any(|(name, value)| {
            let key = (name.to_owned(), value.to_owned());
            self.subscriptions.get(&key).is_some_and(|(_, expires)| lasts(expires))
        })
    }
}

pub(super) fn is_unfinished(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Pending | DeliveryState::InFlight)
}

impl State {
    pub(super) fn row(&self, id: &EndpointId) -> Option<&Row> {
        self.endpoints.get(self.endpoint_ids.get(id)?)
    }

    pub(super) fn row_mut(&mut self, id: &EndpointId) -> Option<(u64, &mut Row)> {
        let number = *self.endpoint_ids.get(id)?;
        Some((number, self.endpoints.get_mut(&number)?))
    }

    /// Changes a delivery, and what its endpoint knows of it.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Delivery)) {
        let Some(kept) = self.deliveries.get_mut(&place) else { return };
        change(&mut kept.delivery);
        let Some(row) = self.endpoints.get_mut(&place.1) else { return };
        if let Some(due) = row.unfinished.remove(&place.0) {
            row.waiting.remove(&(due, place.0));
        }
        if is_unfinished(kept.delivery.state) {
            row.unfinished.insert(place.0, kept.delivery.due);
            row.waiting.insert((kept.delivery.due, place.0));
        }
    }

    pub(super) fn add_delivery(&mut self, message: u64, endpoint: u64, due: Time) {
        let of = (&self.messages[&message].id, &self.endpoints[&endpoint].endpoint.id);
        let delivery = Delivery::new(of.0, of.1, due);
        let place = (message, endpoint);
        self.places.insert(delivery.id.clone(), place);
        self.deliveries.insert(place, Kept { delivery, log: Vec::new() });
        self.change(place, |_| ());
    }

    pub(super) fn end(&mut self, place: Place, state: DeliveryState, at: Time) {
        self.change(place, |delivery| {
            delivery.state = state;
            delivery.due = at;
        });
    }

    /// The deliveries of one message.
    pub(super) fn of_message(&self, message: u64) -> impl Iterator<Item = (&Place, &Kept)> {
        self.deliveries.range((message, 0)..=(message, u64::MAX))
    }

    pub(super) fn accepted(&self, message: u64, repeated: bool) -> Accepted {
        let id = self.messages[&message].id.clone();
        Accepted { id, deliveries: self.of_message(message).count(), repeated }
    }
}

/// What comes after `after` in a map by number; nothing if that is not known.
pub(super) fn start(after: Option<Option<u64>>) -> Option<u64> {
    match after {
        None => Some(0),
        Some(number) => number.map(|number| number + 1),
    }
}
