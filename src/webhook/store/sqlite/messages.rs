//! Messages, in SQL: accepting, listing, forgetting, and finding what an endpoint has missed.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::deliveries::{insert, renew};
use super::sql::{
    DEAD, Outcome, PENDING, all, json, limit, message, message_columns, message_id, millis, number,
    one, run,
};
use super::{endpoints, sql};
use crate::webhook::id::{EndpointId, MessageId};
use crate::webhook::model::{Keys, Message};
use crate::webhook::store::Accepted;
use crate::webhook::time::Time;

/// How many messages one transaction looks at when it goes through many: the others' calls come between.
pub(super) const SLICE: i64 = 500;

macro_rules! select {
    ($end:literal) => {
        concat!("SELECT ", message_columns!(), " FROM messages m ", $end)
    };
}

pub(super) fn find(conn: &Connection, id: &MessageId) -> Outcome<Option<i64>> {
    number(conn, "SELECT number FROM messages WHERE id = ?1", [id.as_str()])
}

pub(super) fn by_id(conn: &Connection, id: &MessageId) -> Outcome<Option<Message>> {
    one(conn, select!("WHERE m.id = ?1"), [id.as_str()], message)
}

pub(super) fn by_number(conn: &Connection, number: i64) -> Outcome<Option<Message>> {
    one(conn, select!("WHERE m.number = ?1"), [number], message)
}

pub(super) fn publish(conn: &Connection, new: &Message, extra: &[EndpointId]) -> Outcome<Accepted> {
    if let Some(known) = known(conn, new)? {
        return Ok(known);
    }
    let last = "SELECT latest FROM messages ORDER BY number DESC LIMIT 1";
    let latest = number(conn, last, [])?.unwrap_or(0).max(millis(new.published));
    run(
        conn,
        "INSERT INTO messages (id, published, latest, kind, keys, content_type, idempotency_key, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            new.id.as_str(),
            millis(new.published),
            latest,
            new.kind,
            json(&new.keys)?,
            new.content_type,
            new.idempotency_key,
            &*new.body,
        ],
    )?;
    let message = conn.last_insert_rowid();
    let mut to = endpoints::subscribers(conn, &new.keys, new.published)?;
    for id in extra {
        to.extend(endpoints::find(conn, id)?);
    }
    let mut deliveries = 0;
    for endpoint in to {
        // It is the last of its endpoint, so what is next there changes only if this is due sooner.
        let listens = run(
            conn,
            "UPDATE queues SET next = CASE
                 WHEN next IS NULL THEN ?2 WHEN ordered THEN next ELSE min(next, ?2) END
             WHERE endpoint = ?1 AND state < 2",
            [endpoint, millis(new.published)],
        )?;
        if listens == 1 {
            insert(conn, message, endpoint, new.published)?;
            deliveries += 1;
        }
    }
    Ok(Accepted { id: new.id.clone(), deliveries, repeated: false })
}

/// What was accepted under the same key, or else the same id.
fn known(conn: &Connection, new: &Message) -> Outcome<Option<Accepted>> {
    let by_key = match &new.idempotency_key {
        Some(key) => number(conn, "SELECT number FROM messages WHERE idempotency_key = ?1", [key])?,
        None => None,
    };
    let known = match by_key {
        Some(known) => Some(known),
        None => find(conn, &new.id)?,
    };
    let Some(known) = known else { return Ok(None) };
    let sql = "SELECT id, (SELECT count(*) FROM deliveries WHERE message = ?1)
               FROM messages WHERE number = ?1";
    one(conn, sql, [known], |row| {
        let id = message_id(row.get_ref(0)?.as_str()?)?;
        let deliveries = usize::try_from(row.get::<_, i64>(1)?)?;
        Ok(Accepted { id, deliveries, repeated: true })
    })
}

/// The number before the first message that may have been published at `since` or later; none if there is none.
fn before(conn: &Connection, since: Time) -> Outcome<Option<i64>> {
    let sql = "SELECT number - 1 FROM messages WHERE latest >= ?1 ORDER BY latest, number LIMIT 1";
    number(conn, sql, [millis(since)])
}

