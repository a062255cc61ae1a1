//! sleep(3), usleep(3), nanosleep(2), clock_nanosleep(2), sched_yield(2).
//!
//! A sleep that a `timeout` scope or cancellation cuts short returns as if it had been slept out (sleep(3): with the
//! seconds left). These functions have one error for that, EINTR, on which every caller sleeps on; the scope would
//! be stuck in that loop. The next call that can report an error does.

use std::time::Duration;

use libc::{c_int, clockid_t, timespec};

use super::gate::{self, Green, Group, Stop};
use super::pins::{self, PinKind};
use super::{errno, real, wait};

/// How long `spec` says to wait: `Some(None)` for ever, `None` if it is zero or not a time, which are the kernel's
/// business.
///
/// # Safety
/// Null, or points to a time.
pub(super) unsafe fn limit(spec: *const timespec) -> Option<Option<Duration>> {
    // SAFETY: the caller's promise.
    let Some(spec) = (unsafe { spec.as_ref() }) else { return Some(None) };
    duration(spec).filter(|limit| !limit.is_zero()).map(Some)
}

/// `None` if it is not a time.
fn duration(spec: &timespec) -> Option<Duration> {
    let seconds = spec.tv_sec.try_into().ok()?;
    let nanos = u32::try_from(spec.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// As the kernel wants it. What is beyond its years is as good as for ever.
pub(super) fn spec(duration: Duration) -> timespec {
    timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Sleeps, or lets others run if there is nothing to sleep.
fn sleep_for(green: Green, duration: Duration) -> Result<(), Stop> {
    if duration.is_zero() {
        green.yield_now();
        return Ok(());
    }
    let deadline = wait::deadline(Some(duration));
    loop {
        match green.park(deadline) {
            Ok(()) => {} // for no reason
            Err(Stop::Deadline) => return Ok(()),
            Err(stop) => return Err(stop),
        }
    }
}

/// The green thread that sleeps; `None` for the real call.
#[inline]
fn sleeper() -> Option<Green> {
    gate::green(Group::Time).filter(|green| green.may_switch())
}

/// The green thread that sleeps, and what it was asked for; `None` for the real call, which refuses what is no time.
///
/// # Safety
/// Null, or points to a time.
unsafe fn sleeper_for(request: *const timespec) -> Option<(Green, Duration)> {
    let green = gate::green(Group::Time)?;
    // SAFETY: the caller's promise.
    let time = unsafe { request.as_ref() }.and_then(duration)?;
    green.may_switch().then_some((green, time))
}

/// sleep(3).
///
/// # Safety
/// None.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sleep(seconds: libc::c_uint) -> libc::c_uint {
    let Some(green) = sleeper() else {
        // SAFETY: a number.
        return unsafe { real::sleep(seconds) };
    };
    let _errno = errno::keep();
    let duration = Duration::from_secs(seconds.into());
    let start = std::time::Instant::now();
    match sleep_for(green, duration) {
        Ok(()) => 0,
        Err(_) => {
            let left = duration.saturating_sub(start.elapsed());
            // Rounded up: 0 would mean that all was slept.
            left.as_millis().div_ceil(1000).try_into().unwrap_or(seconds)
        }
    }
}

/// usleep(3).
///
/// # Safety
/// None.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn usleep(micros: libc::useconds_t) -> c_int {
    let Some(green) = sleeper() else {
        // SAFETY: a number.
        return unsafe { real::usleep(micros) };
    };
    let _errno = errno::keep();
    let _cut_short = sleep_for(green, Duration::from_micros(micros.into()));
    0
}

/// nanosleep(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nanosleep(request: *const timespec, rest: *mut timespec) -> c_int {
    // SAFETY: the caller's pointer.
    let Some((green, time)) = (unsafe { sleeper_for(request) }) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::nanosleep(request, rest) };
    };
    let _errno = errno::keep();
    let _cut_short = sleep_for(green, time);
    0
}

