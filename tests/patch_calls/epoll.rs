//! epoll_wait(2) and its kin: an event loop on a green thread.

use std::ptr;

use libc::{epoll_event, timespec};
use sward::patch::PinKind;

use super::*;

const NOTHING: epoll_event = epoll_event { events: 0, u64: 0 };

/// An epoll descriptor that watches `fd` under the number 7.
fn watching(fd: &OwnedFd) -> OwnedFd {
    // SAFETY: a flag.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    // SAFETY: just opened.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    let mut event = epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
    let (epfd, fd) = (epoll.as_raw_fd(), fd.as_raw_fd());
    // SAFETY: reads the event.
    assert_eq!(unsafe { libc::epoll_ctl(epfd, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    epoll
}

type Wait = fn(&OwnedFd, &mut [epoll_event; 4], Option<i64>) -> i32;

/// The three calls, by milliseconds or for ever.
const CALLS: [Wait; 3] = [
    |epoll, events, millis| {
        let millis = millis.map_or(-1, |millis| millis as i32);
        // SAFETY: room for four.
        unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 4, millis) }
    },
    |epoll, events, millis| {
        let (millis, none) = (millis.map_or(-1, |millis| millis as i32), ptr::null());
        // SAFETY: room for four, and no mask.
        unsafe { libc::epoll_pwait(epoll.as_raw_fd(), events.as_mut_ptr(), 4, millis, none) }
    },
    |epoll, events, millis| {
        let spec = millis.map(|millis| timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 });
        let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
        let none = ptr::null();
        // SAFETY: room for four, a time or none, and no mask.
        unsafe { libc::epoll_pwait2(epoll.as_raw_fd(), events.as_mut_ptr(), 4, spec, none) }
    },
];

#[test]
fn an_event_comes() {
    alone("epoll::an_event_comes", || {
        for wait in CALLS {
            let (reader, writer) = pipe();
            let epoll = watching(&reader);
            let mut events = [NOTHING; 4];
            let wait = || wait(&epoll, &mut events, None);
            assert_eq!(while_another(move || poke(&writer), wait), 1);
            assert_eq!({ events[0].u64 }, 7);
        }
    });
}

#[test]
fn time_passes() {
    alone("epoll::time_passes", || {
        let (reader, _writer) = pipe();
        let epoll = watching(&reader);
        for wait in CALLS {
            let call = || cooperative(|| wait(&epoll, &mut [NOTHING; 4], Some(50)));
            assert_eq!(takes(50 * TICK, 2 * SECOND, call), 0);
            let ask = || {
                let start = std::time::Instant::now();
                while start.elapsed() < 5 * TICK {
                    assert_eq!(wait(&epoll, &mut [NOTHING; 4], Some(0)), 0);
                }
            };
            assert_eq!(beside(ask).1, 0, "a question never switches");
        }
    });
}

/// Two loops on two green threads, each with its own epoll descriptor, feed each other.
#[test]
fn two_loops() {
    alone("epoll::two_loops", || {
        let (here, there) = (pipe(), pipe());
        let turns = 50;
        let one = move |from: &OwnedFd, to: &OwnedFd| {
            let epoll = watching(from);
            for _ in 0..turns {
                assert_eq!(CALLS[0](&epoll, &mut [NOTHING; 4], None), 1);
                let mut byte = 0_u8;
                // SAFETY: one byte to write.
                assert_eq!(unsafe { libc::read(from.as_raw_fd(), (&raw mut byte).cast(), 1) }, 1);
                poke(to);
            }
        };
        let ends = std::sync::Arc::new((here, there));
        poke(&ends.0.1);
        let theirs = ends.clone();
        let other = thread::spawn(move || one(&theirs.0.0, &theirs.1.1));
        one(&ends.1.0, &ends.0.1);
        other.join().unwrap();
    });
}

#[test]
fn a_mask_pins() {
    alone("epoll::a_mask_pins", || {
        let (reader, _writer) = pipe();
        let epoll = watching(&reader);
        let (fd, mut events) = (epoll.as_raw_fd(), [NOTHING; 4]);
        // SAFETY: all zeroes are an empty set.
        let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
        let before = pinned(PinKind::Unsupported);
        let room = events.as_mut_ptr();
        // SAFETY: room for four, and a mask.
        let wait = || unsafe { libc::epoll_pwait(fd, room, 4, 20, &raw const mask) };
        assert_eq!(beside(wait), (0, 0));
        let spec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        // SAFETY: as above, with a time.
        let wait = || unsafe { libc::epoll_pwait2(fd, room, 4, &raw const spec, &raw const mask) };
        assert_eq!(beside(wait), (0, 0));
        assert_eq!(pinned(PinKind::Unsupported), before + 2);
    });
}

#[test]
fn wrong_arguments() {
    alone("epoll::wrong_arguments", || {
        let (reader, _writer) = pipe();
        for wait in CALLS {
            assert_eq!(wait(&reader, &mut [NOTHING; 4], None), -1);
            assert_eq!(errno(), libc::EINVAL, "no epoll descriptor");
        }
        let epoll = watching(&reader);
        // SAFETY: no room is refused.
        let found = unsafe { libc::epoll_wait(epoll.as_raw_fd(), ptr::null_mut(), 0, -1) };
        assert_eq!((found, errno()), (-1, libc::EINVAL));
    });
}
