//! Cookies (RFC 6265): those that came with a request, and those that a response sets.

#![forbid(unsafe_code)]

use std::fmt::{self, Write};
use std::time::Duration;

use super::request::Request;
use super::response::Response;
use super::token::is_token_byte;

/// A cookie that a response sets: [`Response::cookie`].
///
/// It starts out as safe as cookies can be: `Path=/; HttpOnly; Secure; SameSite=Lax`, until the browser closes.
/// Secure cookies work on `http://localhost` too, but nowhere else without TLS.
///
/// ```
/// use std::time::Duration;
/// use sward::http::{Cookie, Response};
///
/// let cookie = Cookie::new("theme", "dark").max_age(Duration::from_secs(3600)).http_only(false);
/// assert_eq!(cookie.to_string(), "theme=dark; Path=/; Max-Age=3600; Secure; SameSite=Lax");
/// let response = Response::text("done").cookie(cookie);
/// # drop(response);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<u64>,
    http_only: bool,
    secure: bool,
    same_site: SameSite,
}

/// With which requests a browser sends a cookie that come from other sites' pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With links that the user follows.
    #[default]
    Lax,
    /// With all: for what is embedded in other sites. Needs `Secure`.
    None,
}

impl Cookie {
    /// A cookie with this value. For any text as value, encode it first (base64, or percent).
    ///
    /// # Panics
    ///
    /// If the name is not a token, or the value has blanks, quotes, commas, semicolons, backslashes, control
    /// characters, or anything that is not ASCII. So with the other methods here.
    #[track_caller]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Cookie {
        let (name, value) = (name.into(), value.into());
        assert!(
            !name.is_empty() && name.bytes().all(is_token_byte),
            "not a cookie's name: {name:?}"
        );
        assert!(value.bytes().all(is_cookie_byte), "not a cookie's value: {value:?}");
        Cookie {
            name,
            value,
            path: "/".into(),
            domain: None,
            max_age: None,
            http_only: true,
            secure: true,
            same_site: SameSite::Lax,
        }
    }

    /// What removes a cookie from the browser. Its path and domain must be those that it was set with.
    #[track_caller]
    pub fn removal(name: impl Into<String>) -> Cookie {
        Cookie::new(name, "").max_age(Duration::ZERO)
    }

    /// Sets below which path it is sent. Default `/`.
    #[track_caller]
    pub fn path(mut self, path: impl Into<String>) -> Cookie {
        self.path = attribute(path.into());
        self
    }

    /// Has it sent to this domain and all below it. Default: to this host only.
    #[track_caller]
    pub fn domain(mut self, domain: impl Into<String>) -> Cookie {
        self.domain = Some(attribute(domain.into()));
        self
    }

    /// Sets how long it is kept, in whole seconds. Default: until the browser closes.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.max_age = Some(age.as_secs());
        self
    }

    /// Whether it is hidden from scripts. Default true.
    pub fn http_only(mut self, yes: bool) -> Cookie {
        self.http_only = yes;
        self
    }

    /// Whether it is sent over TLS only. Default true.
    pub fn secure(mut self, yes: bool) -> Cookie {
        self.secure = yes;
        self
    }

    /// Sets with which requests of other sites it is sent. Default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }
}

/// As in `Set-Cookie`.
impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}; Path={}", self.name, self.value, self.path)?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(age) = self.max_age {
            write!(f, "; Max-Age={age}")?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        // Browsers refuse a cookie for all sites without it.
        if self.secure || self.same_site == SameSite::None {
            f.write_str("; Secure")?;
        }
        write!(f, "; SameSite={:?}", self.same_site)
    }
}

impl<'r> Request<'r> {
    /// The value of the first cookie with this name, as the client sent it.
    pub fn cookie(&self, name: &str) -> Option<&'r str> {
        self.cookies().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// All cookies that came along: names and values. What is malformed is left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&'r str, &'r str)> + use<'r> {
        let lines = self.headers().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let pairs = lines.flat_map(|(_, line)| line.split(|&b| b == b';'));
        pairs.filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (!name.is_empty()).then_some((name, bare.unwrap_or(value)))
        })
    }
}

impl Response {
    /// Sets a cookie, beside those that were set already.
    pub fn cookie(self, cookie: Cookie) -> Response {
        let mut line = String::with_capacity(96);
        // OK to ignore: writing to a String does not fail.
        let _ = write!(line, "{cookie}");
        self.header("Set-Cookie", line)
    }
}

fn is_cookie_byte(b: u8) -> bool {
    b.is_ascii_graphic() && !b"\",;\\".contains(&b)
}

#[track_caller]
fn attribute(text: String) -> String {
    let may_stand = |b: u8| (b' '..=b'~').contains(&b) && b != b';';
    assert!(text.bytes().all(may_stand), "not for a cookie: {text:?}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_unless_told_otherwise() {
        let cookie = || Cookie::new("a", "b");
        for (made, text) in [
            (cookie(), "a=b; Path=/; HttpOnly; Secure; SameSite=Lax"),
            (Cookie::removal("a"), "a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"),
            (
                cookie().path("/x y").domain("a.example").same_site(SameSite::Strict).secure(false),
                "a=b; Path=/x y; Domain=a.example; HttpOnly; SameSite=Strict",
            ),
            (
                cookie().same_site(SameSite::None).secure(false).http_only(false),
                "a=b; Path=/; Secure; SameSite=None",
            ),
        ] {
            assert_eq!(made.to_string(), text);
        }
    }

    #[test]
    fn no_attribute_is_smuggled_in() {
        for value in ["a;b", "a b", "a\"b", "a,b", "a\\b", "a\r\nb", "é"] {
            assert!(std::panic::catch_unwind(|| Cookie::new("n", value)).is_err(), "{value:?}");
        }
        for name in ["", "a=b", "a b", "a;"] {
            assert!(std::panic::catch_unwind(|| Cookie::new(name, "v")).is_err(), "{name:?}");
        }
        for path in ["/;Domain=x", "/\n"] {
            assert!(std::panic::catch_unwind(|| Cookie::new("n", "v").path(path)).is_err());
        }
    }
}
