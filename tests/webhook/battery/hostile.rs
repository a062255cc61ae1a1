//! Names, values and bodies that somebody chose to break a store.

use std::sync::Arc;

use sward::webhook::store::{Filter, Store};
use sward::webhook::{Endpoint, EndpointState, Message};

use super::*;

/// Each differs from each other.
fn texts() -> Vec<String> {
    let long = "x".repeat(4_000);
    let texts = [
        "",
        " ",
        "  ",
        "a",
        "A",
        "a ",
        " a",
        "á",
        "a\u{301}",
        "ß",
        "ss",
        "İ",
        "i\u{307}",
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "\\'",
        "'; DROP TABLE endpoints; --",
        "a' OR 'a'='a",
        "%",
        "_",
        "a%",
        "*",
        "?",
        "[a]",
        "a*",
        "{",
        "}",
        "{}",
        "{a}",
        "{a}:{a}",
        "$",
        "$set",
        "$where",
        "$a.b",
        "a.b",
        "a..b",
        ".",
        "..",
        ".a",
        "a.",
        "a.b.c",
        ":",
        "::",
        "a:b",
        "a:",
        ":a",
        "a|b",
        "a,b",
        "a;b",
        "a/b",
        "a~b",
        "a=b",
        "a&b",
        "\n",
        "\r\n",
        "\t",
        "a\nb",
        "\u{1}",
        "\u{1f}",
        "\u{7f}",
        "\u{feff}",
        "\u{feff}a",
        "null",
        "NULL",
        "true",
        "0",
        "00",
        "-0",
        "1",
        "1.0",
        "1e0",
        "0x1",
        "9223372036854775808",
        "__proto__",
        "constructor",
        "_id",
        "id",
        "keys",
        "expires",
        "\u{202e}abc",
        "\u{200b}",
        "\u{1f600}",
        "\u{1f469}\u{200d}\u{1f680}",
        "日本語",
        "\u{10ffff}",
        "<script>alert(1)</script>",
        "&amp;",
        "%00",
        "%2e",
        "\\u0000",
        "${jndi:x}",
        "{{7*7}}",
    ];
    let mut texts: Vec<String> = texts.map(String::from).to_vec();
    texts.push(format!("{long}1"));
    texts.push(format!("{long}2"));
    texts
}

pub(crate) fn strange_keys_stay_apart(store: &Arc<dyn Store>) {
    let texts = texts();
    // One endpoint per name with the value `v`, and per value of the name `n`.
    for (number, text) in texts.iter().enumerate() {
        let name = register(store, &format!("name-{number}"), &[(text, "v")]);
        let value = register(store, &format!("value-{number}"), &[("n", text)]);
        for (id, pair) in [(name, (text.as_str(), "v")), (value, ("n", text.as_str()))] {
            let found = store.subscriptions(&id).unwrap();
            assert_eq!((found[0].name.as_str(), found[0].value.as_str()), pair);
            assert_eq!(found.len(), 1);
        }
    }
    for (number, text) in texts.iter().enumerate() {
        for (kind, pair) in [("name", (text.as_str(), "v")), ("value", ("n", text.as_str()))] {
            let expected = format!("{kind}-{number}");
            let found = store.matching(&keys(&[pair]), at(1)).unwrap();
            let found: Vec<_> = found.iter().map(|endpoint| endpoint.id.as_str()).collect();
            assert_eq!(found, [&expected], "{pair:?}");
            let message = format!("m-{kind}-{number}");
            assert_eq!(publish(store, &message, at(1), &[pair]), 1, "{pair:?}");
            let back = store.message(&MessageId::parse(&message).unwrap()).unwrap().unwrap();
            assert_eq!(back.keys, keys(&[pair]));
        }
    }
    // Where a name ends and its value begins cannot be moved.
    for (registered, asked) in [
        (("p", "q:r"), ("p:q", "r")),
        (("p.q", "r"), ("p", "q.r")),
        (("p", ""), ("", "p")),
        (("p\n", "q"), ("p", "\nq")),
    ] {
        let id = register(store, "moved", &[registered]);
        assert_eq!(store.matching(&keys(&[asked]), at(1)).unwrap(), [], "{asked:?}");
        assert_eq!(store.unsubscribe(&id, &keys(&[asked])).unwrap(), 0);
        assert_eq!(store.unsubscribe(&id, &keys(&[registered])).unwrap(), 1);
        store.remove_endpoint(&id, at(1)).unwrap();
    }
    // All at once, on one endpoint; sorted by their bytes.
    let all: Keys = texts.iter().flat_map(|n| ["", "$v", "v.w"].map(|v| (n.clone(), v))).collect();
    let id = register(store, "all", &[]);
    store.subscribe(&id, &all, at(2), Some(at(100))).unwrap();
    let found = store.subscriptions(&id).unwrap();
    let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(found, all.iter().collect::<Vec<_>>());
    assert_eq!(store.expire(at(100)).unwrap(), texts.len() * 3);
}

