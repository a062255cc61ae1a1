//! [`MongoStore`]: everything in MongoDB, subscriptions in the form that skyhooks gave them.
//!
//! No transaction over several documents is used, so a standalone server will do. What takes several writes is ordered so that it
//! can be broken off anywhere: a message is there, marked as incomplete, before its deliveries are, which have names that
//! follow from it; so a second publish under the same key or id completes it, and so does opening the store. A delivery changes
//! hands by an update that names what was seen of it.
//!
//! | collection | a document is |
//! |---|---|
//! | `skyhooks_webhooks` | a subscription: `{url, updated, <name>: [value], expires, sward: {..}}` |
//! | `sward_endpoints` | an endpoint, with its number |
//! | `sward_messages` | a message, its number, and whom it goes to |
//! | `sward_idempotency` | an idempotency key, and the message that it leads to |
//! | `sward_deliveries` | a delivery |
//! | `sward_attempts` | an attempt |
//! | `sward_numbers` | the last number given |
//!
//! What it is not: as quick as the others: a publish is about 6 round trips, a claim or an end about 5.
//!
//! To read on: `link.rs` has the driver and its runtime, `rows.rs` what is in a document, the others a subject each.

#![forbid(unsafe_code)]

mod deliveries;
mod endpoints;
mod link;
mod messages;
mod rows;

use mongodb::bson::doc;

use self::link::Link;
use super::{Accepted, Change, Claim, Filter, Next, Result, Store, Totals};
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Attempt, Delivery, Endpoint, Health, Keys, Message, Subscription};
use crate::webhook::time::Time;

/// A store in MongoDB, shared by as many processes as like.
///
/// # The form of subscriptions
/// The collection `skyhooks_webhooks` has one document for each URL, name and value: `{url, updated, account_id: ["42"]}`, and
/// `expires` beside them. So whoever worked with skyhooks' collection finds the URLs by `find({"account_id": "42"})`. What skyhooks
/// itself puts there is left alone, and not delivered to.
///
/// Values are texts. A name that cannot be a field (one that is empty, begins with `$`, has a `.`, `%` or NUL in it, or is `_id`, `url`,
/// `updated`, `expires` or `sward`) is escaped as URLs are: `a.b` is the field `a%2Eb`.
///
/// # What is durable
/// Writes are answered when they are in the journal, of most members of a replica set (`w=majority&journal=true`), unless the URL
/// says otherwise. No transactions are used: a process that is killed amid a publish may have begun some deliveries of
/// a message that was not accepted yet; they are completed when the same is published again, or the store is opened.
///
/// # Lost connections
/// A call whose connection is lost is made again, for 10 s at most. Nothing happens twice by that, but removals may count less,
/// and an endpoint's failures one more.
///
/// # Green threads
/// The driver has a tokio runtime on an OS thread of its own; calls park green threads, by [`block_on`](crate::block_on()).
///
/// ```no_run
/// use sward::webhook::store::{MongoStore, Store};
///
/// let store = MongoStore::open("mongodb://127.0.0.1:27017/skyhooks")?;
/// println!("{} endpoints", store.totals(None)?.endpoints);
/// # Ok::<(), sward::webhook::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct MongoStore {
    link: Link,
}

impl MongoStore {
    /// The store in the database that the URL names; `skyhooks` if it names none. Makes the indices, and completes what others had
    /// begun when they were killed.
    ///
    /// # Errors
    /// If the URL is none, or the server does not answer within 10 s. `mongodb+srv` is not supported.
    pub fn open(url: &str) -> Result<MongoStore> {
        let store = MongoStore { link: Link::open(url)? };
        store.link.call("completing what was begun", |at, _| async move { at.mend().await })?;
        Ok(store)
    }
}

/// `self.call("doing", (owned values), |tables, op| what is awaited)`: the values are cloned for each try.
macro_rules! call {
    ($self:ident, $doing:literal, [$($value:ident = $from:expr),*], |$at:ident, $op:ident| $what:expr) => {{
        $(let $value = $from;)*
        $self.link.call($doing, move |$at, $op| {
            $(let $value = $value.clone();)*
            async move {
                let _ = &$op;
                $what.await
            }
        })
    }};
}

