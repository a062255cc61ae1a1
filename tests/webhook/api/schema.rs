//! JSON Schema, the little of it that `docs/webhooks.openapi.json` uses. A word that it does not know is an error, so that nothing
//! in the file is decoration.

use serde_json::Value;

/// Words that say nothing about a value.
const SILENT: [&str; 2] = ["description", "format"];

/// What is wrong with `value`, by `schema` of `document`; empty if nothing is.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "$", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolve(document, schema);
    let object = schema.as_object().unwrap_or_else(|| panic!("{at}: no schema: {schema}"));
    for (word, wanted) in object {
        match word.as_str() {
            "type" => {
                let names = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                if !names.iter().any(|name| is(value, name.as_str().unwrap())) {
                    faults.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "enum" if wanted.as_array().unwrap().contains(value) => {}
            "enum" => faults.push(format!("{at}: {value} is none of {wanted}")),
            "minimum" if value.as_f64().is_none_or(|n| n >= wanted.as_f64().unwrap()) => {}
            "maximum" if value.as_f64().is_none_or(|n| n <= wanted.as_f64().unwrap()) => {}
            "minimum" | "maximum" => faults.push(format!("{at}: {value}: the {word} is {wanted}")),
            "required" => {
                let Some(value) = value.as_object() else { continue };
                let names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                let missing = names.filter(|name| !value.contains_key(*name));
                faults.extend(missing.map(|name| format!("{at}: {name} is missing")));
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        check(document, schema, value, &format!("{at}.{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}.{name}");
                    match wanted {
                        _ if object.get("properties").is_some_and(|of| of.get(name).is_some()) => {}
                        Value::Bool(false) => faults.push(format!("{at} is not described")),
                        schema => check(document, schema, value, &at, faults),
                    }
                }
            }
            "items" => {
                for (n, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, wanted, value, &format!("{at}[{n}]"), faults);
                }
            }
            word => assert!(SILENT.contains(&word), "{at}: nobody checks {word:?}"),
        }
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other:?}"),
    }
}

/// What a reference points to.
pub(super) fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => {
            let found = document.pointer(to.strip_prefix('#').unwrap());
            resolve(document, found.unwrap_or_else(|| panic!("nothing at {to}")))
        }
        None => value,
    }
}

#[test]
fn the_checker_finds_faults() {
    use serde_json::json;
    let document = json!({"text": {"type": "string", "enum": ["a", "b"]}});
    let schema = json!({
        "type": ["object", "null"], "required": ["a"], "additionalProperties": false,
        "properties": {
            "a": {"$ref": "#/text"}, "n": {"type": "integer", "minimum": 1, "maximum": 3},
            "l": {"type": "array", "items": {"type": "boolean"}},
            "m": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    });
    let whole = json!({"a": "b", "n": 3, "l": [true], "m": {"x": 1.5}});
    for fine in [json!(null), json!({"a": "a"}), whole] {
        assert_eq!(faults(&document, &schema, &fine), [""; 0], "{fine}");
    }
    for wrong in [
        json!(1),
        json!({}),
        json!({"a": "c"}),
        json!({"a": 1}),
        json!({"a": "a", "b": 1}),
        json!({"a": "a", "n": 0}),
        json!({"a": "a", "n": 4}),
        json!({"a": "a", "n": 1.5}),
        json!({"a": "a", "l": [true, 1]}),
        json!({"a": "a", "m": {"x": "1"}}),
    ] {
        assert_ne!(faults(&document, &schema, &wrong), [""; 0], "{wrong}");
    }
}
