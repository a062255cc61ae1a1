//! [`RedisStore`]: everything on a Redis server, for several processes on several machines.
//!
//! Each call is one Lua script, which Redis runs as a whole or not at all; the few that may have much to do (pruning, lapsed
//! subscriptions, recovery) are several, each of a bounded size and whole by itself. What is kept, below the prefix:
//!
//! ```text
//! n                the last number given; endpoints and messages have theirs in the order in which they came
//! endpoints        sorted set: endpoint by number          urls            hash: URL -> endpoint
//! endpoint:E       hash: the endpoint                      wants:E         hash: ["name","value"] -> "updated expires"
//! pair:[..]        sorted set: endpoint by expiry          lapsing         sorted set: "E [..]" by expiry
//! message:M        hash: the message, its number `n`, how many deliveries it has (`all`) and unfinished ones (`open`)
//! messages         sorted set: number and M by the latest time at which any message had been published by then
//! published        sorted set: M by time                   idempotency     hash: key -> M; `remembered` by time
//! to:M             sorted set: E by number                 delivery:M~E    hash: the delivery
//! attempts:M~E     list: the attempts                      all:E           sorted set: M by number; `dead:E`, `open:E`
//! queue:E          sorted set: the unfinished, by due      ready           sorted set: endpoint by when it is to be attended to
//! dead, oldest     sorted sets over all endpoints          totals          hash; and `totals:E`
//! op:..            what a call answered, for two minutes, in case its answer is lost
//! ```
//!
//! What it is not: for Redis Cluster (the scripts make the names of their keys), or a cache: no key has a time to live but `op`,
//! so the server must not evict (`maxmemory-policy noeviction`).
//!
//! To read on: `link.rs` has the connections, `lua/common.lua` what all scripts share.

#![forbid(unsafe_code)]

mod link;
mod rows;

use redis::Value;

use self::link::{Args, Link, Script};
use super::{Accepted, Change, Claim, Filter, Next, Result, Store, Totals};
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Health, Keys, Message, Subscription,
};
use crate::webhook::time::Time;

/// Scripts, each with what all share before it.
macro_rules! scripts {
    ($($name:ident: $file:literal, $doing:literal;)*) => {
        $(static $name: Script = Script::new(
            $doing,
            concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $file, ".lua"))),
        );)*
    };
}

scripts! {
    ADD_ENDPOINT: "add_endpoint", "adding an endpoint";
    ATTEMPTS: "attempts", "reading attempts";
    CHANGE_ENDPOINT: "change_endpoint", "changing an endpoint";
    CLAIM: "claim", "claiming deliveries";
    DELIVERIES: "deliveries", "listing deliveries";
    DELIVERY: "delivery", "reading a delivery";
    DUE: "due", "looking for what is due";
    ENDPOINT: "endpoint", "reading an endpoint";
    ENDPOINTS: "endpoints", "listing endpoints";
    EXPIRE: "expire", "removing lapsed subscriptions";
    FINISH: "finish", "finishing a delivery";
    FORGET: "forget", "forgetting idempotency keys";
    MATCHING: "matching", "looking for subscribers";
    MESSAGE: "message", "reading a message";
    MESSAGES: "messages", "listing messages";
    NEXT_DUE: "next_due", "looking for what is due next";
    PRUNE: "prune", "pruning messages";
    PUBLISH: "publish", "publishing";
    RECOVER: "recover", "recovering deliveries";
    REMOVE_ENDPOINT: "remove_endpoint", "removing an endpoint";
    RESEND: "resend", "resending a delivery";
    SUBSCRIBE: "subscribe", "subscribing";
    SUBSCRIPTIONS: "subscriptions", "reading subscriptions";
    TOTALS: "totals", "counting";
    UNSUBSCRIBE: "unsubscribe", "unsubscribing";
}

