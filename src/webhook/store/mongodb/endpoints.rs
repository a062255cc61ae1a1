//! Endpoints and what they subscribe to.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use mongodb::bson::{Document, doc};
use mongodb::error::Error;

use super::deliveries::end;
use super::link::{Answer, Tables, insert};
use super::rows::{self, millis, or_strange};
use crate::webhook::model::{Endpoint, EndpointState, Health, Keys, Subscription};
use crate::webhook::store::Change;
use crate::webhook::time::Time;

/// What has not been removed, not even half.
pub(super) fn there(id: &str) -> Document {
    doc! { "_id": id, "is": { "$ne": "gone" } }
}

impl Tables {
    pub(super) async fn add_endpoint(&self, it: &Endpoint) -> Answer<(Endpoint, bool)> {
        // The second time round a colleague has put it there, or this very call, the first time.
        for _ in 0..2 {
            if let Some(known) = self.endpoints.find_one(doc! { "url": &it.url }).await? {
                return Ok((or_strange(rows::endpoint(&known))?, false));
            }
            let number = self.number().await?;
            if insert(&self.endpoints, &rows::to_endpoint(it, number)).await? {
                return Ok((it.clone(), true));
            }
        }
        Err(Error::custom("its id is another one's"))
    }

    pub(super) async fn endpoint(&self, filter: Document) -> Answer<Option<Endpoint>> {
        let found = self.endpoints.find_one(filter).await?;
        found.map(|found| or_strange(rows::endpoint(&found))).transpose()
    }

