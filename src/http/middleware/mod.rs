//! What goes around handlers: the shape of a middleware and the way to the next one. Those that come with the
//! crate are in the files beside this one, each on its own.

#![forbid(unsafe_code)]

mod access_log;
mod auth;
#[cfg(feature = "compression")]
mod compression;
mod concurrency;
mod cors;
mod metrics;
mod proxies;
mod request_id;
mod time_limit;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::into_response::IntoResponse;
use super::request::Request;
use super::response::Response;
use super::router::Router;
use crate::hub::park;

pub use access_log::AccessLog;
pub use auth::{BasicAuth, BearerAuth, User};
#[cfg(feature = "compression")]
pub use compression::Compression;
pub use concurrency::ConcurrencyLimit;
pub use cors::Cors;
pub use metrics::Metrics;
pub use proxies::TrustedProxies;
pub(super) use proxies::{Network, networks};
pub use request_id::{RequestId, RequestIds};
pub use time_limit::TimeLimit;

/// What goes around the handlers of a [`Router`]: a function of this shape, or one of the types of
/// [`middleware`](self). Added by [`Router::with`].
///
/// ```
/// use sward::http::{Next, Request, Response, Router};
///
/// fn timed(req: &mut Request<'_>, next: Next<'_>) -> Response {
///     let start = std::time::Instant::now();
///     let response = next.run(req);
///     response.header("Server-Timing", format!("app;dur={}", start.elapsed().as_millis()))
/// }
///
/// let app = Router::new().get("/", |_: &mut Request| "hello").with(timed);
/// # drop(app);
/// ```
///
/// It can answer by itself, without calling `next`. It is plain blocking code like a handler, and it runs once per
/// request, in every mode of the server. If it panics, the answer is 500.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    note = "a middleware is `Fn(&mut Request<'_>, Next<'_>) -> impl IntoResponse`, and `Send + Sync + 'static`",
    note = "write the arguments' types in a closure: `|req: &mut Request, next: Next| ...`"
)]
pub trait Middleware: Send + Sync + 'static {
    /// Answers `request`, usually by [`Next::run`] and a change before or after it.
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response;
}

impl<F, R> Middleware for F
where
    F: Fn(&mut Request<'_>, Next<'_>) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        self(request, next).into_response()
    }
}

/// What a middleware goes around: the further middleware, then the routes.
pub struct Next<'n> {
    /// Those that follow, the outermost first.
    layers: &'n [Box<dyn Middleware>],
    /// Whose routes they go around.
    router: &'n Router,
}

impl<'n> Next<'n> {
    pub(crate) fn new(layers: &'n [Box<dyn Middleware>], router: &'n Router) -> Next<'n> {
        Next { layers, router }
    }

    /// Has the request answered by what is inside.
    pub fn run(self, request: &mut Request<'_>) -> Response {
        match self.layers.split_first() {
            Some((first, layers)) => first.call(request, Next { layers, ..self }),
            None => self.router.dispatch(request),
        }
    }
}

/// Runs what is inside, and says how it ended: without a response if it panicked, which goes on afterwards.
fn watch(
    request: &mut Request<'_>,
    next: Next<'_>,
    seen: impl FnOnce(&Request<'_>, Option<&Response>),
) -> Response {
    match catch_unwind(AssertUnwindSafe(|| next.run(request))) {
        Ok(response) => {
            seen(request, Some(&response));
            response
        }
        Err(payload) => {
            // A cancellation looks like a panic here. It is over while `seen` runs, which may wait.
            let _ = park::caught(&*payload);
            seen(request, None);
            park::pass_on(payload)
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}
