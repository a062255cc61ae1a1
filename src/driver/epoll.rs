//! The epoll driver: one epoll instance per worker, edge-triggered, each descriptor registered once: for reading, and from
//! its first wait for that, for writing too.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::Token;
use crate::sys::epoll::{Epoll, Events, Readiness};

/// The bell's token; no descriptor has the number `u32::MAX`.
const BELL: Token = Token { fd: u32::MAX, generation: u32::MAX };
/// Events taken per system call.
const BATCH: usize = 512;

/// The source of readiness of one worker.
#[derive(Debug)]
pub(crate) struct Driver {
    epoll: Epoll,
    events: Events,
    /// Registrations made so far: with none, there is nothing to poll between switches.
    registered: u64,
}

impl Driver {
    /// A driver that also wakes when `bell` becomes readable.
    pub(crate) fn new(bell: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(bell, BELL.pack())?;
        Ok(Driver { epoll, events: Events::with_capacity(BATCH), registered: 0 })
    }

    /// From now on `wait` reports what happens to `fd` in these directions, and at once what is ready already.
    pub(crate) fn register_for(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        read: bool,
        write: bool,
    ) -> io::Result<()> {
        self.registered += 1;
        self.epoll.add_for(fd, token.pack(), read, write)
    }

    /// As `register_for`, for reading, for a listener that several workers share: one of them is woken per connection.
    pub(crate) fn register_exclusive(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
    ) -> io::Result<()> {
        self.registered += 1;
        self.epoll.add_exclusive(fd, token.pack())
    }

    /// Changes what a registered `fd` is registered for; what is ready now is reported at once. False if it is not
    /// registered: its number stands for another open file by now.
    pub(crate) fn arm(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        read: bool,
        write: bool,
    ) -> io::Result<bool> {
        self.epoll.arm(fd, token.pack(), read, write)
    }

    /// Reports no more of `fd`.
    pub(crate) fn forget(&mut self, fd: BorrowedFd<'_>) {
        self.epoll.delete(fd);
    }

    /// Whether anything but the bell was ever registered.
    pub(crate) fn has_descriptors(&self) -> bool {
        self.registered > 0
    }

    /// Waits for up to `timeout` (`None`: until something happens) and reports each event. True if the bell rang.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(Token, Readiness),
    ) -> io::Result<bool> {
        let mut rang = false;
        self.epoll.wait(&mut self.events, timeout, |word, readiness| {
            let token = Token::unpack(word);
            if token == BELL { rang = true } else { each(token, readiness) }
        })?;
        Ok(rang)
    }
}
