//! The `Date` header, formatted once a second per OS thread.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(crate) const LEN: usize = 29;

thread_local! {
    static CACHE: Cell<Option<([u8; LEN], Instant)>> = const { Cell::new(None) };
}

/// The date for a response written at `now`; `now` only says whether the cached text still holds.
pub(crate) fn at(now: Instant) -> [u8; LEN] {
    match CACHE.get() {
        Some((text, until)) if now < until => text,
        _ => refresh(now),
    }
}

#[cold]
fn refresh(now: Instant) -> [u8; LEN] {
    let wall = SystemTime::now();
    let into_second = wall.duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let text = httpdate::fmt_http_date(wall);
    let text = <[u8; LEN]>::try_from(text.as_bytes()).unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT");
    CACHE.set(Some((text, now + Duration::from_nanos(u64::from(1_000_000_000 - into_second)))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_http_date() {
        let text = at(Instant::now());
        let parsed = httpdate::parse_http_date(std::str::from_utf8(&text).unwrap()).unwrap();
        assert!(SystemTime::now().duration_since(parsed).unwrap() < Duration::from_secs(3));
        assert_eq!(at(Instant::now()).len(), LEN);
    }
}
