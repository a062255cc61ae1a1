//! The header fields of a response: set by handlers, read and changed by middleware. Kept as the lines that go on the
//! wire; whatever is added is checked here, and only here.

#![forbid(unsafe_code)]

use super::response::Response;
use super::token::is_token_byte;

impl Response {
    /// Sets a header. `Content-Type` replaces what the constructor chose; other headers add up.
    ///
    /// `Content-Length`, `Transfer-Encoding` and `Date` are the server's and are ignored here;
    /// `Connection: close` is obeyed.
    ///
    /// # Panics
    ///
    /// If the name is not a token, or the value holds control characters (a CR LF in it could forge
    /// further headers). A panicking handler is a 500.
    #[track_caller]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Response {
        self.add_header(name, value);
        self
    }

    /// As [`Response::header`], for a response at hand.
    ///
    /// # Panics
    ///
    /// As [`Response::header`].
    #[track_caller]
    pub fn add_header(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let is = |other| name.eq_ignore_ascii_case(other);
        assert!(
            !name.is_empty() && name.bytes().all(is_token_byte),
            "not the name of a header: {name:?}"
        );
        assert!(
            value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f)),
            "control character in the value of {name}"
        );
        if is("content-length") || is("transfer-encoding") || is("date") {
            return;
        }
        if is("connection") && value.eq_ignore_ascii_case(b"close") {
            self.close = true;
            return;
        }
        if is("content-type") {
            self.remove_header(name);
        }
        // Once for the line, and the first time for a few: growing piece by piece costs more than all the rest.
        let len = name.len() + value.len() + ": \r\n".len();
        self.headers.reserve(if self.headers.capacity() == 0 { len.max(FIRST) } else { len });
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.headers.extend_from_slice(part);
        }
    }

    /// Sets a header, instead of those with this name.
    ///
    /// ```
    /// use sward::http::Response;
    ///
    /// let mut page = Response::html("<p>").header("Vary", "Accept");
    /// page.set_header("Vary", "Cookie");
    /// assert_eq!(page.get_header("vary"), Some("Cookie"));
    /// assert_eq!(page.get_header("content-type"), Some("text/html; charset=utf-8"));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Response::header`].
    #[track_caller]
    pub fn set_header(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        self.remove_header(name);
        self.add_header(name, value);
    }

    /// Removes all headers with this name (in any case).
    pub fn remove_header(&mut self, name: impl AsRef<str>) {
        let name = name.as_ref();
        if name.eq_ignore_ascii_case("content-type") {
            self.content_type = None;
        }
        let is_there = |(known, _): (&str, _)| known.eq_ignore_ascii_case(name);
        if !self.headers.is_empty() && self.line_headers().any(is_there) {
            let mut left = Vec::with_capacity(self.headers.len());
            for (known, value) in self.line_headers() {
                if !known.eq_ignore_ascii_case(name) {
                    for part in [known.as_bytes(), b": ", value, b"\r\n"] {
                        left.extend_from_slice(part);
                    }
                }
            }
            self.headers = left;
        }
    }

    /// The first header with this name (in any case), if it is text. Without those that the server adds.
    pub fn get_header(&self, name: impl AsRef<str>) -> Option<&str> {
        let name = name.as_ref();
        let (_, value) = self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// All headers, without those that the server adds.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let chosen = self.content_type.map(|mime| ("Content-Type", mime.as_bytes()));
        chosen.into_iter().chain(self.line_headers())
    }

    fn line_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // Only `add_header` writes here, so each line has a colon and a name in ASCII, and no CR but at its end.
        self.headers.split(|&b| b == b'\r').filter_map(|line| {
            let line = line.strip_prefix(b"\n").unwrap_or(line);
            let colon = line.iter().position(|&b| b == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line.get(colon + 2..)?))
        })
    }
}

/// Room for the lines that a handler adds, as a rule.
const FIRST: usize = 128;

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn headers_cannot_be_forged() {
        let ok = || Response::new(StatusCode::OK);
        for value in ["a\r\nX: y", "a\nb", "a\0b", "\x7f"] {
            assert!(std::panic::catch_unwind(|| ok().header("X", value)).is_err(), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\n", "é"] {
            assert!(std::panic::catch_unwind(|| ok().header(name, "v")).is_err(), "{name:?}");
        }
        let moved = Response::redirect("/a b\r\nX: é");
        assert_eq!(moved.headers, b"Location: /a%20b%0D%0AX:%20%C3%A9\r\n");
    }

    #[test]
    fn framing_belongs_to_the_server() {
        let response = Response::text("x")
            .header("Content-Length", "5")
            .header("transfer-encoding", "gzip")
            .header("Connection", "close")
            .header("content-type", "text/x");
        assert_eq!(response.headers, b"content-type: text/x\r\n");
        assert!(response.close && response.content_type.is_none());
    }

    #[test]
    fn headers_at_hand() {
        let mut response = Response::text("x").header("A", "1").header("b", "").header("a", "2: 3");
        let all = |response: &Response| -> Vec<String> {
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
            response.headers().map(|(name, value)| format!("{name}={}", text(value))).collect()
        };
        assert_eq!(
            all(&response),
            ["Content-Type=text/plain; charset=utf-8", "A=1", "b=", "a=2: 3"]
        );
        assert_eq!(response.get_header("a"), Some("1"));
        assert_eq!(response.get_header("c"), None);
        response.remove_header("a");
        response.set_header("Content-Type", "x/y");
        response.set_header("content-type", "x/z");
        assert_eq!(all(&response), ["b=", "content-type=x/z"]);
        response.remove_header("Content-Type");
        response.remove_header("B");
        assert!(all(&response).is_empty() && response.headers.is_empty());
    }
}
