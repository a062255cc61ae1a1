//! What a WebSocket accepts, and whom: plain data with safe defaults.

#![forbid(unsafe_code)]

use std::time::Duration;

/// Limits and time-outs of a [`WebSocket`](super::WebSocket), and who may open one.
///
/// How long one send may take is the server's
/// [`Config::write_timeout`](crate::http::Config::write_timeout).
///
/// ```
/// use sward::http::ws::{Config, Origins};
///
/// let mut config = Config::default();
/// config.protocols = vec!["chat.v2".into(), "chat.v1".into()];
/// config.origins = Origins::Listed(vec!["https://chat.example".into()]);
/// assert_eq!(config.max_message, 1 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Pages that may connect. Default: those of the same host.
    pub origins: Origins,
    /// Subprotocols that are spoken. The first of the client's that is among them is chosen; if none is,
    /// the connection has none. Default: none.
    pub protocols: Vec<String>,
    /// Bytes in a message, decompressed. Then the connection is closed with 1009. Default 1 MiB.
    pub max_message: usize,
    /// Bytes in one frame of a message. Then the same. Default 1 MiB.
    pub max_frame: usize,
    /// After this long without a byte from the client, [`read`](super::WebSocket::read) sends a ping.
    /// Default 30 s.
    pub ping_after: Duration,
    /// How long the client may take to answer that ping, or to send anything else. Then `read` fails.
    /// Default 30 s.
    pub pong_timeout: Duration,
    /// Whether messages may be compressed (permessage-deflate). Costs CPU rather than memory: no state
    /// is kept between messages. Default false.
    pub deflate: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            origins: Origins::SameHost,
            protocols: Vec::new(),
            max_message: 1 << 20,
            max_frame: 1 << 20,
            ping_after: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(30),
            deflate: false,
        }
    }
}

/// Whose pages may open a WebSocket here.
///
/// Browsers let any page connect anywhere, cookies included, and leave it to the server to look at the
/// `Origin` header. Clients that are no browsers send none; they are always let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages of the host that the request is for: `Origin` fits `Host`.
    #[default]
    SameHost,
    /// Those, and the listed ones, each as a browser sends it: `https://example.com`, with a port if it is
    /// not the usual one.
    Listed(Vec<String>),
    /// All. Only for what everybody may see, or where something other than a cookie says who asks.
    Any,
}

impl Origins {
    /// Whether a page from `origin` may connect to `host`.
    pub(crate) fn allow(&self, origin: &str, host: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::SameHost => is_same_host(origin, host),
            Origins::Listed(listed) => {
                is_same_host(origin, host)
                    || listed.iter().any(|known| known.eq_ignore_ascii_case(origin))
            }
        }
    }
}

/// The scheme does not count: behind a proxy that ends TLS we cannot know it.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, from)) = origin.split_once("://") else {
        return false; // `null`: a page without an origin
    };
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare =
        |authority: &str| authority.strip_suffix(usual).unwrap_or(authority).to_ascii_lowercase();
    !from.is_empty() && bare(from) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let listed = Origins::Listed(vec!["https://other.example".into()]);
        for (origin, host, same, among) in [
            ("http://a.example", "a.example", true, true),
            ("https://A.example", "a.Example:443", true, true),
            ("http://a.example:8080", "a.example:8080", true, true),
            ("http://127.0.0.1:80", "127.0.0.1", true, true),
            ("http://[::1]:9", "[::1]:9", true, true),
            ("https://other.example", "a.example", false, true),
            ("http://other.example", "a.example", false, false),
            ("http://a.example:81", "a.example", false, false),
            ("http://a.example", "a.example:81", false, false),
            ("http://a.example.evil", "a.example", false, false),
            ("http://evil-a.example", "a.example", false, false),
            ("http://a.example/x", "a.example", false, false),
            ("null", "a.example", false, false),
            ("http://", "", false, false),
            ("", "", false, false),
        ] {
            assert_eq!(Origins::SameHost.allow(origin, host), same, "{origin} {host}");
            assert_eq!(listed.allow(origin, host), among, "{origin} {host}");
            assert!(Origins::Any.allow(origin, host));
        }
    }
}
