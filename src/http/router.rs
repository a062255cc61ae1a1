//! Which handler a request goes to: by path (matchit's radix tree), then by method.

#![forbid(unsafe_code)]

use std::fmt;

use http::{Method, StatusCode};

use super::into_response::IntoResponse;
use super::methods::Route;
use super::middleware::{Middleware, Next};
use super::request::Request;
use super::response::Response;
use super::route::Pattern;

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
    /// Answers `request`.
    fn call(&self, request: &mut Request<'_>) -> Response;
}

impl<F, R> Handler for F
where
    F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn call(&self, request: &mut Request<'_>) -> Response {
        self(request).into_response()
    }
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
    tree: matchit::Router<At>,
    /// Paths without parameters, the first few: found without the tree, which would find the same.
    plain: Vec<(String, usize)>,
    /// By the number in the tree.
    entries: Vec<Entry>,
    fallback: Option<Box<dyn Handler>>,
    /// Around all of it, the outermost first.
    layers: Vec<Box<dyn Middleware>>,
}

/// How many paths are looked through one by one before the tree is asked.
const FEW: usize = 8;

/// What the tree knows of a path.
#[derive(Debug, Clone, Copy)]
struct At {
    /// Which entry.
    entry: usize,
    /// The last parameter is what a mount is to match, not one of the route's.
    is_tail: bool,
}

/// A path and what is there.
struct Entry {
    /// As it was written here, without the prefix of an outer router.
    path: String,
    /// With it.
    pattern: &'static Pattern,
    target: Target,
}

/// What is at a path.
enum Target {
    /// Handlers, by method.
    Route(Route),
    /// All below the path is a router's.
    Nested(Router),
    /// All below the path is a handler's.
    Mounted(Box<dyn Handler>),
}

impl Router {
    /// A router with no routes.
    pub fn new() -> Router {
        Router::default()
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
        let known = |entry: &Entry| entry.path == path && matches!(entry.target, Target::Route(_));
        let at = match self.entries.iter().position(known) {
            Some(at) => at,
            None => {
                self.insert(path, false);
                self.enter(path, Pattern::of(path, false), Target::Route(Route::default()))
            }
        };
        if let Target::Route(route) = &mut self.entries[at].target {
            route.add(method, path, Box::new(handler));
        }
        self
    }

