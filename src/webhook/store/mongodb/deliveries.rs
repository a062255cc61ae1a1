//! Deliveries: who is due, claims, and how they end. A delivery changes only from what was seen of it, so that one of several
//! who want the same wins.

#![forbid(unsafe_code)]

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;

use super::endpoints::there;
use super::link::{Answer, Tables, insert};
use super::rows::{self, millis, or_strange};
use crate::webhook::model::{Attempt, Delivery, Health};
use crate::webhook::store::{Claim, Filter, Next, Totals};
use crate::webhook::time::Time;

/// What ends a delivery.
pub(super) fn end(state: &str, at: Time) -> Document {
    doc! { "$set": { "state": state, "open": false, "due": millis(at) } }
}

/// What begins it again.
pub(super) fn again(now: Time) -> Document {
    doc! { "$set": { "state": "pending", "open": true, "due": millis(now), "attempts": 0_i64 } }
}

impl Tables {
    pub(super) async fn find(
        &self,
        table: &Collection<Document>,
        filter: Document,
        sort: Document,
        limit: usize,
    ) -> Answer<Vec<Document>> {
        let mut all = Vec::new();
        if limit == 0 {
            return Ok(all);
        }
        let mut find = table.find(filter);
        if !sort.is_empty() {
            find = find.sort(sort);
        }
        if limit < usize::MAX {
            find = find.limit(limit.try_into().unwrap_or(i64::MAX));
        }
        let mut found = find.await?;
        while found.advance().await? {
            all.push(found.deserialize_current()?);
        }
        Ok(all)
    }

    /// The first of an endpoint's unfinished deliveries, in the order of acceptance.
    async fn first(&self, id: &str) -> Answer<Option<Document>> {
        let open = doc! { "e": id, "open": true };
        self.deliveries.find_one(open).sort(doc! { "mn": 1 }).await
    }

    /// The one of these endpoints' that is due first, if that is by `until`.
    async fn earliest(&self, ids: &[&str], until: i64) -> Answer<Option<Document>> {
        let open = doc! { "open": true, "due": { "$lte": until }, "e": { "$in": ids } };
        self.deliveries.find_one(open).sort(doc! { "due": 1, "en": 1 }).await
    }

    /// Endpoints with when they are to be attended to, by that.
    async fn attend(
        &self,
        until: i64,
        except: &[String],
        limit: usize,
    ) -> Answer<Vec<(i64, String)>> {
        let mut active = self.active().await?;
        active.retain(|(id, _)| !except.contains(id));
        let mut found = Vec::new();
        for (id, _) in active.iter().filter(|(_, ordered)| *ordered) {
            if let Some(first) = self.first(id).await? {
                let due = or_strange(rows::integer(&first, "due"))?;
                let number = or_strange(rows::integer(&first, "en"))?;
                if due <= until {
                    found.push((due, number, id.clone()));
                }
            }
        }
        let mut rest: Vec<_> =
            active.iter().filter(|(_, ordered)| !ordered).map(|(id, _)| &id[..]).collect();
        for _ in 0..limit.min(rest.len()) {
            let Some(first) = self.earliest(&rest, until).await? else { break };
            let due = or_strange(rows::integer(&first, "due"))?;
            let number = or_strange(rows::integer(&first, "en"))?;
            let id = or_strange(rows::text(&first, "e"))?;
            rest.retain(|other| *other != id);
            found.push((due, number, id.to_owned()));
        }
        found.sort();
        found.truncate(limit);
        Ok(found.into_iter().map(|(due, _, id)| (due, id)).collect())
    }

