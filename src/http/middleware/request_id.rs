//! An id for each request, for logs that are to be joined.

#![forbid(unsafe_code)]

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Middleware, Next};
use crate::http::request::Request;
use crate::http::response::Response;

/// Gives each request an id: the client's `X-Request-Id` if that is sane (up to 128 letters, digits and `-._~:/+=@`),
/// else one of 32 hexadecimal digits. Handlers find it as an extension, clients in the response.
///
/// ```
/// use sward::http::middleware::{RequestId, RequestIds};
/// use sward::http::{Request, Router};
///
/// let app = Router::new()
///     .get("/", |req: &mut Request| req.extensions().get::<RequestId>().map(|id| id.to_string()))
///     .with(RequestIds::new());
/// # drop(app);
/// ```
pub struct RequestIds {
    /// Two keys of the process, so that ids of two processes differ.
    keys: [RandomState; 2],
    count: AtomicU64,
    trusting: bool,
}

/// The id of a request: an extension of it, inside of [`RequestIds`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

const HEADER: &str = "X-Request-Id";

impl RequestIds {
    /// With clients' own ids taken over.
    #[expect(clippy::new_without_default, reason = "ids are random: two defaults are not equal")]
    pub fn new() -> RequestIds {
        let keys = [RandomState::new(), RandomState::new()];
        RequestIds { keys, count: AtomicU64::new(0), trusting: true }
    }

    /// Whether clients may say what id they want. Default true.
    pub fn trust(mut self, clients: bool) -> RequestIds {
        self.trusting = clients;
        self
    }

    fn make(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(count));
        format!("{high:016x}{low:016x}")
    }
}

impl Middleware for RequestIds {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let given = request.header(HEADER).filter(|id| self.trusting && is_sane(id));
        let id = RequestId(given.map_or_else(|| self.make().into(), Arc::from));
        request.extensions_mut().insert(id.clone());
        let mut response = next.run(request);
        if response.get_header(HEADER).is_none() {
            response.add_header(HEADER, id.as_str());
        }
        response
    }
}

fn is_sane(id: &str) -> bool {
    let may_stand = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/+=@".contains(&b);
    (1..=128).contains(&id.len()) && id.bytes().all(may_stand)
}

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestIds").field("trust", &self.trusting).finish_non_exhaustive()
    }
}
