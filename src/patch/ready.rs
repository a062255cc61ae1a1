//! Waiting until one of several descriptors is ready, for calls that only ask about readiness: poll, select, epoll.
//!
//! The kernel is asked with a time-out of zero, and decides. In between the green thread parks: on the descriptor
//! itself if there is just one, else on a private epoll instance that holds them all.
//!
//! A signal does not end such a wait with EINTR: its handler runs, on whatever green thread is running, and that is all.
//!
//! Not here: what each call's arguments mean (`poll`, `select`, `epoll`).

use std::time::Instant;

use libc::c_int;

use super::errno;
use super::gate::{Green, Stop};
use super::raw::syscall;
use super::wait;
use crate::sys::Lock;

/// How a readiness call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// With a time-out of zero.
    Look,
    /// As the caller made it: it may block the worker.
    Block,
}

/// Makes `call` until it finds something, or fails, or `deadline` has passed, and parks in between by `wait`. `call`
/// returns what poll(2) does.
pub(super) fn until(
    green: Green,
    deadline: Option<Instant>,
    mut call: impl FnMut(Mode) -> c_int,
    mut wait: impl FnMut(Option<Instant>) -> Result<(), Stop>,
) -> c_int {
    let kept = errno::keep();
    let (mut waited, mut ended) = (false, None);
    loop {
        let found = call(Mode::Look);
        if found > 0 {
            if !waited {
                green.spend();
            }
            return found;
        }
        if found < 0 {
            return kept.fail(errno::get());
        }
        match ended {
            None => {}
            Some(Stop::Deadline) => return 0,
            Some(stop) => return kept.fail(stop.errno()),
        }
        if !green.may_switch() {
            let found = call(Mode::Block);
            return if found < 0 { kept.fail(errno::get()) } else { found };
        }
        waited = true;
        match wait(deadline) {
            Ok(()) => {}
            // What came with the end counts, and what was closed is the call's to report: one look more.
            Err(stop @ (Stop::Deadline | Stop::Closed)) => ended = Some(stop),
            Err(stop) => return kept.fail(stop.errno()),
        }
    }
}

/// A descriptor of our own, for the time of one call. Nobody else knows its number, so `fds` need not either.
pub(super) struct Own(c_int);

impl Own {
    /// Takes over what a system call returned; `None` for its -1.
    pub(super) fn new(fd: c_int) -> Option<Own> {
        (fd >= 0).then_some(Own(fd))
    }

    pub(super) fn number(&self) -> c_int {
        self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _errno = errno::keep();
        // SAFETY: ours, and nobody uses it any more. By the bare system call: close is hooked.
        let _: c_int = unsafe { syscall!(libc::SYS_close, self.0) };
    }
}

/// What epoll can be asked for of what poll can; ERR and HUP are always reported.
const EVENTS: u32 = (libc::EPOLLIN
    | libc::EPOLLPRI
    | libc::EPOLLOUT
    | libc::EPOLLRDNORM
    | libc::EPOLLRDBAND
    | libc::EPOLLWRNORM
    | libc::EPOLLWRBAND
    | libc::EPOLLRDHUP) as u32;

/// Epoll instances that are not in use, and empty: making one, adding it to the hub's and closing it costs more than
/// all the rest.
static SPARE: Lock<Vec<Own>> = Lock::new(Vec::new());
const SPARES: usize = 16;

/// Several descriptors, watched as one.
pub(super) struct Set {
    /// `None`: not all could be watched, so they are looked at every now and then.
    epoll: Option<Own>,
    added: Vec<c_int>,
    /// An event has been heard of and perhaps not yet been acted upon.
    woken: bool,
}

impl Set {
    /// Watches every descriptor of `entries` for the poll events beside it.
    pub(super) fn new(entries: &[(c_int, u32)]) -> Set {
        // A statement of its own: the lock must not be held any longer.
        let spare = SPARE.lock().pop();
        // SAFETY: takes a flag.
        let epoll = spare.or_else(|| Own::new(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }));
        let mut added = Vec::with_capacity(entries.len());
        let epoll = epoll
            .filter(|epoll| entries.iter().all(|entry| watch(epoll, entries, *entry, &mut added)));
        Set { epoll, added, woken: false }
    }

    /// Parks until one of them may be ready.
    pub(super) fn wait(&mut self, green: Green, deadline: Option<Instant>) -> Result<(), Stop> {
        let Some(epoll) = &self.epoll else { return wait::nap(green, wait::POLLED, deadline) };
        if std::mem::take(&mut self.woken) {
            // The event we woke for was not what the caller waits for (a hang-up of what is only asked for urgent
            // data). It must be taken out, or it would wake us for ever; and then the caller looks again.
            drain(epoll);
            return Ok(());
        }
        wait::readable(green, epoll.number(), deadline)?;
        self.woken = true;
        Ok(())
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _errno = errno::keep();
        let Some(epoll) = self.epoll.take() else { return };
        // What was closed meanwhile may live on under another number, and then cannot be taken out.
        let empty = self.added.iter().all(|fd| control(&epoll, libc::EPOLL_CTL_DEL, *fd, 0) == 0);
        let mut spare = SPARE.lock();
        if empty && spare.len() < SPARES {
            spare.push(epoll);
        }
    }
}

/// epoll_ctl(2). Returns the error number.
fn control(epoll: &Own, operation: c_int, fd: c_int, events: u32) -> c_int {
    // Edge-triggered, so that an event which is nobody's concern can be taken out.
    let events = (events & EVENTS) | libc::EPOLLET as u32;
    let mut event = libc::epoll_event { events, u64: 0 };
    // SAFETY: reads `event`.
    if unsafe { libc::epoll_ctl(epoll.number(), operation, fd, &raw mut event) } == 0 {
        return 0;
    }
    errno::get()
}

/// Adds `entry` to `epoll`; false if it cannot be watched though it has something to wait for.
fn watch(
    epoll: &Own,
    entries: &[(c_int, u32)],
    (fd, events): (c_int, u32),
    added: &mut Vec<c_int>,
) -> bool {
    match control(epoll, libc::EPOLL_CTL_ADD, fd, events) {
        0 => {
            added.push(fd);
            true
        }
        // EPERM: a regular file or the like, of which the call itself says that it is always ready. EBADF: closed a
        // moment ago, which the call also reports.
        libc::EPERM | libc::EBADF => true,
        libc::EEXIST => {
            let same = entries.iter().filter(|(other, _)| *other == fd);
            let all = same.fold(0, |all, (_, events)| all | events);
            control(epoll, libc::EPOLL_CTL_MOD, fd, all) == 0
        }
        _ => false,
    }
}

/// Takes out what `epoll` has to report.
fn drain(epoll: &Own) {
    const ROOM: usize = 16;
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; ROOM];
    loop {
        // SAFETY: writes up to ROOM events. By the bare system call: epoll_wait is hooked.
        let n: c_int = unsafe {
            syscall!(libc::SYS_epoll_pwait, epoll.number(), events.as_mut_ptr(), ROOM, 0, 0, 0)
        };
        if n != ROOM as c_int {
            return;
        }
    }
}
