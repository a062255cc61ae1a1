//! [`Tokens`]: who may do what, by bearer token (RFC 6750).

#![forbid(unsafe_code)]

use std::fmt;

use ring::hmac;
use ring::rand::SystemRandom;

use crate::http::{IntoResponse, Request, Response, StatusCode};
use crate::webhook::problem::Problem;

/// The tokens that [`routes`](super::routes) knows. Without any, nobody is let in.
///
/// They are kept as digests under a key of this process, and compared in a time that does not depend on how much of one was
/// right.
///
/// ```
/// use sward::webhook::api::Tokens;
///
/// let tokens = Tokens::new().manage("d41d8cd98f00b204").publish("e9800998ecf8427e");
/// # drop(tokens);
/// ```
pub struct Tokens {
    key: hmac::Key,
    known: Vec<(hmac::Tag, Scope)>,
}

/// What a route needs, and what a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// Nothing: anybody may ask.
    Open,
    /// To publish messages.
    Publish,
    /// Everything: to publish too.
    Manage,
}

impl Tokens {
    /// None yet.
    ///
    /// # Panics
    ///
    /// If the system has no random bytes.
    #[must_use]
    pub fn new() -> Tokens {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Tokens { key: key.expect("the system has no random bytes"), known: Vec::new() }
    }

    /// Who has this token may do everything.
    #[must_use]
    pub fn manage(self, token: &str) -> Tokens {
        self.add(token, Scope::Manage)
    }

    /// Who has this token may publish, and nothing else.
    #[must_use]
    pub fn publish(self, token: &str) -> Tokens {
        self.add(token, Scope::Publish)
    }

    fn add(mut self, token: &str, scope: Scope) -> Tokens {
        self.known.push((hmac::sign(&self.key, token.as_bytes()), scope));
        self
    }

    /// What a token is good for.
    fn scope(&self, token: &str) -> Option<Scope> {
        let mut best = None;
        // All of them, whichever matches.
        for (tag, scope) in &self.known {
            if hmac::verify(&self.key, token.as_bytes(), tag.as_ref()).is_ok() {
                best = best.max(Some(*scope));
            }
        }
        best
    }

    /// Lets the request in, or answers it. `in_query`: the token may stand there, for callers who can choose only a URL.
    pub(super) fn check(
        &self,
        req: &Request<'_>,
        needed: Scope,
        in_query: bool,
    ) -> Result<(), Response> {
        if needed == Scope::Open {
            return Ok(());
        }
        let query = || req.query::<String>("access_token").ok().flatten().filter(|_| in_query);
        let Some(token) = bearer(req).map(str::to_owned).or_else(query) else {
            return Err(refuse("unauthorized", "a bearer token is needed", ""));
        };
        match self.scope(&token) {
            Some(scope) if scope >= needed => Ok(()),
            Some(_) => {
                let why = "this token may only publish";
                let more = ", error=\"insufficient_scope\", scope=\"manage\"";
                Err(refuse("forbidden", why, more).with_status(StatusCode::FORBIDDEN))
            }
            None => {
                let more = ", error=\"invalid_token\"";
                Err(refuse("unauthorized", "the token is not known", more))
            }
        }
    }
}

fn refuse(code: &'static str, why: &'static str, more: &str) -> Response {
    Problem::new(StatusCode::UNAUTHORIZED, code, why)
        .into_response()
        .header("www-authenticate", format!("Bearer realm=\"webhooks\"{more}"))
}

/// The token in the one Authorization header; two of them are none.
fn bearer<'r>(req: &Request<'r>) -> Option<&'r str> {
    let mut lines = req.headers().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let (_, value) = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens::new()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Tokens};

    #[test]
    fn a_token_is_good_for_its_scope() {
        let tokens = Tokens::new().manage("m").publish("p").publish("m");
        assert_eq!(tokens.scope("m"), Some(Scope::Manage));
        assert_eq!(tokens.scope("p"), Some(Scope::Publish));
        for wrong in ["", "M", "mm", "pp"] {
            assert_eq!(tokens.scope(wrong), None);
        }
        assert_eq!(Tokens::new().scope(""), None);
        assert_eq!(format!("{tokens:?}"), "Tokens { known: 3, .. }");
    }
}
