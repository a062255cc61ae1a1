//! Documents read into the nouns, and the nouns as documents.
//!
//! What it is not: a mapping by serde: the driver's way keeps a document's field names in step with the nouns', and nouns change.

#![forbid(unsafe_code)]

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use serde::Deserialize;

use super::link::{Answer, strange};
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Delivery, Endpoint, Health, Keys, Message, Subscription};
use crate::webhook::time::Time;

/// No key's name may be one of these: they are fields of the same document.
const OURS: [&str; 5] = ["_id", "url", "updated", "expires", "sward"];

/// What never ends, as a number.
pub(super) const NEVER: i64 = i64::MAX;

pub(super) fn millis(time: Time) -> i64 {
    time.as_millis().try_into().unwrap_or(i64::MAX)
}

/// As other programs read it; no later than the year 9999, as some of them cannot.
fn date(time: Time) -> DateTime {
    DateTime::from_millis(millis(time).min(253_402_300_799_999))
}

/// As JSON. What is kept so has no maps but by text, so it can be written.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// Whether it is so; what is not said is not. Some servers that speak the protocol make numbers of truths.
pub(super) fn flag(from: &Document, name: &str) -> bool {
    from.get_bool(name).unwrap_or(integer(from, name) == Some(1))
}

pub(super) fn text<'a>(from: &'a Document, name: &str) -> Option<&'a str> {
    from.get_str(name).ok()
}

fn json<T: for<'a> Deserialize<'a>>(from: &Document, name: &str) -> Option<T> {
    serde_json::from_str(text(from, name)?).ok()
}

