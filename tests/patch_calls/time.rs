//! sleep and its kin.

use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

use libc::{CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, TIMER_ABSTIME, clockid_t, timespec};
use sward::patch::PinKind;

use super::*;

fn spec(duration: Duration) -> timespec {
    timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

fn clock_nanosleep(clock: clockid_t, flags: i32, request: timespec) -> i32 {
    // SAFETY: a time; what is left is not wanted.
    unsafe { libc::clock_nanosleep(clock, flags, &raw const request, ptr::null_mut()) }
}

fn nanosleep(request: timespec) -> i32 {
    // SAFETY: as above.
    unsafe { libc::nanosleep(&raw const request, ptr::null_mut()) }
}

fn now(clock: clockid_t) -> Duration {
    let mut now = spec(Duration::ZERO);
    // SAFETY: writes to `now`.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut now) }, 0);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[test]
fn fifty_of_a_second() {
    alone("time::fifty_of_a_second", || {
        takes(SECOND, 3 * SECOND / 2, || {
            let sleepers: Vec<_> =
                (0..50).map(|_| thread::spawn(|| std::thread::sleep(SECOND))).collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        });
    });
}

#[test]
fn every_kind() {
    alone("time::every_kind", || {
        let short = 30 * TICK;
        let absolute = |clock| clock_nanosleep(clock, TIMER_ABSTIME, spec(now(clock) + short));
        let kinds: [&dyn Fn() -> i32; 9] = [
            &|| nanosleep(spec(short)),
            // SAFETY: a number.
            &|| unsafe { libc::usleep(30_000) },
            // SAFETY: a number.
            &|| unsafe { libc::sleep(1) } as i32,
            &|| clock_nanosleep(CLOCK_MONOTONIC, 0, spec(short)),
            &|| clock_nanosleep(CLOCK_REALTIME, 0, spec(short)),
            &|| clock_nanosleep(CLOCK_BOOTTIME, 0, spec(short)),
            &|| absolute(CLOCK_MONOTONIC),
            &|| absolute(CLOCK_REALTIME),
            &|| absolute(CLOCK_BOOTTIME),
        ];
        for kind in kinds {
            // One nanosecond less: clocks are compared that need not tick as one.
            let slept = takes(short - TICK, 2 * SECOND, || cooperative(kind));
            assert_eq!(slept, 0);
        }
        // What is past needs no sleep; on this road nothing can be cut short by a signal.
        assert_eq!(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, spec(SECOND / 10)), 0);
    });
}

#[test]
fn zero_lets_others_run() {
    alone("time::zero_lets_others_run", || {
        let kinds: [fn() -> i32; 5] = [
            || nanosleep(spec(Duration::ZERO)),
            // SAFETY: a number.
            || unsafe { libc::usleep(0) },
            // SAFETY: takes nothing.
            || unsafe { libc::sched_yield() },
            || {
                std::thread::yield_now();
                0
            },
            || clock_nanosleep(CLOCK_MONOTONIC, 0, spec(Duration::ZERO)),
        ];
        for kind in kinds {
            let ran = Rc::new(Cell::new(false));
            let seen = ran.clone();
            let other = thread::spawn_local(move || seen.set(true));
            assert_eq!(kind(), 0);
            assert!(ran.get());
            other.join().unwrap();
        }
    });
}

#[test]
fn wrong_arguments() {
    alone("time::wrong_arguments", || {
        let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
        assert_eq!((nanosleep(bad), errno()), (-1, libc::EINVAL));
        assert_eq!(clock_nanosleep(CLOCK_MONOTONIC, 0, bad), libc::EINVAL);
        // SAFETY: the kernel refuses null.
        assert_eq!(unsafe { libc::nanosleep(ptr::null(), ptr::null_mut()) }, -1);
        assert_eq!(errno(), libc::EFAULT);
        assert_eq!(clock_nanosleep(99, 0, spec(TICK)), libc::EINVAL);
    });
}

#[test]
fn cut_short_as_if_slept_out() {
    alone("time::cut_short_as_if_slept_out", || {
        let long = 20 * SECOND;
        let kinds: [fn() -> i32; 4] = [
            || nanosleep(spec(20 * SECOND)),
            // SAFETY: a number.
            || unsafe { libc::usleep(20_000_000) },
            || clock_nanosleep(CLOCK_MONOTONIC, 0, spec(20 * SECOND)),
            || {
                let end = now(CLOCK_REALTIME) + 20 * SECOND;
                clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, spec(end))
            },
        ];
        for kind in kinds {
            assert_eq!(takes(50 * TICK, 5 * SECOND, || sward::timeout(50 * TICK, kind)), Ok(0));
        }
        // std asserts that the only error is EINTR, and goes on sleeping at that.
        let std = || sward::timeout(50 * TICK, || std::thread::sleep(20 * SECOND));
        takes(50 * TICK, 5 * SECOND, std).unwrap();
        // SAFETY: a number.
        let sleep = || sward::timeout(50 * TICK, || unsafe { libc::sleep(20) });
        assert_eq!(sleep(), Ok(20), "what is left, rounded up");
        let sleeper = thread::spawn(move || std::thread::sleep(long));
        thread::sleep(20 * TICK);
        sleeper.cancel();
        takes(Duration::ZERO, 5 * SECOND, || sleeper.join().unwrap());
    });
}

/// The time of a process passes only while it computes: no deadline of ours can be one of its.
#[test]
fn another_clock_pins() {
    alone("time::another_clock_pins", || {
        let before = pinned(PinKind::Unsupported);
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = over.clone();
        let busy = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let clock = libc::CLOCK_PROCESS_CPUTIME_ID;
        assert_eq!(beside(|| clock_nanosleep(clock, 0, spec(20 * TICK))), (0, 0));
        over.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        assert_eq!(pinned(PinKind::Unsupported), before + 1);
    });
}

/// Added to the wall clock, in seconds.
static SET: AtomicI64 = AtomicI64::new(0);

/// The clock, in front of libc's, so that it can be set in this program without setting the machine's.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: clockid_t, now: *mut timespec) -> i32 {
    // SAFETY: the caller's pointer.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, now) } as i32;
    // SAFETY: as above.
    if let Some(now) = unsafe { now.as_mut() }
        && clock == CLOCK_REALTIME
    {
        now.tv_sec += SET.load(Ordering::SeqCst);
    }
    result
}

#[test]
fn the_clock_is_set_meanwhile() {
    alone("time::the_clock_is_set_meanwhile", || {
        let end = spec(now(CLOCK_REALTIME) + 15 * SECOND);
        let set = || SET.store(20, Ordering::SeqCst);
        let sleep = || clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, end);
        assert_eq!(takes(20 * TICK, 5 * SECOND, || while_another(set, sleep)), 0);
    });
}
