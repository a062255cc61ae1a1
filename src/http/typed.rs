//! Path and query of a request as a struct, by serde.

#![forbid(unsafe_code)]

use http::StatusCode;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::request::{Request, percent_decode};

impl Request<'_> {
    /// The parameters of the route as a struct with fields of their names.
    ///
    /// ```
    /// use sward::http::{Error, Request, Router};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Page {
    ///     chapter: String,
    ///     number: u32,
    /// }
    ///
    /// let app = Router::new().get("/{chapter}/{number}", |req: &mut Request| {
    ///     let page: Page = req.params_as()?;
    ///     Ok::<_, Error>(format!("{} {}", page.chapter, page.number + 1))
    /// });
    /// # drop(app);
    /// ```
    ///
    /// # Errors
    ///
    /// 400 if they do not fit `T`. A struct with a field that the route has no parameter for never fits.
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.matched.pairs(self.path()) {
            pairs.append_pair(name, &percent_decode(value)?);
        }
        from_pairs(&pairs.finish(), "path")
    }

    /// The query as a struct. Absent fields may be `Option`s, or have a default.
    ///
    /// # Errors
    ///
    /// 400 if it does not fit `T`.
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_pairs(self.query_str().unwrap_or(""), "query")
    }
}

fn from_pairs<T: DeserializeOwned>(pairs: &str, what: &str) -> Result<T, Error> {
    serde_urlencoded::from_str(pairs).map_err(|error| {
        let text = format!("the {what} is not what was expected: {error}");
        Error::new(StatusCode::BAD_REQUEST, text)
    })
}
