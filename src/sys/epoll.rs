//! epoll(7): which descriptors became readable or writable. Edge-triggered, both directions, registered once.
//!
//! Not a poll loop; `driver` is the one that interprets tokens.
#![forbid(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::Timespec;

/// One epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

/// What a descriptor became ready for. Errors and hang-ups count as both: the next call reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The peer sends no more, or the socket broke: no further edge need come, and no read will say EAGAIN.
    pub(crate) ended: bool,
}

/// Room for the events of one wait.
pub(crate) struct Events {
    room: Box<[MaybeUninit<Event>]>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("room", &self.room.len()).finish()
    }
}

impl Events {
    pub(crate) fn with_capacity(n: usize) -> Self {
        Events { room: vec![MaybeUninit::uninit(); n].into_boxed_slice() }
    }
}

fn interest(read: bool, write: bool) -> EventFlags {
    let mut interest = EventFlags::ET;
    if read {
        interest |= EventFlags::IN | EventFlags::RDHUP;
    }
    if write {
        interest |= EventFlags::OUT;
    }
    interest
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Epoll { fd: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Registers `fd` for both directions, edge-triggered. If the same open file is already registered under
    /// this number, its token is replaced and its present readiness is reported again.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.add_for(fd, token, true, true)
    }

    /// As `add`, for one direction or both.
    pub(crate) fn add_for(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        read: bool,
        write: bool,
    ) -> io::Result<()> {
        let interest = interest(read, write);
        let data = EventData::new_u64(token);
        match epoll::add(&self.fd, fd, data, interest) {
            Err(rustix::io::Errno::EXIST) => Ok(epoll::modify(&self.fd, fd, data, interest)?),
            other => Ok(other?),
        }
    }

    /// Changes a registration, and reports present readiness again. False if there is none.
    pub(crate) fn arm(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        read: bool,
        write: bool,
    ) -> io::Result<bool> {
        match epoll::modify(&self.fd, fd, EventData::new_u64(token), interest(read, write)) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Registers `fd` for reading, edge-triggered, and woken alone among the epoll instances that share it
    /// (EPOLLEXCLUSIVE): for one listener served by many workers.
    pub(crate) fn add_exclusive(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let interest = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
        match epoll::add(&self.fd, fd, EventData::new_u64(token), interest) {
            // EPOLLEXCLUSIVE cannot be modified, only taken out and put back.
            Err(rustix::io::Errno::EXIST) => {
                epoll::delete(&self.fd, fd)?;
                Ok(epoll::add(&self.fd, fd, EventData::new_u64(token), interest)?)
            }
            other => Ok(other?),
        }
    }

    /// Takes `fd` out. Closing the number does not do that as long as another process has the same open file.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) {
        // OK to ignore: the only failure is that it was not there.
        let _ = epoll::delete(&self.fd, fd);
    }

    /// Waits for events up to `timeout` (`None`: for ever) and hands each to `each`. A signal ends the wait early.
    pub(crate) fn wait(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
        mut each: impl FnMut(u64, Readiness),
    ) -> io::Result<usize> {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs().min(i64::from(i32::MAX) as u64) as i64,
            tv_nsec: t.subsec_nanos().into(),
        });
        let (ready, _) = match epoll::wait(&self.fd, &mut events.room[..], timeout.as_ref()) {
            Ok(pair) => pair,
            Err(rustix::io::Errno::INTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let broken = EventFlags::ERR | EventFlags::HUP;
        for event in ready.iter() {
            let flags = event.flags;
            let data = event.data;
            each(
                data.u64(),
                Readiness {
                    read: flags.intersects(EventFlags::IN | EventFlags::RDHUP | broken),
                    write: flags.intersects(EventFlags::OUT | broken),
                    ended: flags.intersects(EventFlags::RDHUP | broken),
                },
            );
        }
        Ok(ready.len())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
