//! Signals as events: a handler that notes which signal came and rings a bell that somebody waits for.
//!
//! ```text
//!   kernel ──► on_signal ──► every slot that wants the signal: pending |= its bit, ring the slot's eventfd
//!   waiter ──► reads the eventfd (through `io`, so it parks), then takes bits out of pending
//! ```
//!
//! The handler may run on any thread at any instruction, so it uses atomics and one write(2), nothing else. Slots
//! and their eventfds are therefore never freed: a slot that is given back is used again.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::Lock;
use super::eventfd::EventFd;

/// Signals are 1 to 64; signal n is bit n - 1.
const SIGNALS: usize = 64;
/// How many [`Watch`]es there can be at once.
const SLOTS: usize = 32;

struct Slot {
    /// The signals that this slot is told of; 0 while it is free.
    wants: AtomicU64,
    /// Those that came and were not taken yet.
    pending: AtomicU64,
    /// Null until the slot is first used; then never changed, never freed.
    bell: AtomicPtr<EventFd>,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        wants: AtomicU64::new(0),
        pending: AtomicU64::new(0),
        bell: AtomicPtr::new(ptr::null_mut()),
    }
}; SLOTS];

/// How many slots want a signal, and what was done about it before the first of them came.
#[derive(Clone, Copy)]
struct Users {
    count: usize,
    previous: MaybeUninit<libc::sigaction>,
}

/// Also held by whoever takes or gives back a slot.
static USERS: Lock<[Users; SIGNALS]> =
    Lock::new([Users { count: 0, previous: MaybeUninit::uninit() }; SIGNALS]);

/// The signals that the calling OS thread blocks, signal n as bit n - 1.
pub(crate) fn blocked() -> u64 {
    let mut set = 0_u64;
    #[allow(clippy::disallowed_methods, reason = "not futex, so the patch passes it on")]
    // SAFETY: changes nothing, and writes the 8 bytes of `set`, which is what the kernel calls a signal set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            ptr::null::<u64>(),
            &raw mut set,
            size_of::<u64>(),
        )
    };
    set
}

/// The right to be told of some signals, which do nothing else as long as it is there.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: usize,
    wants: u64,
}

impl Watch {
    /// # Errors
    /// `InvalidInput` for signals that cannot be waited for, or none at all, and the system's.
    pub(crate) fn new(signals: &[i32]) -> io::Result<Self> {
        let mut wants = 0;
        for &signal in signals {
            wants |= bit(signal)?;
        }
        if wants == 0 {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no signal to wait for"));
        }
        let mut users = USERS.lock();
        let Some(slot) = TABLE.iter().position(|slot| slot.wants.load(Ordering::SeqCst) == 0)
        else {
            return Err(io::Error::other("too many signal watches at once"));
        };
        if TABLE[slot].bell.load(Ordering::SeqCst).is_null() {
            let bell = Box::into_raw(Box::new(EventFd::new()?));
            TABLE[slot].bell.store(bell, Ordering::SeqCst);
        }
        TABLE[slot].pending.store(0, Ordering::SeqCst);
        // From here on dropping `watch` undoes what was done, bit by bit.
        let mut watch = Watch { slot, wants: 0 };
        for signal in numbers(wants) {
            let user = &mut users[index(signal)];
            if user.count == 0
                && let Err(error) = install(signal, &mut user.previous)
            {
                drop(users);
                drop(watch);
                return Err(error);
            }
            user.count += 1;
            watch.wants |= 1 << index(signal);
            TABLE[slot].wants.store(watch.wants, Ordering::SeqCst);
        }
        Ok(watch)
    }

    /// A descriptor that becomes readable when a signal came. It is in O_NONBLOCK.
    pub(crate) fn bell(&self) -> io::Result<OwnedFd> {
        super::fd::dup(self.slot_bell().as_fd())
    }