/// A store on a Redis server (6 or newer), shared by as many processes as like.
///
/// # What is durable
/// What the server's own settings make so; set `appendonly yes`. With `appendfsync always` a call returns when what it did is on
/// the disk, and a crash of the server, or of its machine, loses nothing that was accepted. With `appendfsync everysec`, which is
/// Redis's default, either loses what was accepted in the last second, or two: while the disk is busy the server answers before
/// it has handed over what it did. (40 times killed under load, it lost up to the last 0.2 s.) Without `appendonly` it loses what
/// came after the last snapshot. Replicas are not waited for (`WAIT` is not used): a failover loses what had not reached the new
/// primary.
///
/// The server must not evict: `maxmemory-policy noeviction`.
///
/// # Lost connections
/// A call whose connection is lost is made again, for 10 s at most; it carries a token by which the server knows it, so that it
/// happens once. Then it is an error.
///
/// # Green threads
/// The `redis` crate waits on std's sockets: with [`patch::install`](crate::patch::install) a call parks its green thread, without it the
/// call goes to the pool of [`blocking`](crate::blocking()). On an OS thread it blocks that. At most 32 connections are open.
///
/// ```no_run
/// use sward::webhook::store::{RedisStore, Store};
///
/// let store = RedisStore::open("redis://127.0.0.1:6379/0")?;
/// println!("{} endpoints", store.totals(None)?.endpoints);
/// # Ok::<(), sward::webhook::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct RedisStore {
    link: Link,
}

impl RedisStore {
    /// The store at `redis://[user:password@]host[:port][/database]` or `unix:///path`, with the prefix `sward:webhook:` before its
    /// keys.
    ///
    /// # Errors
    /// If the URL is none, or the server does not answer within 10 s.
    pub fn open(url: &str) -> Result<RedisStore> {
        RedisStore::with_prefix(url, "sward:webhook:")
    }

    /// The same with another prefix: stores with different ones know nothing of each other.
    ///
    /// # Errors
    /// As [`open`](RedisStore::open).
    pub fn with_prefix(url: &str, prefix: &str) -> Result<RedisStore> {
        Ok(RedisStore { link: Link::open(url, prefix)? })
    }

    /// Runs a script and reads its answer.
    fn call<T>(
        &self,
        script: &'static Script,
        args: Args,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T> {
        script.read(read(self.link.call(script, args)?))
    }
}

fn flag(value: Value) -> Option<bool> {
    rows::number(value).map(|number| number == 1)
}

fn size(value: Value) -> Option<usize> {
    rows::number(value)?.try_into().ok()
}

fn bit(yes: bool) -> &'static str {
    if yes { "1" } else { "0" }
}

