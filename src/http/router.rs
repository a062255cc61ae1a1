//! Which handler a request goes to: by path (matchit's radix tree), then by method.

#![forbid(unsafe_code)]

use std::fmt;

use http::{Method, StatusCode};

use super::into_response::IntoResponse;
use super::request::Request;
use super::response::Response;

/// What answers requests: a [`Router`], or a function of this shape:
///
/// ```
/// use sward::http::{IntoResponse, Request};
///
/// fn handler(req: &mut Request<'_>) -> impl IntoResponse + use<> {
///     format!("you asked for {}\n", req.path())
/// }
/// # fn check(_: impl sward::http::Handler) {}
/// # check(handler);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is `Fn(&mut Request<'_>) -> impl IntoResponse`, and `Send + Sync + 'static`",
    note = "write the argument's type in a closure: `|req: &mut Request| ...`"
)]
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`. Both live as long as the connection's turn does.
    fn call<'r>(&'r self, request: &mut Request<'r>) -> Response;
}

impl<F, R> Handler for F
where
    F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn call<'r>(&'r self, request: &mut Request<'r>) -> Response {
        self(request).into_response()
    }
}

/// The handlers of one path.
#[derive(Default)]
struct Route {
    /// Few, so a list; GET mostly comes first.
    methods: Vec<(Method, Box<dyn Handler>)>,
    /// For the Allow header.
    allow: String,
}

/// Sends each request to the handler for its path and method.
///
/// A path may have parameters: `/users/{id}` is one segment, `/files/{*rest}` is all that follows.
/// Paths are matched as sent, still percent-encoded; [`Request::param`] decodes.
///
/// `HEAD` is answered by the handler for `GET`, without the body. `OPTIONS` is answered with the methods
/// that there are. Another method is a 405, another path a 404 unless there is a fallback.
///
/// ```
/// use sward::http::{Html, Request, Router};
///
/// let app = Router::new()
///     .get("/", |_: &mut Request| Html("<h1>hi</h1>"))
///     .get("/hello/{name}", |req: &mut Request| {
///         req.param::<String>("name").map(|name| format!("hello, {name}"))
///     })
///     .fallback(|_: &mut Request| (sward::http::StatusCode::NOT_FOUND, "nothing here"));
/// # drop(app);
/// ```
#[derive(Default)]
pub struct Router {
    tree: matchit::Router<usize>,
    /// Path and route, by the number in the tree.
    routes: Vec<(String, Route)>,
    fallback: Option<Box<dyn Handler>>,
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("Adds a handler for `", stringify!($method), "`.")]
        ///
        /// # Panics
        ///
        /// As [`Router::route`].
        #[track_caller]
        pub fn $name<F, R>(self, path: &str, handler: F) -> Router
        where
            F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
            R: IntoResponse,
        {
            self.route(Method::$method, path, handler)
        }
    )*};
}

impl Router {
    /// A router with no routes.
    pub fn new() -> Router {
        Router::default()
    }

    methods! {
        get GET,
        post POST,
        put PUT,
        patch PATCH,
        delete DELETE,
        head HEAD,
        options OPTIONS,
    }

    /// Adds a handler for a method and a path.
    ///
    /// # Panics
    ///
    /// If the path is malformed or in conflict with an earlier one (`/{a}` with `/{b}`), or there is a
    /// handler for this method and path already.
    #[track_caller]
    pub fn route<F, R>(mut self, method: Method, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        let at = match self.routes.iter().position(|(known, _)| known == path) {
            Some(at) => at,
            None => {
                assert!(path.starts_with('/'), "a route begins with a slash: {path:?}");
                if let Err(error) = self.tree.insert(path, self.routes.len()) {
                    panic!("the route {path:?}: {error}");
                }
                self.routes.push((path.to_string(), Route::default()));
                self.routes.len() - 1
            }
        };
        self.routes[at].1.add(method, path, Box::new(handler));
        self
    }

    /// Sets the handler for paths that no route has. Without one they are a 404.
    pub fn fallback<F, R>(mut self, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.fallback = Some(Box::new(handler));
        self
    }
}

impl Route {
    #[track_caller]
    fn add(&mut self, method: Method, path: &str, handler: Box<dyn Handler>) {
        assert!(self.find(&method).is_none(), "a second handler for {method} {path}");
        self.methods.push((method, handler));
        let mut names: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        if !names.contains(&"OPTIONS") {
            names.push("OPTIONS");
        }
        names.sort_unstable();
        self.allow = names.join(", ");
    }

    fn find(&self, method: &Method) -> Option<&dyn Handler> {
        self.methods.iter().find(|(known, _)| known == method).map(|(_, handler)| &**handler)
    }
}

impl Handler for Router {
    fn call<'r>(&'r self, request: &mut Request<'r>) -> Response {
        let Ok(found) = self.tree.at(request.path()) else {
            return match &self.fallback {
                Some(handler) => handler.call(request),
                None if request.path() == "*" => StatusCode::NO_CONTENT.into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            };
        };
        request.params = found.params;
        let (_, route) = &self.routes[*found.value];
        let method = request.method();
        let handler = match route.find(method) {
            None if *method == Method::HEAD => route.find(&Method::GET),
            handler => handler,
        };
        match handler {
            Some(handler) => handler.call(request),
            None if *method == Method::OPTIONS => {
                Response::new(StatusCode::NO_CONTENT).header("Allow", &route.allow)
            }
            None => StatusCode::METHOD_NOT_ALLOWED.into_response().header("Allow", &route.allow),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.routes.iter().map(|(path, route)| (path, &route.allow))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(_: &mut Request<'_>) {}

    #[test]
    fn allow_lists_what_is_answered() {
        let router = Router::new().post("/a", ok).get("/a", ok).put("/b", ok);
        let listed = format!("{router:?}");
        assert_eq!(listed, r#"{"/a": "GET, HEAD, OPTIONS, POST", "/b": "OPTIONS, PUT"}"#);
    }

    #[test]
    fn mistakes_are_found_at_start() {
        for make in [
            || Router::new().get("a", ok),
            || Router::new().get("/{a", ok),
            || Router::new().get("/{a}", ok).get("/{b}", ok),
            || Router::new().get("/a", ok).get("/a", ok),
        ] {
            assert!(std::panic::catch_unwind(make).is_err());
        }
    }
}
