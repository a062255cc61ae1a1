//! Waiting for child processes: waitpid(2) and its kin. (system(3) and pclose(3) are in `shell`.)
//!
//! The kernel is asked with WNOHANG, and decides; in between the green thread parks on a pidfd, which becomes readable
//! when the process ends. What no pidfd tells (any child, a process group, children that stop or go on) is waited for
//! on the pool, with WNOWAIT: the child's status stays for the caller to take.
//!
//! With WNOHANG it is a question, not a wait, and never switches.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, id_t, idtype_t, pid_t, rusage, siginfo_t};

use super::gate::{self, Green, Group, Stop};
use super::pins::{self, PinKind};
use super::raw::syscall;
use super::ready::Own;
use super::{errno, fds, pool, real, wait};
use crate::wait::Monitor;

/// waitpid(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    // SAFETY: the caller's arguments.
    unsafe { wait4(pid, status, options, ptr::null_mut()) }
}

/// wait(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn wait(status: *mut c_int) -> pid_t {
    // SAFETY: the caller's arguments.
    unsafe { wait4(-1, status, 0, ptr::null_mut()) }
}

/// wait3(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn wait3(
    status: *mut c_int,
    options: c_int,
    usage: *mut rusage,
) -> pid_t {
    // SAFETY: the caller's arguments.
    unsafe { wait4(-1, status, options, usage) }
}

/// wait4(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn wait4(
    pid: pid_t,
    status: *mut c_int,
    options: c_int,
    usage: *mut rusage,
) -> pid_t {
    // SAFETY: the caller's arguments.
    let call = |options| unsafe { real::wait4(pid, status, options, usage) };
    let Some(green) = waiter(options) else { return call(options) };
    let (kind, id) = match pid {
        -1 => (libc::P_ALL, 0),
        // 0: the caller's own group, for waitid too.
        ..=0 => (libc::P_PGID, pid.unsigned_abs()),
        _ => (libc::P_PID, pid.unsigned_abs()),
    };
    let whom = Whom { kind, id, options: options | libc::WEXITED };
    until_changed(green, whom, |nohang| {
        let pid = call(options | nohang);
        (pid != 0).then_some(pid)
    })
}

/// waitid(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn waitid(
    kind: idtype_t,
    id: id_t,
    info: *mut siginfo_t,
    options: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, or an info of our own.
    let call = |info, options| unsafe { real::waitid(kind, id, info, options) };
    let Some(green) = waiter(options) else { return call(info, options) };
    // A pidfd that is in O_NONBLOCK asks too.
    if kind == libc::P_PIDFD && fds::kernel_flags(id as c_int) & libc::O_NONBLOCK != 0 {
        return call(info, options);
    }
    until_changed(green, Whom { kind, id, options }, |nohang| {
        if nohang == 0 {
            return Some(call(info, options));
        }
        // SAFETY: all zeroes are a valid info; "nobody yet" leaves it so.
        let mut ours: siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
        let result = call(&raw mut ours, options | nohang);
        if result == 0 && ours.si_signo == 0 {
            return None;
        }
        if result == 0 && !info.is_null() {
            // SAFETY: the caller's, to be written.
            unsafe { info.write(ours) };
        }
        Some(result)
    })
}

/// The green thread that waits; `None` for the real call.
fn waiter(options: c_int) -> Option<Green> {
    let green = gate::green(Group::Process).filter(|_| options & libc::WNOHANG == 0)?;
    if options & libc::__WNOTHREAD != 0 {
        // Only children of this very OS thread: nobody can wait in its stead.
        pins::count(PinKind::Unsupported);
        return None;
    }
    Some(green)
}

/// Whose change is waited for, in waitid's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whom {
    kind: idtype_t,
    id: id_t,
    options: c_int,
}

/// Makes `call` (with WNOHANG to look, with 0 to block) until it has an answer, and parks in between.
fn until_changed(green: Green, whom: Whom, mut call: impl FnMut(c_int) -> Option<c_int>) -> c_int {
    let kept = errno::keep();
    let mut pidfd = None;
    loop {
        let answer =
            call(libc::WNOHANG).or_else(|| if green.may_switch() { None } else { call(0) });
        match answer {
            None => {}
            Some(-1) => return kept.fail(errno::get()),
            Some(answer) => return answer,
        }
        let wait = match pidfd.get_or_insert_with(|| Pidfd::of(whom)) {
            Pidfd::Theirs(fd) => wait::readable(green, *fd, None),
            Pidfd::Ours(fd) => wait::readable(green, fd.number(), None),
            Pidfd::None => on_the_pool(green, whom),
        };
        if let Err(stop) = wait {
            return kept.fail(stop.errno());
        }
    }
}

/// What tells the end of whoever is waited for.
enum Pidfd {
    Theirs(c_int),
    Ours(Own),
    None,
}

impl Pidfd {
    fn of(whom: Whom) -> Pidfd {
        // It tells only the end.
        if whom.options & (libc::WSTOPPED | libc::WCONTINUED) != 0 {
            return Pidfd::None;
        }
        match whom.kind {
            libc::P_PIDFD => Pidfd::Theirs(whom.id as c_int),
            libc::P_PID => {
                // SAFETY: takes numbers. The pid is that of a child that has not been waited for: it stays its.
                let fd: c_int = unsafe { syscall!(libc::SYS_pidfd_open, whom.id, 0) };
                Own::new(fd).map_or(Pidfd::None, Pidfd::Ours)
            }
            _ => Pidfd::None,
        }
    }
}

/// The calls of `on_the_pool` that are out. A call cannot be called back when its waiter is interrupted, so the next
/// one who asks the same joins it: however often somebody gives up, one thread of the pool is taken. In the queue is
/// who waits for another's call.
static OUT: Monitor<Vec<Whom>> = Monitor::new(Vec::new());

/// Parks until there may be something to tell about `whom`.
fn on_the_pool(green: Green, whom: Whom) -> Result<(), Stop> {
    let mut out = OUT.lock();
    if out.contains(&whom) {
        return green.ended(out.wait(0, None));
    }
    out.push(whom);
    drop(out);
    let call = move || {
        let Whom { kind, id, options } = whom;
        // SAFETY: all zeroes are a valid info.
        let mut info: siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
        // Whatever it says: the caller asks for itself.
        // SAFETY: writes to `info`.
        unsafe { real::waitid(kind, id, &raw mut info, options | libc::WNOWAIT) };
        let mut out = OUT.lock();
        out.retain(|other| *other != whom);
        out.wake_all(0);
    };
    pool::call(green, call).map(drop)
}
