//! What came out, library by library: the table of docs/patch.md. A row is what its tests hold the library to, so it
//! cannot say more than they show; the versions are those of Cargo.lock, with which they ran.

use std::fmt;
use std::fmt::Write as _;

/// How a library gets on with green threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whoever waits in it parks; no pin is counted.
    Cooperative,
    /// It is correct, but somewhere it blocks its whole worker, which is counted.
    Pins,
    /// It does not work between green threads of one worker, and that is said aloud.
    Unsupported,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Cooperative => "cooperative",
            Verdict::Pins => "pins",
            Verdict::Unsupported => "not supported",
        })
    }
}

/// A library, and what its tests expect of it.
#[derive(Debug)]
pub struct Row {
    /// The module with its tests.
    pub module: &'static str,
    /// Its package in Cargo.lock; empty for what comes with Rust.
    pub package: &'static str,
    /// Its name, where that is not the package's.
    pub name: &'static str,
    /// What the tests find.
    pub verdict: Verdict,
    /// What they show, or why it is so.
    pub because: &'static str,
    /// What to use instead, or nothing.
    pub instead: &'static str,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $id:ident = $row:expr;)*) => {
        $($(#[$doc])* pub const $id: &Row = &$row;)*
        /// All rows, in the order of the table.
        pub const ROWS: &[&Row] = &[$($id),*];
    };
}

rows! {
    /// HTTP.
    UREQ = Row {
        module: "ureq_http",
        package: "ureq",
        name: "ureq",
        verdict: Verdict::Cooperative,
        because: "100 requests of 200 ms at once; one agent and its pool shared; its own time-outs; \
            `sward::timeout` around a call; names resolved",
        instead: "",
    };
    /// HTTPS by rustls.
    UREQ_TLS = Row {
        module: "ureq_https",
        package: "rustls",
        name: "rustls, by ureq",
        verdict: Verdict::Cooperative,
        because: "50 requests of 200 ms at once, and a certificate that is not trusted",
        instead: "",
    };
    /// HTTP without dependencies.
    MINREQ = Row {
        module: "minreq_http",
        package: "minreq",
        name: "minreq",
        verdict: Verdict::Cooperative,
        because: "50 requests of 200 ms at once; its time-out",
        instead: "",
    };
    /// libcurl.
    CURL = Row {
        module: "curl_http",
        package: "curl",
        name: "curl (libcurl, C)",
        verdict: Verdict::Cooperative,
        because: "50 requests of 200 ms at once; its time-out",
        instead: "",
    };
    /// HTTP by a sync crate with a runtime on a thread of its own.
    REQWEST = Row {
        module: "reqwest_blocking",
        package: "reqwest",
        name: "reqwest::blocking",
        verdict: Verdict::Cooperative,
        because: "its runtime has an OS thread of its own, green threads only wait for it: one client, 50 requests of \
            200 ms at once; its time-out",
        instead: "",
    };
    /// The server of its name.
    REDIS = Row {
        module: "redis_server",
        package: "redis",
        name: "redis",
        verdict: Verdict::Cooperative,
        because: "redis-server: 200 `BLPOP`s at once; one `Mutex<Connection>` held across the calls of 50; \
            publish and subscribe; a read time-out",
        instead: "",
    };
    /// MariaDB.
    MYSQL = Row {
        module: "mysql_server",
        package: "mysql",
        name: "mysql",
        verdict: Verdict::Cooperative,
        because: "MariaDB: 50 `SELECT SLEEP(1)` in under 1.5 s; 50 wait for the 10 connections of its pool",
        instead: "",
    };
    /// PostgreSQL by its C library.
    LIBPQ = Row {
        module: "libpq",
        package: "pq-sys",
        name: "pq-sys (libpq, C)",
        verdict: Verdict::Cooperative,
        because: "PostgreSQL: 50 `pg_sleep(1)` in under 1.5 s; a notification awaited with `poll`",
        instead: "",
    };
    /// PostgreSQL by an async crate.
    TOKIO_POSTGRES = Row {
        module: "async_only",
        package: "tokio-postgres",
        name: "tokio-postgres (async only)",
        verdict: Verdict::Cooperative,
        because: "by `sward::block_on`, its runtime on an OS thread: 50 `pg_sleep(1)` in under 1.5 s",
        instead: "",
    };
    /// PostgreSQL by a sync crate with a runtime inside.
    POSTGRES = Row {
        module: "postgres_sync",
        package: "postgres",
        name: "postgres",
        verdict: Verdict::Unsupported,
        because: "tokio inside, in a thread-local of the OS thread: a second call at the same time panics \
            (\"Cannot start a runtime from within a runtime\"), a second client dropped then aborts",
        instead: "tokio-postgres by `sward::block_on`, or libpq; or `sward::blocking` around each use",
    };
    /// WebSocket.
    TUNGSTENITE = Row {
        module: "tungstenite_ws",
        package: "tungstenite",
        name: "tungstenite",
        verdict: Verdict::Cooperative,
        because: "100 clients and their server on one worker; 4 MiB messages both ways; a read time-out",
        instead: "",
    };
    /// TLS by OpenSSL.
    NATIVE_TLS = Row {
        module: "native_tls_openssl",
        package: "native-tls",
        name: "native-tls (OpenSSL, C)",
        verdict: Verdict::Cooperative,
        because: "20 clients and their server on one worker, some of them refused; the crate leaves nothing in \
            OpenSSL's error queue, which belongs to the OS thread",
        instead: "",
    };
    /// Mail.
    LETTRE = Row {
        module: "lettre_smtp",
        package: "lettre",
        name: "lettre",
        verdict: Verdict::Cooperative,
        because: "50 mails at once to a server that takes 200 ms each; its time-out",
        instead: "",
    };
    /// Processes.
    COMMAND = Row {
        module: "command",
        package: "",
        name: "std::process::Command",
        verdict: Verdict::Cooperative,
        because: "50 times `sleep 1` in under 1.5 s; `output` of 1 MiB; a pipeline",
        instead: "",
    };
    /// A pool.
    R2D2 = Row {
        module: "r2d2_pool",
        package: "r2d2",
        name: "r2d2",
        verdict: Verdict::Pins,
        because: "it waits for a free connection in parking_lot's `Condvar`: while it does, nobody on the worker can \
            give one back, so `get` ends in its time-out",
        instead: "as many connections as green threads use at once, and the pool built in `sward::blocking`; or a pool of std's `Mutex` and `Condvar`, as \
            mysql's is",
    };
    /// Locks.
    PARKING_LOT = Row {
        module: "parking_lot_lock",
        package: "parking_lot",
        name: "parking_lot",
        verdict: Verdict::Pins,
        because: "its queue nodes are thread-locals of the OS thread: who waits blocks the worker. Waiting for an OS \
            thread is correct; a lock held across a switch, and wanted by another green thread of the worker, is a \
            deadlock, and reported",
        instead: "`std::sync`, or `sward::sync`",
    };
    /// Data parallelism.
    RAYON = Row {
        module: "rayon_pool",
        package: "rayon",
        name: "rayon",
        verdict: Verdict::Pins,
        because: "`install`, `join` and parallel iterators wait on a latch in a thread-local: correct, but the worker \
            waits too",
        instead: "`sward::blocking(|| pool.install(..))`; or `spawn`, and a channel for the result",
    };
    /// Channels.
    CROSSBEAM = Row {
        module: "crossbeam_channels",
        package: "crossbeam-channel",
        name: "crossbeam-channel",
        verdict: Verdict::Unsupported,
        because: "between green threads of one worker: a sender does not wake receivers of its own OS thread. From and \
            to OS threads it is cooperative",
        instead: "`sward::sync::mpsc`",
    };
    /// Channels of std.
    MPSC = Row {
        module: "std_mpsc",
        package: "",
        name: "std::sync::mpsc",
        verdict: Verdict::Unsupported,
        because: "as crossbeam-channel, whose code it is",
        instead: "`sward::sync::mpsc`",
    };
}

/// The table, in Markdown; the versions from `lock`, the text of a Cargo.lock.
pub fn render(lock: &str) -> String {
    let mut table = String::from(
        "| library | version | on one worker | what the tests show | instead |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let version = match row.package {
            "" => "Rust's",
            package => version(lock, package).unwrap_or_else(|| panic!("no {package} in the lock")),
        };
        let Row { name, verdict, because, instead, .. } = row;
        let instead = instead.replace('|', "\\|");
        writeln!(table, "| {name} | {version} | {verdict} | {because} | {instead} |")
            .expect("a string takes everything");
    }
    table
}

/// Of two versions the last: the other is there for a library that is behind.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let at = lock.rfind(&format!("name = \"{package}\"\nversion = \""))?;
    lock[at..].split('"').nth(3)
}
