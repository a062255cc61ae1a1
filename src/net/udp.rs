//! UDP datagrams.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use super::addr::{ToSocketAddrs, each};
use crate::socket::{Socket, common_methods, timeout_methods};
use crate::sys::socket::{self, Kind};

/// A UDP socket; as [`std::net::UdpSocket`].
///
/// ```
/// use sward::net::UdpSocket;
///
/// sward::run(|| -> std::io::Result<()> {
///     let one = UdpSocket::bind("127.0.0.1:0")?;
///     let two = UdpSocket::bind("127.0.0.1:0")?;
///     one.send_to(b"hello", two.local_addr()?)?;
///     let mut buf = [0; 16];
///     let (n, from) = two.recv_from(&mut buf)?;
///     assert_eq!((&buf[..n], from), (&b"hello"[..], one.local_addr()?));
///     Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket(pub(crate) Socket);

impl UdpSocket {
    /// Binds to the first of the addresses that can be bound to; port 0 lets the system choose.
    ///
    /// # Errors
    /// The last address's, such as [`AddrInUse`](ErrorKind::AddrInUse), or the look-up's.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        each(addr, |addr| {
            let fd = socket::inet(addr, Kind::Datagram)?;
            socket::bind(fd.as_fd(), &(*addr).into())?;
            Ok(UdpSocket(Socket::new(fd)))
        })
    }

    /// Makes `addr` the only peer: [`send`](Self::send) goes there, and only what comes from there is received.
    ///
    /// # Errors
    /// The last address's, or the look-up's.
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        each(addr, |addr| self.0.connect_datagram(&(*addr).into()))
    }

    /// The next datagram and where it came from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    /// The system's.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, from) = self.0.recv_from(buf, false)?;
        Ok((n, socket::to_inet(from)?))
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays for the next call.
    ///
    /// # Errors
    /// The system's.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, from) = self.0.recv_from(buf, true)?;
        Ok((n, socket::to_inet(from)?))
    }

    /// Sends one datagram to the first of the addresses.
    ///
    /// # Errors
    /// The system's, such as EMSGSIZE for one that is too long, or the look-up's.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let Some(to) = addr.to_socket_addrs()?.next() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no addresses to send data to"));
        };
        self.0.send_to(buf, &to.into())
    }

    /// The next datagram from the peer of [`connect`](Self::connect).
    ///
    /// # Errors
    /// The system's, such as [`ConnectionRefused`](ErrorKind::ConnectionRefused) if nobody listens there.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }

    /// As [`recv`](Self::recv), but the datagram stays for the next call.
    ///
    /// # Errors
    /// The system's.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }

    /// Sends one datagram to the peer of [`connect`](Self::connect).
    ///
    /// # Errors
    /// The system's, such as EDESTADDRREQ without a peer.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    /// The peer of [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`NotConnected`](ErrorKind::NotConnected) without one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::to_inet(socket::peer_addr(self.0.as_fd())?)
    }

    /// The address of this socket.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_inet(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// Whether the socket may send to broadcast addresses. Default: `false`.
    ///
    /// # Errors
    /// The system's.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        socket::set_broadcast(self.0.as_fd(), on)
    }

    /// What [`set_broadcast`](Self::set_broadcast) set.
    ///
    /// # Errors
    /// The system's.
    pub fn broadcast(&self) -> io::Result<bool> {
        socket::broadcast(self.0.as_fd())
    }

    /// Whether IPv4 multicasts come back to this machine's own sockets. Default: `true`.
    ///
    /// # Errors
    /// The system's.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        socket::set_multicast_loop_v4(self.0.as_fd(), on)
    }

    /// What [`set_multicast_loop_v4`](Self::set_multicast_loop_v4) set.
    ///
    /// # Errors
    /// The system's.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        socket::multicast_loop_v4(self.0.as_fd())
    }

    /// How many routers an IPv4 multicast may pass. Default: 1, this network only.
    ///
    /// # Errors
    /// The system's.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        socket::set_multicast_ttl_v4(self.0.as_fd(), ttl)
    }

    /// What [`set_multicast_ttl_v4`](Self::set_multicast_ttl_v4) set.
    ///
    /// # Errors
    /// The system's.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        socket::multicast_ttl_v4(self.0.as_fd())
    }

    /// Whether IPv6 multicasts come back to this machine's own sockets. Default: `true`.
    ///
    /// # Errors
    /// The system's.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        socket::set_multicast_loop_v6(self.0.as_fd(), on)
    }

    /// What [`set_multicast_loop_v6`](Self::set_multicast_loop_v6) set.
    ///
    /// # Errors
    /// The system's.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        socket::multicast_loop_v6(self.0.as_fd())
    }

    /// How many routers a packet may pass.
    ///
    /// # Errors
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        socket::set_ttl(self.0.as_fd(), ttl)
    }

    /// What [`set_ttl`](Self::set_ttl) set.
    ///
    /// # Errors
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        socket::ttl(self.0.as_fd())
    }

    /// Joins a multicast group on the interface with that address (unspecified: the system chooses).
    ///
    /// # Errors
    /// The system's.
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        socket::join_v4(self.0.as_fd(), multiaddr, interface)
    }

    /// Joins a multicast group on the interface of that index (0: the system chooses).
    ///
    /// # Errors
    /// The system's.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        socket::join_v6(self.0.as_fd(), multiaddr, interface)
    }

    /// Undoes [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// The system's.
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        socket::leave_v4(self.0.as_fd(), multiaddr, interface)
    }

    /// Undoes [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// The system's.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        socket::leave_v6(self.0.as_fd(), multiaddr, interface)
    }

    common_methods!("socket");
    timeout_methods!();
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("UdpSocket");
        if let Ok(addr) = self.local_addr() {
            out.field("addr", &addr);
        }
        out.field("fd", &self.0.as_fd().as_raw_fd()).finish()
    }
}
