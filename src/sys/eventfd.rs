//! eventfd(2): the bell that wakes a worker out of its wait.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::EventfdFlags;

/// A counter. Registered edge-triggered, each ring is an event of its own, so nobody needs to read it.
#[derive(Debug)]
pub(crate) struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(EventFd { fd: rustix::event::eventfd(0, flags)? })
    }

    /// Safe from any thread and from signal handlers; takes no lock.
    pub(crate) fn ring(&self) {
        // OK to ignore: the only failure of a healthy eventfd is EAGAIN, "the bell has rung 2^64 times already".
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
