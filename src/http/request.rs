//! A request as its handler sees it. Everything borrows from the connection's buffer; nothing is copied or
//! built before it is asked for.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde::de::DeserializeOwned;

use super::body::Body;
use super::error::{ClientGone, Error};
use super::head::Head;
use super::nesting;
use super::route::Matched;

/// A request. It lives as long as its handler runs and borrows from the connection.
///
/// What cannot be answered without a valid input returns an [`Error`] that says to the client what is
/// wrong, so that handlers can use `?`:
///
/// ```
/// use sward::http::{Error, Request, Router};
///
/// let app = Router::new().get("/add/{a}/{b}", |req: &mut Request| -> Result<String, Error> {
///     let (a, b): (i64, i64) = (req.param("a")?, req.param("b")?);
///     Ok((a + b).to_string())
/// });
/// # drop(app);
/// ```
pub struct Request<'r> {
    /// The parsed head.
    head: &'r Head<'r, 'r>,
    /// What the router matched.
    pub(crate) matched: Matched,
    /// The body.
    body: Body<'r>,
    /// Who asks.
    peer: &'r SocketAddr,
    /// The same behind proxies, if middleware found it out.
    client: Option<IpAddr>,
    /// What middleware left for handlers.
    extensions: Extensions,
}

impl<'r> Request<'r> {
    pub(crate) fn new(head: &'r Head<'r, 'r>, body: Body<'r>, peer: &'r SocketAddr) -> Request<'r> {
        Request {
            head,
            matched: Matched::default(),
            body,
            peer,
            client: None,
            extensions: Extensions::new(),
        }
    }

    /// The method.
    pub fn method(&self) -> &'r Method {
        &self.head.method
    }

