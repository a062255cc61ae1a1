//! Making sockets, naming them, and their options: each function one system call, none of which waits.
//!
//! Moving bytes, accepting and connecting are in [`message`](super::message). Addresses: the kernel's union is
//! rustix's `SocketAddrAny`; what the rest of the crate hands out are std's own address types, converted here.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;

use rustix::net::{
    self, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

/// Which kind of socket; all of them closed on exec and in blocking mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagram,
}

impl From<Kind> for SocketType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Stream => SocketType::STREAM,
            Kind::Datagram => SocketType::DGRAM,
        }
    }
}

/// A socket of the family of `addr`.
pub(crate) fn inet(addr: &SocketAddr, kind: Kind) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(net::socket_with(family, kind.into(), SocketFlags::CLOEXEC, None)?)
}

pub(crate) fn unix(kind: Kind) -> io::Result<OwnedFd> {
    Ok(net::socket_with(AddressFamily::UNIX, kind.into(), SocketFlags::CLOEXEC, None)?)
}

/// Two sockets, connected to each other.
pub(crate) fn unix_pair(kind: Kind) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(net::socketpair(AddressFamily::UNIX, kind.into(), SocketFlags::CLOEXEC, None)?)
}

pub(crate) fn bind(fd: BorrowedFd<'_>, addr: &SocketAddrAny) -> io::Result<()> {
    Ok(net::bind(fd, addr)?)
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    Ok(net::listen(fd, i32::try_from(backlog).unwrap_or(i32::MAX))?)
}

pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => net::Shutdown::Read,
        Shutdown::Write => net::Shutdown::Write,
        Shutdown::Both => net::Shutdown::Both,
    };
    Ok(net::shutdown(fd, how)?)
}

pub(crate) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SocketAddrAny> {
    Ok(net::getsockname(fd)?)
}

/// `None`: the peer has no name, as most Unix clients have none.
pub(crate) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<Option<SocketAddrAny>> {
    Ok(net::getpeername(fd)?)
}

/// As std's own type. `None` is what the kernel says of a socket that has no name.
pub(crate) fn to_inet(addr: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    addr.and_then(|addr| SocketAddr::try_from(addr).ok())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not an Internet socket's address"))
}

/// As std's own type. `None` is what the kernel says of a socket that has no name.
pub(crate) fn to_unix(addr: Option<SocketAddrAny>) -> io::Result<UnixAddr> {
    // The family, in front of the name.
    const FAMILY: usize = 2;
    const LONGEST: usize = 108;
    let Some(addr) = addr else { return unnamed() };
    let length = (addr.addr_len() as usize).saturating_sub(FAMILY);
    // A path that fills all 108 bytes has no room for its NUL: rustix panics on it, and std's type cannot be made of
    // it. A peer may have one, and must not hurt us with it.
    if addr.address_family() == AddressFamily::UNIX && (length == 0 || length > LONGEST) {
        return unnamed();
    }
    let addr = SocketAddrUnix::try_from(addr)
        .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "not a Unix socket's address"))?;
    if let Some(path) = addr.path_bytes() {
        // With 107 bytes rustix leaves the NUL on.
        let path = path.strip_suffix(&[0]).unwrap_or(path);
        UnixAddr::from_pathname(OsStr::from_bytes(path))
    } else if let Some(name) = addr.abstract_name() {
        UnixAddr::from_abstract_name(name)
    } else {
        unnamed()
    }
}

fn unnamed() -> io::Result<UnixAddr> {
    UnixAddr::from_pathname("")
}

pub(crate) fn from_unix(addr: &UnixAddr) -> io::Result<SocketAddrAny> {
    let addr = if let Some(path) = addr.as_pathname() {
        SocketAddrUnix::new(path)?
    } else if let Some(name) = addr.as_abstract_name() {
        SocketAddrUnix::new_abstract_name(name)?
    } else {
        SocketAddrUnix::new_unnamed()
    };
    Ok(addr.into())
}

