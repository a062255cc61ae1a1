//! What requests say: JSON objects with known fields, queries with known parameters. What is not known is refused, so that a
//! misspelt option is not silently another request.

#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Map, Value};

use crate::http::{Request, StatusCode};
use crate::webhook::hooks::keys_of;
use crate::webhook::json;
use crate::webhook::model::{Keys, Rate, Settings};
use crate::webhook::problem::Problem;
use crate::webhook::time::Time;

/// Of a body that is not a message, in bytes.
pub(super) const BODY: u64 = 1 << 20;

const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;
/// Nobody means more than ten years.
const LONGEST_TTL: u64 = 10 * 366 * 86_400;

/// A JSON object, field by field.
#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// What stands before the names in what people are told.
    prefix: String,
}

impl Fields {
    /// The body.
    pub(super) fn of(req: &mut Request<'_>, limit: u64) -> Result<Fields, Problem> {
        req.set_body_limit(limit);
        let kind = req.header("content-type").and_then(|kind| kind.split(';').next());
        if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            let why = "the Content-Type must be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type", why));
        }
        Fields::from(json::parse(&req.bytes()?)?, "")
    }

    fn from(value: Value, name: &str) -> Result<Fields, Problem> {
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        match value {
            Value::Object(map) => Ok(Fields { map, prefix }),
            _ if name.is_empty() => Err(Problem::malformed("the body is not a JSON object")),
            _ => Err(Problem::field(name.to_owned(), "not an object")),
        }
    }

    /// A field, if it is there and not null.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        wanted: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(Problem::field(format!("{}{name}", self.prefix), wanted)),
            },
        }
    }

    /// A field, whatever it is.
    pub(super) fn any(&mut self, name: &'static str) -> Result<Value, Problem> {
        self.map.remove(name).ok_or_else(|| Problem::field(name, "is missing"))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        self.take(name, "must be text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        self.take(name, "must be true or false", |value| value.as_bool())
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u32>, Problem> {
        self.take(name, "must be a whole number above 0", |value| {
            value.as_u64().and_then(|n| n.try_into().ok()).filter(|n| *n > 0)
        })
    }

    pub(super) fn keys(&mut self, name: &'static str) -> Result<Option<Keys>, Problem> {
        let wanted = "must be an object of names with values";
        let object = self.take(name, wanted, |value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })?;
        object.map(|map| keys_of(&map, name)).transpose()
    }

    pub(super) fn ttl(&mut self) -> Result<Option<Duration>, Problem> {
        self.take("ttl_seconds", "must be a whole number from 1 to ten years", |value| {
            let fine = |n: &u64| (1..=LONGEST_TTL).contains(n);
            value.as_u64().filter(fine).map(Duration::from_secs)
        })
    }

    /// A moment: RFC 3339, or milliseconds since 1970.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Time>, Problem> {
        self.take(name, MOMENT, |value| match value {
            Value::String(text) => Time::parse(&text),
            value => value.as_u64().map(Time::from_millis),
        })
    }

    pub(super) fn settings(&mut self, name: &'static str) -> Result<Option<Settings>, Problem> {
        let Some(value) = self.take(name, "", Some)? else { return Ok(None) };
        let mut fields = Fields::from(value, name)?;
        let mut settings = Settings {
            description: fields.text("description")?.unwrap_or_default(),
            ordered: fields.flag("ordered")?.unwrap_or_default(),
            max_in_flight: fields.count("max_in_flight")?,
            forget_after: fields.count("forget_after")?,
            ..Settings::default()
        };
        if let Some(value) = fields.take("rate", "", Some)? {
            let mut rate = Fields::from(value, "settings.rate")?;
            let needed = |n: Option<u32>, name: &str| {
                n.ok_or_else(|| Problem::field(format!("settings.rate.{name}"), "is missing"))
            };
            let count = needed(rate.count("count")?, "count")?;
            let period = needed(rate.count("period_ms")?, "period_ms")?;
            rate.end()?;
            settings.rate = Some(Rate { count, period: Duration::from_millis(period.into()) });
        }
        fields.end()?;
        Ok(Some(settings))
    }

    /// There is nothing else.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.map.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Problem::field(format!("{}{name}", self.prefix), "there is no such field"))
            }
        }
    }
}

/// A field that must be there.
pub(super) fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::field(name, "is missing"))
}

const MOMENT: &str = "must be a time as 2026-11-21T14:00:00Z, or milliseconds since 1970";

/// The query has no other parameters than these.
pub(super) fn only(req: &Request<'_>, names: &[&str]) -> Result<(), Problem> {
    match req.query_pairs().find(|(name, _)| !names.contains(&&**name)) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::field(name.into_owned(), "there is no such parameter")),
    }
}

/// How much of a list is wanted.
pub(super) fn limit(req: &Request<'_>) -> Result<usize, Problem> {
    let wanted = format!("must be a whole number from 1 to {LONGEST_PAGE}");
    match req.query::<String>("limit")? {
        None => Ok(PAGE),
        Some(text) => {
            let number = text.parse().ok().filter(|n| (1..=LONGEST_PAGE).contains(n));
            number.ok_or_else(|| Problem::field("limit", wanted))
        }
    }
}

/// A parameter of the query that is an id.
pub(super) fn id<T>(
    req: &Request<'_>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = req.query::<String>(name)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| Problem::field(name, "not an id"))
}

/// A moment in the query.
pub(super) fn since(req: &Request<'_>) -> Result<Time, Problem> {
    let Some(text) = req.query::<String>("since")? else { return Ok(Time::from_millis(0)) };
    let millis = || text.parse().ok().map(Time::from_millis);
    Time::parse(&text).or_else(millis).ok_or_else(|| Problem::field("since", MOMENT))
}
