//! The `Date` header, formatted once a second per OS thread.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` with its line end.
pub(crate) const LEN: usize = 37;

/// A line, and until when it holds.
struct Line {
    text: [u8; LEN],
    until: Option<Instant>,
}

thread_local! {
    static CACHE: RefCell<Line> = const { RefCell::new(Line { text: [0; LEN], until: None }) };
}

/// Appends the header for a response written at `now`; `now` only says whether the cached text still holds.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, now: Instant) {
    CACHE.with_borrow_mut(|line| {
        if line.until.is_none_or(|until| now >= until) {
            refresh(line, now);
        }
        out.extend_from_slice(&line.text);
    });
}

#[cold]
fn refresh(line: &mut Line, now: Instant) {
    let wall = SystemTime::now();
    let into_second = wall.duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let text = format!("Date: {}\r\n", httpdate::fmt_http_date(wall));
    line.text = <[u8; LEN]>::try_from(text.as_bytes())
        .unwrap_or(*b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    line.until = Some(now + Duration::from_nanos(u64::from(1_000_000_000 - into_second)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_http_date() {
        for _ in 0..2 {
            let mut out = Vec::new();
            append(&mut out, Instant::now());
            let text = String::from_utf8(out).unwrap();
            let date = text.strip_prefix("Date: ").and_then(|date| date.strip_suffix("\r\n"));
            let parsed = httpdate::parse_http_date(date.unwrap()).unwrap();
            assert!(SystemTime::now().duration_since(parsed).unwrap() < Duration::from_secs(3));
        }
    }

    #[test]
    fn holds_for_its_second() {
        let (mut line, now) = (Line { text: [0; LEN], until: None }, Instant::now());
        refresh(&mut line, now);
        let left = line.until.unwrap() - now;
        assert!(!left.is_zero() && left <= Duration::from_secs(1));
    }
}
