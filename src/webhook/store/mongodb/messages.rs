//! Messages: publishing, in an order that can be broken off anywhere.

#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashSet};

use mongodb::bson::{Bson, Document, doc};

use super::link::{Answer, Tables, insert, is_known, strange};
use super::rows::{self, millis, or_strange};
use crate::webhook::id::{EndpointId, MessageId};
use crate::webhook::model::Message;
use crate::webhook::store::Accepted;
use crate::webhook::time::Time;

impl Tables {
    pub(super) async fn publish(
        &self,
        message: &Message,
        extra: &[EndpointId],
        op: &str,
    ) -> Answer<Accepted> {
        let mut id = message.id.clone();
        let known = match &message.idempotency_key {
            None => None,
            Some(key) => self.idempotency.find_one(doc! { "_id": key }).await?,
        };
        if let Some(known) = &known {
            // Under this name it was to be published; whoever began may not have come further.
            id = or_strange(MessageId::parse(or_strange(rows::text(known, "m"))?))?;
        }
        if let Some(found) = self.messages.find_one(doc! { "_id": id.as_str() }).await? {
            return self.again(found, op).await;
        }
        if let (None, Some(key)) = (&known, &message.idempotency_key) {
            let key_of =
                doc! { "_id": key, "m": id.as_str(), "published": millis(message.published) };
            if !insert(&self.idempotency, &key_of).await? {
                let known = self.idempotency.find_one(doc! { "_id": key }).await?;
                let known = known.ok_or_else(strange)?;
                id = or_strange(MessageId::parse(or_strange(rows::text(&known, "m"))?))?;
            }
        }
        let mut to: Vec<Document> =
            self.matching(rows::pairs(&message.keys), message.published).await?;
        let extra: BTreeSet<_> = extra.iter().map(EndpointId::to_string).collect();
        to.extend(self.endpoints_in(extra).await?);
        to.retain(|it| matches!(it.get_str("is"), Ok("active" | "paused")));
        let place =
            |it: &Document| Some((it.get_str("_id").ok()?.to_owned(), rows::integer(it, "n")?));
        let mut to = to.iter().map(place).collect::<Option<Vec<_>>>().ok_or_else(strange)?;
        to.sort_by_key(|(_, number)| *number);
        to.dedup();
        let message = Message { id: id.clone(), ..message.clone() };
        let document = rows::to_message(&message, self.number().await?, op, &to);
        if !insert(&self.messages, &document).await? {
            let found = self.messages.find_one(doc! { "_id": id.as_str() }).await?;
            return self.again(found.ok_or_else(strange)?, op).await;
        }
        let deliveries = self.complete(&document).await?;
        Ok(Accepted { id, deliveries, repeated: false })
    }

    /// It is there, but perhaps not all of it.
    async fn again(&self, found: Document, op: &str) -> Answer<Accepted> {
        let id = or_strange(found.get_str("_id").ok().and_then(MessageId::parse))?;
        if !rows::flag(&found, "complete") {
            self.complete(&found).await?;
        }
        let deliveries = self.deliveries.count_documents(doc! { "m": id.as_str() }).await?;
        let repeated = rows::text(&found, "op") != Some(op);
        Ok(Accepted { id, deliveries: deliveries as usize, repeated })
    }

    /// Makes the deliveries of a message that are not there yet, and says that all are.
    pub(super) async fn complete(&self, message: &Document) -> Answer<usize> {
        let published = or_strange(rows::time(message, "published"))?;
        let mut all = Vec::new();
        for to in message.get_array("to").map_err(|_| strange())? {
            let Bson::Document(to) = to else { return Err(strange()) };
            let (e, n) = (to.get_str("e").ok(), rows::integer(to, "n"));
            let place = or_strange(e.zip(n))?;
            all.push(rows::to_delivery(message, place, millis(published))?);
        }
        if !all.is_empty() {
            match self.deliveries.insert_many(&all).ordered(false).await {
                Err(error) if !is_known(&error) => return Err(error),
                _ => {}
            }
        }
        self.end_if_late(&all, published).await?;
        let it = doc! { "_id": or_strange(rows::text(message, "_id"))? };
        self.messages.update_one(it, doc! { "$set": { "complete": true } }).await?;
        Ok(all.len())
    }

    /// Ends what others had begun when they were killed.
    pub(super) async fn mend(&self) -> Answer<()> {
        for it in self.find(&self.messages, doc! { "complete": false }, doc! {}, usize::MAX).await?
        {
            self.complete(&it).await?;
        }
        for it in self.find(&self.endpoints, doc! { "is": "gone" }, doc! {}, usize::MAX).await? {
            let (id, gone) = (or_strange(rows::text(&it, "_id"))?, rows::time(&it, "gone"));
            self.complete_removal(id, or_strange(gone)?).await?;
        }
        Ok(())
    }