    pub(super) async fn due(
        &self,
        now: Time,
        except: &[String],
        limit: usize,
    ) -> Answer<Vec<String>> {
        let found = self.attend(millis(now), except, limit).await?;
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    pub(super) async fn next_due(&self) -> Answer<Option<Time>> {
        let found = self.attend(i64::MAX, &[], 1).await?;
        Ok(found.first().map(|(due, _)| Time::from_millis(due.unsigned_abs())))
    }

    pub(super) async fn claim(
        &self,
        id: &str,
        now: Time,
        until: Time,
        limit: usize,
        op: &str,
    ) -> Answer<Vec<Claim>> {
        let active = doc! { "_id": id, "is": "active" };
        let Some(endpoint) = self.endpoints.find_one(active).await? else { return Ok(Vec::new()) };
        let ordered = rows::flag(&endpoint, "ordered");
        let endpoint = or_strange(rows::endpoint(&endpoint))?;
        let due = doc! { "e": id, "open": true, "due": { "$lte": millis(now) } };
        let sort = doc! { "due": 1, "mn": 1 };
        let mut claims = Vec::new();
        // This very call may have been made before, and its answer lost.
        let mine = doc! { "e": id, "open": true, "by": op };
        for it in self.find(&self.deliveries, mine, sort.clone(), limit).await? {
            claims.push((or_strange(rows::delivery(&it))?, it));
        }
        while claims.is_empty() {
            let some = match ordered {
                false => self.find(&self.deliveries, due.clone(), sort.clone(), limit).await?,
                true => {
                    let is_due = |it: &Document| rows::integer(it, "due") <= Some(millis(now));
                    self.first(id).await?.filter(is_due).into_iter().take(limit).collect()
                }
            };
            if some.is_empty() {
                break;
            }
            for it in some {
                let mut delivery = or_strange(rows::delivery(&it))?;
                let seen = doc! {
                    "_id": delivery.id.as_str(), "open": true, "due": millis(delivery.due),
                    "state": delivery.state.as_str(),
                };
                let set = doc! { "state": "in_flight", "due": millis(until), "by": op };
                let won = self.deliveries.update_one(seen, doc! { "$set": set }).await?;
                if won.matched_count == 1 {
                    delivery.state = crate::webhook::model::DeliveryState::InFlight;
                    delivery.due = until;
                    claims.push((delivery, it));
                }
            }
        }
        let mut whole = Vec::new();
        for (delivery, _) in claims {
            let message = self.message(delivery.message.as_str()).await?;
            let message = or_strange(message)?;
            whole.push(Claim { delivery, message, endpoint: endpoint.clone() });
        }
        Ok(whole)
    }

    pub(super) async fn finish(
        &self,
        id: &str,
        attempt: Option<&Attempt>,
        next: Next,
        op: &str,
    ) -> Answer<Option<Health>> {
        let Some(found) = self.deliveries.find_one(doc! { "_id": id }).await? else {
            return Ok(None);
        };
        let e = or_strange(rows::text(&found, "e"))?;
        let endpoint = self.endpoints.find_one(there(e)).await?;
        let disabled = endpoint.as_ref().is_some_and(|it| rows::text(it, "is") == Some("disabled"));
        // Once only, should this call be made again.
        if rows::text(&found, "op") != Some(op) {
            if let Some(attempt) = attempt {
                let number = rows::integer(&found, "log").unwrap_or(0);
                let log = doc! {
                    "_id": format!("{id} {op}"), "delivery": id, "n": number,
                    "attempt": rows::to_json(attempt),
                };
                insert(&self.attempts, &log).await?;
            }
            let (state, at) = match next {
                Next::Delivered(at) => ("delivered", at),
                Next::Retry(at) if !disabled => ("pending", at),
                Next::Retry(at) | Next::Dead(at) => ("dead", at),
            };
            let one = i64::from(attempt.is_some());
            // What is resent counts its attempts from 0, but not what is in its log.
            let count = doc! { "attempts": one, "log": one };
            let set = doc! {
                "state": state, "open": state == "pending", "due": millis(at), "op": op, "by": "",
            };
            let may = doc! { "_id": id, "state": { "$nin": ["delivered", "cancelled"] } };
            let update = doc! { "$set": set, "$inc": count.clone() };
            // Of an endpoint that is gone everything has ended.
            if endpoint.is_none()
                || self.deliveries.update_one(may, update).await?.matched_count == 0
            {
                let update = doc! { "$set": { "op": op }, "$inc": count };
                self.deliveries.update_one(doc! { "_id": id }, update).await?;
            } else if state == "pending" {
                self.end_if_late(std::slice::from_ref(&found), at).await?;
            }
            if let Some(endpoint) = &endpoint {
                let health = keep_health(endpoint, attempt, next);
                let health = self.endpoints.find_one_and_update(there(e), health);
                let kept = health.return_document(ReturnDocument::After).await?;
                return kept.map(|it| or_strange(rows::health(&it))).transpose();
            }
        }
        endpoint.map(|it| or_strange(rows::health(&it))).transpose()
    }

    pub(super) async fn delivery(&self, id: &str) -> Answer<Option<Delivery>> {
        let found = self.deliveries.find_one(doc! { "_id": id }).await?;
        found.map(|found| or_strange(rows::delivery(&found))).transpose()
    }

    pub(super) async fn deliveries(
        &self,
        wanted: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<Delivery>> {
        let mut filter = Document::new();
        if let Some(endpoint) = &wanted.endpoint {
            filter.insert("e", endpoint.as_str());
        }
        if let Some(message) = &wanted.message {
            filter.insert("m", message.as_str());
        }
        if let Some(state) = wanted.state {
            filter.insert("state", state.as_str());
        }
        if let Some(after) = after {
            let Some(last) = self.deliveries.find_one(doc! { "_id": after }).await? else {
                return Ok(Vec::new());
            };
            let (mn, en) = (rows::integer(&last, "mn"), rows::integer(&last, "en"));
            let later = doc! { "mn": mn, "en": { "$gt": en } };
            filter.insert("$or", vec![doc! { "mn": { "$gt": mn } }, later]);
        }
        let found = self.find(&self.deliveries, filter, doc! { "mn": 1, "en": 1 }, limit).await?;
        found.iter().map(|found| or_strange(rows::delivery(found))).collect()
    }

    pub(super) async fn attempts(&self, id: &str) -> Answer<Vec<Attempt>> {
        let sort = doc! { "n": 1 };
        let found = self.find(&self.attempts, doc! { "delivery": id }, sort, usize::MAX).await?;
        let read = |it: &Document| serde_json::from_str(it.get_str("attempt").ok()?).ok();
        found.iter().map(|it| or_strange(read(it))).collect()
    }

    pub(super) async fn resend(&self, id: &str, now: Time) -> Answer<bool> {
        let Some(found) = self.deliveries.find_one(doc! { "_id": id }).await? else {
            return Ok(false);
        };
        let e = or_strange(rows::text(&found, "e"))?;
        if self.endpoints.find_one(there(e)).await?.is_none() {
            return Ok(false);
        }
        let finished = doc! { "_id": id, "open": false };
        Ok(self.deliveries.update_one(finished, again(now)).await?.matched_count == 1)
    }

    pub(super) async fn totals(&self, id: Option<&str>) -> Answer<Totals> {
        let of = |field: &str| id.map_or(Document::new(), |id| doc! { field: id });
        let mut endpoints = of("_id");
        endpoints.insert("is", doc! { "$ne": "gone" });
        let mut subscriptions = of("sward.endpoint");
        // Not what skyhooks itself has put there.
        subscriptions.insert("sward.pair", doc! { "$exists": true });
        let mut totals = Totals {
            endpoints: self.endpoints.count_documents(endpoints).await?,
            subscriptions: self.subscriptions.count_documents(subscriptions).await?,
            messages: match id {
                Some(_) => self.deliveries.count_documents(of("e")).await?,
                None => self.messages.count_documents(doc! {}).await?,
            },
            ..Totals::default()
        };
        let each = doc! { "$group": { "_id": "$state", "n": { "$sum": 1_i64 } } };
        let mut states = self.deliveries.aggregate([doc! { "$match": of("e") }, each]).await?;
        while states.advance().await? {
            let it = states.deserialize_current()?;
            let count = or_strange(rows::integer(&it, "n"))?.unsigned_abs();
            match or_strange(rows::text(&it, "_id"))? {
                "pending" => totals.pending = count,
                "in_flight" => totals.in_flight = count,
                "delivered" => totals.delivered = count,
                "dead" => totals.dead = count,
                _ => {}
            }
        }
        let mut open = of("e");
        open.insert("open", true);
        let oldest = self.deliveries.find_one(open).sort(doc! { "created": 1 }).await?;
        totals.oldest = oldest.and_then(|it| rows::time(&it, "created"));
        totals.next = match id {
            None => self.next_due().await?,
            Some(id) => match self.endpoints.find_one(doc! { "_id": id, "is": "active" }).await? {
                None => None,
                Some(it) if rows::flag(&it, "ordered") => self.first(id).await?,
                Some(_) => self.earliest(&[id], i64::MAX).await?,
            }
            .and_then(|it| rows::time(&it, "due")),
        };
        Ok(totals)
    }
}

/// What an endpoint's health becomes, as `Health::after` has it.
fn keep_health(endpoint: &Document, attempt: Option<&Attempt>, next: Next) -> Document {
    match (next, attempt) {
        (Next::Delivered(at), _) => doc! {
            "$set": { "failures": 0_i64, "success": millis(at) }, "$unset": { "since": "" },
        },
        // An empty update is an error.
        (_, None) => doc! { "$inc": { "failures": 0_i64 } },
        (_, Some(attempt)) => {
            let since = rows::integer(endpoint, "since").unwrap_or(millis(attempt.at));
            doc! { "$inc": { "failures": 1_i64 }, "$set": { "since": since } }
        }
    }
}