/// Servers give back small numbers as smaller types.
pub(super) fn integer(from: &Document, name: &str) -> Option<i64> {
    match from.get(name)? {
        Bson::Int64(number) => Some(*number),
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

pub(super) fn time(from: &Document, name: &str) -> Option<Time> {
    Some(Time::from_millis(integer(from, name)?.try_into().ok()?))
}

fn endpoint_id(from: &Document, name: &str) -> Option<EndpointId> {
    EndpointId::parse(text(from, name)?)
}

/// `read`, or the error that says that it could not be.
pub(super) fn or_strange<T>(read: Option<T>) -> Answer<T> {
    read.ok_or_else(strange)
}

pub(super) fn to_endpoint(it: &Endpoint, number: i64) -> Document {
    let mut document = doc! {
        "_id": it.id.as_str(), "n": number, "url": &it.url, "created": millis(it.created),
        "is": it.state.as_str(), "state": to_json(&it.state), "keys": to_json(&it.keys),
        "settings": to_json(&it.settings), "ordered": it.settings.ordered,
        "failures": i64::from(it.health.failures),
    };
    if let Some(since) = it.health.failing_since {
        document.insert("since", millis(since));
    }
    if let Some(success) = it.health.last_success {
        document.insert("success", millis(success));
    }
    document
}

pub(super) fn health(from: &Document) -> Option<Health> {
    Some(Health {
        failures: integer(from, "failures")?.try_into().unwrap_or(u32::MAX),
        failing_since: time(from, "since"),
        last_success: time(from, "success"),
    })
}

pub(super) fn endpoint(from: &Document) -> Option<Endpoint> {
    Some(Endpoint {
        id: endpoint_id(from, "_id")?,
        url: text(from, "url")?.to_owned(),
        created: time(from, "created")?,
        state: json(from, "state")?,
        keys: json(from, "keys")?,
        settings: json(from, "settings")?,
        health: health(from)?,
    })
}

/// A key's name as a field's: what MongoDB, or this collection, would read otherwise is written as `%` and two hex digits a byte.
pub(super) fn field(name: &str) -> String {
    if name.is_empty() {
        return "%".into();
    }
    let ours = OURS.contains(&name);
    let mut field = String::with_capacity(name.len());
    for (at, char) in name.char_indices() {
        let first = at == 0 && (ours || char == '$');
        match char {
            '%' | '.' | '\0' => field.push_str(&format!("%{:02X}", u32::from(char))),
            _ if first => field.push_str(&format!("%{:02X}", u32::from(char))),
            char => field.push(char),
        }
    }
    field
}

/// Name and value as one text.
pub(super) fn pair(pair: (&str, &str)) -> String {
    to_json(&pair)
}

pub(super) fn pairs(keys: &Keys) -> Vec<String> {
    keys.iter().map(pair).collect()
}

/// The times of a subscription, as fields to set.
pub(super) fn times(url: &str, now: Time, expires: Option<Time>) -> Document {
    doc! {
        "url": url,
        "updated": date(now),
        "expires": expires.map(date),
        "sward.updated": millis(now),
        "sward.expires": expires.map_or(NEVER, millis),
    }
}

pub(super) fn to_subscription(it: &Subscription, url: &str) -> Document {
    let pair = pair((&it.name, &it.value));
    let mut document = doc! {
        "_id": format!("{} {pair}", it.endpoint),
        "url": url,
        "updated": date(it.updated),
        "expires": it.expires.map(date),
        "sward": {
            "endpoint": it.endpoint.as_str(), "pair": pair,
            "updated": millis(it.updated), "expires": it.expires.map_or(NEVER, millis),
        },
    };
    document.insert(field(&it.name), vec![it.value.as_str()]);
    document
}

pub(super) fn subscription(from: &Document) -> Option<Subscription> {
    let own = from.get_document("sward").ok()?;
    let (name, value) = json(own, "pair")?;
    Some(Subscription {
        endpoint: endpoint_id(own, "endpoint")?,
        name,
        value,
        updated: time(own, "updated")?,
        expires: time(own, "expires").filter(|time| millis(*time) < NEVER),
    })
}

pub(super) fn to_message(it: &Message, number: i64, op: &str, to: &[(String, i64)]) -> Document {
    let to: Vec<_> = to.iter().map(|(e, n)| doc! { "e": e, "n": n }).collect();
    let mut document = doc! {
        "_id": it.id.as_str(), "n": number, "published": millis(it.published), "kind": &it.kind,
        "keys": to_json(&it.keys), "pairs": pairs(&it.keys), "type": &it.content_type,
        "body": Binary { subtype: BinarySubtype::Generic, bytes: it.body.to_vec() },
        "op": op, "to": to, "complete": false,
    };
    if let Some(key) = &it.idempotency_key {
        document.insert("idem", key);
    }
    document
}

pub(super) fn message(from: &Document) -> Option<Message> {
    Some(Message {
        id: MessageId::parse(text(from, "_id")?)?,
        published: time(from, "published")?,
        kind: text(from, "kind")?.to_owned(),
        keys: json(from, "keys")?,
        body: from.get_binary_generic("body").ok()?.as_slice().into(),
        content_type: text(from, "type")?.to_owned(),
        idempotency_key: text(from, "idem").map(str::to_owned),
    })
}

/// A new delivery of a message, as it is kept, to an endpoint with its number.
pub(super) fn to_delivery(message: &Document, (e, n): (&str, i64), due: i64) -> Answer<Document> {
    let m = or_strange(text(message, "_id"))?;
    let (mn, published) = (integer(message, "n"), integer(message, "published"));
    Ok(doc! {
        "_id": format!("{m}~{e}"), "m": m, "e": e, "mn": mn, "en": n, "published": published,
        "state": "pending", "open": true, "attempts": 0_i64, "due": due, "created": due,
    })
}

pub(super) fn delivery(from: &Document) -> Option<Delivery> {
    let as_text = |name| text(from, name).map(|text| serde_json::Value::String(text.to_owned()));
    Some(Delivery {
        // Longer than an id may be that somebody gives: two of them are in it.
        id: serde_json::from_value::<DeliveryId>(as_text("_id")?).ok()?,
        message: MessageId::parse(text(from, "m")?)?,
        endpoint: endpoint_id(from, "e")?,
        state: serde_json::from_value(as_text("state")?).ok()?,
        attempts: integer(from, "attempts")?.try_into().ok()?,
        due: time(from, "due")?,
        created: time(from, "created")?,
    })
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn names_that_mean_something_else_are_escaped() {
        for (name, as_field) in [
            ("account_id", "account_id"),
            ("user id", "user id"),
            ("a.b", "a%2Eb"),
            ("$where", "%24where"),
            ("a$b", "a$b"),
            ("100%", "100%25"),
            ("url", "%75rl"),
            ("_id", "%5Fid"),
            ("", "%"),
            ("%", "%25"),
            ("\0", "%00"),
        ] {
            assert_eq!(field(name), as_field);
        }
    }
}
