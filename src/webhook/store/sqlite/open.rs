//! Opening: the lock that keeps other processes out, the file's mode, what every connection is told, and what the process
//! before has left.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::readers::Readers;
use super::sql::{Fault, Outcome};
use super::writer::Writer;
use super::{SqliteStore, deliveries, schema};
use crate::sys;
use crate::webhook::store::{Result, StoreError};

const DOING: &str = "opening the file";

/// When a call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// When what it did is on the disk, by one fsync per transaction: it survives the loss of power. Default.
    #[default]
    Full,
    /// When the kernel has it: it survives the end of the process, however sudden. What was done in the seconds before the
    /// machine itself stops may be lost, the file is whole all the same. Several times the calls per second.
    Normal,
}

/// How to open a [`SqliteStore`].
///
/// ```
/// use std::time::Duration;
/// use sward::webhook::store::{Durability, SqliteOptions, Store};
///
/// # let path = std::env::temp_dir().join(format!("sward-doc-options-{}.db", std::process::id()));
/// let options = SqliteOptions::new().durability(Durability::Normal).wait(Duration::from_secs(30));
/// let store = options.open(&path)?;
/// assert_eq!(store.totals(None)?.messages, 0);
/// # drop(store);
/// # for end in ["", "-lock"] { std::fs::remove_file(format!("{}{end}", path.display())).unwrap(); }
/// # Ok::<(), sward::webhook::store::StoreError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SqliteOptions {
    durability: Durability,
    wait: Duration,
}

impl SqliteOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> SqliteOptions {
        SqliteOptions::default()
    }

    /// When a call returns. [`Durability::Full`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> SqliteOptions {
        self.durability = durability;
        self
    }

    /// For how long to wait for another process that has the file open, such as the one before in a restart. Not at all.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> SqliteOptions {
        self.wait = wait;
        self
    }

    /// Opens the file, or makes it, readable by its owner only.
    ///
    /// # Errors
    /// If the file cannot be opened or written, is not ours or of a newer version, or is open already, here or in another process.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<SqliteStore> {
        let (options, path) = (self.clone(), path.as_ref().to_owned());
        // None: for ever.
        let until = Instant::now().checked_add(self.wait);
        loop {
            let (options, path) = (options.clone(), path.clone());
            let opened = crate::blocking::run(move || options.try_open(&path));
            match opened.map_err(|fault| StoreError::new(DOING, fault))? {
                Some(store) => return Ok(store),
                None if until.is_none_or(|until| Instant::now() < until) => {
                    crate::thread::sleep(Duration::from_millis(20));
                }
                None => {
                    let why = "it is open already, here or in another process";
                    return Err(StoreError::new(DOING, why));
                }
            }
        }
    }

    /// None if somebody has it.
    fn try_open(&self, path: &Path) -> Outcome<Option<SqliteStore>> {
        let path = real(path)?;
        // Not the file itself: whoever closes that takes away SQLite's own locks from the whole process.
        let lock = create(&with_end(&path, "-lock"))?;
        match sys::file::try_lock(lock.as_fd()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // SQLite would let others read it. Its other files get the mode of this one.
        drop(create(&path)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        let mode: String =
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Fault::from(format!("its journal mode is {mode}, and cannot be WAL")));
        }
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        conn.pragma_update(None, "synchronous", synchronous)?;
        // The file's pages are written back every 16 MiB of log, and a log that had to grow shrinks again.
        conn.pragma_update(None, "wal_autocheckpoint", 4096)?;
        conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        ready(&conn)?;
        let writer = Writer::start(conn, Some(lock))?;
        let readers = Some(Readers::new(path.clone()));
        Ok(Some(SqliteStore { path: Some(path), writer, readers }))
    }
}

pub(super) fn in_memory() -> Result<SqliteStore> {
    let open = || -> Outcome<SqliteStore> {
        let conn = Connection::open_in_memory()?;
        ready(&conn)?;
        let writer = Writer::start(conn, None)?;
        Ok(SqliteStore { path: None, writer, readers: None })
    };
    open().map_err(|fault| StoreError::new(DOING, fault))
}

/// What is the same for a file and in memory.
pub(super) fn ready(conn: &Connection) -> Outcome<()> {
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -32 * 1024)?; // KiB
    schema::prepare(conn)?;
    let transaction = conn.unchecked_transaction()?;
    deliveries::release(conn)?;
    Ok(transaction.commit()?)
}

/// The path without links, so that there is one lock however the file is called.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    Ok(folder.canonicalize()?.join(name))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}
