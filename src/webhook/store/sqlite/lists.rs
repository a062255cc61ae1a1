//! Lists of deliveries and counts, in SQL: each kind of question by the index that answers it.

#![forbid(unsafe_code)]

use rusqlite::{Connection, params};

use super::deliveries::{self, Place, next_due};
use super::messages;
use super::sql::{
    DELIVERED, Outcome, all, count, delivery, delivery_columns, delivery_state, limit, number, one,
    time,
};
use crate::webhook::id::{DeliveryId, EndpointId};
use crate::webhook::model::Delivery;
use crate::webhook::store::{Filter, Totals};

/// `SELECT` of deliveries, with an index and a condition.
macro_rules! select {
    ($index:literal, $condition:literal) => {
        concat!(
            "SELECT ",
            delivery_columns!(),
            ", d.message, d.endpoint FROM deliveries d ",
            $index,
            " CROSS JOIN messages m ON m.number = d.message
              CROSS JOIN endpoints e ON e.number = d.endpoint WHERE ",
            $condition,
            " ORDER BY d.message, d.endpoint LIMIT ?1"
        )
    };
}

/// A delivery, and where it is.
type Found = (Place, Delivery);

fn read(row: &rusqlite::Row<'_>) -> Outcome<Found> {
    Ok(((row.get(6)?, row.get(7)?), delivery(row)?))
}

pub(super) fn list(
    conn: &Connection,
    filter: &Filter,
    after: Option<&DeliveryId>,
    most: usize,
) -> Outcome<Vec<Delivery>> {
    let after = match after {
        None => Some((0, 0)),
        Some(id) => deliveries::find(conn, id)?,
    };
    let Some(after) = after else { return Ok(Vec::new()) };
    let state = filter.state.map(delivery_state);
    let found = match (&filter.message, &filter.endpoint) {
        (Some(message), endpoint) => {
            let Some(message) = messages::find(conn, message)? else { return Ok(Vec::new()) };
            let endpoint = match endpoint {
                None => None,
                Some(id) => match known(conn, id)? {
                    Some(number) => Some(number),
                    None => return Ok(Vec::new()),
                },
            };
            of_message(conn, message, endpoint, state, after, most)?
        }
        (None, Some(id)) => match known(conn, id)? {
            Some(endpoint) => of_endpoint(conn, endpoint, state, after, most)?,
            None => Vec::new(),
        },
        (None, None) => in_state(conn, state, after, most)?,
    };
    Ok(found.into_iter().map(|(_, delivery)| delivery).collect())
}

/// An endpoint's number, though it has been removed.
fn known(conn: &Connection, id: &EndpointId) -> Outcome<Option<i64>> {
    number(conn, "SELECT number FROM endpoints WHERE id = ?1", [id.as_str()])
}

fn of_message(
    conn: &Connection,
    message: i64,
    endpoint: Option<i64>,
    state: Option<i64>,
    after: Place,
    most: usize,
) -> Outcome<Vec<Found>> {
    let sql = select!(
        "",
        "d.message = ?2 AND (d.message, d.endpoint) > (?3, ?4)
         AND (?5 IS NULL OR d.endpoint = ?5) AND (?6 IS NULL OR d.state = ?6)"
    );
    all(conn, sql, params![limit(most), message, after.0, after.1, endpoint, state], read)
}

fn of_endpoint(
    conn: &Connection,
    endpoint: i64,
    state: Option<i64>,
    after: Place,
    most: usize,
) -> Outcome<Vec<Found>> {
    let sql =
        select!("INDEXED BY deliveries_of", "d.endpoint = ?2 AND d.state = ?3 AND d.message >= ?4");
    // An endpoint has one delivery of a message: either that of `after` is still to come, or it is not.
    let from = if endpoint > after.1 { after.0 } else { after.0 + 1 };
    let in_state = |state| all(conn, sql, [limit(most), endpoint, state, from], read);
    if let Some(state) = state {
        return in_state(state);
    }
    // The index has the states apart. Of each as many as may be needed, and the first of them all.
    let mut found = Vec::new();
    for state in 0..=4 {
        found.extend(in_state(state)?);
    }
    found.sort_by_key(|(place, _)| *place);
    found.truncate(most);
    Ok(found)
}

