//! libpq, PostgreSQL's C library: a shared object that nobody compiled for us. It waits in `poll`.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Mutex;
use std::time::Duration;

use foreign::check::{Check, best_of_three, many, spawn, timed};
use foreign::server;
use foreign::table::LIBPQ;
use pq_sys as pq;

/// A connection; libpq allows any thread to use it, one at a time.
struct Connection(*mut pq::PGconn);

// SAFETY: see above; methods take `&mut self`.
unsafe impl Send for Connection {}

impl Connection {
    fn new(port: u16) -> Self {
        let how = format!(
            "host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable gssencmode=disable"
        );
        let how = CString::new(how).unwrap();
        // SAFETY: a string that outlives the call.
        let connection = Connection(unsafe { pq::PQconnectdb(how.as_ptr()) });
        // SAFETY: a connection; libpq copes with a null pointer.
        let status = unsafe { pq::PQstatus(connection.0) };
        assert_eq!(status, pq::ConnStatusType::CONNECTION_OK, "{}", connection.error());
        connection
    }

    fn error(&self) -> String {
        // SAFETY: a connection.
        let message = unsafe { pq::PQerrorMessage(self.0) };
        // SAFETY: lives as long as the connection is not used.
        unsafe { text(message) }
    }

    /// The first column of the first row, if there is one; or the error.
    fn query(&mut self, query: &str) -> Result<Option<String>, String> {
        let query = CString::new(query).unwrap();
        // SAFETY: a connection, and a string that outlives the call.
        let result = unsafe { pq::PQexec(self.0, query.as_ptr()) };
        // SAFETY: a result, or null, which libpq takes as one that failed.
        let status = unsafe { pq::PQresultStatus(result) };
        let answer = match status {
            pq::ExecStatusType::PGRES_TUPLES_OK => Ok(first(result)),
            pq::ExecStatusType::PGRES_COMMAND_OK => Ok(None),
            _ => Err(self.error()),
        };
        // SAFETY: not used any more.
        unsafe { pq::PQclear(result) };
        answer
    }

    /// Waits for a notification, as PostgreSQL's own examples do: `poll` on the connection's socket.
    fn notified(&mut self) -> String {
        loop {
            // SAFETY: a connection.
            let socket = unsafe { pq::PQsocket(self.0) };
            let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
            // SAFETY: one record.
            let ready = unsafe { libc::poll(&mut poll, 1, 10_000) };
            assert_eq!(ready, 1);
            // SAFETY: a connection.
            let read = unsafe { pq::PQconsumeInput(self.0) };
            assert_eq!(read, 1, "{}", self.error());
            // SAFETY: a connection.
            let notice = unsafe { pq::PQnotifies(self.0) };
            // SAFETY: null, or a record that is ours.
            if let Some(notice) = unsafe { notice.as_ref() } {
                // SAFETY: a string, which goes with the record.
                let text = unsafe { text(notice.extra) };
                // SAFETY: not used any more.
                unsafe { pq::PQfreemem(ptr::from_ref(notice).cast_mut().cast()) };
                return text;
            }
        }
    }
}

/// # Safety
/// A string of C.
unsafe fn text(of: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}

fn first(result: *const pq::PGresult) -> Option<String> {
    // SAFETY: a result.
    let rows = unsafe { pq::PQntuples(result) };
    if rows == 0 {
        return None;
    }
    // SAFETY: a result with a row.
    let value = unsafe { pq::PQgetvalue(result, 0, 0) };
    // SAFETY: lives as long as the result.
    Some(unsafe { text(value) })
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: a connection, not used any more.
        unsafe { pq::PQfinish(self.0) }
    }
}

#[test]
#[ignore = "needs postgresql"]
fn sleeping_queries() {
    Check::of(LIBPQ).run_with(server::postgres, |port| {
        let connections = timed("50 x PQconnectdb", Duration::from_secs(10), || {
            many(50, move |_| Mutex::new(Connection::new(port)))
        });
        let connections = std::sync::Arc::new(connections);
        best_of_three("50 x pg_sleep(1) by libpq", Duration::from_millis(1500), || {
            let connections = connections.clone();
            many(50, move |i| {
                let answer =
                    connections[i].lock().unwrap().query(&format!("SELECT {i} FROM pg_sleep(1)"));
                assert_eq!(answer.unwrap().unwrap(), i.to_string());
            });
        });
    });
}

#[test]
#[ignore = "needs postgresql"]
fn much_data() {
    Check::of(LIBPQ).run_with(server::postgres, |port| {
        many(4, move |i| {
            let mut connection = Connection::new(port);
            let text = "grass".repeat(200_000 + i);
            let answer = connection.query(&format!("SELECT '{text}' || '!'")).unwrap().unwrap();
            assert!(answer.len() == text.len() + 1 && answer.starts_with(&text));
        });
    });
}

#[test]
#[ignore = "needs postgresql"]
fn notifications() {
    Check::of(LIBPQ).run_with(server::postgres, |port| {
        let listener = |_| {
            let mut connection = Connection::new(port);
            connection.query("LISTEN news").unwrap();
            Mutex::new(connection)
        };
        let listeners: Vec<_> = (0..10).map(listener).collect();
        let speaker = spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            Connection::new(port).query("NOTIFY news, 'hello'").unwrap();
        });
        let told = many(10, move |i| listeners[i].lock().unwrap().notified());
        speaker();
        assert_eq!(told, ["hello"; 10]);
    });
}

/// A broken statement is an error of its green thread only.
#[test]
#[ignore = "needs postgresql"]
fn errors_stay_apart() {
    Check::of(LIBPQ).run_with(server::postgres, |port| {
        many(10, move |i| {
            let mut connection = Connection::new(port);
            match i % 2 {
                0 => assert!(
                    connection.query("SELECT 1/0").unwrap_err().contains("division by zero")
                ),
                _ => assert_eq!(connection.query("SELECT 42").unwrap().unwrap(), "42"),
            }
            assert_eq!(connection.query("SELECT 1").unwrap().unwrap(), "1");
        });
    });
}
