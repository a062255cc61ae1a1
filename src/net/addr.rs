//! From what people write to socket addresses.
//!
//! Literal addresses are parsed here and now; only names go to the system's resolver, which blocks, and therefore
//! to the pool.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{iter, option, slice, vec};

use crate::blocking;

/// What can be turned into socket addresses: an address, an address and a port, `"host:port"`, ...
///
/// As [`std::net::ToSocketAddrs`], with the same types, but a name is looked up on a pool of OS threads, so that
/// only the calling green thread waits for it.
///
/// ```
/// use sward::net::ToSocketAddrs;
///
/// let addrs: Vec<_> = "127.0.0.1:80".to_socket_addrs()?.collect();
/// assert_eq!(addrs, ["127.0.0.1:80".parse().unwrap()]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses, one after the other.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses; the callers here try them in this order.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for text that is no `host:port`; the resolver's for a name that it
    /// does not find.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

impl ToSocketAddrs for SocketAddr {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(Some(*self).into_iter())
    }
}

impl ToSocketAddrs for SocketAddrV4 {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::V4(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for SocketAddrV6 {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::V6(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (IpAddr, u16) {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (Ipv4Addr, u16) {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (Ipv6Addr, u16) {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, port)].into_iter()),
            Err(_) => look_up(host, port),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        // First as a whole: the colons of an IPv6 address are not the one before the port.
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return Ok(vec![addr].into_iter());
        }
        let (host, port) =
            self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        let port = port.parse().map_err(|_| invalid("invalid port value"))?;
        look_up(host, port)
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Cloned<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().cloned())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

/// Asks the resolver, on the pool if the caller is a green thread.
fn look_up(host: &str, port: u16) -> io::Result<vec::IntoIter<SocketAddr>> {
    let host = host.to_owned();
    #[allow(
        clippy::disallowed_methods,
        reason = "it blocks a thread of the pool, which is there for that"
    )]
    blocking::run(move || std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port)))
}

/// Tries `f` on one address after the other; the first success, or the last error.
pub(super) fn each<A: ToSocketAddrs, T>(
    addrs: A,
    mut f: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addrs.to_socket_addrs()? {
        match f(&addr) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| invalid("could not resolve to any addresses")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(from: impl ToSocketAddrs) -> Vec<String> {
        from.to_socket_addrs().unwrap().map(|addr| addr.to_string()).collect()
    }

    fn kind(from: impl ToSocketAddrs) -> ErrorKind {
        from.to_socket_addrs().err().unwrap().kind()
    }

    #[test]
    fn every_type_of_std() {
        let v4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7);
        let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 0, 0);
        assert_eq!(all(v4), ["127.0.0.1:7"]);
        assert_eq!(all(v6), ["[::1]:7"]);
        assert_eq!(all(SocketAddr::from(v4)), ["127.0.0.1:7"]);
        assert_eq!(all((IpAddr::from(Ipv4Addr::LOCALHOST), 7)), ["127.0.0.1:7"]);
        assert_eq!(all((Ipv4Addr::LOCALHOST, 7)), ["127.0.0.1:7"]);
        assert_eq!(all((Ipv6Addr::LOCALHOST, 7)), ["[::1]:7"]);
        assert_eq!(all(("127.0.0.1", 7)), ["127.0.0.1:7"]);
        assert_eq!(all(("::1".to_string(), 7)), ["[::1]:7"]);
        assert_eq!(all("127.0.0.1:7"), ["127.0.0.1:7"]);
        assert_eq!(all("[::1]:7".to_string()), ["[::1]:7"]);
        assert_eq!(all(&[SocketAddr::from(v4), v6.into()][..]), ["127.0.0.1:7", "[::1]:7"]);
    }

    #[test]
    fn text_that_is_no_address() {
        assert_eq!(kind("127.0.0.1"), ErrorKind::InvalidInput);
        assert_eq!(kind("127.0.0.1:"), ErrorKind::InvalidInput);
        assert_eq!(kind("127.0.0.1:65536"), ErrorKind::InvalidInput);
        assert_eq!(kind("localhost:http"), ErrorKind::InvalidInput);
    }

    #[test]
    fn names_are_looked_up() {
        assert!(all("localhost:7").iter().any(|addr| addr == "127.0.0.1:7" || addr == "[::1]:7"));
    }

    #[test]
    fn nothing_to_try() {
        let none: &[SocketAddr] = &[];
        assert_eq!(each(none, |_| Ok(())).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