pub(super) fn list(
    conn: &Connection,
    since: Time,
    after: Option<&MessageId>,
    most: usize,
) -> Outcome<Vec<Message>> {
    let after = match after {
        None => Some(0),
        Some(id) => find(conn, id)?,
    };
    let (Some(after), Some(before)) = (after, before(conn, since)?) else { return Ok(Vec::new()) };
    let sql = select!("WHERE m.number > ?1 AND +m.published >= ?2 ORDER BY m.number LIMIT ?3");
    all(conn, sql, [after.max(before), millis(since), limit(most)], message)
}

pub(super) fn forget_keys(conn: &Connection, before: Time) -> Outcome<usize> {
    run(
        conn,
        "UPDATE messages SET idempotency_key = NULL
         WHERE idempotency_key IS NOT NULL AND published < ?1",
        [millis(before)],
    )
}

/// Where a walk through the old messages is: when the last one was published, and its number.
pub(super) type Step = (i64, i64);

/// Forgets what is done of the next few messages that were published before `before`. Returns how many, and where to go on.
pub(super) fn prune(conn: &Connection, before: Time, from: Step) -> Outcome<(usize, Option<Step>)> {
    let sql = "SELECT published, number FROM messages
               WHERE (published, number) > (?1, ?2) AND published < ?3
               ORDER BY published, number LIMIT ?4";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let old: Vec<Step> = all(conn, sql, [from.0, from.1, millis(before), SLICE], read)?;
    let mut gone = 0;
    for (_, number) in &old {
        gone += run(
            conn,
            "DELETE FROM messages WHERE number = ?1
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?1 AND state IN (0, 1))",
            [number],
        )?;
    }
    Ok((gone, old.last().copied()))
}

/// Makes the endpoint's dead deliveries pending whose messages were published at `since` or later.
pub(super) fn revive(conn: &Connection, id: &EndpointId, since: Time, now: Time) -> Outcome<usize> {
    let Some(endpoint) = endpoints::find(conn, id)? else { return Ok(0) };
    let revived = run(
        conn,
        "UPDATE deliveries SET state = ?2, due = ?3, attempts = 0 WHERE endpoint = ?1 AND state = ?4
         AND (SELECT published FROM messages WHERE number = message) >= ?5",
        [endpoint, PENDING, millis(now), DEAD, millis(since)],
    )?;
    renew(conn, endpoint)?;
    Ok(revived)
}

/// Adds deliveries of what the endpoint wants and has not got, of the next few messages after number `after` that were
/// published at `since` or later. Returns how many, and where to go on.
pub(super) fn catch_up(
    conn: &Connection,
    id: &EndpointId,
    since: Time,
    now: Time,
    after: i64,
) -> Outcome<(usize, Option<i64>)> {
    let (Some(endpoint), Some(before)) = (endpoints::find(conn, id)?, before(conn, since)?) else {
        return Ok((0, None));
    };
    let lasts = |expires: Option<Time>| expires.is_none_or(|expires| expires > now);
    let subscriptions = endpoints::subscriptions(conn, id)?.into_iter();
    let wanted: BTreeSet<(String, String)> =
        subscriptions.filter(|s| lasts(s.expires)).map(|s| (s.name, s.value)).collect();
    let sql = "SELECT m.number, m.keys, m.published >= ?3 AND NOT EXISTS (
                   SELECT 1 FROM deliveries WHERE message = m.number AND endpoint = ?2)
               FROM messages m WHERE m.number > ?1 ORDER BY m.number LIMIT ?4";
    let params = [after.max(before), endpoint, millis(since), SLICE];
    let slice = all(conn, sql, params, |row| {
        let wants = row.get(2)? && {
            let keys: Keys = serde_json::from_str(row.get_ref(1)?.as_str()?)?;
            let mut pairs = keys.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            pairs.any(|pair| wanted.contains(&pair))
        };
        Ok((row.get::<_, i64>(0)?, wants))
    })?;
    let mut added = 0;
    for (message, _) in slice.iter().filter(|(_, wants)| *wants) {
        insert(conn, *message, endpoint, now)?;
        added += 1;
    }
    renew(conn, endpoint)?;
    Ok((added, slice.last().map(|(number, _)| *number)))
}

pub(super) fn count(conn: &Connection) -> Outcome<u64> {
    Ok(sql::count(number(conn, "SELECT count(*) FROM messages", [])?.unwrap_or(0)))
}
