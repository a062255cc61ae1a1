//! Parking until a descriptor is ready, by its number alone.
//!
//! The caller has tried its call and was told EAGAIN; afterwards it tries again. A wait may end for no reason.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use libc::c_int;

use super::fds;
use super::gate::{Green, Stop};
use crate::hub::descriptors::{Direction, Watch};

/// How long a wait takes that epoll refuses to help with (its limits are reached).
pub(super) const POLLED: Duration = Duration::from_millis(1);

/// Parks until `fd` may be readable.
pub(super) fn readable(green: Green, fd: c_int, deadline: Option<Instant>) -> Result<(), Stop> {
    ready(green, fd, Direction::Read, deadline)
}

/// Parks until `fd` may be writable.
pub(super) fn writable(green: Green, fd: c_int, deadline: Option<Instant>) -> Result<(), Stop> {
    ready(green, fd, Direction::Write, deadline)
}

/// When a wait of `timeout` ends. A time beyond the end of the clock never comes.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

fn ready(
    green: Green,
    fd: c_int,
    direction: Direction,
    deadline: Option<Instant>,
) -> Result<(), Stop> {
    if fd < 0 {
        return Ok(()); // the call itself says what is wrong
    }
    fds::park_on(fd, |parked| {
        if parked.is_closed() {
            return Err(Stop::Closed); // between the two looks at it
        }
        let result = watched(green, fd, direction, deadline);
        if parked.is_closed() {
            return Err(Stop::Closed);
        }
        result
    })
}

fn watched(
    green: Green,
    fd: c_int,
    direction: Direction,
    deadline: Option<Instant>,
) -> Result<(), Stop> {
    // SAFETY: not -1. If it is closed meanwhile, `forget` wakes us before; epoll takes any number, and says so if it
    // is of nothing.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    match green.hub.wait_for(green.fiber, borrowed, Watch::Number, direction, deadline) {
        Ok(result) => green.ended(result),
        // Always ready, or nothing at all: the call itself tells.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EBADF)) => Ok(()),
        Err(_) => nap(green, POLLED, deadline),
    }
}

/// Parks for `time`, or up to `deadline` if that comes first; only the latter is an error. For waits whose end nobody
/// announces: the caller looks again.
pub(super) fn nap(green: Green, time: Duration, deadline: Option<Instant>) -> Result<(), Stop> {
    let soon = Instant::now() + time;
    match green.park(Some(deadline.map_or(soon, |at| at.min(soon)))) {
        Err(Stop::Deadline) if deadline.is_none_or(|at| at > Instant::now()) => Ok(()),
        other => other,
    }
}
