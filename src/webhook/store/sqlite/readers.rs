//! Those that read: a few connections, used on the pool of OS threads for blocking calls.
//!
//! Each sees the file as it was when its call began, and neither waits for the writer nor makes it wait.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::sql::Outcome;
use crate::sync::{Arc, Mutex, PoisonError, Semaphore};
use crate::webhook::store::{Result, StoreError};

/// As many as there are cores on a small machine: more would wait for each other.
const MOST: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Arc<Readers> {
        let free = Arc::new(Semaphore::new(MOST));
        Arc::new(Readers { path, idle: Mutex::new(Vec::new()), free })
    }

    pub(super) fn call<T: Send + 'static>(
        self: &Arc<Readers>,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.free.acquire_owned();
        let readers = Arc::clone(self);
        let result = crate::blocking::run(move || {
            let _permit = permit;
            let conn = readers.take()?;
            // One snapshot for all that the call reads. Ended by dropping it.
            let snapshot = conn.unchecked_transaction()?;
            let result = work(&conn);
            drop(snapshot);
            readers.lock().push(conn);
            result
        });
        result.map_err(|fault| StoreError::new(doing, fault))
    }

    fn take(&self) -> Outcome<Connection> {
        if let Some(conn) = self.lock().pop() {
            return Ok(conn);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        conn.pragma_update(None, "query_only", true)?;
        conn.set_prepared_statement_cache_capacity(64);
        Ok(conn)
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
