//! The rules' endpoints of X's v2 API: list, add, delete, with its error messages.

#![forbid(unsafe_code)]

use std::sync::Arc;

use serde_json::{Value, json};
use sward::http::{Request, Response};

use super::{State, StoredRule, World, answer, rules};
use crate::date;

const MAX_RULES: usize = 1000;

/// `GET .../rules`.
pub(crate) fn list(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    if let Some(refusal) = world.refuse(req) {
        return refusal;
    }
    let state = world.lock();
    let data: Vec<Value> = state.rules.iter().map(describe).collect();
    let mut reply = json!({"meta": {"sent": now(), "result_count": data.len()}});
    if !data.is_empty() {
        reply["data"] = Value::Array(data); // an empty list is left out, as X does
    }
    answer(200, &reply)
}

/// `POST .../rules` with `add` or `delete`; `?dry_run=true` changes nothing.
pub(crate) fn change(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    if let Some(refusal) = world.refuse(req) {
        return refusal;
    }
    let dry_run = matches!(req.query::<String>("dry_run"), Ok(Some(flag)) if flag == "true");
    let body: Value = req.json().unwrap_or_default();
    let mut state = world.lock();
    let before = dry_run.then(|| state.rules.clone());
    let reply = if let Some(add) = body["add"].as_array() {
        state.add(add)
    } else if body["delete"].is_object() {
        state.delete(&body["delete"])
    } else {
        answer(
            400,
            &json!({"title": "Invalid Request", "detail": "`add` or `delete` is needed",
            "type": "https://api.twitter.com/2/problems/invalid-request"}),
        )
    };
    if let Some(before) = before {
        state.rules = before;
    }
    reply
}

fn describe(rule: &StoredRule) -> Value {
    let mut json = json!({"id": rule.id.to_string(), "value": rule.value});
    if !rule.tag.is_empty() {
        json["tag"] = json!(rule.tag);
    }
    json
}

fn now() -> String {
    date::iso_ms(date::now_ms())
}

impl State {
    fn add(&mut self, wanted: &[Value]) -> Response {
        let (mut created, mut errors, mut invalid) = (Vec::new(), Vec::new(), 0);
        for item in wanted {
            let value = item["value"].as_str().unwrap_or("").trim().to_owned();
            if let Some(same) = self.rules.iter().find(|rule| rule.value == value) {
                errors.push(json!({"value": value, "id": same.id.to_string(),
                    "title": "DuplicateRule",
                    "type": "https://api.twitter.com/2/problems/duplicate-rules"}));
                continue;
            }
            if self.rules.len() >= MAX_RULES {
                errors.push(json!({"value": value, "title": "RulesCapExceeded",
                    "type": "https://api.twitter.com/2/problems/rule-cap"}));
                continue;
            }
            match rules::parse(&value) {
                Err(why) => {
                    invalid += 1;
                    errors.push(json!({"value": value, "details": [why],
                        "title": "UnprocessableEntity",
                        "type": "https://api.twitter.com/2/problems/invalid-rules"}));
                }
                Ok(rule) => {
                    let tag = item["tag"].as_str().unwrap_or("").to_owned();
                    let stored = StoredRule { id: self.next_rule, value, tag, rule };
                    self.next_rule += 7;
                    created.push(describe(&stored));
                    self.rules.push(stored);
                }
            }
        }
        let status = if created.is_empty() { 200 } else { 201 };
        let mut reply = json!({"meta": {"sent": now(), "summary": {
            "created": created.len(), "not_created": errors.len(),
            "valid": wanted.len() - invalid, "invalid": invalid,
        }}});
        if !created.is_empty() {
            reply["data"] = Value::Array(created);
        }
        if !errors.is_empty() {
            reply["errors"] = Value::Array(errors);
        }
        answer(status, &reply)
    }

    fn delete(&mut self, which: &Value) -> Response {
        let listed = |key: &str| which[key].as_array().cloned().unwrap_or_default();
        let (ids, values) = (listed("ids"), listed("values"));
        let asked = ids.len() + values.len();
        let before = self.rules.len();
        self.rules.retain(|rule| {
            let by_id = ids.iter().any(|id| id.as_str() == Some(&rule.id.to_string()));
            !by_id && !values.iter().any(|value| value.as_str() == Some(&rule.value))
        });
        let deleted = before - self.rules.len();
        answer(
            200,
            &json!({"meta": {"sent": now(), "summary": {
                "deleted": deleted, "not_deleted": asked.saturating_sub(deleted),
            }}}),
        )
    }
}