    /// Puts a router below a prefix: its `/users` is our `/api/users`, its `/` is our `/api`.
    ///
    /// Its middleware goes around its own routes only, and its 404 as well, which is not passed on to our fallback.
    /// The prefix may have parameters. A longer route of ours wins over the nested router.
    ///
    /// ```
    /// use sward::http::{Request, Router};
    ///
    /// let users = Router::new().get("/{id}", |req: &mut Request| req.param::<String>("id"));
    /// let app = Router::new().nest("/users", users);
    /// # drop(app);
    /// ```
    ///
    /// # Panics
    ///
    /// If the prefix is malformed or in conflict with an earlier route.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, mut router: Router) -> Router {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        router.set_prefix(prefix);
        self.insert_below(prefix, Target::Nested(router));
        self
    }

    /// Gives all that is below a prefix to one handler, for every method. [`Request::sub_path`] tells it which of
    /// it was asked for.
    ///
    /// # Panics
    ///
    /// As [`Router::nest`].
    #[track_caller]
    pub fn mount(mut self, prefix: &str, handler: impl Handler) -> Router {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        self.insert_below(prefix, Target::Mounted(Box::new(handler)));
        self
    }

    /// Puts a middleware around everything here: routes, nested routers, fallback, 404 and 405, and what is added
    /// later. The first that was added is the outermost.
    ///
    /// ```
    /// use sward::http::{Next, Request, Router};
    ///
    /// let app = Router::new()
    ///     .get("/", |_: &mut Request| "hello")
    ///     .with(|req: &mut Request, next: Next| next.run(req).header("X-Frame-Options", "DENY"));
    /// # drop(app);
    /// ```
    pub fn with(mut self, middleware: impl Middleware) -> Router {
        self.layers.push(Box::new(middleware));
        self
    }

    #[track_caller]
    fn insert(&mut self, path: &str, is_tail: bool) {
        assert!(path.starts_with('/'), "a route begins with a slash: {path:?}");
        if let Err(error) = self.tree.insert(path, At { entry: self.entries.len(), is_tail }) {
            panic!("the route {path:?}: {error}");
        }
        if !path.contains(['{', '}']) && self.plain.len() < FEW {
            self.plain.push((path.to_string(), self.entries.len()));
        }
    }

    fn enter(&mut self, path: &str, pattern: &'static Pattern, target: Target) -> usize {
        self.entries.push(Entry { path: path.to_string(), pattern, target });
        self.entries.len() - 1
    }

    #[track_caller]
    fn insert_below(&mut self, prefix: &str, target: Target) {
        let path = format!("{prefix}/{{*rest}}");
        if !prefix.is_empty() {
            self.insert(prefix, false);
        }
        self.insert(&format!("{prefix}/"), false);
        self.insert(&path, true);
        self.enter(&path, Pattern::of(&path, true), target);
    }

    /// Our patterns say where we are from now on.
    fn set_prefix(&mut self, prefix: &str) {
        for entry in &mut self.entries {
            let is_mount = !matches!(entry.target, Target::Route(_));
            let whole = format!("{prefix}{}", entry.pattern.text);
            entry.pattern = Pattern::of(&whole, is_mount);
            if let Target::Nested(router) = &mut entry.target {
                router.set_prefix(prefix);
            }
        }
    }

    /// Answers without the middleware. Inlined, as `Route::call` is: frames of their own would lie below each handler's.
    #[inline]
    pub(crate) fn dispatch(&self, request: &mut Request<'_>) -> Response {
        let Some((target, rest)) = self.locate(request) else {
            return match &self.fallback {
                Some(handler) => handler.call(request),
                None => nothing_here(request),
            };
        };
        let handler: &dyn Handler = match target {
            Target::Route(route) => return route.call(request),
            Target::Nested(router) => router,
            Target::Mounted(handler) => &**handler,
        };
        let outside = request.matched.enter(rest);
        let response = handler.call(request);
        request.matched.leave(outside);
        response
    }

    /// What is at the request's path, which then knows its parameters; and what a mount has left of the path. Never
    /// inlined: the tree's findings must not lie below a handler's frame.
    #[inline(never)]
    fn locate(&self, request: &mut Request<'_>) -> Option<(&Target, usize)> {
        let path = request.path();
        let before = request.matched.tail;
        let tail = match &path[before..] {
            "" => "/",
            tail => tail,
        };
        request.matched.restart();
        // Of the path a mount has nothing left or a slash, unless the last parameter says otherwise.
        let mut rest = path.len() - usize::from(path[before..].ends_with('/'));
        if let Some((_, entry)) = self.plain.iter().find(|(plain, _)| plain == tail) {
            let Entry { pattern, target, .. } = &self.entries[*entry];
            request.matched.pattern = Some(pattern);
            return Some((target, rest));
        }
        let matchit::Match { value: &At { entry, is_tail }, params } = self.tree.at(tail).ok()?;
        let Entry { pattern, target, .. } = &self.entries[entry];
        request.matched.pattern = Some(pattern);
        let count = params.len();
        for (at, (_, value)) in params.iter().enumerate() {
            let start = before + (value.as_ptr().addr() - tail.as_ptr().addr());
            if is_tail && at + 1 == count {
                rest = start - 1;
            } else {
                request.matched.push(start..start + value.len());
            }
        }
        Some((target, rest))
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

#[cold]
fn nothing_here(request: &Request<'_>) -> Response {
    match request.path() {
        "*" => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Handler for Router {
    fn call(&self, request: &mut Request<'_>) -> Response {
        if self.layers.is_empty() {
            return self.dispatch(request);
        }
        Next::new(&self.layers, self).run(request)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.iter().map(|entry| {
            let what: &dyn fmt::Debug = match &entry.target {
                Target::Route(route) => &route.allow,
                Target::Nested(router) => router,
                Target::Mounted(_) => &"mounted",
            };
            (&entry.path, what)
        });
        f.debug_map().entries(entries).finish()
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
    fn plain_paths_are_those_of_the_tree() {
        let mut router = Router::new().get("/{a}", ok).get("/a{{b}}", ok).get("/{a}/c", ok);
        for n in 0..2 * FEW {
            router = router.get(&format!("/{n}"), ok).nest(&format!("/below/{n}"), Router::new());
        }
        assert_eq!(router.plain.len(), FEW);
        for (path, entry) in &router.plain {
            let found = router.tree.at(path).unwrap();
            assert!((found.value.entry, found.value.is_tail) == (*entry, false), "{path}");
        }
    }

    #[test]
    fn mistakes_are_found_at_start() {
        for make in [
            || Router::new().get("a", ok),
            || Router::new().get("/{a", ok),
            || Router::new().get("/{a}", ok).get("/{b}", ok),
            || Router::new().get("/a", ok).get("/a", ok),
            || Router::new().get("/a", ok).nest("/a", Router::new()),
            || Router::new().nest("a", Router::new()),
        ] {
            assert!(std::panic::catch_unwind(make).is_err());
        }
    }
}
