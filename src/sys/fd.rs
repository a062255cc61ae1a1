//! Calls on any descriptor: read, poll, dup, O_NONBLOCK.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, Timespec};

pub(crate) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, buf)?)
}

/// A second descriptor for the same open file, closed on exec.
pub(crate) fn dup(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 0)?)
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, on)?)
}

pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Blocks this OS thread until `fd` is ready for reading (or for writing), or `timeout` has passed. True: ready.
pub(crate) fn poll(fd: BorrowedFd<'_>, write: bool, timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.map(|t| Timespec {
        tv_sec: t.as_secs().min(i64::from(i32::MAX) as u64) as i64,
        tv_nsec: t.subsec_nanos().into(),
    });
    let interest = if write { PollFlags::OUT } else { PollFlags::IN };
    let mut fds = [PollFd::from_borrowed_fd(fd, interest)];
    Ok(rustix::event::poll(&mut fds, timeout.as_ref())? > 0)
}

/// Blocks this OS thread until one of the two is ready for reading.
pub(crate) fn poll_two(one: BorrowedFd<'_>, two: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [one, two].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    rustix::event::poll(&mut fds, None)?;
    Ok(())
}
