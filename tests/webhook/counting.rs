//! A store that counts what it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sward::webhook::store::{Accepted, Change, Claim, Filter, Next, Result, Store, Totals};
use sward::webhook::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Health, Keys, Message, MessageId,
    Subscription, Time,
};

#[derive(Debug)]
pub(crate) struct Counting {
    to: Arc<dyn Store>,
    pub(crate) calls: AtomicU64,
    /// Deliveries that were handed out.
    pub(crate) claimed: AtomicU64,
}

impl Counting {
    pub(crate) fn new(to: Arc<dyn Store>) -> Counting {
        Counting { to, calls: AtomicU64::new(0), claimed: AtomicU64::new(0) }
    }
}

macro_rules! counting {
    ($(fn $name:ident(&self $(, $arg:ident: $of:ty)*) -> $result:ty;)*) => {
        impl Store for Counting {
            $(fn $name(&self $(, $arg: $of)*) -> $result {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.to.$name($($arg),*)
            })*

            fn claim(
                &self,
                endpoint: &EndpointId,
                now: Time,
                until: Time,
                limit: usize,
            ) -> Result<Vec<Claim>> {
                self.calls.fetch_add(1, Ordering::Relaxed);
                let claims = self.to.claim(endpoint, now, until, limit)?;
                self.claimed.fetch_add(claims.len() as u64, Ordering::Relaxed);
                Ok(claims)
            }

            fn poll_every(&self) -> Option<Duration> {
                self.to.poll_every()
            }
        }
    };
}

counting! {
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)>;
    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>>;
    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>>;
    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>>;
    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool>;
    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool>;
    fn subscribe(&self, id: &EndpointId, keys: &Keys, now: Time, expires: Option<Time>) -> Result<()>;
    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize>;
    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>>;
    fn expire(&self, now: Time) -> Result<usize>;
    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>>;
    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted>;
    fn message(&self, id: &MessageId) -> Result<Option<Message>>;
    fn messages(&self, since: Time, after: Option<&MessageId>, limit: usize) -> Result<Vec<Message>>;
    fn prune(&self, keys: Time, messages: Time) -> Result<usize>;
    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>>;
    fn next_due(&self) -> Result<Option<Time>>;
    fn finish(&self, delivery: &DeliveryId, attempt: Option<&Attempt>, next: Next) -> Result<Option<Health>>;
    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>>;
    fn deliveries(&self, filter: &Filter, after: Option<&DeliveryId>, limit: usize) -> Result<Vec<Delivery>>;
    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>>;
    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool>;
    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize>;
    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals>;
}
