//! Every limit and time-out of the server in one struct, with safe defaults. Plain data: who enforces a
//! field is said beside it.

#![forbid(unsafe_code)]

use std::time::Duration;

/// Limits and time-outs of a [`Server`](super::Server). All on by default.
///
/// ```
/// use std::time::Duration;
/// use sward::http::Config;
///
/// let mut config = Config::default();
/// config.max_body = 64 * 1024;
/// config.keep_alive_timeout = Duration::from_secs(5);
/// assert_eq!(config.max_headers, 100);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// From the first byte of a request to the end of its head; also from accepting a connection to
    /// the first byte on it. Then 408, or a plain close when nothing had come. Default 10 s.
    pub header_timeout: Duration,
    /// From accepting a connection to the end of its TLS handshake. Then it is closed. Default 10 s.
    pub tls_handshake_timeout: Duration,
    /// Between two reads of a request body. The read fails and the answer is 408. Default 30 s.
    pub body_timeout: Duration,
    /// For the client to take in what one write sends. The connection is cut. Default 30 s.
    pub write_timeout: Duration,
    /// Bytes per second that a client must manage with a request body, and with taking in a response, while the
    /// server waits for it. Slower ones get 408, or are cut. 0: no such rule. Default 240.
    pub min_rate: u64,
    /// Waiting, in all of a request or of a response, for which no rate is asked. Default 10 s.
    pub min_rate_grace: Duration,
    /// How long a connection may wait for its next request. Default 75 s.
    pub keep_alive_timeout: Duration,
    /// Header lines in a request head, then 431. Default 100.
    pub max_headers: usize,
    /// Bytes in one line of the head: 414 for the request line, 431 for a header. Default 16 KiB.
    pub max_line: usize,
    /// Bytes in the whole head, then 431. Default 64 KiB.
    pub max_head: usize,
    /// Bytes in a request body, then reading it fails and the answer is 413. A handler can set its own
    /// with [`Request::set_body_limit`](super::Request::set_body_limit). Default 2 MiB.
    pub max_body: u64,
    /// Open connections; at the limit the server stops accepting until one closes. Default 1,000,000:
    /// in practice the descriptor limit comes first.
    pub max_connections: usize,
    /// Open connections of one client, that is of one IPv4 address or one IPv6 /64 network, over all TCP listeners of
    /// the server; further ones are closed at once. Behind a proxy that announces its clients
    /// ([`Listener::proxy_protocol`](super::Listener::proxy_protocol)) theirs count. Default `None`: no limit, since a
    /// proxy of another kind, or a company behind one address, would be one client.
    pub max_connections_per_ip: Option<usize>,
    /// Connections that the kernel keeps for us until they are accepted. Default 1024 (capped by
    /// `net.core.somaxconn`).
    pub backlog: u32,
    /// Send small writes at once (`TCP_NODELAY`). Default true.
    pub nodelay: bool,
    /// What the `Server` header of every response says that does not set one itself. Default: none, and no such header.
    pub server_name: Option<String>,
    /// After [`ServerHandle::shutdown`](super::ServerHandle::shutdown): how long running requests may
    /// take to finish before their connections are cut. Default 30 s.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            header_timeout: Duration::from_secs(10),
            tls_handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            min_rate: 240,
            min_rate_grace: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            max_headers: 100,
            max_line: 16 << 10,
            max_head: 64 << 10,
            max_body: 2 << 20,
            max_connections: 1_000_000,
            max_connections_per_ip: None,
            backlog: 1024,
            nodelay: true,
            server_name: None,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}
