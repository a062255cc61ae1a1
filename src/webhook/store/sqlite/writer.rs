//! The one that writes: an OS thread with the only connection that may, and group commit.
//!
//! A call is a closure that is sent to the thread; its caller parks until the transaction that it was part of is on the disk.
//! While the disk is busy with one transaction, the calls of the next pile up, and are committed together: so the more callers
//! there are, the less each pays for the disk. Each call has a savepoint of its own, so one that fails takes nobody with it.
//!
//! What it is not: a queue with a bound. Each waiting call is a caller's that waits for it.

#![forbid(unsafe_code)]

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;

use super::sql::{Fault, Outcome, run};
use crate::sync::mpsc;
use crate::wait::Monitor;
use crate::webhook::store::{Result, StoreError};

/// The most calls in one transaction: who came first shall not wait for ever.
const MOST: usize = 512;

/// A call: does its work, or hears why there is no transaction; what it returns tells its caller how the transaction ended.
type Call = Box<dyn FnOnce(std::result::Result<&Connection, &str>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(std::result::Result<(), &str>)>;

pub(super) struct Writer {
    calls: Option<mpsc::Sender<Call>>,
    ended: Arc<Monitor<bool>>,
}

impl Writer {
    /// Starts the thread. It holds `lock` until the connection is closed.
    pub(super) fn start(conn: Connection, lock: Option<File>) -> std::io::Result<Writer> {
        let (calls, to_do) = mpsc::channel();
        let ended = Arc::new(Monitor::new(false));
        let end = Arc::clone(&ended);
        crate::blocking::os_thread("sward-sqlite", move || {
            work(&conn, &to_do);
            // What cannot be closed is closed by the end of the process; nothing is lost by it.
            let _ = conn.close();
            drop(lock);
            let mut end = end.lock();
            *end = true;
            end.wake_all(0);
        })?;
        Ok(Writer { calls: Some(calls), ended })
    }

    /// Does `work` within a transaction, and returns when that is as durable as it will be. If the caller is interrupted it
    /// is done all the same.
    pub(super) fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = mpsc::channel();
        let call: Call = Box::new(move |conn| {
            let result = match conn {
                Ok(conn) => apart(conn, work),
                Err(why) => Err(why.into()),
            };
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(why) => Err(why.into()),
                };
                // OK to ignore: the caller has given up waiting.
                let _ = answer.send(result);
            })
        });
        let gone = || StoreError::new(doing, "its thread has ended");
        let calls = self.calls.as_ref().ok_or_else(gone)?;
        calls.send(call).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?.map_err(|fault| StoreError::new(doing, fault))
    }
}

/// Waits until everything that was asked for is done and the file is closed, so that it can be opened again.
impl Drop for Writer {
    fn drop(&mut self) {
        self.calls = None;
        let ended = self.ended.lock();
        if !*ended {
            ended.wait_masked(0);
        }
    }
}

fn work(conn: &Connection, calls: &mpsc::Receiver<Call>) {
    while let Ok(first) = calls.recv() {
        let mut answers = Vec::new();
        let committed = transaction(conn, first, calls, &mut answers);
        let committed = committed.map_err(|fault| fault.to_string());
        for answer in answers {
            answer(committed.as_ref().map(|&()| ()).map_err(String::as_str));
        }
    }
}

/// Does `first` and what else waits, and commits it all.
fn transaction(
    conn: &Connection,
    first: Call,
    calls: &mpsc::Receiver<Call>,
    answers: &mut Vec<Answer>,
) -> Outcome<()> {
    if let Err(fault) = run(conn, "BEGIN IMMEDIATE", []) {
        answers.push(first(Err(&fault.to_string())));
        return Ok(());
    }
    let mut next = Some(first);
    while let Some(call) = next {
        answers.push(call(Ok(conn)));
        // A full disk, an error of reading: SQLite has taken back the whole transaction.
        if conn.is_autocommit() {
            return Err("SQLite has rolled back the transaction of another call".into());
        }
        next = if answers.len() < MOST { calls.try_recv().ok() } else { None };
    }
    let committed = run(conn, "COMMIT", []);
    if committed.is_err() && !conn.is_autocommit() {
        run(conn, "ROLLBACK", [])?;
    }
    committed.map(drop)
}

