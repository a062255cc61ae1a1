//! Cross-origin requests (Fetch standard, 3.2): which pages of other origins may read what we answer.

#![forbid(unsafe_code)]

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Middleware, Next};
use crate::http::request::Request;
use crate::http::response::Response;

/// Lets pages of other origins read responses. Without it browsers do not.
///
/// It answers preflights itself, so it should be outside of what asks for authorisation: preflights carry none.
/// What is not allowed is still answered, without the headers that would let the page see it: CORS protects the
/// user's browser, not the server.
///
/// ```
/// use std::time::Duration;
/// use sward::http::{Method, Request, Router, middleware::Cors};
///
/// let app = Router::new().post("/", |_: &mut Request| "done").with(
///     Cors::new()
///         .origins(["https://app.example"])
///         .methods([Method::GET, Method::POST])
///         .headers(["Content-Type", "Authorization"])
///         .max_age(Duration::from_secs(600)),
/// );
/// # drop(app);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cors {
    any_origin: bool,
    origins: Vec<String>,
    methods: String,
    any_header: bool,
    headers: String,
    exposed: String,
    credentials: bool,
    max_age: Option<String>,
}

impl Cors {
    /// Allows no origin yet; methods `GET`, `HEAD` and `POST`; no headers but those that pages may always send.
    pub fn new() -> Cors {
        Cors { methods: "GET, HEAD, POST".into(), ..Cors::default() }
    }

    /// Allows pages of these origins, written as browsers do: `https://app.example`, with the port unless it is
    /// the scheme's own.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Cors {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Allows pages of every origin. Not together with credentials.
    ///
    /// # Panics
    ///
    /// If credentials are allowed: any page could then act and read as the user.
    #[track_caller]
    pub fn any_origin(mut self) -> Cors {
        self.any_origin = true;
        self.check()
    }

    /// Allows these methods instead of the default ones.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Cors {
        self.methods = join(methods.into_iter().map(|method| method.as_str().to_string()));
        self
    }

    /// Allows requests to carry these headers.
    pub fn headers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Cors {
        self.headers = join(names.into_iter().map(Into::into));
        self
    }

    /// Allows requests to carry any header.
    pub fn any_header(mut self) -> Cors {
        self.any_header = true;
        self
    }

    /// Lets pages see these headers of responses.
    pub fn expose<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Cors {
        self.exposed = join(names.into_iter().map(Into::into));
        self
    }

    /// Lets requests carry cookies and logins. Default false.
    ///
    /// # Panics
    ///
    /// If every origin is allowed.
    #[track_caller]
    pub fn credentials(mut self, allowed: bool) -> Cors {
        self.credentials = allowed;
        self.check()
    }

    /// How long browsers may remember the answer to a preflight. Default: what they like, mostly 5 s.
    pub fn max_age(mut self, age: Duration) -> Cors {
        self.max_age = Some(age.as_secs().to_string());
        self
    }

    #[track_caller]
    fn check(self) -> Cors {
        assert!(!(self.any_origin && self.credentials), "credentials for every origin");
        self
    }

    fn allow_origin(&self, response: &mut Response, origin: Option<&str>) -> bool {
        if self.any_origin {
            response.set_header("Access-Control-Allow-Origin", "*");
            return true;
        }
        // Caches must keep the answers to two origins apart, those without an origin too.
        response.add_header("Vary", "Origin");
        let Some(origin) = origin.filter(|origin| self.origins.iter().any(|known| known == origin))
        else {
            return false;
        };
        response.set_header("Access-Control-Allow-Origin", origin);
        if self.credentials {
            response.set_header("Access-Control-Allow-Credentials", "true");
        }
        true
    }

    fn preflight(&self, request: &Request<'_>, origin: &str) -> Response {
        let mut response = Response::new(StatusCode::NO_CONTENT);
        let allowed = self.allow_origin(&mut response, Some(origin));
        response
            .add_header("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
        if !allowed {
            return response;
        }
        response.set_header("Access-Control-Allow-Methods", &self.methods);
        let asked = request.header("access-control-request-headers");
        let headers = if self.any_header { asked.unwrap_or("") } else { &self.headers };
        if !headers.is_empty() {
            response.set_header("Access-Control-Allow-Headers", headers);
        }
        if let Some(age) = &self.max_age {
            response.set_header("Access-Control-Max-Age", age);
        }
        response
    }
}

impl Middleware for Cors {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let origin = request.header("origin");
        let asks = request.header("access-control-request-method").is_some();
        if let Some(origin) = origin.filter(|_| asks && *request.method() == Method::OPTIONS) {
            return self.preflight(request, origin);
        }
        let mut response = next.run(request);
        let allowed = self.allow_origin(&mut response, origin);
        if allowed && origin.is_some() && !self.exposed.is_empty() {
            response.set_header("Access-Control-Expose-Headers", &self.exposed);
        }
        response
    }
}

fn join(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
