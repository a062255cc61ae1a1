//! Connections: the name is looked up, every address judged, what passes is dialled, TLS on top. All in one go: between judging
//! and dialling nobody is asked again.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::{Failure, Shared};
use crate::net::{TcpStream, ToSocketAddrs};
use crate::timeout::timeout;
use crate::webhook::guard::{Host, Target};

/// Of a name's addresses, so many are tried.
const TRIED: usize = 8;

/// Looks up names. It may wait; on green threads it is called on one.
///
/// The [`Guard`](crate::webhook::Guard) judges whatever it returns.
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`, with `port`.
    ///
    /// # Errors
    /// If there is none, or nobody knows.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system, on the pool for blocking calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// A connection to an address that was let through.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) address: SocketAddr,
    pub(super) born: Instant,
    /// It has served a request before.
    pub(super) reused: bool,
}

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Shared {
    /// A new connection, within the time for it.
    pub(super) fn dial(
        &self,
        target: &Target,
        address: &mut Option<SocketAddr>,
    ) -> Result<Connection, Failure> {
        let limit = self.config.connect_timeout;
        let deadline = Instant::now() + limit;
        // What it is at when the time is up.
        let looking_up = Cell::new(true);
        let outcome = timeout(limit, || {
            let addresses = self.addresses(target)?;
            looking_up.set(false);
            let tcp = self.connect(&addresses, deadline, address)?;
            let stream = match target.is_https() {
                false => Stream::Plain(tcp),
                true => self.secure(target, tcp)?,
            };
            let address = address.unwrap_or_else(|| addresses[0]);
            Ok(Connection { stream, address, born: Instant::now(), reused: false })
        });
        outcome.unwrap_or_else(|_| {
            Err(match looking_up.get() {
                true => Failure::Resolve(too_slow(limit)),
                false => Failure::Connect(too_slow(limit)),
            })
        })
    }

    /// The addresses that may be dialled; at least one.
    fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Failure> {
        let found = match target.host() {
            // Not by the resolver: it need not read it as we do.
            Host::Address(address) => vec![SocketAddr::new(*address, target.port())],
            Host::Name(name) => self.look_up(name, target.port())?,
        };
        let mut refused = None;
        let mut good = Vec::new();
        for address in found {
            match self.guard.check(address.ip()) {
                Ok(()) => good.push(address),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        good.truncate(TRIED);
        match refused {
            Some(why) if good.is_empty() => Err(Failure::Refused(why)),
            None if good.is_empty() => Err(Failure::Resolve("it has no address".into())),
            _ => Ok(good),
        }
    }

    fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let permit = self.lookups.acquire_owned();
        let (resolver, name) = (self.config.resolver.clone(), name.to_owned());
        // On a green thread of its own: when our time is up, the look-up may go on, and so does its permit.
        let look_up = move || {
            let found = resolver.resolve(&name, port);
            drop(permit);
            found
        };
        let found = match crate::thread::is_green() {
            false => look_up(),
            true => match crate::thread::spawn(look_up).join() {
                Ok(found) => found,
                Err(_) => Err(io::Error::other("the resolver panicked")),
            },
        };
        found.map_err(|error| interrupted(&error).unwrap_or(Failure::Resolve(error.to_string())))
    }

    fn connect(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
        dialled: &mut Option<SocketAddr>,
    ) -> Result<TcpStream, Failure> {
        let mut last = String::new();
        for (at, address) in addresses.iter().enumerate() {
            // One that does not answer leaves time for the others.
            let others = (addresses.len() - at) as u32;
            let left = deadline.saturating_duration_since(Instant::now()) / others;
            *dialled = Some(*address);
            let connected = TcpStream::connect_timeout(address, left.max(Duration::from_millis(1)));
            match connected.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
                Ok(tcp) => return Ok(tcp),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    last = too_slow(self.config.connect_timeout);
                }
                Err(error) => match interrupted(&error) {
                    Some(failure) => return Err(failure),
                    None => last = error.to_string(),
                },
            }
        }
        Err(Failure::Connect(last))
    }

    fn secure(&self, target: &Target, mut tcp: TcpStream) -> Result<Stream, Failure> {
        let tls = |error: &dyn fmt::Display| Failure::Tls(error.to_string());
        let name = match target.host() {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|e| tls(&e))?,
        };
        let mut session =
            ClientConnection::new(self.config.roots.config(), name).map_err(|e| tls(&e))?;
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(&mut tcp) {
                return Err(match error.kind() {
                    ErrorKind::TimedOut => Failure::Connect(too_slow(self.config.connect_timeout)),
                    ErrorKind::UnexpectedEof => tls(&"the connection was closed in the handshake"),
                    _ => interrupted(&error).unwrap_or_else(|| tls(&error)),
                });
            }
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, tcp))))
    }
}

fn too_slow(limit: Duration) -> String {
    format!("not within {limit:?}")
}

/// If it is the end of the green thread, not that of the connection.
pub(super) fn interrupted(error: &io::Error) -> Option<Failure> {
    const ECANCELED: i32 = 125;
    (error.raw_os_error() == Some(ECANCELED)).then_some(Failure::Cancelled)
}

impl Stream {
    /// Whether it is as it was left: open, and nothing has come that nobody asked for.
    pub(super) fn is_quiet(&self) -> bool {
        let tcp = match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        };
        let look = || -> io::Result<bool> {
            tcp.set_nonblocking(true)?;
            let peeked = tcp.peek(&mut [0]);
            tcp.set_nonblocking(false)?;
            Ok(matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock))
        };
        look().unwrap_or(false)
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Tls(tls) => match tls.read(buf) {
                // Closed without saying so first. What matters here says how long it is.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(buf),
            Stream::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}
