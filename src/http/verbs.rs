//! One method of [`Router`] per method of HTTP. Written out rather than made by a macro: it would be shown in every
//! message of the compiler about a handler that is none.

#![forbid(unsafe_code)]

use http::Method;

use super::into_response::IntoResponse;
use super::request::Request;
use super::router::Router;

impl Router {
    /// Adds a handler for `GET`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn get<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::GET, path, handler)
    }

    /// Adds a handler for `POST`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn post<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::POST, path, handler)
    }

    /// Adds a handler for `PUT`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn put<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::PUT, path, handler)
    }

    /// Adds a handler for `PATCH`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn patch<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::PATCH, path, handler)
    }

    /// Adds a handler for `DELETE`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn delete<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::DELETE, path, handler)
    }

    /// Adds a handler for `HEAD`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn head<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::HEAD, path, handler)
    }

    /// Adds a handler for `OPTIONS`.
    ///
    /// # Panics
    ///
    /// As [`Router::route`].
    #[track_caller]
    pub fn options<F, R>(self, path: &str, handler: F) -> Router
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.route(Method::OPTIONS, path, handler)
    }
}
