//! Descriptors that go from one process to another across exec, and what they turn out to be on the other side.
//!
//! What is passed is open in the child only: everything of ours is closed on exec, and the flag is taken off between
//! fork and exec, in the child. Who passes what to whom is `http`'s matter.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::pipe::PipeFlags;

/// What a descriptor is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Accepts TCP connections.
    Tcp,
    /// Accepts connections on a Unix socket.
    Unix,
}

/// Which file a descriptor stands for: no two that are open at the same time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Identity> {
        let stat = rustix::fs::fstat(fd)?;
        Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// Takes over the descriptor of that number, which somebody before exec has opened for us, and closes it on the next
/// exec. Only to be called once for a number, and only before the number can mean something of our own: `expected` says
/// what it must be.
///
/// # Errors
/// EBADF if it is not open, `NotFound` if it is something else.
pub(crate) fn take(number: RawFd, expected: Option<Identity>) -> io::Result<OwnedFd> {
    // SAFETY: only asked questions about; if it is not open the first one fails.
    let lent = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = rustix::io::fcntl_getfd(lent)?;
    if expected.is_some_and(|expected| Identity::of(lent).ok() != Some(expected)) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    rustix::io::fcntl_setfd(lent, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and whoever started us gave it to us; that nobody here has taken it before is the caller's
    // promise.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What accepts connections on `fd`, if it is a socket that listens for streams.
pub(crate) fn kind(fd: BorrowedFd<'_>) -> Option<Kind> {
    if sockopt::socket_type(fd).ok()? != SocketType::STREAM
        || !sockopt::socket_acceptconn(fd).ok()?
    {
        return None;
    }
    match sockopt::socket_domain(fd).ok()? {
        AddressFamily::INET | AddressFamily::INET6 => Some(Kind::Tcp),
        AddressFamily::UNIX => Some(Kind::Unix),
        _ => None,
    }
}

/// A pipe for one word between two processes: the end to read, in O_NONBLOCK, and the end to write.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    super::fd::set_nonblocking(read.as_fd(), true)?;
    Ok((read, write))
}

/// Says one byte. A pipe that nobody reads from any more is an error, never a signal.
pub(crate) fn say(pipe: BorrowedFd<'_>) -> io::Result<()> {
    // OK: SIGPIPE is ignored in Rust's programs; one that wants it killed is killed at every pipe.
    rustix::io::write(pipe, b"1")?;
    Ok(())
}

/// The child that `command` starts has these too, under the same numbers; nobody else has. They must be open until then.
pub(crate) fn pass_on(command: &mut Command, fds: &[BorrowedFd<'_>]) {
    let numbers: Vec<RawFd> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let keep = move || {
        for &number in &numbers {
            // SAFETY: the caller keeps it open until the child has started.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: runs between fork and exec: it only makes system calls, by rustix, without libc, locks or allocation.
    unsafe { command.pre_exec(keep) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_listens_for_streams_is_of_a_kind() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(kind(tcp.as_fd()), Some(Kind::Tcp));
        let stream = std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        assert_eq!(kind(stream.as_fd()), None);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(kind(udp.as_fd()), None);
        assert_eq!(kind(pipe().unwrap().0.as_fd()), None);
    }

    #[test]
    fn takes_only_what_is_expected() {
        let (read, write) = pipe().unwrap();
        assert_eq!(Identity::of(read.as_fd()).unwrap(), Identity::of(write.as_fd()).unwrap());
        let other = pipe().unwrap();
        let wrong = Identity::of(other.0.as_fd()).unwrap();
        assert_eq!(
            take(read.as_raw_fd(), Some(wrong)).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(take(987_654, None).is_err());
    }
}
