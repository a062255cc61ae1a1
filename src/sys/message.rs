//! Moving bytes through sockets: recv, send, accept and connect, each one system call.
//!
//! `MSG_NOSIGNAL` is always set: a peer that went away is an error, never a signal. Creating sockets and their
//! options are in [`socket`](super::socket).
#![forbid(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    self, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny,
    SocketFlags,
};

pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (n, _) = net::recv(fd, buf, flags)?;
    Ok(n)
}

pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8], flags: SendFlags) -> io::Result<usize> {
    Ok(net::send(fd, buf, flags | SendFlags::NOSIGNAL)?)
}

pub(crate) fn recv_vectored(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> io::Result<usize> {
    Ok(net::recvmsg(fd, bufs, &mut RecvAncillaryBuffer::default(), flags)?.bytes)
}

pub(crate) fn send_vectored(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let flags = flags | SendFlags::NOSIGNAL;
    Ok(net::sendmsg(fd, bufs, &mut SendAncillaryBuffer::default(), flags)?)
}

pub(crate) fn recv_from(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (n, _, from) = net::recvfrom(fd, buf, flags)?;
    Ok((n, from))
}

pub(crate) fn send_to(
    fd: BorrowedFd<'_>,
    buf: &[u8],
    flags: SendFlags,
    to: &SocketAddrAny,
) -> io::Result<usize> {
    Ok(net::sendto(fd, buf, flags | SendFlags::NOSIGNAL, to)?)
}

/// The next connection, closed on exec, in blocking mode.
pub(crate) fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(net::acceptfrom_with(fd, SocketFlags::CLOEXEC)?)
}

/// Starts or makes a connection, as the socket's mode says.
pub(crate) fn connect(fd: BorrowedFd<'_>, to: &SocketAddrAny) -> io::Result<()> {
    Ok(net::connect(fd, to)?)
}

/// The error that a connect in the background ended with, if it did.
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    Ok(net::sockopt::socket_error(fd)?.err().map(Into::into))
}

/// Shuts both directions down, which ends every wait on the socket, in any thread and any process.
pub(crate) fn hang_up(fd: BorrowedFd<'_>) {
    // OK to ignore: ENOTCONN is answered by unconnected sockets, whose waits end all the same.
    let _ = net::shutdown(fd, net::Shutdown::Both);
}

/// A receive or send that takes longer ends with EAGAIN. `None`: it may take for ever.
pub(crate) fn set_timeout(
    fd: BorrowedFd<'_>,
    send: bool,
    timeout: Option<std::time::Duration>,
) -> io::Result<()> {
    let which = if send { net::sockopt::Timeout::Send } else { net::sockopt::Timeout::Recv };
    Ok(net::sockopt::set_socket_timeout(fd, which, timeout)?)
}

/// What [`set_timeout`] set, or whoever had the socket before.
pub(crate) fn timeout(fd: BorrowedFd<'_>, send: bool) -> io::Result<Option<std::time::Duration>> {
    let which = if send { net::sockopt::Timeout::Send } else { net::sockopt::Timeout::Recv };
    Ok(net::sockopt::socket_timeout(fd, which)?)
}
