//! futex(2), as std, parking_lot and others call it: through libc's `syscall`.
//!
//! A wait of a green thread goes one of four ways:
//!
//! | the word is | what happens | why |
//! |---|---|---|
//! | in this OS thread's thread-local memory | the worker blocks (a pin) | it is the OS thread's, not the green thread's |
//! | this OS thread's own park word | `hub::park_word` | shared by all green threads of the worker |
//! | shared with other processes | the pool waits | the kernel alone knows who wakes it |
//! | any other | `lot` | std's locks |
//!
//! All are deaf to `timeout` scopes and cancellation: a lock cannot report them, and nothing unwinds out of here.
//! Wakes, from threads of either kind, look for green waiters and for the kernel's, in turn who is first.
//!
//! What is not here: priority inheritance (FUTEX_LOCK_PI and its kin) and `futex_waitv`; they block the worker.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libc::{c_int, c_long, timespec};

use super::gate::{self, Green, Group, Stop};
use super::lot::{self, Slept};
use super::pins::{self, PinKind};
use super::{complain, errno, name_of, raw, tls};
use crate::hub::Hub;

/// syscall(2): futex is looked at, everything else goes straight to the kernel.
///
/// # Safety
/// As the system call `number` demands of its arguments.
// libc's has a variable number of arguments; on our architectures these are passed as fixed ones are.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let args = [a, b, c, d, e, f];
    if number == libc::SYS_futex && gate::installed(Group::Sync) {
        // SAFETY: the caller's arguments.
        return unsafe { futex(args) };
    }
    // SAFETY: the caller's arguments.
    raw::answer(unsafe { raw::syscall6(number, args) })
}

const ANY: u32 = u32::MAX;

/// # Safety
/// As futex(2) demands.
unsafe fn futex(args: [usize; 6]) -> c_long {
    let [address, operation, count, _, _, bits] = args;
    let command = operation as c_int & libc::FUTEX_CMD_MASK;
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            if let Some(green) = gate::green(Group::Sync) {
                let bits = if command == libc::FUTEX_WAIT { ANY } else { bits as u32 };
                // SAFETY: the caller's arguments.
                return unsafe { wait(green, args, bits) };
            }
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let bits = if command == libc::FUTEX_WAKE { ANY } else { bits as u32 };
            // SAFETY: the caller's arguments.
            return unsafe { wake(args, address, count, bits) };
        }
        // Whoever is moved from one word to another may as well be woken, and goes there by itself.
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE => {
            lot::wake(address, usize::MAX, ANY);
        }
        libc::FUTEX_WAKE_OP => {
            // SAFETY: the caller's arguments. The kernel changes the second word, so it goes first.
            let woken = unsafe { raw::syscall6(libc::SYS_futex, args) };
            let [_, _, _, second_count, second, _] = args;
            lot::wake(address, count, ANY);
            lot::wake(second, second_count, ANY);
            return raw::answer(woken);
        }
        _ => {
            if gate::green(Group::Sync).is_some()
                && matches!(command, libc::FUTEX_LOCK_PI | libc::FUTEX_WAIT_REQUEUE_PI)
            {
                pins::count(PinKind::Unsupported);
            }
        }
    }
    // SAFETY: the caller's arguments.
    raw::answer(unsafe { raw::syscall6(libc::SYS_futex, args) })
}

/// # Safety
/// As futex(2) demands.
unsafe fn wake(args: [usize; 6], address: usize, count: usize, bits: u32) -> c_long {
    /// Who is looked at first: neither kind of waiter may starve the other.
    static TURN: AtomicBool = AtomicBool::new(false);

    if lot::nobody() {
        // SAFETY: the caller's arguments.
        return raw::answer(unsafe { raw::syscall6(libc::SYS_futex, args) });
    }
    // The kernel takes the count for a signed number.
    let count = count as u32 as i32;
    let wanted = usize::try_from(count).unwrap_or(0).max(1);
    let kernel = |wanted: usize| {
        let [_, operation, _, d, e, f] = args;
        let args = [address, operation, wanted.min(i32::MAX as usize), d, e, f];
        // SAFETY: the caller's arguments, but for a smaller count.
        unsafe { raw::syscall6(libc::SYS_futex, args) }
    };
    let green_first = TURN.fetch_xor(true, Ordering::Relaxed);
    let mut woken = 0;
    if green_first {
        woken += lot::wake(address, wanted, bits);
    }
    if woken < wanted {
        let there = kernel(wanted - woken);
        if there < 0 {
            return raw::answer(there);
        }
        woken += there as usize;
    }
    if !green_first && woken < wanted {
        woken += lot::wake(address, wanted - woken, bits);
    }
    woken as c_long
}

