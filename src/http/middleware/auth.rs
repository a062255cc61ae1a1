//! Who asks: basic (RFC 7617) and bearer (RFC 6750) authorisation.

#![forbid(unsafe_code)]

use std::fmt;
use std::hint::black_box;

use http::StatusCode;

use super::{Middleware, Next};
use crate::http::into_response::IntoResponse;
use crate::http::request::Request;
use crate::http::response::Response;

/// Who was let in: an extension of the request, inside of [`BasicAuth`] and [`BearerAuth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub String);

/// Lets in who gives a name and its password; the others get a 401 that makes browsers ask.
///
/// Only over TLS: the password goes over the wire as it is.
///
/// ```
/// use sward::http::{Request, Router, middleware::{BasicAuth, User}};
///
/// let app = Router::new()
///     .get("/", |req: &mut Request| req.extensions().get::<User>().map(|user| user.0.clone()))
///     .with(BasicAuth::new("back office").user("ann", "correct horse"));
/// # drop(app);
/// ```
pub struct BasicAuth {
    challenge: String,
    users: Vec<(String, String)>,
    check: Option<CheckPassword>,
}

/// Lets in who gives a token.
///
/// ```
/// use sward::http::{Request, Router, middleware::BearerAuth};
///
/// let app = Router::new()
///     .get("/", |_: &mut Request| "secret")
///     .with(BearerAuth::new("api").token("importer", "d41d8cd98f00b204"));
/// # drop(app);
/// ```
pub struct BearerAuth {
    realm: String,
    tokens: Vec<(String, String)>,
    check: Option<CheckToken>,
}

/// Whether this name has this password.
type CheckPassword = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// Whose token this is.
type CheckToken = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl BasicAuth {
    /// Lets nobody in yet. Browsers show the realm.
    pub fn new(realm: &str) -> BasicAuth {
        let challenge = format!("Basic realm={}, charset=\"UTF-8\"", quoted(realm));
        BasicAuth { challenge, users: Vec::new(), check: None }
    }

    /// Lets a user in. Passwords are compared in a time that does not depend on how much of one was right.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> BasicAuth {
        self.users.push((name.into(), password.into()));
        self
    }

    /// Lets in whom `check` lets in, by name and password. It may block: to ask a database, say.
    pub fn check(mut self, check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    fn lets_in(&self, name: &str, password: &str) -> bool {
        // All of them, whoever matched.
        let mut known = false;
        for (its_name, its_password) in &self.users {
            known |= equal(name, its_name) & equal(password, its_password);
        }
        known || self.check.as_ref().is_some_and(|check| check(name, password))
    }
}

impl Middleware for BasicAuth {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let given = credentials(request, "Basic").and_then(decode_base64);
        let given = given.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((name, password)) = given.as_deref().and_then(|text| text.split_once(':'))
            && self.lets_in(name, password)
        {
            request.extensions_mut().insert(User(name.to_string()));
            return next.run(request);
        }
        refuse(&self.challenge)
    }
}

impl BearerAuth {
    /// Lets nobody in yet.
    pub fn new(realm: &str) -> BearerAuth {
        BearerAuth { realm: quoted(realm), tokens: Vec::new(), check: None }
    }

    /// Lets in who has this token, as the [`User`] with this name. Tokens are compared in a time that does not
    /// depend on how much of one was right.
    pub fn token(mut self, name: impl Into<String>, token: impl Into<String>) -> BearerAuth {
        self.tokens.push((name.into(), token.into()));
        self
    }

    /// Lets in whom `check` knows by the token; it returns the user's name. It may block.
    pub fn check(
        mut self,
        check: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> BearerAuth {
        self.check = Some(Box::new(check));
        self
    }

    fn user(&self, token: &str) -> Option<String> {
        let mut known = None;
        for (name, its_token) in &self.tokens {
            if equal(token, its_token) {
                known = Some(name);
            }
        }
        match known {
            Some(name) => Some(name.clone()),
            None => self.check.as_ref()?(token),
        }
    }
}

impl Middleware for BearerAuth {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let Some(token) = credentials(request, "Bearer") else {
            return refuse(&format!("Bearer realm={}", self.realm));
        };
        match self.user(token) {
            Some(name) => {
                request.extensions_mut().insert(User(name));
                next.run(request)
            }
            None => refuse(&format!("Bearer realm={}, error=\"invalid_token\"", self.realm)),
        }
    }
}

fn refuse(challenge: &str) -> Response {
    StatusCode::UNAUTHORIZED.into_response().header("WWW-Authenticate", challenge)
}

/// What stands behind the scheme in the one Authorization header; two of them are none.
fn credentials<'r>(request: &Request<'r>, scheme: &str) -> Option<&'r str> {
    let mut lines =
        request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let (_, value) = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let (given, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim_matches(' '))
}

/// Whether two secrets are equal, in a time that depends on the given one's length only.
fn equal(given: &str, secret: &str) -> bool {
    let (given, secret) = (given.as_bytes(), secret.as_bytes());
    let mut differs = usize::from(given.len() != secret.len());
    for (at, byte) in given.iter().enumerate() {
        let other = secret.get(at % secret.len().max(1)).copied().unwrap_or(0);
        // The optimiser must not see that one difference decides.
        differs |= black_box(usize::from(byte ^ other));
    }
    black_box(differs) == 0
}

/// As a quoted string of a header; what may not stand in a header panics there.
fn quoted(realm: &str) -> String {
    format!("\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The standard alphabet, padded or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, whole @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&whole[..group.len() - 1]);
    }
    Some(bytes)
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("YQ==", Some(b"a")),
            ("YQ", Some(b"a")),
            ("YWI=", Some(b"ab")),
            ("YWJj", Some(b"abc")),
            ("+/+/YQ==", Some(b"\xfb\xff\xbfa")),
            ("Y", None),
            ("YW Jj", None),
            ("YQ==YQ==", None),
            ("-_-_", None),
        ] {
            assert_eq!(decode_base64(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn secrets() {
        for (given, secret, same) in [
            ("", "", true),
            ("a", "", false),
            ("", "a", false),
            ("abc", "abc", true),
            ("abd", "abc", false),
            ("abcabc", "abc", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(equal(given, secret), same, "{given:?} {secret:?}");
        }
    }
}
