//! ureq, an ordinary blocking HTTP client, over sward's sockets: on a green thread its reads and
//! writes park the green thread, on an OS thread they block it. The code that uses it cannot tell.
//! All it takes is a connector and a resolver; TLS is ureq's own, on top of ours.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use sward::net::{TcpStream, ToSocketAddrs};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, RustlsConnector, Transport,
};

const CONNECT: Duration = Duration::from_secs(10);

/// An agent whose reads fail after `stall` without a byte.
pub(crate) fn agent(stall: Duration) -> Agent {
    let config = Config::builder()
        .http_status_as_error(false) // the answer's body says why
        .proxy(None)
        .user_agent(concat!("sward-tweet-feed/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(stall))
        .timeout_per_write(Some(stall))
        .build();
    Agent::with_parts(config, SwardTcp.chain(RustlsConnector::default()), SwardResolver)
}

/// Whether a read failed because nothing came for too long.
pub(crate) fn is_stall(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>());
    error.kind() == io::ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

/// Name lookups on sward's pool of OS threads.
#[derive(Debug)]
struct SwardResolver;

impl Resolver for SwardResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let parts = uri.scheme().zip(uri.authority());
        let address = parts
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let mut found = self.empty();
        for addr in address.to_socket_addrs()?.take(16) {
            found.push(addr);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

#[derive(Debug)]
struct SwardTcp;

impl Connector<()> for SwardTcp {
    type Out = SwardTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _chained: Option<()>,
    ) -> Result<Option<SwardTransport>, ureq::Error> {
        let limit = details.timeout.not_zero().map_or(CONNECT, |t| *t);
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in &details.addrs {
            match TcpStream::connect_timeout(addr, limit) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let config = details.config;
                    let buffers =
                        LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(SwardTransport { stream, buffers }));
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }
}

struct SwardTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for SwardTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(timeout.not_zero().map(|t| *t))?;
        let written = self.stream.write_all(&self.buffers.output()[..amount]);
        written.map_err(|e| named(e, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(timeout.not_zero().map(|t| *t))?;
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = read.map_err(|e| named(e, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Asked before a kept connection is used again. Closed, or bytes that nobody asked for:
        // both mean no.
        let quiet = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let answer = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(matches!(answer, Err(e) if e.kind() == io::ErrorKind::WouldBlock))
        };
        quiet(&self.stream).unwrap_or(false)
    }
}

/// A socket's time-out comes as one of two kinds; ureq wants to know which of its limits it was.
fn named(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

impl fmt::Debug for SwardTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwardTransport").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}
