//! Every call of a store, once: for stores that put something before each of them and pass it on. With what the calls are
//! made of, for those who name the macro.

pub(crate) use sward::webhook::store::{Accepted, Change, Claim, Filter, Next, Result, Totals};
pub(crate) use sward::webhook::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Health, Keys, Message, MessageId,
    Subscription, Time,
};

/// `each_call!(pass_on)` is `pass_on! { fn name(argument: Type, ...) -> Returned; ... }`, with all calls of `Store` that have no
/// default.
macro_rules! each_call {
    ($pass_on:ident) => {
        $pass_on! {
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
    };
}
pub(crate) use each_call;
