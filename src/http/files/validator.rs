//! ETag and Last-Modified of a file, and what a request's conditions say about them (RFC 9110, 13). Bytes and numbers
//! only.

#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one state of a file from another.
#[derive(Debug)]
pub(super) struct Validator {
    /// With its quotes, and `W/` if it is weak.
    etag: String,
    /// Seconds since 1970.
    modified: u64,
    /// Two states of the file cannot have the same one.
    strong: bool,
}

/// The request's conditions.
#[derive(Debug, Default)]
pub(super) struct Conditions<'r> {
    pub(super) if_match: Vec<&'r [u8]>,
    pub(super) if_none_match: Vec<&'r [u8]>,
    pub(super) if_modified_since: Option<&'r [u8]>,
    pub(super) if_unmodified_since: Option<&'r [u8]>,
    pub(super) if_range: Option<&'r [u8]>,
}

/// What they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were no conditions.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client thought of another state.
    Failed,
}

/// A file that changed so recently may change again without its time stamp moving on.
const SETTLED: Duration = Duration::from_secs(2);

impl Validator {
    /// Of a file with this size and time of change. `coding` tells its compressed form from itself.
    pub(super) fn new(size: u64, modified: (i64, u32), coding: &str, now: SystemTime) -> Validator {
        let seconds = u64::try_from(modified.0).unwrap_or(0);
        let at = UNIX_EPOCH + Duration::new(seconds, modified.1);
        let strong = now.duration_since(at).is_ok_and(|age| age >= SETTLED);
        let weak = if strong { "" } else { "W/" };
        let etag = format!("{weak}\"{size:x}-{seconds:x}.{:x}{coding}\"", modified.1);
        Validator { etag, modified: seconds, strong }
    }

    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    pub(super) fn last_modified(&self) -> String {
        // A date in the future must not be sent (RFC 9110, 8.8.2.1); the year 9999 is the format's end.
        let latest = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.modified.min(latest)))
    }

    /// Section 13.2.2, for a GET or HEAD of a file that exists.
    pub(super) fn judge(&self, conditions: &Conditions<'_>) -> Verdict {
        if !conditions.if_match.is_empty() {
            if !self.is_listed(&conditions.if_match, true) {
                return Verdict::Failed;
            }
        } else if conditions
            .if_unmodified_since
            .and_then(seconds)
            .is_some_and(|d| self.modified > d)
        {
            return Verdict::Failed;
        }
        if !conditions.if_none_match.is_empty() {
            if self.is_listed(&conditions.if_none_match, false) {
                return Verdict::NotModified;
            }
        } else if conditions.if_modified_since.and_then(seconds).is_some_and(|d| self.modified <= d)
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a Range holds: there is no If-Range, or it names exactly this state.
    pub(super) fn allows_range(&self, if_range: Option<&[u8]>) -> bool {
        match if_range {
            None => true,
            Some(_) if !self.strong => false,
            Some(value) if value.starts_with(b"\"") => value == self.etag.as_bytes(),
            Some(value) => seconds(value) == Some(self.modified),
        }
    }

    /// Whether one of the entity tags in `lines` is ours. A `strong` comparison knows no weak tags.
    fn is_listed(&self, lines: &[&[u8]], strong: bool) -> bool {
        let ours = self.etag.strip_prefix("W/").unwrap_or(&self.etag).as_bytes();
        lines.iter().any(|line| {
            line.trim_ascii() == b"*"
                || tags(line).any(|(weak, tag)| tag == ours && !(strong && (weak || !self.strong)))
        })
    }
}

/// The entity tags of a list, each with its quotes, and whether it is weak. A comma may stand within the quotes.
fn tags(line: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let weak = rest.starts_with(b"W/");
        let tag = if weak { &rest[2..] } else { rest };
        // What does not begin with a quote is malformed; nothing behind it can be trusted.
        let inner = tag.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&b| b == b'"')? + 2;
        rest = &tag[end..];
        Some((weak, &tag[..end]))
    })
}