fn in_state(
    conn: &Connection,
    state: Option<i64>,
    after: Place,
    most: usize,
) -> Outcome<Vec<Found>> {
    let Some(state) = state else {
        let sql = select!("", "(d.message, d.endpoint) > (?2, ?3)");
        return all(conn, sql, [limit(most), after.0, after.1], read);
    };
    let sql = match state {
        // Nearly all of them.
        DELIVERED => select!("", "(d.message, d.endpoint) > (?2, ?3) AND +d.state = ?4"),
        _ => select!(
            "INDEXED BY deliveries_undelivered",
            "d.state = ?4 AND d.state <> 2 AND (d.message, d.endpoint) > (?2, ?3)"
        ),
    };
    all(conn, sql, [limit(most), after.0, after.1, state], read)
}

pub(super) fn totals(conn: &Connection, endpoint: Option<&EndpointId>) -> Outcome<Totals> {
    let Some(id) = endpoint else { return of_all(conn) };
    let mut totals = Totals::default();
    let Some(number_of) = known(conn, id)? else { return Ok(totals) };
    let sql = "SELECT next, state FROM queues WHERE endpoint = ?1";
    let queue = one(conn, sql, [number_of], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?))
    })?;
    if let Some((next, state)) = queue {
        totals.endpoints = 1;
        totals.next = next.filter(|_| state == 0).map(time);
        let sql = "SELECT count(*) FROM subscriptions WHERE endpoint = ?1";
        totals.subscriptions = count(number(conn, sql, [number_of])?.unwrap_or(0));
    }
    let sql = "SELECT state, count(*) FROM deliveries WHERE endpoint = ?1 GROUP BY state";
    totals.messages = by_state(conn, sql, [number_of], &mut totals)?;
    totals.oldest = oldest(conn, number_of)?.map(time);
    Ok(totals)
}

fn of_all(conn: &Connection) -> Outcome<Totals> {
    let mut totals = Totals::default();
    let sql = "SELECT state, count(*) FROM deliveries INDEXED BY deliveries_undelivered
               WHERE state <> 2 GROUP BY state";
    let others = by_state(conn, sql, [], &mut totals)?;
    let all_of_them = number(conn, "SELECT count(*) FROM deliveries", [])?.unwrap_or(0);
    totals.delivered = count(all_of_them).saturating_sub(others);
    totals.messages = messages::count(conn)?;
    totals.endpoints = count(number(conn, "SELECT count(*) FROM queues", [])?.unwrap_or(0));
    let sql = "SELECT count(*) FROM subscriptions";
    totals.subscriptions = count(number(conn, sql, [])?.unwrap_or(0));
    totals.next = next_due(conn)?;
    let sql = "SELECT endpoint FROM queues WHERE next IS NOT NULL";
    for endpoint in all(conn, sql, [], |row| Ok(row.get(0)?))? {
        let oldest = oldest(conn, endpoint)?.map(time);
        totals.oldest = totals.oldest.into_iter().chain(oldest).min();
    }
    Ok(totals)
}

fn by_state(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    totals: &mut Totals,
) -> Outcome<u64> {
    let counts = all(conn, sql, params, |row| {
        Ok((usize::try_from(row.get::<_, i64>(0)?)?, count(row.get::<_, i64>(1)?)))
    })?;
    let mut cancelled = 0;
    for (state, count) in &counts {
        let states = [
            &mut totals.pending,
            &mut totals.in_flight,
            &mut totals.delivered,
            &mut totals.dead,
            &mut cancelled,
        ];
        *states.into_iter().nth(*state).ok_or("a delivery has no such state")? = *count;
    }
    Ok(counts.iter().map(|(_, count)| count).sum())
}

fn oldest(conn: &Connection, endpoint: i64) -> Outcome<Option<i64>> {
    let sql = "SELECT created FROM deliveries INDEXED BY deliveries_age
               WHERE endpoint = ?1 AND state < 2 ORDER BY created LIMIT 1";
    number(conn, sql, [endpoint])
}
