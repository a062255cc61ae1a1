//! How long a handler may wait before the client gets an answer anyway.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use http::StatusCode;

use super::{Middleware, Next};
use crate::http::into_response::IntoResponse;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::timeout::timeout;

/// Ends what a handler waits for when its time is up, and answers 503. It is [`sward::timeout`](crate::timeout())
/// around the handler: I/O fails with [`TimedOut`](std::io::ErrorKind::TimedOut), other waits unwind. A handler that
/// makes something of the error answers with that; only its 500 is replaced.
///
/// The body of a stream is written afterwards and is not limited. Neither is computation.
///
/// ```
/// use std::time::Duration;
/// use sward::http::{Request, Router, middleware::TimeLimit};
///
/// let app = Router::new()
///     .get("/", |_: &mut Request| sward::thread::sleep(Duration::from_secs(3600)))
///     .with(TimeLimit::new(Duration::from_secs(5)));
/// # drop(app);
/// ```
#[derive(Debug, Clone)]
pub struct TimeLimit {
    limit: Duration,
    status: StatusCode,
}

impl TimeLimit {
    /// So long for each request.
    pub fn new(limit: Duration) -> TimeLimit {
        TimeLimit { limit, status: StatusCode::SERVICE_UNAVAILABLE }
    }

    /// Sets what is answered instead of 503: 504, say, where it is another server that is waited for.
    pub fn status(mut self, status: StatusCode) -> TimeLimit {
        self.status = status;
        self
    }
}

impl Middleware for TimeLimit {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let start = Instant::now();
        match timeout(self.limit, || next.run(request)) {
            Ok(response)
                if response.status() == StatusCode::INTERNAL_SERVER_ERROR
                    && start.elapsed() >= self.limit =>
            {
                self.status.into_response()
            }
            Ok(response) => response,
            Err(_) => self.status.into_response(),
        }
    }
}
