//! Endpoints and subscriptions, in SQL.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::deliveries::renew;
use super::sql::{
    CANCELLED, DEAD, Outcome, PENDING, all, endpoint, endpoint_columns, endpoint_state, json,
    limit, millis, number, one, run, time,
};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, EndpointState, Keys, Subscription};
use crate::webhook::store::Change;
use crate::webhook::time::Time;

/// `SELECT` of endpoints with this end.
macro_rules! select {
    ($end:literal) => {
        concat!(
            "SELECT ",
            endpoint_columns!(),
            " FROM endpoints e CROSS JOIN queues q ON q.endpoint = e.number ",
            $end
        )
    };
}

/// The number of an endpoint that has not been removed.
pub(super) fn find(conn: &Connection, id: &EndpointId) -> Outcome<Option<i64>> {
    number(conn, "SELECT number FROM endpoints WHERE id = ?1 AND removed = 0", [id.as_str()])
}

pub(super) fn by_number(conn: &Connection, number: i64) -> Outcome<Option<Endpoint>> {
    one(conn, select!("WHERE e.number = ?1"), [number], endpoint)
}

pub(super) fn by_id(conn: &Connection, id: &EndpointId) -> Outcome<Option<Endpoint>> {
    one(conn, select!("WHERE e.id = ?1"), [id.as_str()], endpoint)
}

pub(super) fn by_url(conn: &Connection, url: &str) -> Outcome<Option<Endpoint>> {
    one(conn, select!("WHERE e.url = ?1 AND e.removed = 0"), [url], endpoint)
}

pub(super) fn list(
    conn: &Connection,
    after: Option<&EndpointId>,
    most: usize,
) -> Outcome<Vec<Endpoint>> {
    let after = match after {
        None => Some(0),
        Some(id) => find(conn, id)?,
    };
    let Some(after) = after else { return Ok(Vec::new()) };
    let sql = select!("WHERE e.number > ?1 ORDER BY e.number LIMIT ?2");
    all(conn, sql, [after, limit(most)], endpoint)
}

pub(super) fn add(conn: &Connection, new: &Endpoint) -> Outcome<(Endpoint, bool)> {
    if let Some(there) = by_url(conn, &new.url)? {
        return Ok((there, false));
    }
    run(
        conn,
        "INSERT INTO endpoints (id, url, created, state, keys, settings) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            new.id.as_str(),
            new.url,
            millis(new.created),
            json(&new.state)?,
            json(&new.keys)?,
            json(&new.settings)?,
        ],
    )?;
    run(
        conn,
        "INSERT INTO queues (endpoint, state, ordered, failures, failing_since, last_success)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            conn.last_insert_rowid(),
            endpoint_state(&new.state),
            new.settings.ordered,
            new.health.failures,
            new.health.failing_since.map(millis),
            new.health.last_success.map(millis),
        ],
    )?;
    Ok((new.clone(), true))
}

pub(super) fn change(conn: &Connection, id: &EndpointId, change: &Change) -> Outcome<bool> {
    let Some(number) = find(conn, id)? else { return Ok(false) };
    if let Some(keys) = &change.keys {
        run(
            conn,
            "UPDATE endpoints SET keys = ?2 WHERE number = ?1",
            params![number, json(keys)?],
        )?;
    }
    if let Some(settings) = &change.settings {
        let text = json(settings)?;
        run(conn, "UPDATE endpoints SET settings = ?2 WHERE number = ?1", params![number, text])?;
        let sql = "UPDATE queues SET ordered = ?2 WHERE endpoint = ?1";
        run(conn, sql, params![number, settings.ordered])?;
    }
    if let Some(health) = &change.health {
        run(
            conn,
            "UPDATE queues SET failures = ?2, failing_since = ?3, last_success = ?4 WHERE endpoint = ?1",
            params![
                number,
                health.failures,
                health.failing_since.map(millis),
                health.last_success.map(millis),
            ],
        )?;
    }
    if let Some(state) = &change.state {
        let text = json(state)?;
        run(conn, "UPDATE endpoints SET state = ?2 WHERE number = ?1", params![number, text])?;
        let sql = "UPDATE queues SET state = ?2 WHERE endpoint = ?1";
        run(conn, sql, [number, endpoint_state(state)])?;
    }
    if let Some(EndpointState::Disabled { at, .. }) = &change.state {
        let sql = "UPDATE deliveries SET state = ?2, due = ?3 WHERE endpoint = ?1 AND state = ?4";
        run(conn, sql, [number, DEAD, millis(*at), PENDING])?;
    }
    renew(conn, number)?;
    Ok(true)
}

