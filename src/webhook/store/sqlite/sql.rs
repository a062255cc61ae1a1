//! What all calls share: running a statement, and how our values look in columns.
//!
//! Times are milliseconds as integers, durations nanoseconds, states small integers whose order the indices rely on, and what
//! is only ever read whole (an endpoint's settings, a message's keys) is JSON.

#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::webhook::id::{EndpointId, MessageId};
use crate::webhook::model::{Delivery, DeliveryState, Endpoint, EndpointState, Health, Message};
use crate::webhook::time::Time;

/// Why a call failed; [`super::StoreError`] adds what was being done.
pub(super) type Fault = Box<dyn Error + Send + Sync>;
pub(super) type Outcome<T> = std::result::Result<T, Fault>;

// The states that are unfinished come first, so that `state < 2` says it; the indices do.
pub(super) const PENDING: i64 = 0;
pub(super) const IN_FLIGHT: i64 = 1;
pub(super) const DELIVERED: i64 = 2;
pub(super) const DEAD: i64 = 3;
pub(super) const CANCELLED: i64 = 4;

// An endpoint's, in `queues`: below 2 messages are kept for it.
pub(super) const ACTIVE: i64 = 0;
pub(super) const PAUSED: i64 = 1;
pub(super) const UNVERIFIED: i64 = 2;
pub(super) const DISABLED: i64 = 3;

/// The compiled statement.
pub(super) fn prepare<'a>(conn: &'a Connection, sql: &str) -> Outcome<CachedStatement<'a>> {
    #[cfg(test)]
    super::plans::note(sql);
    Ok(conn.prepare_cached(sql)?)
}

/// Runs a statement that returns nothing; how many rows it changed.
pub(super) fn run(conn: &Connection, sql: &str, params: impl Params) -> Outcome<usize> {
    Ok(prepare(conn, sql)?.execute(params)?)
}

/// The first row, if there is one.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Outcome<T>,
) -> Outcome<Option<T>> {
    let mut statement = prepare(conn, sql)?;
    statement.query_row(params, |row| Ok(read(row))).optional()?.transpose()
}

/// All rows.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let mut statement = prepare(conn, sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// One number.
pub(super) fn number(conn: &Connection, sql: &str, params: impl Params) -> Outcome<Option<i64>> {
    Ok(one(conn, sql, params, |row| Ok(row.get::<_, Option<i64>>(0)?))?.flatten())
}

pub(super) fn millis(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn time(millis: i64) -> Time {
    Time::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn nanos(took: Duration) -> i64 {
    i64::try_from(took.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn duration(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// A limit as SQLite has it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// How many, as we have it.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn json(value: &impl Serialize) -> Outcome<String> {
    Ok(serde_json::to_string(value)?)
}

fn from_json<T: DeserializeOwned>(text: &str) -> Outcome<T> {
    Ok(serde_json::from_str(text)?)
}

pub(super) fn endpoint_id(text: &str) -> Outcome<EndpointId> {
    EndpointId::parse(text).ok_or_else(|| format!("{text:?} is no id").into())
}

pub(super) fn message_id(text: &str) -> Outcome<MessageId> {
    MessageId::parse(text).ok_or_else(|| format!("{text:?} is no id").into())
}

pub(super) fn delivery_state(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::InFlight => IN_FLIGHT,
        DeliveryState::Delivered => DELIVERED,
        DeliveryState::Dead => DEAD,
        DeliveryState::Cancelled => CANCELLED,
    }
}

fn to_delivery_state(state: i64) -> Outcome<DeliveryState> {
    Ok(match state {
        PENDING => DeliveryState::Pending,
        IN_FLIGHT => DeliveryState::InFlight,
        DELIVERED => DeliveryState::Delivered,
        DEAD => DeliveryState::Dead,
        CANCELLED => DeliveryState::Cancelled,
        other => return Err(format!("{other} is no delivery's state").into()),
    })
}

pub(super) fn endpoint_state(state: &EndpointState) -> i64 {
    match state {
        EndpointState::Active => ACTIVE,
        EndpointState::Paused => PAUSED,
        EndpointState::Unverified => UNVERIFIED,
        EndpointState::Disabled { .. } => DISABLED,
    }
}

/// What [`endpoint`] reads.
macro_rules! endpoint_columns {
    () => {
        "e.id, e.url, e.created, e.state, e.keys, e.settings, q.failures, q.failing_since, q.last_success"
    };
}
pub(super) use endpoint_columns;

pub(super) fn endpoint(row: &Row<'_>) -> Outcome<Endpoint> {
    let text = |column| -> Outcome<&str> { Ok(row.get_ref(column)?.as_str()?) };
    let mut endpoint = Endpoint::new(text(1)?);
    endpoint.id = endpoint_id(text(0)?)?;
    endpoint.created = time(row.get(2)?);
    endpoint.state = from_json(text(3)?)?;
    endpoint.keys = from_json(text(4)?)?;
    endpoint.settings = from_json(text(5)?)?;
    endpoint.health = health(row, 6)?;
    Ok(endpoint)
}

/// From three columns, the first of which is `at`.
pub(super) fn health(row: &Row<'_>, at: usize) -> Outcome<Health> {
    Ok(Health {
        failures: u32::try_from(row.get::<_, i64>(at)?)?,
        failing_since: row.get::<_, Option<i64>>(at + 1)?.map(time),
        last_success: row.get::<_, Option<i64>>(at + 2)?.map(time),
    })
}

/// What [`message`] reads.
macro_rules! message_columns {
    () => {
        "m.id, m.published, m.kind, m.keys, m.content_type, m.idempotency_key, m.body"
    };
}
pub(super) use message_columns;

pub(super) fn message(row: &Row<'_>) -> Outcome<Message> {
    let text = |column| -> Outcome<&str> { Ok(row.get_ref(column)?.as_str()?) };
    Ok(Message {
        id: message_id(text(0)?)?,
        published: time(row.get(1)?),
        kind: row.get(2)?,
        keys: from_json(text(3)?)?,
        content_type: row.get(4)?,
        idempotency_key: row.get(5)?,
        body: row.get_ref(6)?.as_blob()?.into(),
    })
}

/// What [`delivery`] reads.
macro_rules! delivery_columns {
    () => {
        "m.id, e.id, d.state, d.attempts, d.due, d.created"
    };
}
pub(super) use delivery_columns;

pub(super) fn delivery(row: &Row<'_>) -> Outcome<Delivery> {
    let text = |column| -> Outcome<&str> { Ok(row.get_ref(column)?.as_str()?) };
    let (message, endpoint) = (message_id(text(0)?)?, endpoint_id(text(1)?)?);
    let mut delivery = Delivery::new(&message, &endpoint, time(row.get(5)?));
    delivery.state = to_delivery_state(row.get(2)?)?;
    delivery.attempts = u32::try_from(row.get::<_, i64>(3)?)?;
    delivery.due = time(row.get(4)?);
    Ok(delivery)
}
