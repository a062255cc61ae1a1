//! The handlers of one path, by method.

#![forbid(unsafe_code)]

use http::{Method, StatusCode};

use super::into_response::IntoResponse;
use super::request::Request;
use super::response::Response;
use super::router::Handler;

/// The handlers of one path.
#[derive(Default)]
pub(crate) struct Route {
    /// Few, so a list; GET mostly comes first.
    methods: Vec<(Method, Box<dyn Handler>)>,
    /// For the Allow header.
    pub(crate) allow: String,
}

impl Route {
    /// Adds a handler; panics if there is one for this method.
    #[track_caller]
    pub(crate) fn add(&mut self, method: Method, path: &str, handler: Box<dyn Handler>) {
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

    /// Answers by the method.
    #[inline]
    pub(crate) fn call(&self, request: &mut Request<'_>) -> Response {
        let method = request.method();
        let handler = match self.find(method) {
            None if *method == Method::HEAD => self.find(&Method::GET),
            handler => handler,
        };
        match handler {
            Some(handler) => handler.call(request),
            None => self.allowed(method),
        }
    }

    /// Says which methods there are. Not below the frames of handlers.
    #[cold]
    #[inline(never)]
    fn allowed(&self, asked: &Method) -> Response {
        let response = match *asked == Method::OPTIONS {
            true => Response::new(StatusCode::NO_CONTENT),
            false => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
        response.header("Allow", &self.allow)
    }
}