fn seconds(date: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(date).ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &[u8] = b"Sunday, 06-Nov-94 08:49:38 GMT"; // the oldest form is still to be understood
    const TAG: &[u8] = b"\"2a-2ebc98a1.7\"";

    fn settled() -> Validator {
        let now = UNIX_EPOCH + Duration::from_secs(CHANGED + 3);
        Validator::new(42, (CHANGED as i64, 7), "", now)
    }

    fn fresh() -> Validator {
        let now = UNIX_EPOCH + Duration::from_secs(CHANGED + 1);
        Validator::new(42, (CHANGED as i64, 7), "", now)
    }

    #[test]
    fn names_a_state() {
        assert_eq!(settled().etag().as_bytes(), TAG);
        assert_eq!(settled().last_modified().as_bytes(), DATE);
        assert_eq!(fresh().etag(), format!("W/{}", std::str::from_utf8(TAG).unwrap()));
        let now = SystemTime::now();
        let etag = |size, at, coding| Validator::new(size, at, coding, now).etag().to_string();
        let other =
            [etag(1, (2, 4), ""), etag(1, (3, 3), ""), etag(2, (2, 3), ""), etag(1, (2, 3), "-gz")];
        assert!(other.iter().all(|other| *other != etag(1, (2, 3), "")));
        assert_eq!(etag(1, (-5, 0), ""), "\"1-0.0\"");
        // A file from the future.
        let date = Validator::new(1, (i64::MAX / 2, 0), "", now).last_modified();
        let date = httpdate::parse_http_date(&date).unwrap();
        assert!(date <= now);
    }

    #[test]
    fn none_match() {
        let judge = |value: &[u8]| {
            let if_none_match = vec![value];
            // The date would say otherwise, but is not asked.
            let if_modified_since = Some(BEFORE);
            settled().judge(&Conditions {
                if_none_match,
                if_modified_since,
                ..Conditions::default()
            })
        };
        let weak = [b"W/", TAG].concat();
        let listed = [b"\"a\", W/\"b,c\" ,", TAG].concat();
        for value in [TAG, &weak, &listed, b"*", b" * "] {
            assert_eq!(judge(value), Verdict::NotModified, "{value:?}");
        }
        let broken = [b"x, ", TAG].concat();
        for value in [&b""[..], b"\"\"", &TAG[1..], &TAG[..5], b"\"*\"", &broken, b"w/\"\""] {
            assert_eq!(judge(value), Verdict::Proceed, "{value:?}");
        }
    }

    #[test]
    fn dates() {
        let since = |date| {
            settled().judge(&Conditions { if_modified_since: Some(date), ..Conditions::default() })
        };
        assert_eq!(since(BEFORE), Verdict::Proceed);
        assert_eq!(since(DATE), Verdict::NotModified);
        assert_eq!(since(AFTER), Verdict::NotModified);
        assert_eq!(since(b"yesterday"), Verdict::Proceed);
        let unmodified = |date| {
            settled()
                .judge(&Conditions { if_unmodified_since: Some(date), ..Conditions::default() })
        };
        assert_eq!(unmodified(BEFORE), Verdict::Failed);
        assert_eq!(unmodified(DATE), Verdict::Proceed);
        assert_eq!(unmodified(b"\xff"), Verdict::Proceed);
    }

    #[test]
    fn matching() {
        let judge = |validator: Validator, value: &[u8]| {
            let if_match = vec![value];
            // Not asked either.
            let if_unmodified_since = Some(BEFORE);
            validator.judge(&Conditions { if_match, if_unmodified_since, ..Conditions::default() })
        };
        assert_eq!(judge(settled(), TAG), Verdict::Proceed);
        assert_eq!(judge(settled(), b"*"), Verdict::Proceed);
        assert_eq!(judge(settled(), b"\"other\""), Verdict::Failed);
        assert_eq!(judge(settled(), &[b"W/", TAG].concat()), Verdict::Failed);
        assert_eq!(judge(fresh(), TAG), Verdict::Failed);
        // Both: the first decides on 412, then the second is asked.
        let both =
            Conditions { if_match: vec![TAG], if_none_match: vec![TAG], ..Conditions::default() };
        assert_eq!(settled().judge(&both), Verdict::NotModified);
    }

    #[test]
    fn ranges() {
        assert!(settled().allows_range(None) && fresh().allows_range(None));
        for value in [TAG, DATE] {
            assert!(settled().allows_range(Some(value)), "{value:?}");
            assert!(!fresh().allows_range(Some(value)), "{value:?}");
        }
        let weak = [b"W/", TAG].concat();
        for value in [BEFORE, AFTER, &weak, b"\"other\"", b"", b"x"] {
            assert!(!settled().allows_range(Some(value)), "{value:?}");
        }
    }
}
