//! One line per request, to any writer: the Common Log Format, or JSON.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::auth::User;
use super::request_id::RequestId;
use super::{Middleware, Next, watch};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::sync::Mutex;

/// Writes a line for each request when its handler is done: one that panics too, as a 500.
///
/// Each line is one `write_all` and is flushed by nobody: give it a writer that does what you want of it. A line
/// that cannot be written is lost. The body of a stream comes after the line, so its size is unknown.
///
/// ```
/// use sward::http::{Request, Router, middleware::AccessLog};
///
/// let app = Router::new()
///     .get("/", |_: &mut Request| "hello")
///     .with(AccessLog::common(std::io::stdout()));
/// # drop(app);
/// ```
///
/// Inside of [`TrustedProxies`](super::TrustedProxies) it knows the client behind the proxy; ids and users are
/// known if their middleware is inside or outside of it.
pub struct AccessLog<W> {
    to: Mutex<W>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Common,
    Json,
}

/// What is known of one request.
struct Entry<'e> {
    time: String,
    client: String,
    user: Option<&'e str>,
    method: &'e str,
    uri: &'e str,
    version: &'static str,
    route: Option<&'static str>,
    status: u16,
    bytes: Option<u64>,
    duration_us: u64,
    referer: Option<&'e str>,
    user_agent: Option<&'e str>,
    request_id: Option<&'e str>,
}

impl<W: Write + Send + 'static> AccessLog<W> {
    /// Lines as `127.0.0.1 - ann [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 5`.
    pub fn common(to: W) -> AccessLog<W> {
        AccessLog { to: Mutex::new(to), form: Form::Common }
    }

    /// An object per line: time (RFC 3339), client, user, method, uri, version, route, referer, user_agent,
    /// request_id, status, bytes, duration_us; what is not known is left out.
    pub fn json(to: W) -> AccessLog<W> {
        AccessLog { to: Mutex::new(to), form: Form::Json }
    }

    fn write(&self, request: &Request<'_>, response: Option<&Response>, took: Duration) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let extensions = request.extensions();
        let is_head = *request.method() == Method::HEAD;
        let entry = Entry {
            time: match self.form {
                Form::Common => common_time(&date),
                Form::Json => rfc3339(&date),
            },
            client: request.client_addr().to_string(),
            user: extensions.get::<User>().map(|user| user.0.as_str()),
            method: request.method().as_str(),
            uri: request.uri(),
            version: if request.version() == http::Version::HTTP_11 { "1.1" } else { "1.0" },
            route: request.route(),
            status: response.map_or(500, |response| response.status().as_u16()),
            bytes: response.and_then(Response::body_len).filter(|_| !is_head),
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            referer: request.header("referer"),
            user_agent: request.header("user-agent"),
            request_id: extensions.get::<RequestId>().map(RequestId::as_str),
        };
        let line = match self.form {
            Form::Common => entry.common(),
            Form::Json => entry.json(),
        };
        let mut to = self.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // OK to ignore the error: there is no better place to say it.
        let _ = to.write_all(&line);
    }
}

impl<W: Write + Send + 'static> Middleware for AccessLog<W> {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let start = Instant::now();
        watch(request, next, |request, response| self.write(request, response, start.elapsed()))
    }
}

impl Entry<'_> {
    fn common(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(128);
        let user = self.user.map_or("-".into(), |user| user.replace(' ', "_"));
        line.extend_from_slice(self.client.as_bytes());
        line.extend_from_slice(b" - ");
        escape(&mut line, &user);
        line.extend_from_slice(format!(" [{}] \"{} ", self.time, self.method).as_bytes());
        escape(&mut line, self.uri);
        line.extend_from_slice(format!(" HTTP/{}\" {} ", self.version, self.status).as_bytes());
        match self.bytes {
            Some(n) => line.extend_from_slice(n.to_string().as_bytes()),
            None => line.push(b'-'),
        }
        line.push(b'\n');
        line
    }

    fn json(&self) -> Vec<u8> {
        // OK to lose it: text and numbers can always be JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// By hand: the derive macro would be a build dependency of everybody for this one struct.
impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        let mut text = |name: &str, value: Option<&str>| match value {
            Some(value) => map.serialize_entry(name, value),
            None => Ok(()),
        };
        text("time", Some(&self.time))?;
        text("client", Some(&self.client))?;
        text("user", self.user)?;
        text("method", Some(self.method))?;
        text("uri", Some(self.uri))?;
        text("version", Some(self.version))?;
        text("route", self.route)?;
        text("referer", self.referer)?;
        text("user_agent", self.user_agent)?;
        text("request_id", self.request_id)?;
        map.serialize_entry("status", &self.status)?;
        if let Some(bytes) = self.bytes {
            map.serialize_entry("bytes", &bytes)?;
        }
        map.serialize_entry("duration_us", &self.duration_us)?;
        map.end()
    }
}

/// What a client sent must end neither the field nor the line.
fn escape(line: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `06/Nov/1994:08:49:37 +0000`.
fn common_time(date: &str) -> String {
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

/// The same as `1994-11-06T08:49:37Z`.
fn rfc3339(date: &str) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(&date[8..11]).unwrap_or(0) / 3 + 1;
    format!("{}-{month:02}-{}T{}Z", &date[12..16], &date[5..7], &date[17..25])
}

impl<W> fmt::Debug for AccessLog<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("form", &self.form).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(common_time(date), "06/Nov/1994:08:49:37 +0000");
        assert_eq!(rfc3339(date), "1994-11-06T08:49:37Z");
        assert_eq!(rfc3339("Thu, 01 Jan 1970 00:00:00 GMT"), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn nothing_ends_a_line() {
        let mut line = Vec::new();
        escape(&mut line, "a\"b\\c\nd\u{e9} ~");
        assert_eq!(line, br#"a\"b\\c\x0ad\xc3\xa9 ~"#);
    }
}
