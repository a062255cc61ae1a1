//! select(2) and pselect(2).

use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use libc::{fd_set, timespec, timeval};
use sward::patch::PinKind;

use super::*;

/// Room for 2048 descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(8))]
struct Wide([u64; 32]);

impl Wide {
    fn of<const N: usize>(fds: [&OwnedFd; N]) -> Wide {
        let mut set = Wide([0; 32]);
        for fd in fds {
            let fd = fd.as_raw_fd() as usize;
            set.0[fd / 64] |= 1 << (fd % 64);
        }
        set
    }

    fn pointer(&mut self) -> *mut fd_set {
        (&raw mut self.0).cast()
    }
}

fn select(n: i32, sets: [Option<&mut Wide>; 3], timeout: Option<&mut timeval>) -> i32 {
    let [read, write, except] = sets.map(|set| set.map_or(ptr::null_mut(), Wide::pointer));
    let timeout = timeout.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: sets with room for all that `n` says in these tests.
    unsafe { libc::select(n, read, write, except, timeout) }
}

fn soon(millis: i64) -> timeval {
    timeval { tv_sec: 0, tv_usec: millis * 1000 }
}

#[test]
fn several() {
    alone("select::several", || {
        let (one, two, three) = (pipe(), pipe(), pipe());
        let poker = two.1.try_clone().unwrap();
        let mut read = Wide::of([&one.0, &two.0]);
        let mut except = Wide::of([&three.0]);
        let mut timeout = timeval { tv_sec: 100, tv_usec: 0 };
        let sets = [Some(&mut read), None, Some(&mut except)];
        let found = while_another(move || poke(&poker), || select(100, sets, Some(&mut timeout)));
        assert_eq!((found, read, except), (1, Wide::of([&two.0]), Wide::of([])));
        assert!((90..100).contains(&timeout.tv_sec), "what is left: {}", timeout.tv_sec);
        // Found at once, in two sets.
        let (mut read, mut write) = (Wide::of([&two.0]), Wide::of([&one.1]));
        assert_eq!(select(100, [Some(&mut read), Some(&mut write), None], None), 2);
        assert_eq!((read, write), (Wide::of([&two.0]), Wide::of([&one.1])));
    });
}

#[test]
fn time_passes() {
    alone("select::time_passes", || {
        let (one, two) = (pipe(), pipe());
        let mut read = Wide::of([&one.0, &two.0]);
        let mut timeout = soon(50);
        let wait =
            || cooperative(|| select(100, [Some(&mut read), None, None], Some(&mut timeout)));
        assert_eq!(takes(50 * TICK, 2 * SECOND, wait), 0);
        assert_eq!(read, Wide::of([]));
        assert_eq!((timeout.tv_sec, timeout.tv_usec), (0, 0));
        // The sleep of old: no sets.
        let wait = || cooperative(|| select(0, [None, None, None], Some(&mut soon(50))));
        assert_eq!(takes(50 * TICK, 2 * SECOND, wait), 0);
        let spec = timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut read = Wide::of([&one.0]);
        let set = read.pointer();
        let null = ptr::null_mut();
        // SAFETY: a set, a time, and no mask.
        let pselect =
            || unsafe { libc::pselect(100, set, null, null, &raw const spec, ptr::null()) };
        assert_eq!(takes(50 * TICK, 2 * SECOND, || cooperative(pselect)), 0);
        assert_eq!(spec.tv_nsec, 50_000_000, "pselect leaves it alone");
    });
}

#[test]
fn a_question_never_switches() {
    alone("select::a_question_never_switches", || {
        let (reader, _writer) = pipe();
        let ask = || {
            let start = std::time::Instant::now();
            while start.elapsed() < 5 * TICK {
                select(100, [Some(&mut Wide::of([&reader])), None, None], Some(&mut soon(0)));
            }
        };
        assert_eq!(beside(ask).1, 0);
    });
}

