//! pthread_join: by std's `JoinHandle::join`, and by C's names.

use std::ffi::c_void;
use std::ptr;
use std::sync::mpsc;

use libc::{pthread_t, timespec};

use super::*;

unsafe extern "C" {
    fn pthread_timedjoin_np(
        thread: pthread_t,
        result: *mut *mut c_void,
        until: *const timespec,
    ) -> i32;
    fn pthread_clockjoin_np(
        thread: pthread_t,
        result: *mut *mut c_void,
        clock: libc::clockid_t,
        until: *const timespec,
    ) -> i32;
}

#[test]
fn std_threads() {
    alone("join::std_threads", || {
        let (go, wait) = mpsc::channel::<()>();
        let os = std::thread::spawn(move || {
            wait.recv().unwrap();
            42
        });
        // The thread ends only when a green thread of this worker has run.
        let value = while_another(move || go.send(()).unwrap(), || cooperative(|| os.join()));
        assert_eq!(value.unwrap(), 42);
        let os = std::thread::spawn(|| {});
        while !os.is_finished() {
            std::thread::sleep(TICK);
        }
        std::thread::sleep(20 * TICK);
        let before = pool_threads();
        os.join().unwrap();
        assert_eq!((before, pool_threads()), (1, 1), "what has ended needs no pool");
    });
}

#[test]
fn many_at_once() {
    alone("join::many_at_once", || {
        takes(200 * TICK, 5 * SECOND, || {
            let joiners: Vec<_> = (0..40)
                .map(|n| {
                    thread::spawn(move || {
                        let os = std::thread::spawn(move || {
                            std::thread::sleep(200 * TICK);
                            n
                        });
                        assert_eq!(os.join().unwrap(), n);
                    })
                })
                .collect();
            joiners.into_iter().for_each(|joiner| joiner.join().unwrap());
        });
    });
}

/// Whoever joins may have lent the thread its frame: nothing may end the wait early.
#[test]
fn nothing_cuts_it_short() {
    alone("join::nothing_cuts_it_short", || {
        let joiner = thread::spawn(|| {
            let _elapsed = sward::timeout(20 * TICK, || {
                let mut value = 0;
                std::thread::scope(|scope| {
                    let borrower = scope.spawn(|| {
                        std::thread::sleep(100 * TICK);
                        value = 1;
                    });
                    borrower.join().unwrap();
                });
                assert_eq!(value, 1);
            });
            let os = std::thread::spawn(|| std::thread::sleep(100 * TICK));
            takes(50 * TICK, 5 * SECOND, || os.join().unwrap());
        });
        thread::sleep(150 * TICK);
        joiner.cancel();
        joiner.join().unwrap();
    });
}

extern "C" fn sleep_then_double(millis: *mut c_void) -> *mut c_void {
    let millis = millis.addr();
    std::thread::sleep(millis as u32 * TICK);
    ptr::without_provenance_mut(2 * millis)
}

fn start(millis: usize) -> pthread_t {
    let mut thread = 0;
    let argument = ptr::without_provenance_mut(millis);
    // SAFETY: a function that takes any word.
    let error =
        unsafe { libc::pthread_create(&raw mut thread, ptr::null(), sleep_then_double, argument) };
    assert_eq!(error, 0);
    thread
}

#[test]
fn by_c() {
    alone("join::by_c", || {
        let mut value = ptr::null_mut();
        let thread = start(50);
        // SAFETY: joined once.
        let error = cooperative(|| unsafe { libc::pthread_join(thread, &raw mut value) });
        assert_eq!((error, value.addr()), (0, 100));
        let thread = start(50);
        // SAFETY: joined once; its value is not wanted.
        assert_eq!(cooperative(|| unsafe { libc::pthread_join(thread, ptr::null_mut()) }), 0);
        // SAFETY: takes nothing.
        let me = unsafe { libc::pthread_self() };
        // SAFETY: refused.
        assert_eq!(unsafe { libc::pthread_join(me, ptr::null_mut()) }, libc::EDEADLK);
    });
}

#[test]
fn with_a_limit() {
    alone("join::with_a_limit", || {
        let soon = |clock, more: i64| {
            let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: writes to `now`.
            unsafe { libc::clock_gettime(clock, &raw mut now) };
            let nanos = now.tv_nsec + more * 1_000_000;
            timespec { tv_sec: now.tv_sec + nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 }
        };
        let thread = start(300);
        let mut value = ptr::null_mut();
        let at = soon(libc::CLOCK_REALTIME, 30);
        // SAFETY: not joined yet, and not by this.
        let timed = || unsafe { pthread_timedjoin_np(thread, &raw mut value, &raw const at) };
        assert_eq!(cooperative(timed), libc::ETIMEDOUT);
        let clock = libc::CLOCK_MONOTONIC;
        let at = soon(clock, 30);
        let clocked = |at: &timespec, value: &mut *mut c_void| {
            // SAFETY: not joined yet.
            unsafe { pthread_clockjoin_np(thread, value, clock, at) }
        };
        assert_eq!(cooperative(|| clocked(&at, &mut value)), libc::ETIMEDOUT);
        assert_eq!(value, ptr::null_mut());
        let at = soon(clock, 20_000);
        assert_eq!(cooperative(|| clocked(&at, &mut value)), 0);
        assert_eq!(value.addr(), 600);
    });
}
