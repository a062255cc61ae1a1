//! How many requests may be in work at once.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::{Middleware, Next};
use crate::http::into_response::IntoResponse;
use crate::http::request::Request;
use crate::http::response::Response;

/// Answers 503 with `Retry-After` while so many requests are in work: better a quick no than a queue that grows.
///
/// A request is in work until its response is handed over; one with a stream until the stream has ended.
///
/// ```
/// use sward::http::{Request, Router, middleware::ConcurrencyLimit};
///
/// let reports = Router::new().get("/", |_: &mut Request| "slow").with(ConcurrencyLimit::new(4));
/// let app = Router::new().nest("/reports", reports);
/// # drop(app);
/// ```
#[derive(Debug)]
pub struct ConcurrencyLimit {
    most: usize,
    retry_after: Duration,
    now: Arc<AtomicUsize>,
}

/// One request in work.
pub(crate) struct InWork(Arc<AtomicUsize>);

impl InWork {
    /// Counts one more; also says how many there were.
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> (InWork, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (InWork(count.clone()), before)
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConcurrencyLimit {
    /// At most so many at once.
    pub fn new(most: usize) -> ConcurrencyLimit {
        ConcurrencyLimit { most, retry_after: Duration::from_secs(1), now: Arc::default() }
    }

    /// When refused clients may come again. Default 1 s; whole seconds, rounded up.
    pub fn retry_after(mut self, after: Duration) -> ConcurrencyLimit {
        self.retry_after = after;
        self
    }
}

impl Middleware for ConcurrencyLimit {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let (in_work, before) = InWork::new(&self.now);
        if before >= self.most {
            drop(in_work);
            let seconds = self.retry_after.as_millis().div_ceil(1000).to_string();
            return StatusCode::SERVICE_UNAVAILABLE.into_response().header("Retry-After", seconds);
        }
        next.run(request).hold(in_work)
    }
}