pub(super) fn remove(conn: &Connection, id: &EndpointId, now: Time) -> Outcome<bool> {
    let Some(number) = find(conn, id)? else { return Ok(false) };
    let sql = "UPDATE deliveries SET state = ?2, due = ?3 WHERE endpoint = ?1 AND state IN (0, 1)";
    run(conn, sql, [number, CANCELLED, millis(now)])?;
    run(conn, "DELETE FROM subscriptions WHERE endpoint = ?1", [number])?;
    run(conn, "DELETE FROM queues WHERE endpoint = ?1", [number])?;
    run(conn, "UPDATE endpoints SET removed = 1 WHERE number = ?1", [number])?;
    let nothing_left = "DELETE FROM endpoints WHERE number = ?1
                        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE endpoint = ?1)";
    run(conn, nothing_left, [number])?;
    Ok(true)
}

/// Forgets removed endpoints that nothing refers to any more.
pub(super) fn forget(conn: &Connection) -> Outcome<usize> {
    run(
        conn,
        "DELETE FROM endpoints WHERE removed = 1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE endpoint = endpoints.number)",
        [],
    )
}

pub(super) fn subscribe(
    conn: &Connection,
    id: &EndpointId,
    keys: &Keys,
    now: Time,
    expires: Option<Time>,
) -> Outcome<()> {
    let Some(number) = find(conn, id)? else { return Ok(()) };
    for (name, value) in keys.iter() {
        run(
            conn,
            "INSERT INTO subscriptions (name, value, endpoint, updated, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET updated = excluded.updated, expires = excluded.expires",
            params![name, value, number, millis(now), expires.map(millis)],
        )?;
    }
    Ok(())
}

pub(super) fn unsubscribe(conn: &Connection, id: &EndpointId, keys: &Keys) -> Outcome<usize> {
    let Some(number) = find(conn, id)? else { return Ok(0) };
    let sql = "DELETE FROM subscriptions WHERE name = ?1 AND value = ?2 AND endpoint = ?3";
    keys.iter()
        .try_fold(0, |sum, (name, value)| Ok(sum + run(conn, sql, params![name, value, number])?))
}

pub(super) fn subscriptions(conn: &Connection, id: &EndpointId) -> Outcome<Vec<Subscription>> {
    let sql = "SELECT s.name, s.value, s.updated, s.expires FROM endpoints e
               CROSS JOIN subscriptions s ON s.endpoint = e.number
               WHERE e.id = ?1 ORDER BY s.name, s.value";
    all(conn, sql, [id.as_str()], |row| {
        Ok(Subscription {
            endpoint: id.clone(),
            name: row.get(0)?,
            value: row.get(1)?,
            updated: time(row.get(2)?),
            expires: row.get::<_, Option<i64>>(3)?.map(time),
        })
    })
}

pub(super) fn expire(conn: &Connection, now: Time) -> Outcome<usize> {
    let sql = "DELETE FROM subscriptions WHERE expires IS NOT NULL AND expires <= ?1";
    run(conn, sql, [millis(now)])
}

/// The numbers of those that subscribe to one of these keys at `now`.
pub(super) fn subscribers(conn: &Connection, keys: &Keys, now: Time) -> Outcome<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    for (name, value) in keys.iter() {
        let sql = "SELECT endpoint FROM subscriptions
                   WHERE name = ?1 AND value = ?2 AND (expires IS NULL OR expires > ?3)";
        let numbers = all(conn, sql, params![name, value, millis(now)], |row| Ok(row.get(0)?))?;
        found.extend::<Vec<i64>>(numbers);
    }
    Ok(found)
}

pub(super) fn matching(conn: &Connection, keys: &Keys, now: Time) -> Outcome<Vec<Endpoint>> {
    let mut found = Vec::new();
    for number in subscribers(conn, keys, now)? {
        found.extend(by_number(conn, number)?);
    }
    Ok(found)
}
