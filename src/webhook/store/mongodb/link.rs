//! The way to the server: the driver on its own tokio runtime, which has an OS thread to itself; collections and their indexes.
//!
//! What it is not: knowing of what is done with them.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::webhook::id::MessageId;
use crate::webhook::store::{Result, StoreError};

/// For how long a call is made again after its connection was lost, and how long it waits between.
const AGAIN_FOR: Duration = Duration::from_secs(10);
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What comes back from the driver, or [`strange`].
pub(super) type Answer<T> = std::result::Result<T, Error>;

/// What is kept is not what was put there.
pub(super) fn strange() -> Error {
    Error::custom("what is kept in MongoDB is not what was put there")
}

/// The collections. `pub(super)`: `rows.rs` says what is in each.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) subscriptions: Collection<Document>,
    pub(super) endpoints: Collection<Document>,
    pub(super) messages: Collection<Document>,
    pub(super) idempotency: Collection<Document>,
    pub(super) deliveries: Collection<Document>,
    pub(super) attempts: Collection<Document>,
    pub(super) numbers: Collection<Document>,
}

pub(super) struct Link {
    pub(super) tables: Arc<Tables>,
    runtime: Handle,
    /// Dropping it ends the runtime's thread.
    _stop: oneshot::Sender<()>,
}

impl fmt::Debug for Link {
    // Not its address: there may be a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn open(url: &str) -> Result<Link> {
        let failed = |why: Error| StoreError::new("opening MongoDB", why);
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|why| StoreError::new("starting MongoDB's driver", why))?;
        let handle = runtime.handle().clone();
        crate::blocking::os_thread("sward-mongodb", move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })
        .map_err(|why| StoreError::new("starting MongoDB's driver", why))?;
        let url = url.to_owned();
        let connecting = handle.spawn(async move {
            let mut options = ClientOptions::parse(url).await?;
            // Written to the journal before it is answered, by most of a replica set.
            options.write_concern.get_or_insert_with(|| {
                let all = WriteConcern::builder().w(Acknowledgment::Majority);
                all.journal(true).build()
            });
            options.server_selection_timeout.get_or_insert(Duration::from_secs(5));
            options.connect_timeout.get_or_insert(Duration::from_secs(3));
            let name = options.default_database.clone().unwrap_or_else(|| "skyhooks".into());
            let database = Client::with_options(options)?.database(&name);
            let tables = Tables {
                subscriptions: database.collection("skyhooks_webhooks"),
                endpoints: database.collection("sward_endpoints"),
                messages: database.collection("sward_messages"),
                idempotency: database.collection("sward_idempotency"),
                deliveries: database.collection("sward_deliveries"),
                attempts: database.collection("sward_attempts"),
                numbers: database.collection("sward_numbers"),
            };
            tables.index().await?;
            Ok(tables)
        });
        let tables = crate::block_on::block_on(connecting).expect("opening does not panic");
        let tables = Arc::new(tables.map_err(failed)?);
        Ok(Link { tables, runtime: handle, _stop: stop })
    }

    /// Makes a call, and makes it again if the connection was lost: `call` gets a token that is the same each time.
    pub(super) fn call<T, F>(
        &self,
        doing: &'static str,
        call: impl Fn(Arc<Tables>, Arc<str>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Answer<T>> + Send + 'static,
        T: Send + 'static,
    {
        let op: Arc<str> = MessageId::random().as_str().into();
        let (begun, mut pause) = (Instant::now(), PAUSES.0);
        loop {
            let task = self.runtime.spawn(call(self.tables.clone(), op.clone()));
            let error = match crate::block_on::block_on(task) {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(ended) => return Err(StoreError::new(doing, ended)),
            };
            if !may_pass(&error) || begun.elapsed() + pause > AGAIN_FOR {
                return Err(StoreError::new(doing, error));
            }
            crate::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

fn may_pass(error: &Error) -> bool {
    matches!(
        *error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
    )
}

/// Whether there is one with this `_id`, or with a value that only one may have, already.
pub(super) fn is_known(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == 11000,
        ErrorKind::InsertMany(all) => {
            let errors = all.write_errors.as_deref().unwrap_or_default();
            all.write_concern_error.is_none() && errors.iter().all(|error| error.code == 11000)
        }
        _ => false,
    }
}

/// True if it was new.
pub(super) async fn insert(into: &Collection<Document>, document: &Document) -> Answer<bool> {
    match into.insert_one(document).await {
        Ok(_) => Ok(true),
        Err(error) if is_known(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Tables {
    /// Only where it is not there: the server does nothing otherwise.
    async fn index(&self) -> Answer<()> {
        let once = IndexOptions::builder().unique(true).build();
        let once = IndexModel::builder().keys(doc! { "url": 1 }).options(once).build();
        self.endpoints.create_index(once).await?;
        for (table, keys) in [
            (&self.endpoints, doc! { "is": 1, "n": 1 }),
            (&self.subscriptions, doc! { "sward.pair": 1 }),
            (&self.subscriptions, doc! { "sward.endpoint": 1 }),
            (&self.subscriptions, doc! { "url": 1 }),
            (&self.messages, doc! { "n": 1 }),
            (&self.messages, doc! { "published": 1 }),
            (&self.messages, doc! { "complete": 1 }),
            (&self.idempotency, doc! { "published": 1 }),
            (&self.deliveries, doc! { "open": 1, "due": 1, "mn": 1, "en": 1 }),
            (&self.deliveries, doc! { "e": 1, "open": 1, "due": 1, "mn": 1 }),
            (&self.deliveries, doc! { "e": 1, "open": 1, "mn": 1 }),
            (&self.deliveries, doc! { "e": 1, "state": 1 }),
            (&self.deliveries, doc! { "m": 1, "en": 1 }),
            (&self.deliveries, doc! { "state": 1, "mn": 1, "en": 1 }),
            (&self.deliveries, doc! { "mn": 1, "en": 1 }),
            (&self.attempts, doc! { "delivery": 1, "n": 1 }),
        ] {
            table.create_index(IndexModel::builder().keys(keys).build()).await?;
        }
        Ok(())
    }

    /// The next number: endpoints, messages and attempts have theirs in the order in which they came.
    pub(super) async fn number(&self) -> Answer<i64> {
        let last = self
            .numbers
            .find_one_and_update(doc! { "_id": "last" }, doc! { "$inc": { "n": 1_i64 } })
            .upsert(true)
            .return_document(mongodb::options::ReturnDocument::After)
            .await?;
        super::rows::integer(&last.ok_or_else(strange)?, "n").ok_or_else(strange)
    }
}