pub(crate) fn strange_texts_read_back(store: &Arc<dyn Store>) {
    for (number, text) in texts().into_iter().enumerate() {
        let mut endpoint = Endpoint::new(format!("http://a.example/{text}"));
        endpoint.settings.description = text.clone();
        endpoint.state = EndpointState::Disabled { why: text.clone(), at: at(3) };
        assert_eq!(store.add_endpoint(&endpoint).unwrap(), (endpoint.clone(), true), "{text:?}");
        assert_eq!(store.endpoint_at(&endpoint.url).unwrap(), Some(endpoint.clone()));

        let id = register(store, &format!("e-{number}"), &[("k", &number.to_string())]);
        let whole = Message {
            kind: text.clone(),
            content_type: text.clone(),
            idempotency_key: Some(text.clone()),
            ..message(&format!("m-{number}"), at(1), &[("k", &number.to_string())])
        };
        assert!(!store.publish(&whole, &[]).unwrap().repeated, "{text:?}");
        assert!(store.publish(&whole, &[]).unwrap().repeated);
        assert_eq!(store.message(&whole.id).unwrap().as_ref(), Some(&whole));
        let claims = store.claim(&id, at(1), at(9), 9).unwrap();
        assert_eq!(claims.len(), 1, "{text:?}");
        assert_eq!(claims[0].message, whole);
        let attempt = Attempt {
            error: Some(text.clone()),
            response: text.clone(),
            ..failed(&claims[0].delivery.id, 1, at(2))
        };
        store.finish(&attempt.delivery, Some(&attempt), Next::Dead(at(3))).unwrap();
        assert_eq!(store.attempts(&attempt.delivery).unwrap(), [attempt]);
    }
}

pub(crate) fn ids_may_have_what_divides_them(store: &Arc<dyn Store>) {
    let id = register(store, "e~1", &[("k", "1")]);
    register(store, "1", &[("k", "2")]);
    publish(store, "m~1~x", at(1), &[("k", "1")]);
    publish(store, "m~~", at(2), &[("k", "1"), ("k", "2")]);
    publish(store, "m", at(3), &[("k", "2")]);
    assert_eq!(claim(store, &id, at(3), at(9), 9), ["m~1~x", "m~~"]);
    for (message, endpoint) in [("m~1~x", "e~1"), ("m~~", "e~1"), ("m~~", "1"), ("m", "1")] {
        let found = delivery(store, message, endpoint);
        assert_eq!((found.message.as_str(), found.endpoint.as_str()), (message, endpoint));
        deliver(store, message, endpoint, at(4));
        assert_eq!(store.attempts(&found.id).unwrap().len(), 1);
        let after = store.deliveries(&Filter::default(), Some(&found.id), 9).unwrap();
        assert!(after.iter().all(|delivery| delivery.id != found.id));
    }
    assert_eq!(store.totals(None).unwrap().delivered, 4);
}

pub(crate) fn any_bytes_are_a_body(store: &Arc<dyn Store>) {
    let id = register(store, "a", &[("k", "1")]);
    let every: Vec<u8> = (0..64 * 1024).map(|n: u32| (n.wrapping_mul(31) >> 3) as u8).collect();
    let bodies: [&[u8]; 8] =
        [b"", b"\0", b"\0\0a\0", b"\xff\xfe", b"\xc0\x80", b"\r\n\r\n", &[0; 256 * 1024], &every];
    for (number, body) in bodies.into_iter().enumerate() {
        let name = format!("m-{number}");
        let whole = Message { body: body.into(), ..message(&name, at(1), &[("k", "1")]) };
        store.publish(&whole, &[]).unwrap();
        assert!(store.message(&whole.id).unwrap() == Some(whole.clone()), "body {number}");
        let claims = store.claim(&id, at(1), at(9), 9).unwrap();
        assert!(claims.len() == 1 && claims[0].message == whole, "body {number}");
        deliver(store, &name, "a", at(2));
    }
    let listed = store.messages(at(0), None, 99).unwrap();
    assert!(listed.iter().map(|message| &*message.body).eq(bodies));
    assert_eq!(store.deliveries(&Filter::default(), None, 99).unwrap().len(), bodies.len());
}
