//! The `Date` header, formatted once a second per OS thread, and what most answers have before it.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::hub::clock::Moment;

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` with its line end.
#[cfg(test)]
pub(crate) const LEN: usize = 37;

/// What most answers begin with: the status line of a 200, the server's name if it has one, the date, and the type that the
/// first answer of this second had.
struct Opening {
    text: Vec<u8>,
    /// Where the date begins, and where the type does.
    date: usize,
    content_type: usize,
    /// The names in there.
    server: Option<String>,
    type_name: Option<&'static str>,
    /// Until when the date holds.
    until: Option<Moment>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

thread_local! {
    static CACHE: RefCell<Opening> = const { RefCell::new(Opening::NONE) };
}

/// Appends the lines of a response with which it begins, but for the status line if it is `bare`. `now` is about when it is
/// written: it only says whether the cached text still holds.
#[inline]
pub(crate) fn append(
    out: &mut Vec<u8>,
    bare: bool,
    server: Option<&str>,
    content_type: Option<&'static str>,
    now: Moment,
) {
    CACHE.with_borrow_mut(|opening| {
        if opening.until.is_none_or(|until| now >= until) {
            opening.renew(server, content_type, now);
        }
        if opening.server.as_deref() == server && opening.type_name == content_type {
            out.extend_from_slice(&opening.text[if bare { OK.len() } else { 0 }..]);
        } else {
            opening.append_other(out, bare, server, content_type);
        }
    });
}

fn line(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl Opening {
    const NONE: Opening = Opening {
        text: Vec::new(),
        date: 0,
        content_type: 0,
        server: None,
        type_name: None,
        until: None,
    };

    #[cold]
    fn renew(&mut self, server: Option<&str>, content_type: Option<&'static str>, now: Moment) {
        let wall = SystemTime::now();
        let into_second = wall.duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
        self.until = Some(now.after(Duration::from_nanos(u64::from(1_000_000_000 - into_second))));
        (self.server, self.type_name) = (server.map(str::to_string), content_type);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(OK);
        line(text, "Server: ", server);
        self.date = text.len();
        line(text, "Date: ", Some(&httpdate::fmt_http_date(wall)));
        self.content_type = text.len();
        line(text, "Content-Type: ", content_type);
    }

    /// For another server of this process, or another type.
    fn append_other(
        &self,
        out: &mut Vec<u8>,
        bare: bool,
        server: Option<&str>,
        content_type: Option<&str>,
    ) {
        if !bare {
            out.extend_from_slice(OK);
        }
        line(out, "Server: ", server);
        out.extend_from_slice(&self.text[self.date..self.content_type]);
        line(out, "Content-Type: ", content_type);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(
        server: Option<&str>,
        content_type: Option<&'static str>,
        bare: bool,
        now: Moment,
    ) -> String {
        let mut out = Vec::new();
        append(&mut out, bare, server, content_type, now);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn is_an_http_date() {
        // The first decides what is cached.
        for (server, server_line) in [(None, ""), (Some("lawn"), "Server: lawn\r\n"), (None, "")] {
            for (name, type_line) in [
                (Some("text/html"), "Content-Type: text/html\r\n"),
                (Some("text/plain"), "Content-Type: text/plain\r\n"),
                (None, ""),
            ] {
                let text = opening(server, name, true, Moment::about_now());
                let date = text.strip_prefix(server_line).and_then(|it| it.strip_suffix(type_line));
                let date = date.and_then(|it| it.strip_prefix("Date: ")?.strip_suffix("\r\n"));
                assert_eq!(date.unwrap().len() + "Date: \r\n".len(), LEN);
                let parsed = httpdate::parse_http_date(date.unwrap()).unwrap();
                assert!(SystemTime::now().duration_since(parsed).unwrap() < Duration::from_secs(3));
                let usual = opening(server, name, false, Moment::about_now());
                assert!(usual.starts_with("HTTP/1.1 200 OK\r\n") && usual.ends_with(type_line));
                assert_eq!(usual.len(), OK.len() + server_line.len() + LEN + type_line.len());
            }
        }
    }

    #[test]
    fn holds_for_its_second() {
        let now = Moment::about_now();
        opening(None, None, true, now);
        let until = CACHE.with_borrow(|opening| opening.until.unwrap());
        assert!(until > now && until <= now.after(Duration::from_secs(1)));
        CACHE.set(Opening { text: b"old".to_vec(), until: Some(now), ..Opening::NONE });
        assert!(opening(None, None, false, now).starts_with("HTTP/1.1 200 OK\r\nDate: "));
    }
}
