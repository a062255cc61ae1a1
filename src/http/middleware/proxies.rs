//! Who the client is when proxies are in front: from `X-Forwarded-For` or `Forwarded` (RFC 7239), as far as they
//! were written by proxies that we know.

#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::{Middleware, Next};
use crate::http::request::Request;
use crate::http::response::Response;

/// Finds the client behind proxies, for [`Request::client_addr`](crate::http::Request::client_addr).
///
/// Each proxy adds the address that it was called from at the end. They are read from there, as long as the address
/// that wrote the next one is a trusted proxy's; what a client writes into the header itself is not believed.
///
/// ```
/// use sward::http::{Request, Router, middleware::TrustedProxies};
///
/// let app = Router::new()
///     .get("/", |req: &mut Request| req.client_addr().to_string())
///     .with(TrustedProxies::x_forwarded_for(["127.0.0.1", "10.0.0.0/8"]));
/// # drop(app);
/// ```
///
/// One of the two headers only: a proxy that sets one passes the other on as the client wrote it.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    is_forwarded: bool,
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Network {
    first: IpAddr,
    bits: u32,
}

impl TrustedProxies {
    /// Proxies at these addresses or networks (`10.0.0.0/8`), which write `X-Forwarded-For`.
    ///
    /// # Panics
    ///
    /// If one is neither.
    #[track_caller]
    pub fn x_forwarded_for<S: AsRef<str>>(proxies: impl IntoIterator<Item = S>) -> TrustedProxies {
        TrustedProxies { networks: networks(proxies), is_forwarded: false }
    }

    /// The same for proxies that write `Forwarded`.
    ///
    /// # Panics
    ///
    /// If one is neither.
    #[track_caller]
    pub fn forwarded<S: AsRef<str>>(proxies: impl IntoIterator<Item = S>) -> TrustedProxies {
        TrustedProxies { networks: networks(proxies), is_forwarded: true }
    }

    fn trusts(&self, addr: IpAddr) -> bool {
        self.networks.iter().any(|network| network.has(addr))
    }

    /// The client, given the headers' lines in order.
    fn client<'h>(&self, peer: IpAddr, lines: impl Iterator<Item = &'h str>) -> IpAddr {
        let mut lines: Vec<&str> = lines.collect();
        let mut client = peer;
        while self.trusts(client) {
            let Some(line) = lines.last_mut() else { break };
            let (rest, last) = match last_comma(line) {
                Some(at) => (Some(&line[..at]), &line[at + 1..]),
                None => (None, *line),
            };
            match rest {
                Some(rest) => *line = rest,
                None => drop(lines.pop()),
            }
            let node = if self.is_forwarded { for_of(last) } else { Some(last.trim()) };
            // What is hidden or malformed ends the search: the proxy that wrote it is all that we know.
            let Some(addr) = node.and_then(address) else { break };
            client = addr;
        }
        client
    }
}

impl Middleware for TrustedProxies {
    fn call(&self, request: &mut Request<'_>, next: Next<'_>) -> Response {
        let header = if self.is_forwarded { "forwarded" } else { "x-forwarded-for" };
        let lines = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(header));
        // What is no text becomes an element that is no address.
        let lines = lines.map(|(_, value)| std::str::from_utf8(value).unwrap_or("?"));
        let client = self.client(request.peer_addr().ip().to_canonical(), lines);
        request.set_client(client);
        next.run(request)
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = addr.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { first, bits })
    }

    pub(in crate::http) fn has(&self, addr: IpAddr) -> bool {
        // The first bits are equal: what differs lies below them.
        match (self.first, addr) {
            (IpAddr::V4(first), IpAddr::V4(addr)) => {
                let differs = first.to_bits() ^ addr.to_bits();
                differs.leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(addr)) => {
                let differs = first.to_bits() ^ addr.to_bits();
                differs.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[track_caller]
pub(in crate::http) fn networks<S: AsRef<str>>(
    proxies: impl IntoIterator<Item = S>,
) -> Vec<Network> {
    let mut networks = Vec::new();
    for proxy in proxies {
        let proxy = proxy.as_ref();
        let Some(network) = Network::parse(proxy) else {
            panic!("neither an address nor a network: {proxy:?}");
        };
        networks.push(network);
    }
    networks
}

/// The last comma that is not in quotes.
fn last_comma(line: &str) -> Option<usize> {
    let mut quoted = false;
    let mut last = None;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => last = Some(at),
            _ => {}
        }
    }
    last
}

/// The value of `for` in one element of `Forwarded`.
fn for_of(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with a port or without, an IPv6 one in brackets or without.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let addr = bare.parse().ok().or_else(|| Some(node.parse::<SocketAddr>().ok()?.ip()))?;
    Some(addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_what_begins_alike() {
        for (network, addr, has) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.has(addr.parse().unwrap()), has, "{network:?} {addr}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a.example", "10.0.0.0/-1"] {
            assert!(Network::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn clients_are_found_from_the_end() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]);
        for (peer, lines, client) in [
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("9.9.9.9", &["1.1.1.1"], "9.9.9.9"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1,10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1,"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:80"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            let found = proxies.client(peer.parse().unwrap(), lines.iter().copied());
            assert_eq!(found.to_string(), client, "{peer} {lines:?}");
        }
        let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]);
        for (line, client) in [
            ("for=1.1.1.1", "1.1.1.1"),
            ("for=6.6.6.6, For=\"[2001:db8::1]:80\";proto=https", "2001:db8::1"),
            ("for=1.1.1.1;by=\"a,b\", for=10.0.0.2", "1.1.1.1"),
            ("for=unknown", "10.0.0.1"),
            ("for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("proto=https", "10.0.0.1"),
        ] {
            let found = proxies.client("10.0.0.1".parse().unwrap(), [line].into_iter());
            assert_eq!(found.to_string(), client, "{line}");
        }
    }
}