/// # Safety
/// As futex(2) demands of FUTEX_WAIT and FUTEX_WAIT_BITSET.
unsafe fn wait(green: Green, args: [usize; 6], bits: u32) -> c_long {
    let [address, operation, expected, timeout, ..] = args;
    if let Some(learnt) = being_learnt(address) {
        return learnt;
    }
    let kept = errno::keep();
    let word = std::ptr::with_exposed_provenance::<AtomicU32>(address);
    if bits == 0 || !word.is_aligned() || word.is_null() || !green.may_switch() {
        drop(kept);
        // SAFETY: the caller's arguments.
        return raw::answer(unsafe { raw::syscall6(libc::SYS_futex, args) });
    }
    // SAFETY: a time-out is null or a valid `timespec`, by the contract of futex(2).
    let timeout = unsafe { std::ptr::with_exposed_provenance::<timespec>(timeout).as_ref() };
    let deadline = match timeout.map(|at| deadline(operation as c_int, at)) {
        None => None,
        Some(Ok(deadline)) => deadline,
        Some(Err(error)) => return kept.fail(error),
    };
    if tls::contains(address) {
        pins::count(PinKind::ThreadLocal);
        let result = blocked(green, address, expected, deadline);
        return if result < 0 { kept.fail(-result as c_int) } else { 0 };
    }
    if park_word(address) {
        return wait_to_be_unparked(green, kept, word, deadline);
    }
    if operation as c_int & libc::FUTEX_PRIVATE_FLAG == 0 {
        return wait_elsewhere(kept, args, timeout.copied());
    }
    // SAFETY: aligned, and readable for as long as the call lasts, by the contract of futex(2).
    let unchanged = || unsafe { &*word }.load(Ordering::SeqCst) == expected as u32;
    match lot::sleep(green, address, bits, deadline, unchanged) {
        Slept::Woken => 0,
        Slept::Changed => kept.fail(libc::EAGAIN),
        Slept::Stop(Stop::Deadline) => kept.fail(libc::ETIMEDOUT),
        // Masked, so nothing else is reported; a wake-up for no reason would be all right too.
        Slept::Stop(_) => kept.fail(libc::EINTR),
    }
}

/// When a wait ends, `None` if never. FUTEX_WAIT has a duration, FUTEX_WAIT_BITSET a time.
fn deadline(operation: c_int, timeout: &timespec) -> Result<Option<Instant>, c_int> {
    let nanos = u32::try_from(timeout.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000);
    let (Ok(seconds), Some(nanos)) = (u64::try_from(timeout.tv_sec), nanos) else {
        return Err(libc::EINVAL);
    };
    let mut wait = Duration::new(seconds, nanos);
    if operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT_BITSET {
        let clock = if operation & libc::FUTEX_CLOCK_REALTIME != 0 {
            libc::CLOCK_REALTIME
        } else {
            libc::CLOCK_MONOTONIC
        };
        let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes `now`.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        wait = wait.saturating_sub(Duration::new(now.tv_sec as u64, now.tv_nsec as u32));
    }
    Ok(Instant::now().checked_add(wait))
}

/// How long a worker is blocked before it says so.
const PATIENCE: Duration = Duration::from_secs(3);

/// Waits in the kernel, and with it the whole worker; says so if it takes long, as it may take for ever. Returns the
/// kernel's answer.
fn blocked(green: Green, address: usize, expected: usize, deadline: Option<Instant>) -> isize {
    let began = Instant::now();
    let mut said = false;
    loop {
        let now = Instant::now();
        let left = deadline.map(|at| at.saturating_duration_since(now));
        let slice = left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let slice =
            timespec { tv_sec: slice.as_secs() as i64, tv_nsec: slice.subsec_nanos().into() };
        let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
        let timeout = (&raw const slice).expose_provenance();
        let args = [address, operation, expected, timeout, 0, 0];
        // SAFETY: the caller's word, and a `timespec` of ours.
        let result = unsafe { raw::syscall6(libc::SYS_futex, args) };
        let over = deadline.is_some_and(|at| at <= Instant::now());
        if result != -isize::try_from(libc::ETIMEDOUT).unwrap_or(0) || over {
            return result;
        }
        if !std::mem::replace(&mut said, true) {
            complain(&format!(
                "sward: green thread '{}' (id {}) has blocked its worker for {} s: it waits in a lock whose queue is in \
                 thread-local memory (parking_lot, rayon). If a green thread of this worker holds what it waits for, \
                 that is for ever: use std's or sward's locks, or hand the call to sward::blocking. See \
                 sward::patch::pins().\n",
                name_of(green),
                green.fiber.id,
                began.elapsed().as_secs()
            ));
        }
    }
}

