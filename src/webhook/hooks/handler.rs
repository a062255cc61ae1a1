//! The HTTP side of [`Hooks`](super::Hooks): `POST {"keys":{..},"data":..}`, answered at once.

#![forbid(unsafe_code)]

use serde_json::{Map, Value, json as json_value};

use super::Hooks;
use crate::http::{IntoResponse, Request, Response, StatusCode};
use crate::webhook::json;
use crate::webhook::model::Keys;
use crate::webhook::problem::Problem;
use crate::webhook::signature::Incoming;

impl Hooks {
    /// The handler for what is posted to [`Hooks::url`]: `{"keys":{name:value},"data":anything}`, whatever its Content-Type
    /// says, so that `curl -d` is enough. Values are text, numbers or booleans, or several of them in an array; what else is
    /// in the body does not matter. The answer is `{"status":"ok","notified":..}` with what [`Hooks::notify`] said, and does
    /// not wait for the callbacks.
    ///
    /// What is malformed is a 400, and calls nobody. With a [`Hooks::secret`], what is not signed with it is a 403 or 400, and a
    /// copy of what has come a 409; a message that was taken before is answered 200, and calls nobody again.
    pub fn handler(&self) -> impl Fn(&mut Request<'_>) -> Response + Send + Sync + 'static {
        let verified = self.shared.options.secret.as_ref().map(|(_, verifier)| {
            let hooks = self.clone();
            verifier.clone().handler(move |incoming: &Incoming| hooks.take(&incoming.body))
        });
        let hooks = self.clone();
        move |req: &mut Request<'_>| match &verified {
            Some(verified) => {
                verified(req).unwrap_or_else(|error| Problem::from(error).into_response())
            }
            None => match req.bytes() {
                Ok(body) => hooks.take(&body),
                Err(error) => Problem::from(error).into_response(),
            },
        }
    }

    fn take(&self, body: &[u8]) -> Response {
        match parse(body) {
            Ok((keys, data)) => self.answer(&keys, data),
            Err(problem) => problem.into_response(),
        }
    }

    /// The same for the oldest form, which nobody signs: the keys are parameters of the route with these names, as far as the route has them, and
    /// the body is the data.
    ///
    /// ```
    /// # use sward::webhook::{Hooks, store::MemoryStore};
    /// # let hooks = Hooks::new(std::sync::Arc::new(MemoryStore::new()), "http://10.0.0.7/hooks");
    /// let names = &["account_id", "user_id"];
    /// let app = sward::http::Router::new()
    ///     .post("/hooks/{account_id}", hooks.path_handler(names))
    ///     .post("/hooks/{account_id}/{user_id}", hooks.path_handler(names));
    /// # drop(app);
    /// ```
    pub fn path_handler(
        &self,
        names: &'static [&'static str],
    ) -> impl Fn(&mut Request<'_>) -> Response + Send + Sync + 'static {
        let hooks = self.clone();
        move |req: &mut Request<'_>| {
            let route = req.route().unwrap_or_default();
            let given = names.iter().filter(|name| route.contains(&format!("{{{name}}}")));
            let keys = given.map(|name| req.param::<String>(name).map(|value| (*name, value)));
            let keys = keys.collect::<Result<Keys, _>>().map_err(Problem::from);
            match keys.and_then(|keys| Ok((keys, json::parse(&req.bytes()?)?))) {
                Ok((keys, data)) => hooks.answer(&keys, data),
                Err(problem) => problem.into_response(),
            }
        }
    }

    fn answer(&self, keys: &Keys, data: Value) -> Response {
        let notified = self.notify(keys, data);
        let lost = !notified && self.shared.options.not_found;
        Response::json(&json_value!({"status": "ok", "notified": notified}))
            .header("content-type", "application/json; charset=UTF-8")
            .with_status(if lost { StatusCode::NOT_FOUND } else { StatusCode::OK })
    }
}

/// What a request in skyhooks' form says: for whom, and what.
pub(crate) fn read(req: &mut Request<'_>) -> Result<(Keys, Value), Problem> {
    parse(&req.bytes()?)
}

fn parse(body: &[u8]) -> Result<(Keys, Value), Problem> {
    let Value::Object(mut body) = json::parse(body)? else {
        return Err(Problem::malformed("the body is not a JSON object"));
    };
    let mut field = |name: &'static str| {
        body.remove(name).ok_or_else(|| Problem::field(name, format!("{name:?} is missing")))
    };
    let (keys, data) = (field("keys")?, field("data")?);
    match keys {
        Value::Object(keys) => Ok((keys_of(&keys, "keys")?, data)),
        _ => Err(Problem::field("keys", "not an object of names with values")),
    }
}

/// Names with scalars, or with arrays of them. A number is the same as the text of it.
pub(crate) fn keys_of(object: &Map<String, Value>, field: &str) -> Result<Keys, Problem> {
    let mut keys = Keys::new();
    for (name, value) in object {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            keys.insert(
                name,
                scalar(value).ok_or_else(|| {
                    let wanted = "a value is text, a number or a boolean, or an array of these";
                    Problem::field(format!("{field}.{name}"), wanted)
                })?,
            );
        }
    }
    Ok(keys)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}