/// A clock that can be set, or that runs while the machine is suspended, is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// clock_nanosleep(2). Returns the error number.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    request: *const timespec,
    rest: *mut timespec,
) -> c_int {
    if !gate::concerns([Group::Time]) {
        // SAFETY: the caller's arguments.
        return unsafe { plain(clock, flags, request, rest) };
    }
    // SAFETY: the caller's arguments.
    unsafe { clock_nanosleep_green(clock, flags, request, rest) }
}

/// libc's clock_nanosleep.
///
/// # Safety
/// As libc's.
#[inline(always)]
unsafe fn plain(
    clock: clockid_t,
    flags: c_int,
    request: *const timespec,
    rest: *mut timespec,
) -> c_int {
    // The bare system call says -1 and leaves errno, as libc's function does not.
    #[cfg(target_feature = "crt-static")]
    let _errno = errno::keep();
    // SAFETY: the caller's arguments.
    let result = unsafe { real::clock_nanosleep(clock, flags, request, rest) };
    #[cfg(target_feature = "crt-static")]
    let result = if result == -1 { errno::get() } else { result };
    result
}

/// # Safety
/// As libc's.
#[inline(never)]
unsafe fn clock_nanosleep_green(
    clock: clockid_t,
    flags: c_int,
    request: *const timespec,
    rest: *mut timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    let real = || unsafe { plain(clock, flags, request, rest) };
    // SAFETY: the caller's pointer.
    let Some((green, time)) = (unsafe { sleeper_for(request) }) else { return real() };
    if !matches!(clock, libc::CLOCK_MONOTONIC | libc::CLOCK_REALTIME | libc::CLOCK_BOOTTIME) {
        // The time of a process, of a thread, ...: no deadline of ours can be one of theirs.
        pins::count(PinKind::Unsupported);
        return real();
    }
    let _errno = errno::keep();
    if flags & libc::TIMER_ABSTIME == 0 {
        let _cut_short = sleep_for(green, time);
        return 0;
    }
    while let Some(left) = time.checked_sub(now(clock)).filter(|left| !left.is_zero()) {
        let step = if clock == libc::CLOCK_MONOTONIC { left } else { left.min(LOOK) };
        if sleep_for(green, step).is_err() {
            break;
        }
    }
    0
}

fn now(clock: clockid_t) -> Duration {
    let mut now = spec(Duration::ZERO);
    // SAFETY: writes to `now`.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    duration(&now).unwrap_or(Duration::MAX)
}

/// sched_yield(2).
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sched_yield() -> c_int {
    let Some(green) = sleeper() else {
        // SAFETY: takes nothing.
        return unsafe { real::sched_yield() };
    };
    let _errno = errno::keep();
    green.yield_now();
    0
}

/// A time-out for bare system calls that say what is left by writing to it.
#[cfg(target_feature = "crt-static")]
pub(super) struct Spec(Option<timespec>);

#[cfg(target_feature = "crt-static")]
impl Spec {
    /// As poll(2) has it: negative is for ever.
    pub(super) fn millis(millis: c_int) -> Spec {
        Spec(u64::try_from(millis).ok().map(|millis| spec(Duration::from_millis(millis))))
    }

    /// As select(2) has it. One that is no time stays none.
    pub(super) fn micros(time: *const libc::timeval) -> Spec {
        // SAFETY: null, or the time of select's caller.
        let time = unsafe { time.as_ref() };
        Spec(time.map(|time| timespec {
            tv_sec: time.tv_sec.saturating_add(time.tv_usec.div_euclid(1_000_000)),
            tv_nsec: time.tv_usec.rem_euclid(1_000_000) * 1000,
        }))
    }

    /// As ppoll(2) has it.
    pub(super) fn copy(time: *const timespec) -> Spec {
        // SAFETY: null, or the time of the caller.
        Spec(unsafe { time.as_ref() }.copied())
    }

    pub(super) fn pointer(&mut self) -> *mut timespec {
        self.0.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut)
    }
}
