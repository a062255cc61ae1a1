//! [`Client`]: one attempt. A request to somebody's URL, and what came of it, within bounds of time and size.
//!
//! The other side is not to be trusted: it may hang, send one byte a second or never stop, redirect to our own network, or be
//! in it. It may cost us the time that it is allowed, and nothing else.
//!
//! What it is not: a general HTTP client. No redirects, no proxies, no cookies, no compression: what is not there cannot be
//! turned against us. The protocol itself is ureq's (`ureq-proto`, which eats bytes), the sockets are ours.
//!
//! To read on: `dial.rs` makes connections, `tls.rs` whom they trust, `idle.rs` keeps them, `exchange.rs` talks HTTP.

#![forbid(unsafe_code)]

mod dial;
mod exchange;
mod idle;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

pub use self::dial::{Resolve, SystemResolver};
use self::idle::{Idle, Origin};
pub use self::tls::Roots;
use super::guard::{Guard, Refused, Target};
use crate::sync::Semaphore;
use crate::timeout::timeout;

/// Names that are looked up at once. Each look-up may hold a thread of the pool for blocking calls for as long as the resolver
/// likes, and the pool has other users.
const LOOKUPS: usize = 32;

/// How a [`Client`] posts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// At most so long until there is a connection: looking up the name, connecting, and the TLS handshake. 5 s.
    pub connect_timeout: Duration,
    /// At most so long for all of it. 15 s.
    pub total_timeout: Duration,
    /// So much of an answer's body is read, in bytes. 16 KiB.
    pub response_cap: usize,
    /// The `user-agent` header. `sward-webhook/` and the version.
    pub user_agent: String,
    /// Whose certificates are trusted. Mozilla's list, as compiled in.
    pub roots: Roots,
    /// Who looks up names. The system.
    pub resolver: Arc<dyn Resolve>,
    /// At most so many connections that nobody uses are kept, to be used again. 64; none with 0.
    pub keep_connections: usize,
    /// For so long. 15 s.
    pub keep_for: Duration,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            response_cap: 16 << 10,
            user_agent: concat!("sward-webhook/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: Roots::mozilla(),
            resolver: Arc::new(SystemResolver),
            keep_connections: 64,
            keep_for: Duration::from_secs(15),
        }
    }
}

/// Posts to other people's URLs, from green threads and OS threads alike. Cheap to clone; clones share their connections.
///
/// Every connection goes to an address that its [`Guard`] has let through. A connection that was used may be used again, for
/// the same host and port; one that turns out to be closed by then is replaced, and the request sent again: this is the one
/// case in which an attempt sends twice.
///
/// TLS is 1.3 or 1.2, by rustls: servers that know only what is broken or has no forward secrecy are [`Failure::Tls`].
///
/// ```
/// use sward::webhook::{Client, ClientConfig, Failure, Guard};
///
/// let client = Client::new(ClientConfig::default(), Guard::default());
/// let answer = client.post("http://127.0.0.1:1/", &[], b"{}");
/// assert!(matches!(answer.result, Err(Failure::Refused(_))), "it is ours");
/// ```
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    guard: Guard,
    idle: Idle,
    lookups: Arc<Semaphore>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// How long it took.
    pub took: Duration,
    /// The address that was dialled, if it came to that; of several the last.
    pub address: Option<SocketAddr>,
    /// The reply, whatever its status, or why there is none.
    pub result: Result<Reply, Failure>,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status. A redirect is one as any other.
    pub status: u16,
    /// When to come again, from now. (`Retry-After` in seconds or as a date; not more than a year.)
    pub retry_after: Option<Duration>,
    /// The beginning of the body, as far as it is UTF-8.
    pub body: String,
    /// Whether there was more, or would have been: what comes after the head may be cut off, or too slow, and the status
    /// still stands.
    pub truncated: bool,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The guard does not allow the address.
    Refused(Refused),
    /// The URL is none to post to.
    BadUrl(&'static str),
    /// A header cannot be sent: its name.
    BadHeader(String),
    /// The name has no address, or nobody says.
    Resolve(String),
    /// There was no connection.
    Connect(String),
    /// There was no reply in time.
    Timeout,
    /// The server is not who it should be, or does not speak TLS.
    Tls(String),
    /// What came is not HTTP, or stopped before the head's end.
    Protocol(String),
    /// The green thread was cancelled.
    Cancelled,
}

impl Client {
    /// A client that dials what `guard` lets through.
    #[must_use]
    pub fn new(config: ClientConfig, guard: Guard) -> Client {
        let idle = Idle::new(config.keep_connections, config.keep_for);
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Client(Arc::new(Shared { config, guard, idle, lookups }))
    }

    /// Its guard.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Posts `body`, with these headers beside `host`, `content-length`, `accept` and, unless it is given, `user-agent`.
    ///
    /// Parks a green thread, blocks an OS thread, until there is an answer or the time is up; for names on OS threads, whose
    /// look-up nobody can end, somewhat longer. When the green thread is cancelled it ends at once, with
    /// [`Failure::Cancelled`] or by unwinding.
    #[must_use]
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.attempt(&Method::POST, url, headers, body)
    }

    /// Gets, without headers of one's own: for the challenge that shows that an endpoint wants its messages.
    #[must_use]
    pub fn get(&self, url: &str) -> Answer {
        self.attempt(&Method::GET, url, &[], b"")
    }

    fn attempt(&self, method: &Method, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let began = Instant::now();
        let mut address = None;
        let outcome = timeout(self.0.config.total_timeout, || {
            let target = self.0.guard.check_url(url)?;
            let agent = &self.0.config.user_agent;
            let request = exchange::Request::new(method, &target, headers, agent, body)?;
            self.0.send(&target, &request, &mut address)
        });
        let result = outcome.unwrap_or(Err(Failure::Timeout));
        Answer { took: began.elapsed(), address, result }
    }
}

impl Shared {
    fn send(
        &self,
        target: &Target,
        request: &exchange::Request<'_>,
        address: &mut Option<SocketAddr>,
    ) -> Result<Reply, Failure> {
        let origin = Origin::of(target);
        let mut connection = match self.idle.take(&origin) {
            Some(connection) => connection,
            None => self.dial(target, address)?,
        };
        loop {
            *address = Some(connection.address);
            let (result, state) = request.exchange(&mut connection, self.config.response_cap);
            match state {
                exchange::State::Reusable => self.idle.put(origin, connection),
                // It was closed before it could have heard us, or as it did.
                exchange::State::Silent if connection.reused => {
                    connection = self.dial(target, address)?;
                    continue;
                }
                _ => {}
            }
            return result;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.0.config)
            .field("guard", &self.0.guard)
            .finish_non_exhaustive()
    }
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Failure {
        match why {
            Refused::Url(why) => Failure::BadUrl(why),
            why => Failure::Refused(why),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(why) => why.fmt(f),
            Failure::BadUrl(why) => f.write_str(why),
            Failure::BadHeader(name) => write!(f, "the header {name:?} cannot be sent"),
            Failure::Resolve(why) => write!(f, "the name cannot be resolved: {why}"),
            Failure::Connect(why) => write!(f, "no connection: {why}"),
            Failure::Timeout => f.write_str("no reply in time"),
            Failure::Tls(why) => write!(f, "TLS: {why}"),
            Failure::Protocol(why) => write!(f, "no HTTP reply: {why}"),
            Failure::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Failure {}