impl Store for RedisStore {
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)> {
        let args = Args::new()
            .arg(endpoint.id.as_str())
            .arg(&endpoint.url)
            .time(endpoint.created)
            .arg(rows::to_json(&endpoint.state))
            .arg(endpoint.state.as_str())
            .arg(rows::to_json(&endpoint.keys))
            .arg(rows::to_json(&endpoint.settings))
            .arg(bit(endpoint.settings.ordered))
            .number(endpoint.health.failures)
            .maybe_time(endpoint.health.failing_since)
            .maybe_time(endpoint.health.last_success);
        self.call(&ADD_ENDPOINT, args, |answer| {
            let [new, row] = rows::fixed(answer)?;
            Some((rows::endpoint(row)?, flag(new)?))
        })
    }

    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let args = Args::new().option(Some(id.as_str()));
        self.call(&ENDPOINT, args, |answer| rows::optional(answer, rows::endpoint))
    }

    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>> {
        let args = Args::new().option(None::<&str>).option(Some(url));
        self.call(&ENDPOINT, args, |answer| rows::optional(answer, rows::endpoint))
    }

    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        let args = Args::new().option(after.map(EndpointId::as_str)).limit(limit);
        self.call(&ENDPOINTS, args, |answer| rows::all(answer, rows::endpoint))
    }

    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool> {
        let ended = match change.state {
            Some(EndpointState::Disabled { at, .. }) => Some(at),
            _ => None,
        };
        let args = Args::new()
            .arg(id.as_str())
            .option(change.state.as_ref().map(rows::to_json))
            .option(change.state.as_ref().map(EndpointState::as_str))
            .maybe_time(ended)
            .option(change.keys.as_ref().map(rows::to_json))
            .option(change.settings.as_ref().map(rows::to_json))
            .option(change.settings.as_ref().map(|settings| bit(settings.ordered)))
            .option(change.health.map(|health| health.failures.to_string()))
            .maybe_time(change.health.and_then(|health| health.failing_since))
            .maybe_time(change.health.and_then(|health| health.last_success));
        self.call(&CHANGE_ENDPOINT, args, flag)
    }

    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool> {
        self.call(&REMOVE_ENDPOINT, Args::new().arg(id.as_str()).time(now), flag)
    }

    fn subscribe(
        &self,
        id: &EndpointId,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Result<()> {
        let args = Args::new().arg(id.as_str()).time(now).maybe_time(expires);
        self.call(&SUBSCRIBE, args.list(rows::pairs(keys)), |_| Some(()))
    }

    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize> {
        self.call(&UNSUBSCRIBE, Args::new().arg(id.as_str()).list(rows::pairs(keys)), size)
    }

    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>> {
        let mut all = self.call(&SUBSCRIPTIONS, Args::new().arg(id.as_str()), |answer| {
            rows::all(answer, |row| {
                let [pair, times] = rows::fixed(row)?;
                rows::subscription(id, pair, times)
            })
        })?;
        all.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        Ok(all)
    }

    fn expire(&self, now: Time) -> Result<usize> {
        let mut gone = 0;
        loop {
            let some = self.call(&EXPIRE, Args::new().time(now), size)?;
            gone += some;
            if some < 1000 {
                return Ok(gone);
            }
        }
    }

    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>> {
        let args = Args::new().time(now).list(rows::pairs(keys));
        self.call(&MATCHING, args, |answer| rows::all(answer, rows::endpoint))
    }

    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted> {
        let args = Args::new()
            .arg(message.id.as_str())
            .time(message.published)
            .arg(&message.kind)
            .arg(rows::to_json(&message.keys))
            .arg(&message.body)
            .arg(&message.content_type)
            .option(message.idempotency_key.as_ref())
            .list(rows::pairs(&message.keys))
            .list(extra.iter().map(EndpointId::as_str));
        self.call(&PUBLISH, args, |answer| {
            let [id, deliveries, repeated] = rows::fixed(answer)?;
            let (id, deliveries) = (rows::message_id(id)?, size(deliveries)?);
            Some(Accepted { id, deliveries, repeated: flag(repeated)? })
        })
    }

    fn message(&self, id: &MessageId) -> Result<Option<Message>> {
        self.call(&MESSAGE, Args::new().arg(id.as_str()), |answer| {
            rows::optional(answer, rows::message)
        })
    }

    fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let args = Args::new().time(since).option(after.map(MessageId::as_str)).limit(limit);
        self.call(&MESSAGES, args, |answer| rows::all(answer, rows::message))
    }

    fn prune(&self, keys: Time, messages: Time) -> Result<usize> {
        while self.call(&FORGET, Args::new().time(keys), size)? == 1000 {}
        let (mut gone, mut stayed) = (0, 0);
        loop {
            let args = Args::new().time(messages).number(stayed);
            let [went, stay] = self.call(&PRUNE, args, |answer| {
                let [went, stay] = rows::fixed(answer)?;
                Some([size(went)?, size(stay)?])
            })?;
            (gone, stayed) = (gone + went, stayed + stay);
            if went + stay < 100 {
                return Ok(gone);
            }
        }
    }

    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>> {
        let except = except.iter().map(EndpointId::as_str);
        let args = Args::new().time(now).list(except).limit(limit);
        self.call(&DUE, args, |answer| rows::all(answer, rows::endpoint_id))
    }

    fn next_due(&self) -> Result<Option<Time>> {
        self.call(&NEXT_DUE, Args::new(), |answer| rows::optional(answer, rows::time))
    }

    fn claim(
        &self,
        endpoint: &EndpointId,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let args = Args::new().arg(endpoint.as_str()).time(now).time(until).limit(limit);
        self.call(&CLAIM, args, |answer| {
            let [endpoint, claimed] = rows::fixed(answer)?;
            let Some(endpoint) = rows::optional(endpoint, rows::endpoint)? else {
                return Some(Vec::new());
            };
            rows::all(claimed, |row| {
                let [delivery, message] = rows::fixed(row)?;
                Some(Claim {
                    delivery: rows::delivery(delivery)?,
                    message: rows::message(message)?,
                    endpoint: endpoint.clone(),
                })
            })
        })
    }

    fn finish(
        &self,
        delivery: &DeliveryId,
        attempt: Option<&Attempt>,
        next: Next,
    ) -> Result<Option<Health>> {
        let (to, at) = match next {
            Next::Delivered(at) => ("delivered", at),
            Next::Retry(at) => ("pending", at),
            Next::Dead(at) => ("dead", at),
        };
        let args = Args::new()
            .arg(delivery.as_str())
            .option(attempt.map(rows::to_json))
            .maybe_time(attempt.map(|attempt| attempt.at))
            .arg(to)
            .time(at);
        self.call(&FINISH, args, |answer| {
            rows::optional(answer, |row| rows::health(rows::fixed(row)?))
        })
    }

    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        self.call(&DELIVERY, Args::new().arg(id.as_str()), |answer| {
            rows::optional(answer, rows::delivery)
        })
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let mut found = Vec::new();
        let (mut after, mut walked) = (after.map(|id| id.as_str().to_owned()), None::<String>);
        while found.len() < limit {
            let args = Args::new()
                .option(filter.endpoint.as_ref().map(EndpointId::as_str))
                .option(filter.message.as_ref().map(MessageId::as_str))
                .option(filter.state.map(DeliveryState::as_str))
                .option(after.as_ref())
                .option(walked.as_ref())
                .limit(limit - found.len());
            let (some, on) = self.call(&DELIVERIES, args, |answer| {
                let mut parts = rows::items(answer)?.into_iter();
                let some = rows::all(parts.next()?, rows::delivery)?;
                let on = rows::optional(parts.next().unwrap_or(Value::Nil), |on| {
                    let [what, id] = rows::fixed(on)?;
                    Some((rows::text(what)?, rows::text(id)?))
                })?;
                Some((some, on))
            })?;
            found.extend(some);
            (after, walked) = match on {
                None => break,
                Some((what, id)) if what == "d" => (Some(id), None),
                Some((_, id)) => (None, Some(id)),
            };
        }
        Ok(found)
    }

    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>> {
        self.call(&ATTEMPTS, Args::new().arg(id.as_str()), |answer| rows::all(answer, rows::json))
    }

    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool> {
        self.call(&RESEND, Args::new().arg(id.as_str()).time(now), flag)
    }

    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize> {
        let (mut made, mut walked) = (0, None::<String>);
        loop {
            let args = Args::new().arg(endpoint.as_str()).time(since).time(now);
            let args = args.option(walked.as_ref());
            let (some, on) = self.call(&RECOVER, args, |answer| {
                let mut parts = rows::items(answer)?.into_iter();
                let some = size(parts.next()?)?;
                Some((some, parts.next().and_then(rows::text)))
            })?;
            made += some;
            if on.is_none() {
                return Ok(made);
            }
            walked = on;
        }
    }

    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals> {
        let args = Args::new().option(endpoint.map(EndpointId::as_str));
        self.call(&TOTALS, args, |answer| {
            let parts: [Value; 9] = rows::fixed(answer)?;
            let [
                endpoints,
                subscriptions,
                messages,
                pending,
                in_flight,
                delivered,
                dead,
                oldest,
                next,
            ] = parts;
            Some(Totals {
                endpoints: rows::number(endpoints)?,
                subscriptions: rows::number(subscriptions)?,
                messages: rows::number(messages)?,
                pending: rows::number(pending)?,
                in_flight: rows::number(in_flight)?,
                delivered: rows::number(delivered)?,
                dead: rows::number(dead)?,
                oldest: rows::optional(oldest, rows::time)?,
                next: rows::optional(next, rows::time)?,
            })
        })
    }
}