/// A word that other processes may wake: an OS thread of the pool waits in our place.
fn wait_elsewhere(kept: errno::Kept, args: [usize; 6], timeout: Option<timespec>) -> c_long {
    let [address, operation, expected, _, _, bits] = args;
    let wait = move || {
        let timeout = timeout.as_ref().map_or(0, |at| std::ptr::from_ref(at).expose_provenance());
        // SAFETY: the caller's word, which it keeps until we return, since the call is masked; a copy of its time-out.
        unsafe { raw::syscall6(libc::SYS_futex, [address, operation, expected, timeout, 0, bits]) }
    };
    match crate::blocking::offload(wait, true) {
        Ok(result) if result < 0 => kept.fail(-result as c_int),
        _ => 0,
    }
}

/// What is known about this OS thread's park word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Unknown,
    /// The next wait on a futex is the one in our own `park_timeout`.
    Learning,
    At(usize),
}

thread_local! {
    static WORD: Cell<Word> = const { Cell::new(Word::Unknown) };
}

/// The wait by which the park word is learnt: it is not made, but answered as if its time were over.
fn being_learnt(address: usize) -> Option<c_long> {
    if WORD.get() != Word::Learning {
        return None;
    }
    WORD.set(Word::At(address));
    errno::set(libc::ETIMEDOUT);
    Some(-1)
}

/// Whether `address` is the word on which std parks this OS thread.
fn park_word(address: usize) -> bool {
    if WORD.get() == Word::Unknown {
        let tries = learn();
        // What was tried without a call of futex had found a token, which is owed to whoever parks next. But if the wait
        // that brought us here is a park itself, the first try found its mark in the word, and no token.
        let no_token = if WORD.get() == Word::At(address) { 2 } else { 1 };
        TAKEN.set(tries > no_token);
    }
    WORD.get() == Word::At(address)
}

/// Parks until futex is called, to see on which word. Returns how often.
#[cold]
fn learn() -> u32 {
    for tries in 1..=8 {
        WORD.set(Word::Learning);
        #[allow(clippy::disallowed_methods, reason = "our own hook answers it at once")]
        std::thread::park_timeout(Duration::from_nanos(1));
        if WORD.get() != Word::Learning {
            return tries;
        }
    }
    WORD.set(Word::Unknown);
    1
}

thread_local! {
    /// A token was taken while learning.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// Green threads of this worker in `std::thread::park` share its word: see `hub::park_word`.
fn wait_to_be_unparked(
    green: Green,
    kept: errno::Kept,
    word: *const AtomicU32,
    deadline: Option<Instant>,
) -> c_long {
    if TAKEN.take() {
        // SAFETY: this OS thread's own word.
        unsafe { &*word }.store(1, Ordering::Release); // a token for whoever parks next, so for us
        return 0;
    }
    let watch = |on: bool| {
        if on {
            lot::watch(word.expose_provenance(), green.hub.mailbox());
        } else {
            lot::unwatch(word.expose_provenance());
        }
    };
    // SAFETY: found out above.
    let result = unsafe { green.hub.wait_on_park_word(green.fiber, word, deadline, watch) };
    match result {
        Ok(for_no_reason) => {
            suspect_a_channel(green, for_no_reason);
            0
        }
        Err(_) => kept.fail(libc::ETIMEDOUT),
    }
}

/// After how many returns for no reason, 30 ms apart, a wait is looked into.
const SUSPICIOUS: u32 = 200;

/// A receiver of std or crossbeam that waits for a sender on its own worker waits for ever, and nothing shows it but
/// time (DESIGN.md section 5, rule 8).
fn suspect_a_channel(green: Green, for_no_reason: bool) {
    static SAID: AtomicBool = AtomicBool::new(false);

    let parks = &green.fiber.state.parks;
    if !for_no_reason {
        parks.set(0);
        return;
    }
    parks.set(parks.get() + 1);
    if parks.get() != SUSPICIOUS || SAID.load(Ordering::Relaxed) {
        return;
    }
    let frames = gate::without_switching(|| std::backtrace::Backtrace::force_capture().to_string());
    if ["mpmc", "crossbeam_channel"].iter().any(|name| frames.contains(name))
        && !SAID.swap(true, Ordering::Relaxed)
    {
        complain(&format!(
            "sward: green thread '{}' (id {}) has waited for {} s in a channel of std or crossbeam. A sender that is a \
             green thread of the same worker can never wake it, as these channels tell threads apart by their OS thread: \
             use sward::sync::mpsc. (If its sender is an OS thread, all is well.)\n",
            name_of(green),
            green.fiber.id,
            SUSPICIOUS * Hub::PARK_AGAIN.subsec_millis() / 1000
        ));
    }
}