impl Store for MongoStore {
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)> {
        call!(self, "adding an endpoint", [it = endpoint.clone()], |at, _op| at.add_endpoint(&it))
    }

    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let filter = endpoints::there(id.as_str());
        call!(self, "reading an endpoint", [filter = filter], |at, _op| at.endpoint(filter))
    }

    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>> {
        let filter = doc! { "url": url, "is": { "$ne": "gone" } };
        call!(self, "reading an endpoint", [filter = filter], |at, _op| at.endpoint(filter))
    }

    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        call!(self, "listing endpoints", [after = after.cloned()], |at, _op| at
            .endpoints(after.as_ref().map(EndpointId::as_str), limit))
    }

    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool> {
        call!(
            self,
            "changing an endpoint",
            [id = id.clone(), change = change.clone()],
            |at, _op| at.change_endpoint(id.as_str(), &change)
        )
    }

    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool> {
        call!(self, "removing an endpoint", [id = id.clone()], |at, _op| at
            .remove_endpoint(id.as_str(), now))
    }

    fn subscribe(
        &self,
        id: &EndpointId,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Result<()> {
        call!(self, "subscribing", [id = id.clone(), keys = keys.clone()], |at, _op| at.subscribe(
            id.as_str(),
            &keys,
            now,
            expires
        ))
    }

    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize> {
        call!(self, "unsubscribing", [id = id.clone(), keys = keys.clone()], |at, _op| at
            .unsubscribe(id.as_str(), &keys))
    }

    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>> {
        call!(self, "reading subscriptions", [id = id.clone()], |at, _op| at
            .subscriptions(id.as_str()))
    }

    fn expire(&self, now: Time) -> Result<usize> {
        call!(self, "removing lapsed subscriptions", [], |at, _op| at.expire(now))
    }

    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>> {
        let found =
            call!(self, "looking for subscribers", [pairs = rows::pairs(keys)], |at, _op| at
                .matching(pairs, now))?;
        let read = |it| super::StoreError::new("looking for subscribers", it);
        found.iter().map(|it| rows::or_strange(rows::endpoint(it)).map_err(read)).collect()
    }

    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted> {
        call!(self, "publishing", [it = message.clone(), extra = extra.to_vec()], |at, op| at
            .publish(&it, &extra, &op))
    }

    fn message(&self, id: &MessageId) -> Result<Option<Message>> {
        call!(self, "reading a message", [id = id.clone()], |at, _op| at.message(id.as_str()))
    }

    fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        call!(self, "listing messages", [after = after.cloned()], |at, _op| at.messages(
            since,
            after.as_ref().map(MessageId::as_str),
            limit
        ))
    }

    fn prune(&self, keys: Time, messages: Time) -> Result<usize> {
        call!(self, "pruning messages", [], |at, _op| at.prune(keys, messages))
    }

    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>> {
        let found = call!(
            self,
            "looking for what is due",
            [except = except.iter().map(EndpointId::to_string).collect::<Vec<_>>()],
            |at, _op| at.due(now, &except, limit)
        )?;
        Ok(found.iter().filter_map(|id| EndpointId::parse(id)).collect())
    }

    fn next_due(&self) -> Result<Option<Time>> {
        call!(self, "looking for what is due next", [], |at, _op| at.next_due())
    }

    fn claim(
        &self,
        endpoint: &EndpointId,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        call!(self, "claiming deliveries", [id = endpoint.clone()], |at, op| at.claim(
            id.as_str(),
            now,
            until,
            limit,
            &op
        ))
    }

    fn finish(
        &self,
        delivery: &DeliveryId,
        attempt: Option<&Attempt>,
        next: Next,
    ) -> Result<Option<Health>> {
        call!(
            self,
            "finishing a delivery",
            [id = delivery.clone(), attempt = attempt.cloned()],
            |at, op| at.finish(id.as_str(), attempt.as_ref(), next, &op)
        )
    }

    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        call!(self, "reading a delivery", [id = id.clone()], |at, _op| at.delivery(id.as_str()))
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        call!(
            self,
            "listing deliveries",
            [filter = filter.clone(), after = after.cloned()],
            |at, _op| at.deliveries(&filter, after.as_ref().map(DeliveryId::as_str), limit)
        )
    }

    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>> {
        call!(self, "reading attempts", [id = id.clone()], |at, _op| at.attempts(id.as_str()))
    }

    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool> {
        call!(self, "resending a delivery", [id = id.clone()], |at, _op| at
            .resend(id.as_str(), now))
    }

    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize> {
        call!(self, "recovering deliveries", [id = endpoint.clone()], |at, _op| at.recover(
            id.as_str(),
            since,
            now
        ))
    }

    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals> {
        call!(self, "counting", [id = endpoint.cloned()], |at, _op| at
            .totals(id.as_ref().map(EndpointId::as_str)))
    }
}
