//! A store that fails while it is told to, before it does anything; and counts its calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use sward::webhook::store::{
    Accepted, Change, Claim, Filter, MemoryStore, Next, Result, Store, StoreError, Totals,
};
use sward::webhook::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Health, Keys, Message, MessageId,
    Subscription, Time,
};

#[derive(Debug, Default)]
pub(crate) struct Flaky {
    inner: MemoryStore,
    pub(crate) failing: AtomicBool,
    failed: Mutex<HashMap<&'static str, usize>>,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Flaky> {
        Arc::default()
    }

    /// How often this call has failed.
    pub(crate) fn failed(&self, call: &str) -> usize {
        self.failed.lock().unwrap().get(call).copied().unwrap_or(0)
    }

    fn call(&self, name: &'static str) -> Result<()> {
        if !self.failing.load(SeqCst) {
            return Ok(());
        }
        *self.failed.lock().unwrap().entry(name).or_default() += 1;
        Err(StoreError::new(name, "it was told to fail"))
    }
}

macro_rules! as_inside {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$out> {
            self.call(stringify!($name))?;
            self.inner.$name($($arg),*)
        })*
    };
}

impl Store for Flaky {
    as_inside! {
        fn add_endpoint(endpoint: &Endpoint) -> (Endpoint, bool);
        fn endpoint(id: &EndpointId) -> Option<Endpoint>;
        fn endpoint_at(url: &str) -> Option<Endpoint>;
        fn endpoints(after: Option<&EndpointId>, limit: usize) -> Vec<Endpoint>;
        fn change_endpoint(id: &EndpointId, change: &Change) -> bool;
        fn remove_endpoint(id: &EndpointId, now: Time) -> bool;
        fn subscribe(id: &EndpointId, keys: &Keys, now: Time, expires: Option<Time>) -> ();
        fn unsubscribe(id: &EndpointId, keys: &Keys) -> usize;
        fn subscriptions(id: &EndpointId) -> Vec<Subscription>;
        fn expire(now: Time) -> usize;
        fn matching(keys: &Keys, now: Time) -> Vec<Endpoint>;
        fn publish(message: &Message, extra: &[EndpointId]) -> Accepted;
        fn message(id: &MessageId) -> Option<Message>;
        fn messages(since: Time, after: Option<&MessageId>, limit: usize) -> Vec<Message>;
        fn prune(keys: Time, messages: Time) -> usize;
        fn due(now: Time, except: &[EndpointId], limit: usize) -> Vec<EndpointId>;
        fn next_due() -> Option<Time>;
        fn claim(endpoint: &EndpointId, now: Time, until: Time, limit: usize) -> Vec<Claim>;
        fn finish(id: &DeliveryId, attempt: Option<&Attempt>, next: Next) -> Option<Health>;
        fn delivery(id: &DeliveryId) -> Option<Delivery>;
        fn deliveries(filter: &Filter, after: Option<&DeliveryId>, limit: usize) -> Vec<Delivery>;
        fn attempts(id: &DeliveryId) -> Vec<Attempt>;
        fn resend(id: &DeliveryId, now: Time) -> bool;
        fn recover(endpoint: &EndpointId, since: Time, now: Time) -> usize;
        fn totals(endpoint: Option<&EndpointId>) -> Totals;
    }
}
