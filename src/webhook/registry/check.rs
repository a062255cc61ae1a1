//! What the registry takes: limits and spellings, checked before anything is stored.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::error::Error;
use crate::webhook::model::{Keys, Settings};

/// Of a URL, in bytes. What browsers and proxies agree on.
const LONGEST_URL: usize = 2048;
const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 512;
const LONGEST_DESCRIPTION: usize = 1024;

/// The fields that skyhooks' documents have beside the keys.
const TAKEN: [&str; 3] = ["_id", "url", "updated"];

pub(super) fn url_length(url: &str) -> Result<(), Error> {
    if url.len() > LONGEST_URL {
        return Err(Error::invalid("url", format!("longer than {LONGEST_URL} bytes")));
    }
    Ok(())
}

pub(super) fn keys(keys: &Keys, at_most: usize) -> Result<(), Error> {
    let no = |why: String| Err(Error::invalid("keys", why));
    if keys.iter().count() > at_most {
        return no(format!("more than {at_most} values"));
    }
    for (name, value) in keys.iter() {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(fine) {
            return no(format!(
                "a name has 1 to {LONGEST_NAME} letters, digits, `_`, `-` or `:`, not {name:?}"
            ));
        }
        if TAKEN.contains(&name) {
            return no(format!("`{name}` cannot be a name"));
        }
        if value.len() > LONGEST_VALUE || value.contains(char::is_control) {
            return no(format!(
                "a value of `{name}` is longer than {LONGEST_VALUE} bytes, or has control characters"
            ));
        }
    }
    Ok(())
}

pub(super) fn ttl(ttl: Duration) -> Result<(), Error> {
    if ttl < Duration::from_millis(1) {
        return Err(Error::invalid("ttl", "a lease of no time"));
    }
    Ok(())
}

pub(super) fn settings(settings: &Settings) -> Result<(), Error> {
    let no = |why: &str| Err(Error::invalid("settings", why));
    if settings.description.len() > LONGEST_DESCRIPTION {
        return no("a description of more than 1024 bytes");
    }
    if settings.max_in_flight == Some(0) {
        return no("max_in_flight is 0; pause the endpoint instead");
    }
    if settings.rate.is_some_and(|rate| rate.count == 0 || rate.period.is_zero()) {
        return no("a rate of nothing, or in no time");
    }
    if settings.forget_after == Some(0) {
        return no("forget_after is 0");
    }
    Ok(())
}

/// Dotted names, as Standard Webhooks has them; or nothing.
pub(super) fn kind(kind: &str) -> Result<(), Error> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if kind.is_empty() || (kind.len() <= LONGEST_NAME && kind.split('.').all(part)) {
        return Ok(());
    }
    Err(Error::invalid("type", "letters, digits and `_`, in parts divided by dots"))
}

pub(super) fn idempotency_key(key: &str) -> Result<(), Error> {
    if (1..=256).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::invalid("idempotency_key", "1 to 256 visible ASCII characters"))
}

pub(super) fn content_type(value: &str) -> Result<(), Error> {
    let fine = |b: u8| b.is_ascii_graphic() || b == b' ';
    if (1..=128).contains(&value.len()) && value.bytes().all(fine) {
        return Ok(());
    }
    Err(Error::invalid("content_type", "1 to 128 visible ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::{Error, Keys, kind};

    #[test]
    fn kinds_are_dotted_names() {
        for fine in ["", "ping", "invoice.paid", "a_1.B.c"] {
            assert!(kind(fine).is_ok(), "{fine:?}");
        }
        for wrong in [".", "a.", ".a", "a..b", "a b", "a-b", "é", &"x".repeat(129)] {
            assert!(kind(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn keys_have_plain_names() {
        let check = |name: &str, value: &str| super::keys(&Keys::new().with(name, value), 1);
        for (name, value) in [("account_id", "42"), ("a:b-c", "é"), ("x", "")] {
            assert!(check(name, value).is_ok(), "{name:?} {value:?}");
        }
        let long = "x".repeat(513);
        for (name, value) in
            [("", "1"), ("$in", "1"), ("a.b", "1"), ("url", "1"), ("x", "\n"), ("x", &long)]
        {
            let refused = check(name, value);
            assert!(matches!(refused, Err(Error::Invalid { field: "keys", .. })), "{name:?}");
        }
        assert!(super::keys(&Keys::new().with("a", "1").with("a", "2"), 1).is_err());
    }
}
