//! Deliveries, in SQL: due, claimed, finished, and when what is next.

#![forbid(unsafe_code)]

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::sql::{
    ACTIVE, CANCELLED, DEAD, DELIVERED, DISABLED, IN_FLIGHT, Outcome, PENDING, all, delivery,
    delivery_columns, duration, endpoint_id, health, limit, millis, nanos, number, one, prepare,
    run, time,
};
use super::{endpoints, messages};
use crate::webhook::id::{DeliveryId, EndpointId};
use crate::webhook::model::{Attempt, Delivery, Health};
use crate::webhook::store::{Claim, Next};
use crate::webhook::time::Time;

/// A message's number and an endpoint's.
pub(super) type Place = (i64, i64);

/// Where a delivery is. Ids may have a `~` in them, so it is tried wherever there is one; the last is nearly always right.
pub(super) fn find(conn: &Connection, id: &DeliveryId) -> Outcome<Option<Place>> {
    let sql = "SELECT d.message, d.endpoint FROM messages m CROSS JOIN endpoints e
               CROSS JOIN deliveries d ON d.message = m.number AND d.endpoint = e.number
               WHERE m.id = ?1 AND e.id = ?2";
    for (at, _) in id.as_str().rmatch_indices('~') {
        let (message, endpoint) = (&id.as_str()[..at], &id.as_str()[at + 1..]);
        let found = one(conn, sql, [message, endpoint], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(super) fn at(conn: &Connection, place: Place) -> Outcome<Option<Delivery>> {
    let sql = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries d CROSS JOIN messages m ON m.number = d.message
          CROSS JOIN endpoints e ON e.number = d.endpoint
          WHERE d.message = ?1 AND d.endpoint = ?2"
    );
    one(conn, sql, [place.0, place.1], delivery)
}

pub(super) fn insert(conn: &Connection, message: i64, endpoint: i64, due: Time) -> Outcome<usize> {
    let sql = "INSERT INTO deliveries (message, endpoint, state, attempts, due, created)
               VALUES (?1, ?2, 0, 0, ?3, ?3)";
    run(conn, sql, [message, endpoint, millis(due)])
}

/// Notes when an endpoint is to be attended to, after its deliveries have changed.
pub(super) fn renew(conn: &Connection, endpoint: i64) -> Outcome<()> {
    let ordered = "SELECT ordered FROM queues WHERE endpoint = ?1";
    let next = match number(conn, ordered, [endpoint])? {
        None => return Ok(()),
        Some(0) => number(
            conn,
            "SELECT due FROM deliveries INDEXED BY deliveries_due
             WHERE endpoint = ?1 AND state < 2 ORDER BY due LIMIT 1",
            [endpoint],
        )?,
        Some(_) => first(conn, endpoint)?.map(|(_, due)| due),
    };
    run(conn, "UPDATE queues SET next = ?2 WHERE endpoint = ?1", params![endpoint, next])?;
    Ok(())
}

/// The message and the time of an endpoint's first unfinished delivery.
fn first(conn: &Connection, endpoint: i64) -> Outcome<Option<(i64, i64)>> {
    let sql = "SELECT min(message) FROM deliveries WHERE endpoint = ?1 AND state = ?2";
    let of = |state| number(conn, sql, [endpoint, state]);
    let message = of(PENDING)?.into_iter().chain(of(IN_FLIGHT)?).min();
    let Some(message) = message else { return Ok(None) };
    let sql = "SELECT due FROM deliveries WHERE message = ?1 AND endpoint = ?2";
    Ok(number(conn, sql, [message, endpoint])?.map(|due| (message, due)))
}

pub(super) fn due(
    conn: &Connection,
    now: Time,
    except: &HashSet<EndpointId>,
    most: usize,
) -> Outcome<Vec<EndpointId>> {
    let mut statement = prepare(
        conn,
        "SELECT e.id FROM queues q INDEXED BY queues_next CROSS JOIN endpoints e ON e.number = q.endpoint
         WHERE q.state = 0 AND q.next IS NOT NULL AND q.next <= ?1 ORDER BY q.next, q.endpoint",
    )?;
    // Read row by row, and no further than needed.
    let mut rows = statement.query([millis(now)])?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = rows.next()?
    {
        let id = endpoint_id(row.get_ref(0)?.as_str()?)?;
        if !except.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

pub(super) fn next_due(conn: &Connection) -> Outcome<Option<Time>> {
    let sql = "SELECT next FROM queues INDEXED BY queues_next
               WHERE state = 0 AND next IS NOT NULL ORDER BY next LIMIT 1";
    Ok(number(conn, sql, [])?.map(time))
}

pub(super) fn claim(
    conn: &Connection,
    id: &EndpointId,
    now: Time,
    until: Time,
    most: usize,
) -> Outcome<Vec<Claim>> {
    let sql =
        "SELECT q.endpoint, q.ordered FROM endpoints e CROSS JOIN queues q ON q.endpoint = e.number
               WHERE e.id = ?1 AND q.state = ?2";
    let queue = one(conn, sql, params![id.as_str(), ACTIVE], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
    })?;
    let Some((number, ordered)) = queue else { return Ok(Vec::new()) };
    let messages: Vec<i64> = if ordered {
        let first = first(conn, number)?.filter(|(_, due)| *due <= millis(now));
        first.map(|(message, _)| message).into_iter().take(most).collect()
    } else {
        let sql = "SELECT message FROM deliveries INDEXED BY deliveries_due
                   WHERE endpoint = ?1 AND state < 2 AND due <= ?2 ORDER BY due, message LIMIT ?3";
        all(conn, sql, [number, millis(now), limit(most)], |row| Ok(row.get(0)?))?
    };
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let gone = "the endpoint or the message is not there";
    let endpoint = endpoints::by_number(conn, number)?.ok_or(gone)?;
    let mut claims = Vec::new();
    for message in messages {
        let sql = "UPDATE deliveries SET state = ?3, due = ?4 WHERE message = ?1 AND endpoint = ?2";
        run(conn, sql, [message, number, IN_FLIGHT, millis(until)])?;
        claims.push(Claim {
            delivery: at(conn, (message, number))?.ok_or(gone)?,
            message: messages::by_number(conn, message)?.ok_or(gone)?,
            endpoint: endpoint.clone(),
        });
    }
    renew(conn, number)?;
    Ok(claims)
}

pub(super) fn finish(
    conn: &Connection,
    id: &DeliveryId,
    attempt: Option<&Attempt>,
    next: Next,
) -> Outcome<Option<Health>> {
    let Some((message, endpoint)) = find(conn, id)? else { return Ok(None) };
    if let Some(attempt) = attempt {
        keep(conn, (message, endpoint), attempt)?;
    }
    let sql = "SELECT failures, failing_since, last_success, state FROM queues WHERE endpoint = ?1";
    let queue = one(conn, sql, [endpoint], |row| Ok((health(row, 0)?, row.get::<_, i64>(3)?)))?;
    // Of an endpoint that is gone everything has ended.
    let Some((health, state)) = queue else { return Ok(None) };
    let (to, at) = match next {
        Next::Delivered(at) => (DELIVERED, at),
        Next::Retry(at) if state != DISABLED => (PENDING, at),
        Next::Retry(at) | Next::Dead(at) => (DEAD, at),
    };
    let sql = "UPDATE deliveries SET state = ?3, due = ?4
               WHERE message = ?1 AND endpoint = ?2 AND state NOT IN (?5, ?6)";
    run(conn, sql, [message, endpoint, to, millis(at), DELIVERED, CANCELLED])?;
    let after = health.after(attempt, next);
    if after != health {
        run(
            conn,
            "UPDATE queues SET failures = ?2, failing_since = ?3, last_success = ?4 WHERE endpoint = ?1",
            params![
                endpoint,
                after.failures,
                after.failing_since.map(millis),
                after.last_success.map(millis),
            ],
        )?;
    }
    renew(conn, endpoint)?;
    Ok(Some(after))
}

/// Adds to the log, and counts.
fn keep(conn: &Connection, (message, endpoint): Place, attempt: &Attempt) -> Outcome<()> {
    run(
        conn,
        "INSERT INTO attempts (message, endpoint, attempt, at, took, address, status, error, truncated, response)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            message,
            endpoint,
            attempt.number,
            millis(attempt.at),
            nanos(attempt.took),
            attempt.address,
            attempt.status,
            attempt.error,
            attempt.truncated,
            attempt.response,
        ],
    )?;
    let sql = "UPDATE deliveries SET attempts = attempts + 1 WHERE message = ?1 AND endpoint = ?2";
    run(conn, sql, [message, endpoint])?;
    Ok(())
}

pub(super) fn attempts(conn: &Connection, id: &DeliveryId) -> Outcome<Vec<Attempt>> {
    let Some(place) = find(conn, id)? else { return Ok(Vec::new()) };
    let sql = "SELECT attempt, at, took, address, status, error, truncated, response FROM attempts
               WHERE message = ?1 AND endpoint = ?2 ORDER BY number";
    all(conn, sql, [place.0, place.1], |row| {
        Ok(Attempt {
            delivery: id.clone(),
            number: row.get(0)?,
            at: time(row.get(1)?),
            took: duration(row.get(2)?),
            address: row.get(3)?,
            status: row.get(4)?,
            error: row.get(5)?,
            truncated: row.get(6)?,
            response: row.get(7)?,
        })
    })
}

pub(super) fn resend(conn: &Connection, id: &DeliveryId, now: Time) -> Outcome<bool> {
    let Some((message, endpoint)) = find(conn, id)? else { return Ok(false) };
    let changed = run(
        conn,
        "UPDATE deliveries SET state = ?3, due = ?4, attempts = 0
         WHERE message = ?1 AND endpoint = ?2 AND state NOT IN (?3, ?5)
         AND EXISTS (SELECT 1 FROM queues WHERE endpoint = ?2)",
        [message, endpoint, PENDING, millis(now), IN_FLIGHT],
    )?;
    renew(conn, endpoint)?;
    Ok(changed == 1)
}

/// What a process claimed that is no more is due at once; nobody else can have it.
pub(super) fn release(conn: &Connection) -> Outcome<()> {
    let sql = "SELECT message, endpoint, created, (SELECT state FROM queues q WHERE q.endpoint = d.endpoint)
               FROM deliveries d WHERE state = 1 AND state <> 2";
    let claimed = all(conn, sql, [], |row| {
        let state = row.get::<_, Option<i64>>(3)?;
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, state))
    })?;
    for (message, endpoint, created, state) in &claimed {
        let to = if *state == Some(DISABLED) { DEAD } else { PENDING };
        // Since it was accepted: long ago by anybody's clock.
        let sql = "UPDATE deliveries SET state = ?3, due = ?4 WHERE message = ?1 AND endpoint = ?2";
        run(conn, sql, [*message, *endpoint, to, *created])?;
    }
    let endpoints: HashSet<i64> = claimed.iter().map(|claim| claim.1).collect();
    endpoints.into_iter().try_for_each(|endpoint| renew(conn, endpoint))
}