/// Both halves of an option of one value.
macro_rules! options {
    ($($(#[$doc:meta])* $get:ident, $set:ident: $kind:ty = $rustix_get:ident, $rustix_set:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $get(fd: BorrowedFd<'_>) -> io::Result<$kind> {
            Ok(sockopt::$rustix_get(fd)?)
        }

        pub(crate) fn $set(fd: BorrowedFd<'_>, value: $kind) -> io::Result<()> {
            Ok(sockopt::$rustix_set(fd, value)?)
        }
    )*};
}

options! {
    /// TCP_NODELAY.
    nodelay, set_nodelay: bool = tcp_nodelay, set_tcp_nodelay;
    /// IP_TTL.
    ttl, set_ttl: u32 = ip_ttl, set_ip_ttl;
    /// SO_BROADCAST.
    broadcast, set_broadcast: bool = socket_broadcast, set_socket_broadcast;
    /// IP_MULTICAST_LOOP.
    multicast_loop_v4, set_multicast_loop_v4: bool = ip_multicast_loop, set_ip_multicast_loop;
    /// IP_MULTICAST_TTL.
    multicast_ttl_v4, set_multicast_ttl_v4: u32 = ip_multicast_ttl, set_ip_multicast_ttl;
    /// IPV6_MULTICAST_LOOP.
    multicast_loop_v6, set_multicast_loop_v6: bool = ipv6_multicast_loop, set_ipv6_multicast_loop;
}

/// TCP_QUICKACK: what comes, or has come, is acknowledged at once, rather than with the answer or 40 ms later. The kernel goes its
/// own ways after a while.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
pub(crate) fn set_quick_ack(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(sockopt::set_tcp_quickack(fd, on)?)
}

/// A port in TIME_WAIT may be bound again: what every server wants on Linux.
pub(crate) fn set_reuse_addr(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_reuseaddr(fd, true)?)
}

/// Several sockets may be bound to the port; the kernel spreads connections over them.
pub(crate) fn set_reuse_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_reuseport(fd, true)?)
}

/// Closing resets the connection instead of ending it properly: the peer sees an error, not an end.
pub(crate) fn set_reset_on_close(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO))?)
}

/// An IPv6 socket leaves the port to IPv4 sockets, or serves both.
pub(crate) fn set_only_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(sockopt::set_ipv6_v6only(fd, on)?)
}

pub(crate) fn join_v4(fd: BorrowedFd<'_>, group: &Ipv4Addr, via: &Ipv4Addr) -> io::Result<()> {
    Ok(sockopt::set_ip_add_membership(fd, group, via)?)
}

pub(crate) fn leave_v4(fd: BorrowedFd<'_>, group: &Ipv4Addr, via: &Ipv4Addr) -> io::Result<()> {
    Ok(sockopt::set_ip_drop_membership(fd, group, via)?)
}

pub(crate) fn join_v6(fd: BorrowedFd<'_>, group: &Ipv6Addr, via: u32) -> io::Result<()> {
    Ok(sockopt::set_ipv6_add_membership(fd, group, via)?)
}

pub(crate) fn leave_v6(fd: BorrowedFd<'_>, group: &Ipv6Addr, via: u32) -> io::Result<()> {
    Ok(sockopt::set_ipv6_drop_membership(fd, group, via)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_addresses_survive_the_round_trip() {
        let path = UnixAddr::from_pathname("/tmp/some.sock").unwrap();
        let name = UnixAddr::from_abstract_name(b"a name").unwrap();
        let longest = UnixAddr::from_pathname(format!("/{}", "x".repeat(106))).unwrap();
        for addr in [path, name, longest] {
            let back = to_unix(Some(from_unix(&addr).unwrap())).unwrap();
            assert_eq!(back.as_pathname(), addr.as_pathname());
            assert_eq!(back.as_abstract_name(), addr.as_abstract_name());
        }
        assert!(to_unix(None).unwrap().is_unnamed());
        assert!(to_unix(Some(from_unix(&unnamed().unwrap()).unwrap())).unwrap().is_unnamed());
    }

    #[test]
    fn families_do_not_mix() {
        let inet: SocketAddrAny = "127.0.0.1:1".parse::<SocketAddr>().unwrap().into();
        assert_eq!(to_unix(Some(inet.clone())).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(to_inet(Some(inet)).unwrap().port(), 1);
        assert_eq!(to_inet(None).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