    /// The path, as sent: still percent-encoded, without the query.
    pub fn path(&self) -> &'r str {
        self.head.path
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        if self.head.is_11 { Version::HTTP_11 } else { Version::HTTP_10 }
    }

    /// The request target as sent: usually path and query.
    pub fn uri(&self) -> &'r str {
        self.head.target
    }

    /// The client's address, or that of the proxy before us, unless that proxy announces its clients.
    pub fn peer_addr(&self) -> SocketAddr {
        *self.peer
    }

    /// The other end of the connection, if that is a proxy that has announced the client by the PROXY protocol
    /// ([`Listener::proxy_protocol`](super::Listener::proxy_protocol)); [`Request::peer_addr`] is the client's then.
    pub fn proxy_addr(&self) -> Option<SocketAddr> {
        self.body.link().proxy.copied()
    }

    /// The client's address: behind proxies what [`TrustedProxies`](super::middleware::TrustedProxies) found, else
    /// that of [`Request::peer_addr`].
    pub fn client_addr(&self) -> IpAddr {
        self.client.unwrap_or_else(|| self.peer.ip().to_canonical())
    }

    /// Whether it came over TLS to this server. (What a proxy before us did is in its headers.)
    pub fn is_tls(&self) -> bool {
        self.body.link().tls.is_some()
    }

    /// What the TLS handshake said of the client; `None` if the request did not come over TLS.
    ///
    /// ```
    /// use sward::http::{Request, Router};
    ///
    /// let app = Router::new().get("/", |req: &mut Request| match req.tls() {
    ///     Some(tls) => format!("you asked for {:?} by {}", tls.server_name(), tls.version()),
    ///     None => "anybody can read this".to_string(),
    /// });
    /// # drop(app);
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&'r super::tls::TlsClient> {
        self.body.link().tls?.client()
    }

    /// The client's certificate, and behind it those that lead to its authority, verified: see
    /// [`Tls::require_client_certificates`](super::Tls::require_client_certificates). Empty without.
    #[cfg(feature = "tls")]
    pub fn client_certificates(&self) -> &'r [super::rustls::pki_types::CertificateDer<'static>] {
        self.tls().map_or(&[], super::tls::TlsClient::certificates)
    }

    pub(crate) fn set_client(&mut self, client: IpAddr) {
        self.client = Some(client);
    }

    /// The first header with this name (in any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&'r str> {
        let (_, value) = self.headers().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// All headers as they came, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'r str, &'r [u8])> + use<'r> {
        self.head.headers.iter().map(|header| (header.name, header.value))
    }

    /// All headers as a map of the `http` crate, built on each call.
    pub fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.head.headers.len());
        for (name, value) in self.headers() {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// The part of the path that the route calls `{name}`, percent-decoded and parsed.
    ///
    /// # Errors
    ///
    /// 400 if it does not parse. 500 if the route has no such parameter.
    pub fn param<T>(&self, name: &str) -> Result<T, Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(value) = self.matched.get(self.path(), name) else {
            let text = format!("the route of {} has no parameter {name:?}", self.path());
            return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        };
        parse("path parameter", name, &percent_decode(value)?)
    }

    /// The route that was matched, as it was written: `/users/{id}`. `None` before the router has looked (that
    /// is, in middleware before [`Next::run`](super::Next::run)), and where no route is.
    ///
    /// Good for logs and metrics, since it has as many values as there are routes.
    pub fn route(&self) -> Option<&'static str> {
        self.matched.pattern.map(|pattern| &*pattern.text)
    }

    /// What of the path is left for a handler that was mounted at a prefix: empty, or from a slash on. Still
    /// percent-encoded. Outside of a mount the whole path.
    pub fn sub_path(&self) -> &'r str {
        &self.path()[self.matched.tail..]
    }

    /// Values by type, that middleware leaves for handlers.
    ///
    /// ```
    /// use sward::http::{Next, Request, Router};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let app = Router::new()
    ///     .get("/", |req: &mut Request| {
    ///         req.extensions().get::<User>().map(|user| format!("hello, {}", user.0))
    ///     })
    ///     .with(|req: &mut Request, next: Next| {
    ///         req.extensions_mut().insert(User("ann".into()));
    ///         next.run(req)
    ///     });
    /// # drop(app);
    /// ```
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The same, to add to.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The first `name=value` of the query, decoded and parsed. `None` if there is none.
    ///
    /// # Errors
    ///
    /// 400 if it does not parse.
    pub fn query<T>(&self, name: &str) -> Result<Option<T>, Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.query_pairs().find(|(given, _)| given == name) {
            Some((_, value)) => parse("query parameter", name, &value).map(Some),
            None => Ok(None),
        }
    }

    /// The query as sent: what follows the `?`.
    pub fn query_str(&self) -> Option<&'r str> {
        self.head.query
    }

    /// The query, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)> + use<'r> {
        form_urlencoded::parse(self.head.query.unwrap_or("").as_bytes())
    }

    /// The body, to be read piece by piece. Up to [`Config::max_body`](super::Config::max_body) bytes,
    /// unless [`Request::set_body_limit`] said otherwise.
    pub fn body(&mut self) -> &mut Body<'r> {
        &mut self.body
    }

    /// Runs `f`; what it waits for ends when the client goes away: closes the connection, resets it, or ends its
    /// sending side, which counts as gone here though it could still listen (curl and browsers never do that while
    /// they wait). So nobody works on for a client that has given up.
    ///
    /// It is a scope as that of [`timeout`](crate::timeout()): I/O returns an error of kind
    /// [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted), and what cannot return an error (`sleep`,
    /// `Mutex::lock`, `recv`) unwinds to here; destructors run, and no lock is poisoned. Code that does not wait runs
    /// on, and if `f` returns, its value is returned. What the client sends meanwhile is left for later.
    ///
    /// A streamed body's producer ([`Response::stream`](super::Response::stream), [`Sse`](super::Sse)) is in such a
    /// scope always.
    ///
    /// In green mode only. On OS threads, whose waits nobody can end, `f` just runs, and it is sending the answer that
    /// fails.
    ///
    /// # Errors
    ///
    /// [`ClientGone`], which a handler may return, and which `?` turns into an [`Error`].
    ///
    /// ```
    /// use sward::http::{Request, Router};
    /// use sward::sync::mpsc::channel;
    ///
    /// let app = Router::new().get("/slow", |req: &mut Request| {
    ///     let (job, result) = channel();
    ///     sward::thread::spawn(move || job.send("found".to_string()));
    ///     req.while_connected(|| result.recv().unwrap_or_default())
    /// });
    /// # drop(app);
    /// ```
    pub fn while_connected<T>(&self, f: impl FnOnce() -> T) -> Result<T, ClientGone> {
        self.body.link().while_connected(f)
    }

    /// Sets how many bytes of the body (that are not read yet) may be read.
    pub fn set_body_limit(&mut self, limit: u64) {
        self.body.set_limit(limit);
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// 413 if it is over the limit, 408 if it comes too slowly, 400 if it is malformed or cut off.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        self.body.read_all()
    }

    /// The whole body as text.
    ///
    /// # Errors
    ///
    /// As [`Request::bytes`], and 400 if it is not UTF-8.
    pub fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?).map_err(|_| bad_request("the body is not UTF-8"))
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    ///
    /// As [`Request::bytes`]; 415 if the Content-Type is not JSON (so that a foreign web page cannot
    /// make a browser send it unasked), 400 if it is not valid or nested deeper than 64 arrays and objects (a green
    /// thread's stack has an end), 422 if it does not fit `T`.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mime = self.mime();
        let is_json = mime.eq_ignore_ascii_case("application/json")
            || mime.to_ascii_lowercase().ends_with("+json");
        if !is_json {
            return Err(unsupported("application/json"));
        }
        let body = self.bytes()?;
        if nesting::depth(&body) > nesting::DEEPEST {
            return Err(bad_request("the JSON body is nested too deeply"));
        }
        serde_json::from_slice(&body).map_err(|error| {
            let status = match error.classify() {
                serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            Error::new(status, format!("the JSON body is not what was expected: {error}"))
        })
    }

    /// The fields of a form that was sent as `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    ///
    /// As [`Request::bytes`], and 415 for another Content-Type.
    pub fn form(&mut self) -> Result<Vec<(String, String)>, Error> {
        let bytes = self.form_bytes()?;
        let pairs = form_urlencoded::parse(&bytes);
        Ok(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The same as a struct.
    ///
    /// # Errors
    ///
    /// As [`Request::form`], and 422 if it does not fit `T`.
    pub fn form_as<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_urlencoded::from_bytes(&self.form_bytes()?).map_err(|error| {
            let text = format!("the form is not what was expected: {error}");
            Error::new(StatusCode::UNPROCESSABLE_ENTITY, text)
        })
    }

    fn form_bytes(&mut self) -> Result<Vec<u8>, Error> {
        let expected = "application/x-www-form-urlencoded";
        if !self.mime().eq_ignore_ascii_case(expected) {
            return Err(unsupported(expected));
        }
        self.bytes()
    }

    /// The Content-Type without its parameters.
    fn mime(&self) -> &'r str {
        self.header("content-type").and_then(|value| value.split(';').next()).unwrap_or("").trim()
    }
}

impl Read for Request<'_> {
    /// Reads from the body.
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(buf)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("uri", &self.uri())
            .field("version", &self.version())
            .field("peer_addr", &self.peer)
            .finish_non_exhaustive()
    }
}

fn parse<T>(what: &str, name: &str, value: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: Display,
{
    value
        .parse()
        .map_err(|why| bad_request(format!("{what} {name:?}: {value:?} is not valid: {why}")))
}

fn bad_request(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, message)
}

fn unsupported(expected: &'static str) -> Error {
    Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the Content-Type must be {expected}"))
}

pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| bad_request("a part of the path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding() {
        for (text, decoded) in [
            ("", ""),
            ("a+b", "a+b"),
            ("a%20b", "a b"),
            ("%C3%a9", "é"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz1", "%zz1"),
        ] {
            assert_eq!(percent_decode(text).unwrap(), decoded);
        }
        assert_eq!(percent_decode("%ff").unwrap_err().status(), 400);
    }
}
