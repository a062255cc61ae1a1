//! poll(2) and ppoll(2).
//!
//! A time-out of zero is a question, not a wait: it never switches.

use std::time::{Duration, Instant};

use libc::{c_int, nfds_t, pollfd, sigset_t, timespec};

use super::gate::{self, Green, Group, Stop};
use super::pins::{self, PinKind};
use super::ready::{self, Mode, Set};
use super::{real, time, wait};

/// poll(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    let Some(green) = gate::green(Group::Net).filter(|_| timeout != 0) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::poll(fds, n, timeout) };
    };
    // Negative: for ever.
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's arguments.
    unsafe { wait_for(green, fds, n, timeout) }
}

/// ppoll(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    let real = || unsafe { real::ppoll(fds, n, timeout, mask) };
    let Some(green) = gate::green(Group::Net) else { return real() };
    // SAFETY: the caller's pointer, null or to a time.
    let Some(limit) = (unsafe { time::limit(timeout) }) else { return real() };
    if !mask.is_null() {
        // The kernel swaps the mask and waits in one step; nothing that parks could.
        pins::count(PinKind::Unsupported);
        return real();
    }
    // SAFETY: the caller's arguments.
    unsafe { wait_for(green, fds, n, limit) }
}

/// poll(2) of programs that were built with _FORTIFY_SOURCE.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __poll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: c_int,
    room: libc::size_t,
) -> c_int {
    if !fits(n, room) {
        // SAFETY: the caller's arguments; it ends the program.
        return unsafe { real::__poll_chk(fds, n, timeout, room) };
    }
    // SAFETY: the caller's arguments.
    unsafe { poll(fds, n, timeout) }
}

/// ppoll(2) of programs that were built with _FORTIFY_SOURCE.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: libc::size_t,
) -> c_int {
    if !fits(n, room) {
        // SAFETY: the caller's arguments; it ends the program.
        return unsafe { real::__ppoll_chk(fds, n, timeout, mask, room) };
    }
    // SAFETY: the caller's arguments.
    unsafe { ppoll(fds, n, timeout, mask) }
}

#[cfg(not(target_feature = "crt-static"))]
fn fits(n: nfds_t, room: libc::size_t) -> bool {
    n <= (room / size_of::<pollfd>()) as nfds_t
}

/// # Safety
/// `fds` and `n` as poll(2) wants them; the kernel checks them before anybody else looks.
unsafe fn wait_for(green: Green, fds: *mut pollfd, n: nfds_t, timeout: Option<Duration>) -> c_int {
    let call = |mode| {
        let timeout = match (mode, timeout) {
            (Mode::Look, _) => Some(Duration::ZERO),
            (Mode::Block, timeout) => timeout,
        };
        let mut spec = timeout.map(time::spec);
        let spec = spec.as_mut().map_or(std::ptr::null(), |spec| &raw const *spec);
        // SAFETY: the caller's arguments, and a time of our own or none.
        unsafe { real::ppoll(fds, n, spec, std::ptr::null()) }
    };
    let mut waiting = None;
    let wait = |deadline: Option<Instant>| {
        // SAFETY: the kernel has read and written all `n` of them in the look before this wait.
        let waiting = waiting.get_or_insert_with(|| Waiting::of(unsafe { entries(fds, n) }));
        waiting.wait(green, deadline)
    };
    ready::until(green, wait::deadline(timeout), call, wait)
}

/// What is asked for, without the entries that poll ignores.
///
/// # Safety
/// `fds` points to `n` entries.
unsafe fn entries(fds: *const pollfd, n: nfds_t) -> Vec<(c_int, u32)> {
    (0..n as usize)
        .map(|at| {
            // SAFETY: one of the `n`.
            let entry = unsafe { fds.wrapping_add(at).read() };
            (entry.fd, u32::from(entry.events as u16))
        })
        .filter(|(fd, _)| *fd >= 0)
        .collect()
}

/// What a call parks on.
enum Waiting {
    /// Only time.
    Nothing,
    Readable(c_int),
    Writable(c_int),
    Several(Set),
}

const READ: u32 = (libc::POLLIN | libc::POLLRDNORM) as u32;
const WRITE: u32 = (libc::POLLOUT | libc::POLLWRNORM) as u32;
/// Reported in any case, so it makes no difference to ask.
const ALWAYS: u32 = (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32;

impl Waiting {
    fn of(entries: Vec<(c_int, u32)>) -> Waiting {
        let within = |events: u32, set: u32| events & set != 0 && events & !(set | ALWAYS) == 0;
        match *entries {
            [] => Waiting::Nothing,
            [(fd, events)] if within(events, READ) => Waiting::Readable(fd),
            [(fd, events)] if within(events, WRITE) => Waiting::Writable(fd),
            _ => Waiting::Several(Set::new(&entries)),
        }
    }

    fn wait(&mut self, green: Green, deadline: Option<Instant>) -> Result<(), Stop> {
        match self {
            Waiting::Nothing => green.park(deadline),
            Waiting::Readable(fd) => wait::readable(green, *fd, deadline),
            Waiting::Writable(fd) => wait::writable(green, *fd, deadline),
            Waiting::Several(set) => set.wait(green, deadline),
        }
    }
}
