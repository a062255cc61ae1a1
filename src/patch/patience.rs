//! What a hook does when the kernel says "not now": look whether the program wants to hear that, park, and have the
//! hook try again.
//!
//! The kernel is asked for O_NONBLOCK and SO_RCVTIMEO/SO_SNDTIMEO at the first EAGAIN of a call and not before: who
//! need not wait need not know.
//!
//! Not here: the attempts themselves (`message`, `stream`, `transfer`, `socket`).

use std::time::{Duration, Instant};

use libc::{EAGAIN, EINTR, c_int};

use super::gate::{Green, Stop};
use super::{errno, kernel, listeners, wait};

/// How a wait for something ends that nobody tells us about: by looking again after 1, 2, 4, 8, 16, 16, ... ms.
const LONGEST_NAP: Duration = Duration::from_millis(16);

/// So many wake-ups in a row that led to nothing are chance; more are a file that calls itself ready and is not.
const FRUITLESS: u32 = 8;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Reading,
    Writing,
}

/// One call's waiting.
pub(super) struct Patience {
    green: Green,
    fd: c_int,
    what: For,
    /// Outer: not asked yet. Inner: until when the socket's own time-out lets us wait.
    limit: Option<Option<Instant>>,
    /// The attempts are made as ordinary, blocking calls, because nothing may switch here.
    pinned: bool,
    fruitless: u32,
    nap: Duration,
}

impl Patience {
    #[inline]
    pub(super) fn new(green: Green, fd: c_int, what: For) -> Patience {
        let nap = Duration::from_millis(1);
        Patience { green, fd, what, limit: None, pinned: false, fruitless: 0, nap }
    }

    /// For waits that are not the socket's: neither its mode nor its time-outs are about them.
    pub(super) fn unlimited(green: Green, fd: c_int) -> Patience {
        Patience { limit: Some(None), ..Patience::new(green, fd, For::Reading) }
    }

    /// `flag` (MSG_DONTWAIT, RWF_NOWAIT), unless attempts may block.
    #[inline]
    pub(super) fn unless_pinned(&self, flag: c_int) -> c_int {
        if self.pinned { 0 } else { flag }
    }

    /// Whether attempts are made as blocking calls.
    pub(super) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// From now on they are.
    pub(super) fn pin(&mut self) {
        self.pinned = true;
    }

    /// An attempt moved something, though not all.
    pub(super) fn fruitful(&mut self) {
        self.fruitless = 0;
    }

    /// The call has come to `n`. If it never had to wait, it counts: one that never waits must not starve others.
    #[inline]
    pub(super) fn done(&self, n: usize) -> Result<usize, c_int> {
        if self.limit.is_none() && !self.pinned {
            let _errno = errno::keep();
            self.green.spend();
        }
        Ok(n)
    }

    /// Whether the file keeps calling itself ready and then says EAGAIN.
    pub(super) fn is_fooled(&self) -> bool {
        self.fruitless > 1
    }

    /// Not beyond `deadline`, whatever the socket says.
    pub(super) fn not_beyond(&mut self, deadline: Instant) {
        let own = match self.limit {
            Some(own) => own,
            None => wait::deadline(self.timeout()),
        };
        self.limit = Some(Some(own.map_or(deadline, |own| own.min(deadline))));
    }

    fn timeout(&self) -> Option<Duration> {
        kernel::timeout(
            self.fd,
            match self.what {
                For::Reading => libc::SO_RCVTIMEO,
                For::Writing => libc::SO_SNDTIMEO,
            },
        )
    }

    /// An attempt ended with `error`. Parks if that helps; `Err` is what the call fails with.
    #[inline]
    pub(super) fn after(&mut self, error: c_int) -> Result<(), c_int> {
        match error {
            EAGAIN if !self.pinned => self.wait(false),
            EINTR if !self.pinned => Ok(()),
            error => Err(error),
        }
    }

    /// As `after`, for a wait whose end no readiness announces.
    pub(super) fn after_unannounced(&mut self, error: c_int) -> Result<(), c_int> {
        if error == EAGAIN && !self.pinned { self.wait(true) } else { self.after(error) }
    }

    /// Parks until another attempt makes sense.
    #[cold]
    #[inline(never)]
    pub(super) fn wait(&mut self, unannounced: bool) -> Result<(), c_int> {
        // Others run meanwhile, and errno is theirs as well as ours.
        let _errno = errno::keep();
        let limit = match self.limit {
            Some(limit) => limit,
            None => {
                if listeners::wants_nonblocking(self.fd) {
                    return Err(EAGAIN);
                }
                *self.limit.insert(wait::deadline(self.timeout()))
            }
        };
        if !self.green.may_switch() {
            self.pinned = true;
            return Ok(());
        }
        self.fruitless += 1;
        let result = if unannounced || self.fruitless.is_multiple_of(FRUITLESS) {
            self.nap(limit)
        } else {
            match self.what {
                For::Reading => wait::readable(self.green, self.fd, limit),
                For::Writing => wait::writable(self.green, self.fd, limit),
            }
        };
        match result {
            Ok(()) => Ok(()),
            // As the kernel reports the socket's own time-out.
            Err(Stop::Deadline) => Err(EAGAIN),
            Err(stop) => Err(stop.errno()),
        }
    }

    fn nap(&mut self, limit: Option<Instant>) -> Result<(), Stop> {
        let time = self.nap;
        self.nap = (time * 2).min(LONGEST_NAP);
        wait::nap(self.green, time, limit)
    }
}