#[test]
fn a_mask_pins() {
    alone("select::a_mask_pins", || {
        let (reader, _writer) = pipe();
        let mut read = Wide::of([&reader]);
        let (set, null) = (read.pointer(), ptr::null_mut());
        // SAFETY: all zeroes are an empty set.
        let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
        let spec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let before = pinned(PinKind::Unsupported);
        // SAFETY: a set, a time, and a mask.
        let wait =
            || unsafe { libc::pselect(100, set, null, null, &raw const spec, &raw const mask) };
        assert_eq!(beside(wait), (0, 0));
        assert_eq!(pinned(PinKind::Unsupported), before + 1);
    });
}

/// epoll reports a hang-up whatever it is asked for; select does not, if only urgent data is.
#[test]
fn a_hangup_of_no_concern_does_not_spin() {
    alone("select::a_hangup_of_no_concern_does_not_spin", || {
        let (reader, writer) = pipe();
        drop(writer);
        let mut except = Wide::of([&reader]);
        let before = cpu();
        let wait = || select(100, [None, None, Some(&mut except)], Some(&mut soon(400)));
        assert_eq!(takes(400 * TICK, 3 * SECOND, || cooperative(wait)), 0);
        let spent = cpu() - before;
        assert!(spent < 150 * TICK, "{spent:?} of CPU time for a wait of 400 ms");
    });
}

#[test]
fn beyond_a_thousand() {
    alone("select::beyond_a_thousand", || {
        let (reader, writer) = pipe();
        let limit = libc::rlimit { rlim_cur: 2000, rlim_max: 2000 };
        // SAFETY: sets a limit of this process.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        // SAFETY: a number that nobody has.
        let high = unsafe { libc::dup2(reader.as_raw_fd(), 1500) };
        assert_eq!(high, 1500, "{}", io::Error::last_os_error());
        // SAFETY: just made.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        let mut read = Wide::of([&high]);
        let wait = || select(1501, [Some(&mut read), None, None], None);
        assert_eq!(while_another(move || poke(&writer), wait), 1);
        assert_eq!(read, Wide::of([&high]));
    });
}

/// Programs say `select(getdtablesize(), ...)` with sets of the usual size; the kernel reads no further than its own
/// table, and so must we.
#[test]
fn no_further_than_the_set() {
    alone("select::no_further_than_the_set", || {
        let (reader, writer) = pipe();
        let page = 4096;
        let (none, private) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping.
        let start = unsafe { libc::mmap(ptr::null_mut(), 2 * page, none, private, -1, 0) };
        // SAFETY: our own, its first page.
        assert_eq!(unsafe { libc::mprotect(start, page, libc::PROT_READ | libc::PROT_WRITE) }, 0);
        // The last 128 bytes before what must not be touched.
        let set = start.wrapping_byte_add(page - size_of::<fd_set>()).cast::<fd_set>();
        let fd = reader.as_raw_fd();
        // SAFETY: a set of zeroes, with room for `fd`.
        unsafe { libc::FD_SET(fd, set) };
        let null = ptr::null_mut();
        // SAFETY: the kernel looks only at as many descriptors as this process has room for.
        let wait = || unsafe { libc::select(1_000_000, set, null, null, ptr::null_mut()) };
        assert_eq!(while_another(move || poke(&writer), wait), 1);
        // SAFETY: as above.
        assert!(unsafe { libc::FD_ISSET(fd, set) });
    });
}

#[test]
fn wrong_arguments() {
    alone("select::wrong_arguments", || {
        assert_eq!((select(-1, [None, None, None], None), errno()), (-1, libc::EINVAL));
        let mut negative = timeval { tv_sec: -1, tv_usec: 0 };
        assert_eq!(select(1, [None, None, None], Some(&mut negative)), -1);
        assert_eq!(errno(), libc::EINVAL);
        let (reader, writer) = pipe();
        let mut read = Wide::of([&reader]);
        let n = reader.as_raw_fd() + 1;
        drop((reader, writer));
        assert_eq!((select(n, [Some(&mut read), None, None], None), errno()), (-1, libc::EBADF));
    });
}