    /// Takes the lowest of the signals that came. If there are more, rings again, for the next to look.
    pub(crate) fn take(&self) -> Option<i32> {
        let pending = &TABLE[self.slot].pending;
        loop {
            let came = pending.load(Ordering::SeqCst) & self.wants;
            let signal = numbers(came).next()?;
            let bit = 1 << index(signal);
            if pending.fetch_and(!bit, Ordering::SeqCst) & bit != 0 {
                if came != bit {
                    self.slot_bell().ring();
                }
                return Some(signal);
            }
        }
    }

    /// Rings the bell for no signal.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn ring(&self) {
        self.slot_bell().ring();
    }

    fn slot_bell(&self) -> &'static EventFd {
        // SAFETY: `new` stored a leaked box before it made this `Watch`, and nobody changes or frees it.
        unsafe { &*TABLE[self.slot].bell.load(Ordering::SeqCst) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut users = USERS.lock();
        TABLE[self.slot].wants.store(0, Ordering::SeqCst);
        for signal in numbers(self.wants) {
            let user = &mut users[index(signal)];
            user.count -= 1;
            if user.count == 0 {
                restore(signal, &user.previous);
            }
        }
    }
}

fn index(signal: i32) -> usize {
    signal as usize - 1
}

fn bit(signal: i32) -> io::Result<u64> {
    // Faults must not be waited for: the thread that waits could be the one that has to run the handler.
    let fault = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL].contains(&signal);
    if fault || !(1..=SIGNALS as i32).contains(&signal) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this signal cannot be waited for"));
    }
    Ok(1 << index(signal))
}

/// The signals whose bits are set, lowest first.
fn numbers(mut bits: u64) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let lowest = bits.trailing_zeros();
        (bits != 0).then(|| {
            bits &= bits - 1;
            lowest as i32 + 1
        })
    })
}

fn install(signal: i32, previous: &mut MaybeUninit<libc::sigaction>) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero is a valid sigaction: no flags, empty mask, default handler.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_signal as *const () as usize;
    // ONSTACK: the interrupted code may be a green thread near the end of its stack.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `on_signal` takes one i32, as a handler without SA_SIGINFO does, and is async-signal-safe.
    match unsafe { libc::sigaction(signal, action, previous.as_mut_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether writing to a peer that went away ends the process, where it cannot be asked not to (MSG_NOSIGNAL). Rust's
/// programs ignore SIGPIPE from their start, but some set it back, and a library's host may never have ignored it.
pub(crate) fn broken_pipe_kills() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only, and `action` is large enough to answer.
    let failed = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: all-zero is a valid sigaction, and the kernel has written a valid one over it.
    failed || unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

fn restore(signal: i32, previous: &MaybeUninit<libc::sigaction>) {
    // SAFETY: `install` had the kernel fill it when the count left 0, and restores an action of the kernel's own.
    unsafe { libc::sigaction(signal, previous.as_ptr(), ptr::null_mut()) };
}

/// Runs on any thread at any instruction: atomics and write(2) only. errno stays as it is, since rustix makes the
/// system call itself.
/// Whether `handler` is the one of this file.
pub(crate) fn is_own(handler: usize) -> bool {
    handler == on_signal as *const () as usize
}

extern "C" fn on_signal(signal: i32) {
    let bit = 1u64 << index(signal);
    for slot in &TABLE {
        if slot.wants.load(Ordering::SeqCst) & bit != 0 {
            slot.pending.fetch_or(bit, Ordering::SeqCst);
            // SAFETY: non-null since before `wants` was first set, and never freed.
            unsafe { &*slot.bell.load(Ordering::SeqCst) }.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_numbers() {
        assert_eq!(numbers(0).count(), 0);
        let bits = bit(1).unwrap() | bit(15).unwrap() | bit(64).unwrap();
        assert_eq!(numbers(bits).collect::<Vec<_>>(), [1, 15, 64]);
    }

    #[test]
    fn refuses_what_cannot_be() {
        for signal in [0, -1, 65, libc::SIGSEGV, libc::SIGKILL, libc::SIGSTOP] {
            let error = Watch::new(&[libc::SIGURG, signal]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{signal}");
        }
        assert_eq!(Watch::new(&[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(USERS.lock()[index(libc::SIGURG)].count, 0, "undone");
    }
}
