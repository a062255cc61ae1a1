//! The gate that every hook passes: is the caller a green thread whose calls are ours to change, and may it be
//! suspended here?
//!
//! Inert until [`open`]: a hook then costs a load and a branch. On OS threads it costs one more load. What must never
//! happen is a switch where one would be unsound; those places are listed in [`Green::may_switch`], and a call there
//! blocks the worker instead, as it would have without us (a *pin*).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use libc::c_int;

use super::pins::{self, PinKind};
use super::signals;
use crate::fiber::Fiber;
use crate::hub::{self, Hub, Interrupt};

/// What can be patched on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Group {
    Net = 1,
    Time = 2,
    Dns = 4,
    Sync = 8,
    Process = 16,
    Files = 32,
}

/// The groups that are installed. 0 in a forked child, which has no hub of its own.
static GROUPS: AtomicU32 = AtomicU32::new(0);

/// Installs `groups`, beside what is installed already.
pub(super) fn open(groups: u32) {
    GROUPS.fetch_or(groups, Ordering::SeqCst);
}

/// In a forked child: nothing is hooked any more (DESIGN.md section 5, rule 9).
pub(super) extern "C" fn shut() {
    GROUPS.store(0, Ordering::SeqCst);
}

/// Whether `group` is installed in this process.
#[inline(always)]
pub(super) fn installed(group: Group) -> bool {
    GROUPS.load(Ordering::Relaxed) & group as u32 != 0
}

/// A green thread in a hook, on its worker. Good for as long as the hook runs.
#[derive(Clone, Copy)]
pub(super) struct Green {
    // 'static stands for "while this green thread runs here", which `Copy` and private fields keep to the hook.
    pub(super) hub: &'static Hub,
    pub(super) fiber: &'static Fiber,
}

/// The calling green thread, if calls of `group` are to be changed for it.
#[inline(always)]
pub(super) fn green(group: Group) -> Option<Green> {
    if !installed(group) {
        return None;
    }
    let (hub, fiber) = hub::here_green()?;
    Some(Green { hub, fiber })
}

/// Whether the caller is a green thread and one of `groups` is installed. A hook that asks this first, and has all else
/// in a function of its own, ends in a jump to libc's function where it has nothing to do; a call and a return instead
/// would cost ten nanoseconds after a system call, because processors forget where such returns go.
#[inline(always)]
pub(super) fn concerns<const N: usize>(groups: [Group; N]) -> bool {
    let groups = groups.iter().fold(0, |groups, group| groups | *group as u32);
    GROUPS.load(Ordering::Relaxed) & groups != 0 && hub::here_green().is_some()
}

/// Why a wait ended before what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The deadline that the hook gave.
    Deadline,
    /// An enclosing `sward::timeout` has elapsed.
    Elapsed,
    /// The client that an enclosing watch is about has gone away.
    Lost,
    /// The green thread has been cancelled.
    Cancelled,
    /// The descriptor was closed.
    Closed,
}

impl Stop {
    /// As an error number.
    pub(super) fn errno(self) -> c_int {
        match self {
            Stop::Deadline | Stop::Elapsed => libc::ETIMEDOUT,
            Stop::Lost => libc::ECONNABORTED,
            Stop::Cancelled => libc::ECANCELED,
            Stop::Closed => libc::EBADF,
        }
    }
}

impl From<Interrupt> for Stop {
    fn from(why: Interrupt) -> Stop {
        match why {
            Interrupt::TimedOut => Stop::Deadline,
            Interrupt::Elapsed(_) => Stop::Elapsed,
            Interrupt::Lost(_) => Stop::Lost,
            Interrupt::Cancelled => Stop::Cancelled,
        }
    }
}

impl Green {
    /// Whether the caller may be suspended here. If not, that is counted, and the caller makes the real call.
    pub(super) fn may_switch(self) -> bool {
        let Some(why) = self.obstacle() else { return true };
        pins::count(why);
        false
    }

    fn obstacle(self) -> Option<PinKind> {
        if std::thread::panicking() {
            Some(PinKind::Unwinding)
        } else if self.fiber.state.unswitchable.get() != 0 {
            Some(PinKind::Asked)
        } else if self.hub.is_busy() {
            Some(PinKind::Inside)
        } else if !self.on_its_stack() || self.in_handler() {
            Some(PinKind::SignalHandler)
        } else {
            None
        }
    }

    /// One call succeeded at once. After many in a row others run, where that is possible.
    #[inline]
    pub(super) fn spend(self) {
        if self.hub.has_spent() && self.obstacle().is_none() {
            hub::yield_now();
        }
    }

    /// False in a signal handler on an alternate stack.
    fn on_its_stack(self) -> bool {
        let here = 0_u8;
        let guard = self.fiber.guard();
        let top = guard.start.wrapping_add(self.fiber.stack_size);
        (guard.end..top).contains(&(&raw const here).addr())
    }

    /// Whether a signal is being handled on this OS thread, as far as that can be seen: more is blocked than the
    /// program has asked for. (A handler of SA_NODEFER that blocks nothing looks like ordinary code.)
    fn in_handler(self) -> bool {
        if !signals::may_be_handled() {
            return false;
        }
        let (now, usual) = (crate::sys::signal::blocked(), self.hub.signals_blocked.get());
        if now & !usual != 0 {
            return true;
        }
        // Fewer than we thought: it was changed behind our back, or first seen in a handler.
        self.hub.signals_blocked.set(now);
        false
    }

    /// Lets others run.
    pub(super) fn yield_now(self) {
        hub::yield_now();
    }

    /// Parks; may return for no reason.
    pub(super) fn park(self, deadline: Option<Instant>) -> Result<(), Stop> {
        self.ended(self.hub.park_green(self.fiber, deadline, false))
    }

    /// Parks, deaf to `timeout` scopes and cancellation; may return for no reason.
    pub(super) fn park_masked(self, deadline: Option<Instant>) -> Result<(), Stop> {
        self.hub.park_green(self.fiber, deadline, true).map_err(Stop::from)
    }

    /// The result of a wait. A refused one may not have switched, and code that ignores errors would then never let
    /// go of its worker: so others run now.
    pub(super) fn ended(self, result: Result<(), Interrupt>) -> Result<(), Stop> {
        result.map_err(|why| {
            if why != Interrupt::TimedOut {
                hub::yield_now();
            }
            Stop::from(why)
        })
    }
}

/// Runs `f` on the calling thread without any switch inside a hook: what would wait blocks the worker.
pub(super) fn without_switching<T>(f: impl FnOnce() -> T) -> T {
    struct Back(&'static Fiber);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.state.allow_switching();
        }
    }
    let _back = hub::here_green().map(|(_, fiber)| {
        fiber.state.forbid_switching();
        Back(fiber)
    });
    f()
}

/// The program has changed what the calling OS thread blocks.
pub(super) fn mask_changed() {
    if let Some(hub) = hub::here() {
        hub.signals_blocked.set(crate::sys::signal::blocked());
    }
}