    pub(super) async fn message(&self, id: &str) -> Answer<Option<Message>> {
        let found = self.messages.find_one(doc! { "_id": id }).await?;
        found.map(|found| or_strange(rows::message(&found))).transpose()
    }

    pub(super) async fn messages(
        &self,
        since: Time,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<Message>> {
        let mut filter = doc! { "published": { "$gte": millis(since) } };
        if let Some(after) = after {
            let Some(last) = self.messages.find_one(doc! { "_id": after }).await? else {
                return Ok(Vec::new());
            };
            filter.insert("n", doc! { "$gt": rows::integer(&last, "n") });
        }
        let found = self.find(&self.messages, filter, doc! { "n": 1 }, limit).await?;
        found.iter().map(|found| or_strange(rows::message(found))).collect()
    }

    /// A message goes last, so that what was broken off is done the next time.
    pub(super) async fn prune(&self, keys: Time, messages: Time) -> Answer<usize> {
        let old = doc! { "published": { "$lt": millis(keys) } };
        for it in self.find(&self.idempotency, old, doc! {}, usize::MAX).await? {
            let its = doc! { "_id": or_strange(rows::text(&it, "m"))? };
            self.messages.update_one(its, doc! { "$unset": { "idem": "" } }).await?;
            let key = or_strange(rows::text(&it, "_id"))?;
            self.idempotency.delete_one(doc! { "_id": key }).await?;
        }
        let (mut gone, mut last) = (0, -1);
        loop {
            let old = doc! { "published": { "$lt": millis(messages) }, "n": { "$gt": last } };
            let some = self.find(&self.messages, old, doc! { "n": 1 }, 100).await?;
            for it in &some {
                last = or_strange(rows::integer(it, "n"))?;
                gone += usize::from(self.prune_one(it).await?);
            }
            if some.len() < 100 {
                return Ok(gone);
            }
        }
    }

    async fn prune_one(&self, message: &Document) -> Answer<bool> {
        let id = or_strange(rows::text(message, "_id"))?;
        let open = self.deliveries.count_documents(doc! { "m": id, "open": true }).await?;
        if open > 0 || !rows::flag(message, "complete") {
            return Ok(false);
        }
        let all = self.find(&self.deliveries, doc! { "m": id }, doc! {}, usize::MAX).await?;
        let all: Vec<_> = all.iter().filter_map(|it| it.get_str("_id").ok()).collect();
        self.attempts.delete_many(doc! { "delivery": { "$in": &all } }).await?;
        self.deliveries.delete_many(doc! { "m": id }).await?;
        if let Ok(key) = message.get_str("idem") {
            self.idempotency.delete_one(doc! { "_id": key, "m": id }).await?;
        }
        self.messages.delete_one(doc! { "_id": id }).await?;
        Ok(true)
    }

    /// Makes the dead pending, then delivers what it subscribes to and has never been given.
    pub(super) async fn recover(&self, id: &str, since: Time, now: Time) -> Answer<usize> {
        let Some(endpoint) = self.endpoints.find_one(super::endpoints::there(id)).await? else {
            return Ok(0);
        };
        let number = or_strange(rows::integer(&endpoint, "n"))?;
        let since = doc! { "$gte": millis(since) };
        let dead = doc! { "e": id, "state": "dead", "published": since.clone() };
        let again = super::deliveries::again(now);
        let mut made = self.deliveries.update_many(dead, again).await?.modified_count as usize;
        let wants = self.subscriptions(id).await?;
        let lasts = wants.iter().filter(|it| it.expires.is_none_or(|expires| expires > now));
        let wanted: HashSet<_> = lasts.map(|it| rows::pair((&it.name, &it.value))).collect();
        let mut last = -1;
        loop {
            let filter = doc! { "published": since.clone(), "n": { "$gt": last } };
            let some = self.find(&self.messages, filter, doc! { "n": 1 }, 500).await?;
            for it in &some {
                last = or_strange(rows::integer(it, "n"))?;
                let keys = or_strange(rows::message(it))?.keys;
                if !rows::pairs(&keys).iter().any(|pair| wanted.contains(pair)) {
                    continue;
                }
                let new = rows::to_delivery(it, (id, number), millis(now))?;
                made += usize::from(insert(&self.deliveries, &new).await?);
            }
            if some.len() < 500 {
                return Ok(made);
            }
        }
    }
}
