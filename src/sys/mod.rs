//! The operating system, as the rest of the crate sees it: the only room that names `rustix` and `libc`.
//!
//! What it is: thin, safe functions over system calls, one file per mechanism. What it is not: policy. Nothing
//! here knows green threads, and nothing here waits unless its caller asked for a blocking call.
//!
//! rustix's linux_raw backend issues the system calls itself, so a process that interposes libc's symbols (as
//! the patch will) never sees ours. `libc` is used only for what rustix does not offer, none of it interposed.
//!
//! Read on: [`lock`] and [`futex`] (waiting of OS threads), [`memory`] (mappings for stacks), [`epoll`] and
//! [`eventfd`] (readiness and the bell), [`clock`], [`socket`], [`signal`], [`overflow`] (the SIGSEGV report).

pub(crate) mod clock;
pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod overflow;
#[cfg(feature = "http")]
pub(crate) mod passing;
pub(crate) mod signal;
pub(crate) mod socket;

pub(crate) use lock::{Lock, LockGuard};
pub(crate) use rustix::net::{RecvFlags, SendFlags, SocketAddrAny};

/// The atomics of the wake-up protocol. A module of its own so that the loom package can put loom's in its place.
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicPtr, Ordering};
}

/// Asks the kernel to fire this thread's timers within `nanos` of their deadline (the default is 50 µs).
/// Failure is ignored: timers are then merely late.
pub(crate) fn set_timer_slack(nanos: u64) {
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(nanos));
}
