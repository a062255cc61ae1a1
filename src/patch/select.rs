//! select(2) and pselect(2).
//!
//! The kernel looks with a time-out of zero at copies of the sets, because it overwrites what it is given; only its
//! last answer is written to the caller's.

use std::ptr;
use std::time::{Duration, Instant};

use libc::{c_int, fd_set, sigset_t, timespec, timeval};

use super::gate::{self, Green, Group};
use super::pins::{self, PinKind};
use super::ready::{self, Mode, Set};
use super::{real, time, wait};

/// select(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn select(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: the caller's arguments.
    let real = || unsafe { real::select(n, read, write, except, timeout) };
    let Some(green) = gate::green(Group::Net) else { return real() };
    // SAFETY: the caller's pointer, null or to a time.
    let Some(limit) = (unsafe { limit(timeout) }) else { return real() };
    let deadline = wait::deadline(limit);
    let sets = [read, write, except];
    // SAFETY: the caller's arguments.
    let found = unsafe { wait_for(green, n, sets, deadline) };
    if let Some(deadline) = deadline {
        // As Linux does: what is left.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = timeval {
            tv_sec: left.as_secs() as libc::time_t,
            tv_usec: left.subsec_micros().into(),
        };
        // SAFETY: not null, as it said how long; the caller's to be written.
        unsafe { timeout.write(left) };
    }
    found
}

/// pselect(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pselect(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    let real = || unsafe { real::pselect(n, read, write, except, timeout, mask) };
    let Some(green) = gate::green(Group::Net) else { return real() };
    // SAFETY: the caller's pointer, null or to a time.
    let Some(limit) = (unsafe { time::limit(timeout) }) else { return real() };
    if !mask.is_null() {
        // The kernel swaps the mask and waits in one step; nothing that parks could.
        pins::count(PinKind::Unsupported);
        return real();
    }
    // SAFETY: the caller's arguments.
    unsafe { wait_for(green, n, [read, write, except], wait::deadline(limit)) }
}

/// How long `timeout` says: `Some(None)` for ever, `None` if it is zero or not a time, which are the kernel's business.
///
/// # Safety
/// Null, or points to a time.
unsafe fn limit(timeout: *const timeval) -> Option<Option<Duration>> {
    // SAFETY: the caller's promise.
    let Some(timeout) = (unsafe { timeout.as_ref() }) else { return Some(None) };
    let whole = Duration::from_secs(timeout.tv_sec.try_into().ok()?);
    let part = Duration::from_micros(timeout.tv_usec.try_into().ok()?);
    let limit = whole.checked_add(part)?;
    (!limit.is_zero()).then_some(Some(limit))
}

type Word = libc::c_ulong;

/// Up to this many descriptors every caller's sets have room for.
const FD_SETSIZE: usize = libc::FD_SETSIZE;

/// How many words of the sets the kernel reads for `n` descriptors. It looks at no more than it has room for in this
/// process, so callers may say `n = getdtablesize()` whatever the size of their sets.
fn words(n: c_int) -> usize {
    let mut n = usize::try_from(n).unwrap_or(0);
    if n > FD_SETSIZE {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        n = n.min(size.and_then(|size| size.trim().parse().ok()).unwrap_or(FD_SETSIZE));
    }
    n.div_ceil(Word::BITS as usize)
}

/// The poll events of each of the three sets, as the kernel has them.
const EVENTS: [u32; 3] = [
    (libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND) as u32,
    (libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND) as u32,
    libc::POLLPRI as u32,
];

/// # Safety
/// The sets are null or as select(2) wants them.
unsafe fn wait_for(
    green: Green,
    n: c_int,
    sets: [*mut fd_set; 3],
    deadline: Option<Instant>,
) -> c_int {
    let words = words(n);
    // SAFETY: each is null, or has the words that the kernel would read.
    let wanted = sets.map(|set| unsafe { copy(set, words) });
    let call = |mode| {
        let mut found = wanted.clone();
        let [read, write, except] = found
            .each_mut()
            .map(|set| set.as_mut().map_or(ptr::null_mut(), |set| set.as_mut_ptr().cast()));
        let timeout = match mode {
            Mode::Look => Some(Duration::ZERO),
            Mode::Block => deadline.map(|at| at.saturating_duration_since(Instant::now())),
        };
        let spec = timeout.map(time::spec);
        let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: copies with the words that the kernel uses, and a time of our own or none.
        let result = unsafe { real::pselect(n, read, write, except, spec, ptr::null()) };
        if result > 0 {
            for (set, found) in sets.into_iter().zip(&found) {
                // SAFETY: the same words.
                unsafe { put(set, found.as_deref()) };
            }
        }
        result
    };
    let mut watched = None;
    let wait = |deadline: Option<Instant>| {
        let entries = watched.get_or_insert_with(|| {
            let entries = entries(&wanted, n);
            (!entries.is_empty()).then(|| Set::new(&entries))
        });
        match entries {
            Some(set) => set.wait(green, deadline),
            None => green.park(deadline),
        }
    };
    let found = ready::until(green, deadline, call, wait);
    if found == 0 {
        for (set, wanted) in sets.into_iter().zip(&wanted) {
            let nothing = wanted.as_ref().map(|wanted| vec![0; wanted.len()]);
            // SAFETY: the same words.
            unsafe { put(set, nothing.as_deref()) };
        }
    }
    found
}

/// # Safety
/// `set` is null or has `words` words.
unsafe fn copy(set: *const fd_set, words: usize) -> Option<Vec<Word>> {
    if set.is_null() {
        return None;
    }
    let set = set.cast::<Word>();
    // SAFETY: within the set.
    Some((0..words).map(|at| unsafe { set.wrapping_add(at).read() }).collect())
}

/// # Safety
/// `set` has as many words as `words`, if there are any.
unsafe fn put(set: *mut fd_set, words: Option<&[Word]>) {
    for (at, word) in words.into_iter().flatten().enumerate() {
        // SAFETY: within the set.
        unsafe { set.cast::<Word>().wrapping_add(at).write(*word) };
    }
}

/// The descriptors below `n` that are in any set, each with its events.
fn entries(sets: &[Option<Vec<Word>>; 3], n: c_int) -> Vec<(c_int, u32)> {
    let is_in = |set: &Option<Vec<Word>>, fd: c_int| {
        let (at, bit) = (fd as usize / Word::BITS as usize, fd as u32 % Word::BITS);
        set.as_ref().and_then(|set| set.get(at)).is_some_and(|word| word & (1 << bit) != 0)
    };
    let events = |fd: c_int| {
        let pairs = sets.iter().zip(EVENTS);
        pairs.fold(0, |all, (set, events)| if is_in(set, fd) { all | events } else { all })
    };
    let longest = sets.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let end = n.min((longest * Word::BITS as usize).try_into().unwrap_or(n));
    (0..end).map(|fd| (fd, events(fd))).filter(|(_, events)| *events != 0).collect()
}