    pub(super) async fn endpoints(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<Endpoint>> {
        let mut filter = doc! { "is": { "$ne": "gone" } };
        if let Some(after) = after {
            let Some(last) = self.endpoints.find_one(there(after)).await? else {
                return Ok(Vec::new());
            };
            filter.insert("n", doc! { "$gt": rows::integer(&last, "n") });
        }
        let found = self.find(&self.endpoints, filter, doc! { "n": 1 }, limit).await?;
        found.iter().map(|found| or_strange(rows::endpoint(found))).collect()
    }

    pub(super) async fn change_endpoint(&self, id: &str, change: &Change) -> Answer<bool> {
        let (mut set, mut unset) = (Document::new(), Document::new());
        if let Some(keys) = &change.keys {
            set.insert("keys", rows::to_json(keys));
        }
        if let Some(settings) = &change.settings {
            set.insert("settings", rows::to_json(settings));
            set.insert("ordered", settings.ordered);
        }
        if let Some(Health { failures, failing_since, last_success }) = change.health {
            set.insert("failures", i64::from(failures));
            for (name, time) in [("since", failing_since), ("success", last_success)] {
                match time {
                    Some(time) => drop(set.insert(name, millis(time))),
                    None => drop(unset.insert(name, "")),
                }
            }
        }
        if let Some(state) = &change.state {
            set.insert("state", rows::to_json(state));
            set.insert("is", state.as_str());
        }
        // An empty update is an error.
        set.insert("id", id);
        let mut update = doc! { "$set": set };
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        let changed = self.endpoints.update_one(there(id), update).await?;
        if let Some(EndpointState::Disabled { at, .. }) = change.state {
            let waiting = doc! { "e": id, "state": "pending" };
            self.deliveries.update_many(waiting, end("dead", at)).await?;
        }
        Ok(changed.matched_count == 1)
    }

    /// The endpoint is marked first, so that a removal that was broken off can be completed.
    pub(super) async fn remove_endpoint(&self, id: &str, now: Time) -> Answer<bool> {
        let gone = doc! { "is": "gone", "url": format!("gone {id}"), "gone": millis(now) };
        let removed = self.endpoints.update_one(there(id), doc! { "$set": gone }).await?;
        if removed.matched_count == 1 {
            self.complete_removal(id, now).await?;
        }
        Ok(removed.matched_count == 1)
    }

    pub(super) async fn complete_removal(&self, id: &str, now: Time) -> Answer<()> {
        self.subscriptions.delete_many(doc! { "sward.endpoint": id }).await?;
        let open = doc! { "e": id, "open": true };
        self.deliveries.update_many(open, end("cancelled", now)).await?;
        self.endpoints.delete_one(doc! { "_id": id }).await.map(drop)
    }

    pub(super) async fn subscribe(
        &self,
        id: &str,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Answer<()> {
        let Some(endpoint) = self.endpoint(there(id)).await? else { return Ok(()) };
        for (name, value) in keys.iter() {
            let known = doc! { "_id": format!("{id} {}", rows::pair((name, value))) };
            let times = doc! { "$set": rows::times(&endpoint.url, now, expires) };
            let renewed = self.subscriptions.update_one(known.clone(), times.clone()).await?;
            if renewed.matched_count == 1 {
                continue;
            }
            let (name, value) = (name.to_owned(), value.to_owned());
            let endpoint_id = endpoint.id.clone();
            let new = Subscription { endpoint: endpoint_id, name, value, updated: now, expires };
            if !insert(&self.subscriptions, &rows::to_subscription(&new, &endpoint.url)).await? {
                self.subscriptions.update_one(known, times).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(&self, id: &str, keys: &Keys) -> Answer<usize> {
        let ids: Vec<_> = rows::pairs(keys).iter().map(|pair| format!("{id} {pair}")).collect();
        let gone = self.subscriptions.delete_many(doc! { "_id": { "$in": ids } }).await?;
        Ok(gone.deleted_count as usize)
    }

    pub(super) async fn subscriptions(&self, id: &str) -> Answer<Vec<Subscription>> {
        let filter = doc! { "sward.endpoint": id };
        let found = self.find(&self.subscriptions, filter, doc! {}, usize::MAX).await?;
        let found = found.iter().map(|found| or_strange(rows::subscription(found)));
        let mut found = found.collect::<Answer<Vec<_>>>()?;
        found.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        Ok(found)
    }

    pub(super) async fn expire(&self, now: Time) -> Answer<usize> {
        // Not those that never end, however late it is; nor skyhooks' own, which have nothing of ours.
        let lapsed = doc! { "$lte": millis(now), "$lt": rows::NEVER };
        let gone = self.subscriptions.delete_many(doc! { "sward.expires": lapsed }).await?;
        Ok(gone.deleted_count as usize)
    }

    /// Whoever subscribes, as they are kept, in the order of registration.
    pub(super) async fn matching(&self, pairs: Vec<String>, now: Time) -> Answer<Vec<Document>> {
        let lasts =
            doc! { "sward.pair": { "$in": pairs }, "sward.expires": { "$gt": millis(now) } };
        let found = self.find(&self.subscriptions, lasts, doc! {}, usize::MAX).await?;
        let mut ids = BTreeSet::new();
        for found in &found {
            ids.insert(or_strange(rows::subscription(found))?.endpoint.to_string());
        }
        self.endpoints_in(ids).await
    }

    pub(super) async fn endpoints_in(&self, ids: BTreeSet<String>) -> Answer<Vec<Document>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let filter = doc! { "_id": { "$in": ids }, "is": { "$ne": "gone" } };
        self.find(&self.endpoints, filter, doc! { "n": 1 }, usize::MAX).await
    }

    /// What may be done only for endpoints that are active: their ids, and whether they are ordered.
    pub(super) async fn active(&self) -> Answer<Vec<(String, bool)>> {
        let filter = doc! { "is": "active" };
        let found = self.find(&self.endpoints, filter, doc! { "n": 1 }, usize::MAX).await?;
        let read =
            |it: &Document| Some((rows::text(it, "_id")?.to_owned(), rows::flag(it, "ordered")));
        found.iter().map(|found| or_strange(read(found))).collect()
    }

    /// Deliveries were made pending for endpoints that listened then; for one that does not any more they have come too late to be
    /// ended with its others.
    pub(super) async fn end_if_late(&self, deliveries: &[Document], now: Time) -> Answer<()> {
        let text = |it: &Document, name| or_strange(rows::text(it, name).map(str::to_owned));
        let ids: Answer<BTreeSet<_>> = deliveries.iter().map(|it| text(it, "e")).collect();
        let there = self.endpoints_in(ids?).await?;
        for it in deliveries {
            let (id, e) = (text(it, "_id")?, text(it, "e")?);
            let endpoint = there.iter().find(|there| rows::text(there, "_id") == Some(&e));
            let state = match endpoint.and_then(|endpoint| rows::text(endpoint, "is")) {
                None => "cancelled",
                Some("disabled") => "dead",
                Some(_) => continue,
            };
            let late = doc! { "_id": id, "state": "pending" };
            self.deliveries.update_one(late, end(state, now)).await?;
        }
        Ok(())
    }
}
