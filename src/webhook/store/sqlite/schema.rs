//! The tables and their versions.
//!
//! `user_version` counts the steps of [`STEPS`] that a file has taken. A newer program takes the missing ones when it opens the
//! file, all or none; an older program refuses the file.
//!
//! Three things are kept that could be computed, because computing them would read everything:
//! - `queues.next`: when an endpoint is to be attended to; every change of a delivery renews it (`deliveries::renew`).
//! - `messages.latest`: the greatest `published` so far. It never falls, so that it leads to the first message that may have been
//!   published since some time, though clocks are set back.
//! - `queues.state`, the number that stands for the JSON in `endpoints.state`.

#![forbid(unsafe_code)]

use rusqlite::Connection;

use super::sql::{Fault, Outcome};

/// Says that the file is ours, to `file` and to us: "Swrd".
const APPLICATION: i64 = 0x5377_7264;

/// What a file of each version lacks to be of the next. Append only: files out there have taken these steps.
const STEPS: &[&str] = &[FIRST];

const FIRST: &str = "
    CREATE TABLE endpoints (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        url TEXT NOT NULL,
        created INTEGER NOT NULL,
        state TEXT NOT NULL,
        keys TEXT NOT NULL,
        settings TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0 -- its deliveries are still there
    ) STRICT;
    CREATE UNIQUE INDEX endpoints_url ON endpoints (url) WHERE removed = 0;
    CREATE INDEX endpoints_removed ON endpoints (number) WHERE removed = 1;

    -- What changes of an endpoint with every attempt. Only those that are not removed have a row.
    CREATE TABLE queues (
        endpoint INTEGER PRIMARY KEY REFERENCES endpoints (number),
        state INTEGER NOT NULL,
        ordered INTEGER NOT NULL,
        next INTEGER, -- NULL: nothing is unfinished
        failures INTEGER NOT NULL,
        failing_since INTEGER,
        last_success INTEGER
    ) STRICT;
    CREATE INDEX queues_next ON queues (next, endpoint) WHERE state = 0 AND next IS NOT NULL;

    CREATE TABLE subscriptions (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        endpoint INTEGER NOT NULL REFERENCES endpoints (number),
        updated INTEGER NOT NULL,
        expires INTEGER,
        PRIMARY KEY (name, value, endpoint)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX subscriptions_of ON subscriptions (endpoint, name, value);
    CREATE INDEX subscriptions_expires ON subscriptions (expires) WHERE expires IS NOT NULL;

    CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        published INTEGER NOT NULL,
        latest INTEGER NOT NULL,
        kind TEXT NOT NULL,
        keys TEXT NOT NULL,
        content_type TEXT NOT NULL,
        idempotency_key TEXT UNIQUE,
        body BLOB NOT NULL -- last, so that the others are found without reading it
    ) STRICT;
    CREATE INDEX messages_published ON messages (published);
    CREATE INDEX messages_latest ON messages (latest);
    CREATE INDEX messages_keyed ON messages (published) WHERE idempotency_key IS NOT NULL;

    CREATE TABLE deliveries (
        message INTEGER NOT NULL REFERENCES messages (number) ON DELETE CASCADE,
        endpoint INTEGER NOT NULL REFERENCES endpoints (number),
        state INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL,
        created INTEGER NOT NULL,
        PRIMARY KEY (message, endpoint)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_of ON deliveries (endpoint, state, message);
    CREATE INDEX deliveries_due ON deliveries (endpoint, due, message) WHERE state < 2;
    CREATE INDEX deliveries_age ON deliveries (endpoint, created) WHERE state < 2;
    CREATE INDEX deliveries_undelivered ON deliveries (state, message, endpoint) WHERE state <> 2;

    CREATE TABLE attempts (
        number INTEGER PRIMARY KEY,
        message INTEGER NOT NULL,
        endpoint INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL,
        took INTEGER NOT NULL,
        address TEXT,
        status INTEGER,
        error TEXT,
        truncated INTEGER NOT NULL,
        response TEXT NOT NULL,
        FOREIGN KEY (message, endpoint) REFERENCES deliveries (message, endpoint) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX attempts_of ON attempts (message, endpoint);
";

/// Makes the file what this version of the library needs.
pub(super) fn prepare(conn: &Connection) -> Outcome<()> {
    take_steps(conn, STEPS)
}

fn take_steps(conn: &Connection, steps: &[&str]) -> Outcome<()> {
    let transaction = conn.unchecked_transaction()?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (tables != 0 || version != 0) {
        return Err("this is a database of something else".into());
    }
    let taken = usize::try_from(version).ok().filter(|taken| *taken <= steps.len());
    let Some(taken) = taken else {
        return Err(Fault::from(format!(
            "the file is of version {version}, and this program knows {} at most",
            steps.len()
        )));
    };
    for step in &steps[taken..] {
        conn.execute_batch(step)?;
    }
    if taken < steps.len() {
        conn.pragma_update(None, "application_id", APPLICATION)?;
        conn.pragma_update(None, "user_version", i64::try_from(steps.len())?)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{FIRST, prepare, take_steps};

    fn version(conn: &Connection) -> i64 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn missing_steps_are_taken_once() {
        let conn = Connection::open_in_memory().unwrap();
        take_steps(&conn, &["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);"]).unwrap();
        assert_eq!(version(&conn), 1);
        let steps = ["no step twice", "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1;"];
        take_steps(&conn, &steps).unwrap();
        take_steps(&conn, &steps).unwrap();
        assert_eq!(version(&conn), 2);
        let y: i64 = conn.query_row("SELECT y FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(y, 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let conn = Connection::open_in_memory().unwrap();
        prepare(&conn).unwrap();
        let steps = [FIRST, "CREATE TABLE more (x);", "CREATE TABLE more (x);"];
        take_steps(&conn, &steps).unwrap_err();
        assert_eq!(version(&conn), 1);
        conn.query_row("SELECT * FROM more", [], |_| Ok(())).unwrap_err();
        prepare(&conn).unwrap();
    }

    #[test]
    fn what_is_not_ours_or_newer_is_refused() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE somebody (x);").unwrap();
        assert!(prepare(&conn).unwrap_err().to_string().contains("something else"));
        let conn = Connection::open_in_memory().unwrap();
        prepare(&conn).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(prepare(&conn).unwrap_err().to_string().contains("version 99"));
    }
}