/// Does `work`; if it fails or panics, what it did is undone, and what the others did is not.
fn apart<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
    run(conn, "SAVEPOINT call", [])?;
    let result = catch_unwind(AssertUnwindSafe(|| work(conn)))
        .unwrap_or_else(|_| Err(Fault::from("the call panicked; this is a bug in sward")));
    if result.is_err() && !conn.is_autocommit() {
        run(conn, "ROLLBACK TO call", [])?;
    }
    if !conn.is_autocommit() {
        run(conn, "RELEASE call", [])?;
    }
    result
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::Writer;
    use crate::hub::runtime::Builder;
    use crate::webhook::store::sqlite::sql::{number, run};

    #[test]
    fn a_call_that_fails_takes_nobody_with_it() {
        Builder::new().run(|| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch("CREATE TABLE t (x INTEGER UNIQUE)").unwrap();
            let writer = std::sync::Arc::new(Writer::start(conn, None).unwrap());
            // While this one sleeps the others pile up, so that they share a transaction.
            let first = writer.clone();
            let first = crate::thread::spawn(move || {
                first.call("sleeping", |_| {
                    std::thread::sleep(Duration::from_millis(100));
                    Ok(())
                })
            });
            let calls: Vec<_> = (0..40)
                .map(|n| {
                    let writer = writer.clone();
                    crate::thread::spawn(move || {
                        writer.call("adding", move |conn| {
                            run(conn, "INSERT INTO t VALUES (?1)", [n])?;
                            assert!(n % 4 != 0, "planned");
                            // Fails for every other odd one, after it has written.
                            run(
                                conn,
                                "INSERT INTO t VALUES (?1)",
                                [if n % 4 == 1 { n } else { -n }],
                            )
                        })
                    })
                })
                .collect();
            first.join().unwrap().unwrap();
            for (n, call) in calls.into_iter().enumerate() {
                let result = call.join().unwrap();
                assert_eq!(result.is_ok(), n % 4 > 1, "{n}: {result:?}");
            }
            assert_eq!(rows(&writer), Some(40));
        });
    }

    fn rows(writer: &Writer) -> Option<i64> {
        writer.call("counting", |conn| number(conn, "SELECT count(*) FROM t", [])).unwrap()
    }

    /// One worker, and a call that takes long: the others go on.
    #[test]
    fn a_call_parks_its_green_thread() {
        Builder::new().workers(1).run(|| {
            let writer = Writer::start(Connection::open_in_memory().unwrap(), None).unwrap();
            let call = crate::thread::spawn(move || {
                writer.call("sleeping", |_| {
                    std::thread::sleep(Duration::from_millis(300));
                    Ok(())
                })
            });
            let mut turns = 0;
            while !call.is_finished() {
                crate::thread::sleep(Duration::from_millis(1));
                turns += 1;
            }
            call.join().unwrap().unwrap();
            assert!(turns > 10, "{turns} turns in 300 ms");
        });
    }

    #[test]
    fn a_full_disk_is_an_error_until_there_is_room() {
        Builder::new().run(|| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch("CREATE TABLE t (x BLOB); PRAGMA max_page_count = 60").unwrap();
            let writer = std::sync::Arc::new(Writer::start(conn, None).unwrap());
            let insert = "INSERT INTO t VALUES (zeroblob(8000))";
            let calls: Vec<_> = (0..60)
                .map(|_| {
                    let writer = writer.clone();
                    crate::thread::spawn(move || {
                        writer.call("filling", move |conn| run(conn, insert, []))
                    })
                })
                .collect();
            let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
            let kept = results.iter().filter(|result| result.is_ok()).count();
            assert!(kept < 60, "the disk was not full");
            assert_eq!(rows(&writer), Some(kept as i64), "what was said is so");
            let room = "PRAGMA max_page_count = 1000";
            writer.call("making room", move |conn| Ok(conn.execute_batch(room)?)).unwrap();
            writer.call("filling", move |conn| run(conn, insert, [])).unwrap();
            assert_eq!(rows(&writer), Some(kept as i64 + 1));
        });
    }

    #[test]
    fn a_lost_transaction_is_everybodys_error() {
        Builder::new().run(|| {
            let conn = Connection::open_in_memory().unwrap();
            let writer = Writer::start(conn, None).unwrap();
            // What SQLite does by itself when the disk is full.
            let lost = writer.call("losing", |conn| run(conn, "ROLLBACK", []));
            assert!(lost.unwrap_err().to_string().contains("rolled back"));
            writer.call("going on", |conn| run(conn, "CREATE TABLE t (x)", [])).unwrap();
        });
    }
}
