//! The way to the server: scripts by their digest, on a few pooled connections, again after a lost one.
//!
//! What it is not: knowing of what the scripts are about; that is `mod.rs`.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::io::tcp::TcpSettings;
use redis::{Client, Connection, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};
use redis::{ServerErrorKind, Value};
use ring::digest;

use crate::sync::{Mutex, OnceLock, PoisonError, Semaphore};
use crate::webhook::id::MessageId;
use crate::webhook::store::{Result, StoreError};

/// The most connections. The server runs one script at a time, but waits for the disk once for all that came meanwhile.
const MOST: usize = 32;
/// How long a connection may take to come, and an answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// For how long a call is made again after its connection was lost, and how long it waits between.
const AGAIN_FOR: Duration = Duration::from_secs(10);
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A script, and what it does, for people.
#[derive(Debug)]
pub(super) struct Script {
    doing: &'static str,
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    pub(super) const fn new(doing: &'static str, text: &'static str) -> Script {
        Script { doing, text, digest: OnceLock::new() }
    }

    /// What the server calls it.
    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
            digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    pub(super) fn error(
        &self,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::new(self.doing, why)
    }

    /// For what an answer was read into, if it could be.
    pub(super) fn read<T>(&self, what: Option<T>) -> Result<T> {
        what.ok_or_else(|| self.error("what is kept in Redis is not what was put there"))
    }
}

/// What a script is given, as its `arg`, `option` and `list` take it.
#[derive(Debug, Default)]
pub(super) struct Args(Vec<Vec<u8>>);

impl Args {
    pub(super) fn new() -> Args {
        Args::default()
    }

    pub(super) fn arg(mut self, value: impl AsRef<[u8]>) -> Args {
        self.0.push(value.as_ref().to_vec());
        self
    }

    pub(super) fn number(self, number: impl fmt::Display) -> Args {
        self.arg(number.to_string())
    }

    /// Of a list: no more than the scripts can count.
    pub(super) fn limit(self, limit: usize) -> Args {
        self.number(limit.min(1 << 30))
    }

    pub(super) fn option(self, value: Option<impl AsRef<[u8]>>) -> Args {
        match value {
            Some(value) => self.arg("1").arg(value),
            None => self.arg("0"),
        }
    }

    pub(super) fn list<T: AsRef<[u8]>>(self, values: impl IntoIterator<Item = T>) -> Args {
        let before = self.0.len();
        let mut all = self.arg("");
        values.into_iter().for_each(|value| all.0.push(value.as_ref().to_vec()));
        all.0[before] = (all.0.len() - before - 1).to_string().into_bytes();
        all
    }
}

/// The server.
pub(super) struct Link {
    client: Client,
    prefix: Arc<str>,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

impl fmt::Debug for Link {
    // Not its address: there may be a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Link {
    /// Looks whether the server is there and new enough.
    pub(super) fn open(url: &str, prefix: &str) -> Result<Link> {
        let failed = |why: RedisError| StoreError::new("opening Redis", why);
        let info = url.into_connection_info().map_err(failed)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(failed)?;
        let (idle, free) = (Mutex::new(Vec::new()), Semaphore::new(MOST));
        let link = Link { client, prefix: prefix.into(), idle, free };
        static HELLO: Script = Script::new("opening Redis", "return 1");
        link.call(&HELLO, Args::new())?;
        Ok(link)
    }

    /// Runs a script. If the connection is lost it is run again, and told so: it then answers as it did the first time.
    pub(super) fn call(&self, script: &'static Script, args: Args) -> Result<Value> {
        let _free = self.free.acquire();
        let (args, op) = (Arc::new(args.0), Arc::new(MessageId::random()));
        let (begun, mut pause, mut again) = (Instant::now(), PAUSES.0, false);
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (client, prefix) = (self.client.clone(), self.prefix.clone());
            let (args, op) = (args.clone(), op.clone());
            let (connection, answer) = crate::blocking::library(move || {
                let mut connection = idle;
                let call = Call { script, prefix: &prefix, op: op.as_str(), again, args: &args };
                let answer = call.make(&client, &mut connection);
                (connection, answer)
            });
            let error = match answer {
                Ok(value) => {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    idle.extend(connection);
                    return Ok(value);
                }
                Err(error) => error,
            };
            if !may_pass(&error) || begun.elapsed() + pause > AGAIN_FOR {
                return Err(script.error(error));
            }
            // What else is idle was most likely lost with it.
            drop(std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner)));
            crate::thread::sleep(pause);
            (pause, again) = ((pause * 2).min(PAUSES.1), true);
        }
    }
}

/// Whether the same call may succeed later: the server is gone for now, is reading its file, or is no longer the one to ask.
fn may_pass(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(kind) => matches!(kind, BusyLoading | MasterDown | ReadOnly | TryAgain),
        _ => false,
    }
}

struct Call<'a> {
    script: &'static Script,
    prefix: &'a str,
    op: &'a str,
    again: bool,
    args: &'a [Vec<u8>],
}

impl Call<'_> {
    /// Leaves the connection where it can be used again.
    fn make(&self, client: &Client, at: &mut Option<Connection>) -> RedisResult<Value> {
        let mut connection = match at.take() {
            Some(connection) => connection,
            None => {
                let connection = client.get_connection_with_timeout(CONNECT)?;
                connection.set_read_timeout(Some(ANSWER))?;
                connection.set_write_timeout(Some(ANSWER))?;
                connection
            }
        };
        let mut answer = self.send("EVALSHA", self.script.digest(), &mut connection);
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        if answer.as_ref().is_err_and(|error| error.kind() == unknown) {
            answer = self.send("EVAL", self.script.text, &mut connection);
        }
        // After any other error there may be an answer on it that nobody waits for.
        if answer.is_ok() {
            *at = Some(connection);
        }
        answer
    }

    fn send(&self, how: &str, script: &str, connection: &mut Connection) -> RedisResult<Value> {
        let again = if self.again { "1" } else { "0" };
        let mut command = redis::cmd(how);
        command.arg(script).arg(1).arg(self.prefix).arg(self.op).arg(again);
        for arg in self.args {
            command.arg(&arg[..]);
        }
        command.query(connection)
    }
}
