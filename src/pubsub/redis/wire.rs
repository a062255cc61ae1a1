//! What goes to Redis and comes back: connections, scripts, entries of streams, and which errors pass.

#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Cmd, Connection, IntoConnectionInfo, ProtocolVersion};
use redis::{RedisError, RedisResult, Value, cmd};

use crate::pubsub::EventId;

/// An entry of a stream.
pub(super) type Entry = (EventId, Arc<[u8]>);

pub(super) const PUBLISH: &str = include_str!("publish.lua");
pub(super) const PRESENT: &str = include_str!("present.lua");

/// Where the server is. What the crate says over RESP 3 when it subscribes is not waited for: so it is RESP 2.
pub(super) fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Client::open(info.set_redis_settings(settings))
}

/// A connection; its calls end after `patience`.
pub(super) fn connect(client: &Client, patience: Duration) -> RedisResult<Connection> {
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

/// Has the server keep a script; its name there.
pub(super) fn load(connection: &mut Connection, script: &str) -> RedisResult<String> {
    cmd("SCRIPT").arg("LOAD").arg(script).query(connection)
}

/// What the server calls itself since it was started; empty if it does not say.
pub(super) fn run_id(connection: &mut Connection) -> RedisResult<String> {
    let info: String = cmd("INFO").arg("server").query(connection)?;
    Ok(info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or("").trim().to_owned())
}

/// The newest entries of a stream, newest first.
pub(super) fn newest(stream: &str, count: usize) -> Cmd {
    let mut newest = cmd("XREVRANGE");
    newest.arg(stream).arg("+").arg("-").arg("COUNT").arg(count);
    newest
}

/// The newest entry of a stream that is not after `id`.
pub(super) fn up_to(stream: &str, id: EventId) -> Cmd {
    let mut up_to = cmd("XREVRANGE");
    up_to.arg(stream).arg(text(id)).arg("-").arg("COUNT").arg(1);
    up_to
}

/// Entries of a stream from `id` on, it among them.
pub(super) fn from(stream: &str, id: EventId, count: usize) -> Cmd {
    let mut from = cmd("XRANGE");
    from.arg(stream).arg(text(id)).arg("+").arg("COUNT").arg(count);
    from
}

/// An id as Redis has it, which always says both numbers.
fn text(id: EventId) -> String {
    format!("{}-{}", id.epoch, id.seq)
}

/// The entries in a reply. Those of other makers are left out.
pub(super) fn entries(reply: Value) -> Vec<Entry> {
    let Value::Array(all) = reply else { return Vec::new() };
    all.into_iter().filter_map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = &parts[..] else { return None };
    let [Value::BulkString(name), Value::BulkString(data)] = &fields[..] else { return None };
    (name == b"d").then_some((std::str::from_utf8(id).ok()?.parse().ok()?, data[..].into()))
}

/// A message as `publish.lua` announces it: its id, a space, and the data.
pub(super) fn announced(payload: &[u8]) -> Option<Entry> {
    let space = payload.iter().position(|&byte| byte == b' ')?;
    let id = std::str::from_utf8(&payload[..space]).ok()?.parse().ok()?;
    Some((id, payload[space + 1..].into()))
}

/// Whether it is worth another try, over another connection.
pub(super) fn passes(error: &RedisError) -> bool {
    let states =
        ["LOADING", "BUSY", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "NOSCRIPT"];
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.code().is_some_and(|code| states.contains(&code))
}

/// A number that nobody can guess or repeats; enough for names and jitter.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// How long to wait before the next try: twice as long each time, up to 5 s, and anything between half of that and all of it,
/// so that those who lost a server together do not come back together.
#[derive(Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let most = Duration::from_millis(50 << self.tries.min(7)).min(Duration::from_secs(5));
        self.tries += 1;
        most / 2 + (most / 2).mul_f64(random() as f64 / u64::MAX as f64)
    }

    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements() {
        let id = EventId { epoch: 5, seq: 7 };
        assert_eq!(announced(b"5-7 a b"), Some((id, b"a b"[..].into())));
        assert_eq!(announced(b"5-7 "), Some((id, b""[..].into())));
        for wrong in [&b""[..], b"5-7", b"x 1", b"\xff 1"] {
            assert_eq!(announced(wrong), None);
        }
    }

    #[test]
    fn foreign_entries_are_left_out() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let entry = |id: &str, fields: &[&str]| {
            Value::Array(vec![
                bulk(id),
                Value::Array(fields.iter().map(|text| bulk(text)).collect()),
            ])
        };
        let all =
            [entry("1-1", &["d", "x"]), entry("1-2", &["e", "x"]), entry("1-3", &[]), Value::Nil];
        let ours = entries(Value::Array(all.into()));
        assert_eq!(ours, [(EventId { epoch: 1, seq: 1 }, b"x"[..].into())]);
        assert!(entries(Value::Nil).is_empty());
    }

    #[test]
    fn tries_become_rare_and_differ() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits[0] <= Duration::from_millis(50) && waits[0] >= Duration::from_millis(25));
        assert!(waits[10..].iter().all(|wait| (2500..=5000).contains(&wait.as_millis())));
        assert!(waits[10..].iter().any(|wait| *wait != waits[19]));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }
}
