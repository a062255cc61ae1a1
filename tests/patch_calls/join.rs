//! pthread_join: by std's `JoinHandle::join`, and by C's names.

use std::ffi::c_void;
use std::os::fd::IntoRawFd;
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
        let value = while_another(move || go.send(()).unwrap(), || os.join());
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

/// Ends when something can be read from the pipe whose number is `argument`.
extern "C" fn until_told(argument: *mut c_void) -> *mut c_void {
    let mut byte = 0_u8;
    let fd = argument.addr() as i32;
    // SAFETY: room for one byte.
    assert_eq!(unsafe { libc::read(fd, (&raw mut byte).cast(), 1) }, 1);
    ptr::without_provenance_mut(42)
}

/// A thread, and what to tell it by.
fn start() -> (pthread_t, OwnedFd) {
    let (reader, writer) = pipe();
    let mut thread = 0;
    let argument = ptr::without_provenance_mut(reader.into_raw_fd() as usize);
    // SAFETY: a function that takes a number.
    let error = unsafe { libc::pthread_create(&raw mut thread, ptr::null(), until_told, argument) };
    assert_eq!(error, 0);
    (thread, writer)
}

#[test]
fn by_c() {
    alone("join::by_c", || {
        let mut value = ptr::null_mut();
        let (thread, writer) = start();
        // SAFETY: joined once.
        let join = || unsafe { libc::pthread_join(thread, &raw mut value) };
        assert_eq!(while_another(move || poke(&writer), join), 0);
        assert_eq!(value.addr(), 42);
        let (thread, writer) = start();
        // SAFETY: joined once; its value is not wanted.
        let join = || unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        assert_eq!(while_another(move || poke(&writer), join), 0);
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
        let (thread, writer) = start();
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
        let join = || clocked(&at, &mut value);
        assert_eq!(while_another(move || poke(&writer), join), 0);
        assert_eq!(value.addr(), 42);
    });
}
