//! [`SqliteStore`]: everything in one SQLite file, for one process at a time.
//!
//! One OS thread writes, by group commit (`writer.rs`); a few connections read (`readers.rs`). What a call does is in SQL, in
//! `endpoints.rs`, `messages.rs`, `deliveries.rs` and `lists.rs`; what the tables are, in `schema.rs`. A green thread that calls
//! parks, and its worker goes on with others.
//!
//! What it is not: shared. A second process that opens the file is refused; for several machines there are other stores.

#![forbid(unsafe_code)]

mod deliveries;
mod endpoints;
mod lists;
mod messages;
mod open;
#[cfg(test)]
mod plans;
mod readers;
mod schema;
mod sql;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use self::open::{Durability, SqliteOptions};
use self::readers::Readers;
use self::sql::Outcome;
use self::writer::Writer;
use super::{Accepted, Change, Claim, Filter, Next, Result, Store, Totals};
use crate::sync::Arc;
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Attempt, Delivery, Endpoint, Health, Keys, Message, Subscription};
use crate::webhook::time::Time;

/// A store in a file, which survives `kill -9` and the loss of power.
///
/// What a call has returned from is on the disk ([`Durability::Full`]). That costs one fsync per transaction, a few milliseconds on
/// most disks; calls that come at the same time share a transaction, so that it is a latency and not a limit.
///
/// Beside the file at `path` there are `path-wal` and `path-shm`, which belong to it (copy all three, or use SQLite's backup), and
/// `path-lock`, which says that a process has it open. What the process before had claimed and not finished is due at once when
/// the file is opened. Lists and totals read an index; totals of everything take a time in proportion to the deliveries kept,
/// about 0.1 s for a million.
///
/// Dropping it waits until the file is closed.
///
/// ```
/// use sward::webhook::store::{SqliteStore, Store};
/// use sward::webhook::{Endpoint, Keys, Time};
///
/// # let folder = std::env::temp_dir().join(format!("sward-doc-sqlite-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("webhooks.db");
/// sward::run(|| {
///     let store = SqliteStore::open(&path)?;
///     let (endpoint, _) = store.add_endpoint(&Endpoint::new("https://example.com/hook"))?;
///     drop(store);
///     let store = SqliteStore::open(&path)?;
///     assert_eq!(store.endpoint(&endpoint.id)?, Some(endpoint));
///     Ok::<(), sward::webhook::store::StoreError>(())
/// })?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), sward::webhook::store::StoreError>(())
/// ```
pub struct SqliteStore {
    path: Option<PathBuf>,
    writer: Writer,
    /// None in memory: other connections would have a database of their own.
    readers: Option<Arc<Readers>>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or makes it, readable by its owner only. [`SqliteOptions`] has what can be chosen.
    ///
    /// # Errors
    /// If the file cannot be opened or written, is not ours or of a newer version, or is open already, here or in another process.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteStore> {
        SqliteOptions::new().open(path)
    }

    /// An empty one in memory, gone when it is dropped. Only for tests of SQL: [`MemoryStore`](super::MemoryStore) is quicker.
    ///
    /// # Errors
    /// If there is no memory or no thread to be had.
    pub fn in_memory() -> Result<SqliteStore> {
        open::in_memory()
    }

    fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.call(doing, work)
    }

    fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        match &self.readers {
            Some(readers) => readers.call(doing, work),
            None => self.writer.call(doing, work),
        }
    }
}

impl Store for SqliteStore {
    fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(Endpoint, bool)> {
        let endpoint = endpoint.clone();
        self.write("adding an endpoint", move |conn| endpoints::add(conn, &endpoint))
    }

    fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let id = id.clone();
        self.read("reading an endpoint", move |conn| endpoints::by_id(conn, &id))
    }

    fn endpoint_at(&self, url: &str) -> Result<Option<Endpoint>> {
        let url = url.to_owned();
        self.read("reading an endpoint", move |conn| endpoints::by_url(conn, &url))
    }

    fn endpoints(&self, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        let after = after.cloned();
        self.read("listing endpoints", move |conn| endpoints::list(conn, after.as_ref(), limit))
    }

    fn change_endpoint(&self, id: &EndpointId, change: &Change) -> Result<bool> {
        let (id, change) = (id.clone(), change.clone());
        self.write("changing an endpoint", move |conn| endpoints::change(conn, &id, &change))
    }

    fn remove_endpoint(&self, id: &EndpointId, now: Time) -> Result<bool> {
        let id = id.clone();
        self.write("removing an endpoint", move |conn| endpoints::remove(conn, &id, now))
    }

    fn subscribe(
        &self,
        id: &EndpointId,
        keys: &Keys,
        now: Time,
        expires: Option<Time>,
    ) -> Result<()> {
        let (id, keys) = (id.clone(), keys.clone());
        self.write("subscribing", move |conn| endpoints::subscribe(conn, &id, &keys, now, expires))
    }

    fn unsubscribe(&self, id: &EndpointId, keys: &Keys) -> Result<usize> {
        let (id, keys) = (id.clone(), keys.clone());
        self.write("unsubscribing", move |conn| endpoints::unsubscribe(conn, &id, &keys))
    }

    fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>> {
        let id = id.clone();
        self.read("listing subscriptions", move |conn| endpoints::subscriptions(conn, &id))
    }

    fn expire(&self, now: Time) -> Result<usize> {
        self.write("removing lapsed subscriptions", move |conn| endpoints::expire(conn, now))
    }

    fn matching(&self, keys: &Keys, now: Time) -> Result<Vec<Endpoint>> {
        let keys = keys.clone();
        self.read("matching keys", move |conn| endpoints::matching(conn, &keys, now))
    }

    fn publish(&self, message: &Message, extra: &[EndpointId]) -> Result<Accepted> {
        let (message, extra) = (message.clone(), extra.to_vec());
        self.write("publishing", move |conn| messages::publish(conn, &message, &extra))
    }

    fn message(&self, id: &MessageId) -> Result<Option<Message>> {
        let id = id.clone();
        self.read("reading a message", move |conn| messages::by_id(conn, &id))
    }

    fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let after = after.cloned();
        self.read("listing messages", move |conn| {
            messages::list(conn, since, after.as_ref(), limit)
        })
    }

    /// In slices, so that other calls come between. What is interrupted has forgotten a part, each message whole.
    fn prune(&self, keys: Time, messages: Time) -> Result<usize> {
        let doing = "forgetting old messages";
        self.write(doing, move |conn| messages::forget_keys(conn, keys))?;
        let (mut gone, mut step) = (0, Some((-1, 0)));
        while let Some(from) = step {
            let slice = self.write(doing, move |conn| messages::prune(conn, messages, from))?;
            gone += slice.0;
            step = slice.1;
        }
        self.write(doing, endpoints::forget)?;
        Ok(gone)
    }

    fn due(&self, now: Time, except: &[EndpointId], limit: usize) -> Result<Vec<EndpointId>> {
        let except = except.iter().cloned().collect();
        self.read("looking for what is due", move |conn| deliveries::due(conn, now, &except, limit))
    }

    fn next_due(&self) -> Result<Option<Time>> {
        self.read("looking for what is due next", deliveries::next_due)
    }

    fn claim(
        &self,
        endpoint: &EndpointId,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let endpoint = endpoint.clone();
        self.write("claiming deliveries", move |conn| {
            deliveries::claim(conn, &endpoint, now, until, limit)
        })
    }

    fn finish(
        &self,
        delivery: &DeliveryId,
        attempt: Option<&Attempt>,
        next: Next,
    ) -> Result<Option<Health>> {
        let (id, attempt) = (delivery.clone(), attempt.cloned());
        self.write("finishing a delivery", move |conn| {
            deliveries::finish(conn, &id, attempt.as_ref(), next)
        })
    }

    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        let id = id.clone();
        self.read("reading a delivery", move |conn| match deliveries::find(conn, &id)? {
            Some(place) => deliveries::at(conn, place),
            None => Ok(None),
        })
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.read("listing deliveries", move |conn| {
            lists::list(conn, &filter, after.as_ref(), limit)
        })
    }

    fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>> {
        let id = id.clone();
        self.read("listing attempts", move |conn| deliveries::attempts(conn, &id))
    }

    fn resend(&self, id: &DeliveryId, now: Time) -> Result<bool> {
        let id = id.clone();
        self.write("sending again", move |conn| deliveries::resend(conn, &id, now))
    }

    /// In slices, as [`prune`](Store::prune). What is interrupted can be asked for again.
    fn recover(&self, endpoint: &EndpointId, since: Time, now: Time) -> Result<usize> {
        let doing = "recovering an endpoint";
        let id = endpoint.clone();
        let mut pending = self.write(doing, move |conn| messages::revive(conn, &id, since, now))?;
        let mut after = Some(0);
        while let Some(from) = after {
            let id = endpoint.clone();
            let slice =
                self.write(doing, move |conn| messages::catch_up(conn, &id, since, now, from))?;
            pending += slice.0;
            after = slice.1;
        }
        Ok(pending)
    }

    fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals> {
        let endpoint = endpoint.cloned();
        self.read("counting", move |conn| lists::totals(conn, endpoint.as_ref()))
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }
}
