//! poll(2), ppoll(2) and what programs built with _FORTIFY_SOURCE call.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, c_short, pollfd};
use sward::patch::PinKind;

use super::*;

unsafe extern "C" {
    fn __poll_chk(fds: *mut pollfd, n: libc::nfds_t, timeout: i32, room: usize) -> i32;
    fn __ppoll_chk(
        fds: *mut pollfd,
        n: libc::nfds_t,
        timeout: *const libc::timespec,
        mask: *const libc::sigset_t,
        room: usize,
    ) -> i32;
}

fn entry(fd: &impl AsRawFd, events: c_short) -> pollfd {
    raw(fd.as_raw_fd(), events)
}

fn raw(fd: RawFd, events: c_short) -> pollfd {
    // As a caller leaves it: with an old answer inside.
    pollfd { fd, events, revents: 0x55 }
}

fn poll(entries: &mut [pollfd], timeout: i32) -> i32 {
    // SAFETY: as many as there are.
    unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) }
}

fn answers(entries: &[pollfd]) -> Vec<c_short> {
    entries.iter().map(|entry| entry.revents).collect()
}

#[test]
fn one_readable() {
    alone("poll::one_readable", || {
        let (reader, writer) = pipe();
        let mut entries = [entry(&reader, POLLIN)];
        let found = while_another(move || poke(&writer), || poll(&mut entries, -1));
        assert_eq!((found, entries[0].revents & POLLIN), (1, POLLIN));
    });
}

#[test]
fn one_writable() {
    alone("poll::one_writable", || {
        let (reader, writer) = pipe();
        fill(&writer);
        let mut entries = [entry(&writer, POLLOUT)];
        let found = while_another(move || empty(&reader), || poll(&mut entries, 10_000));
        assert_eq!((found, entries[0].revents & POLLOUT), (1, POLLOUT));
    });
}

fn fill(writer: &OwnedFd) {
    let block = [0_u8; 4096];
    let piece = libc::iovec { iov_base: block.as_ptr().cast_mut().cast(), iov_len: block.len() };
    let nowait = libc::RWF_NOWAIT;
    // SAFETY: the block is there to be read.
    while unsafe { libc::pwritev2(writer.as_raw_fd(), &raw const piece, 1, -1, nowait) } > 0 {}
}

fn empty(reader: &OwnedFd) {
    let mut block = [0_u8; 4096];
    let piece = libc::iovec { iov_base: block.as_mut_ptr().cast(), iov_len: block.len() };
    let nowait = libc::RWF_NOWAIT;
    // SAFETY: the block is there to be written.
    while unsafe { libc::preadv2(reader.as_raw_fd(), &raw const piece, 1, -1, nowait) } > 0 {}
}

#[test]
fn the_end_of_a_pipe() {
    alone("poll::the_end_of_a_pipe", || {
        let (reader, writer) = pipe();
        // Nothing is asked for, and yet a hang-up is reported.
        let mut entries = [entry(&reader, 0)];
        let found = while_another(move || drop(writer), || poll(&mut entries, -1));
        assert_eq!((found, entries[0].revents), (1, POLLHUP));
        let (reader, writer) = pipe();
        let mut entries = [entry(&writer, POLLOUT), raw(-1, 0)];
        fill(&writer);
        let found = while_another(move || drop(reader), || poll(&mut entries, -1));
        assert_eq!((found, entries[0].revents & POLLERR), (1, POLLERR));
    });
}

#[test]
fn a_mix() {
    alone("poll::a_mix", || {
        let pipes = [pipe(), pipe(), pipe()];
        let file = File::open("/proc/self/exe").unwrap();
        let full = pipe();
        fill(&full.1);
        let [(zero, _), (one, poker), (two, _)] = &pipes;
        let poker = poker.try_clone().unwrap();
        let mut entries = [
            entry(zero, POLLIN),
            raw(-1, POLLIN),
            entry(one, POLLPRI),
            entry(one, POLLIN | POLLRDHUP), // the same one again, asked something else
            entry(two, POLLIN | POLLPRI),
            entry(&full.1, POLLOUT),
            entry(&file, 0), // epoll cannot watch it
        ];
        let found = while_another(move || poke(&poker), || poll(&mut entries, -1));
        assert_eq!((found, answers(&entries)), (1, vec![0, 0, 0, POLLIN, 0, 0, 0]));
        // Ready now: no wait.
        let mut entries = [entry(zero, POLLIN), entry(&file, POLLIN), raw(9999, POLLIN)];
        let (found, ran) = beside(|| poll(&mut entries, -1));
        assert_eq!((found, answers(&entries)), (2, vec![0, POLLIN, POLLNVAL]));
        assert_eq!(ran, 0, "what is ready needs no wait");
    });
}

#[test]
fn time_passes() {
    alone("poll::time_passes", || {
        let (one, two) = (pipe(), pipe());
        let mut several = [entry(&one.0, POLLIN), entry(&two.0, POLLIN)];
        let mut single = [entry(&one.0, POLLIN)];
        for entries in [&mut several[..], &mut single[..], &mut []] {
            let wait = || cooperative(|| poll(entries, 50));
            assert_eq!(takes(50 * TICK, 2 * SECOND, wait), 0);
            assert!(entries.iter().all(|entry| entry.revents == 0));
        }
        let spec = libc::timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let wait = || cooperative(|| ppoll(&mut several, Some(&spec)));
        assert_eq!(takes(50 * TICK, 2 * SECOND, wait), 0);
        assert_eq!((spec.tv_sec, spec.tv_nsec), (0, 50_000_000), "the caller's is left alone");
    });
}

fn ppoll(entries: &mut [pollfd], timeout: Option<&libc::timespec>) -> i32 {
    let timeout = timeout.map_or(ptr::null(), ptr::from_ref);
    let n = entries.len() as libc::nfds_t;
    // SAFETY: as many as there are, a time or none, and no mask.
    unsafe { libc::ppoll(entries.as_mut_ptr(), n, timeout, ptr::null()) }
}

#[test]
fn fortified() {
    alone("poll::fortified", || {
        for call in [0, 1] {
            let (reader, writer) = pipe();
            let mut entries = [entry(&reader, POLLIN)];
            let at = entries.as_mut_ptr();
            // SAFETY: one entry.
            let poll = || unsafe { __poll_chk(at, 1, -1, size_of::<pollfd>()) };
            let (null, room) = (ptr::null(), size_of::<pollfd>());
            // SAFETY: one entry, for ever, no mask.
            let ppoll = || unsafe { __ppoll_chk(at, 1, null, ptr::null(), room) };
            let wait = || if call == 0 { poll() } else { ppoll() };
            assert_eq!(while_another(move || poke(&writer), wait), 1);
        }
    });
}

#[test]
fn a_question_never_switches() {
    alone("poll::a_question_never_switches", || {
        let (reader, _writer) = pipe();
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let ask = || {
            for _ in 0..100 {
                std::hint::black_box(poll(&mut [entry(&reader, POLLIN)], 0));
                std::hint::black_box(ppoll(&mut [entry(&reader, POLLIN)], Some(&zero)));
            }
            // Long enough for the neighbour to be due.
            let start = std::time::Instant::now();
            while start.elapsed() < 5 * TICK {
                poll(&mut [entry(&reader, POLLIN)], 0);
            }
        };
        assert_eq!(beside(ask).1, 0);
    });
}

#[test]
fn a_mask_pins() {
    alone("poll::a_mask_pins", || {
        let (reader, _writer) = pipe();
        let mut entries = [entry(&reader, POLLIN)];
        // SAFETY: all zeroes are an empty set.
        let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
        let spec = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let before = pinned(PinKind::Unsupported);
        // SAFETY: one entry, a time and a mask.
        let wait =
            || unsafe { libc::ppoll(entries.as_mut_ptr(), 1, &raw const spec, &raw const mask) };
        let (found, ran) = beside(wait);
        assert_eq!((found, ran), (0, 0));
        assert_eq!(pinned(PinKind::Unsupported), before + 1);
    });
}

#[test]
fn one_asked_both() {
    alone("poll::one_asked_both", || {
        for asked in [POLLIN | POLLOUT, POLLPRI | POLLOUT] {
            let (one, mut other) = UnixStream::pair().unwrap();
            one.set_nonblocking(true).unwrap();
            while (&one).write(&[0; 4096]).is_ok() {}
            let mut entries = [entry(&one, asked)];
            let drain = move || {
                other.set_nonblocking(true).unwrap();
                while other.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
                std::mem::forget(other);
            };
            assert_eq!(while_another(drain, || poll(&mut entries, -1)), 1);
            assert_eq!(entries[0].revents, POLLOUT);
        }
    });
}

/// Who asks for nothing hears of errors only, however much there is to read.
#[test]
fn what_nobody_asked_for_does_not_spin() {
    alone("poll::what_nobody_asked_for_does_not_spin", || {
        let (reader, writer) = pipe();
        poke(&writer);
        let before = cpu();
        let wait = || cooperative(|| poll(&mut [entry(&reader, 0)], 400));
        assert_eq!(takes(400 * TICK, 3 * SECOND, wait), 0);
        let spent = cpu() - before;
        assert!(spent < 150 * TICK, "{spent:?} of CPU time for a wait of 400 ms");
    });
}

#[test]
fn closed_meanwhile() {
    alone("poll::closed_meanwhile", || {
        let (reader, _writer) = pipe();
        let mut entries = [entry(&reader, POLLIN)];
        let found = while_another(move || drop(reader), || poll(&mut entries, -1));
        assert_eq!((found, entries[0].revents), (1, POLLNVAL));
    });
}

/// How many epoll descriptors this process has.
fn epolls() -> usize {
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = numbers.filter_map(|number| std::fs::read_link(number.ok()?.path()).ok());
    names.filter(|name| name.to_str() == Some("anon_inode:[eventpoll]")).count()
}

/// The instance that watched several descriptors is used again, unless one of them cannot be taken out of it: closed
/// meanwhile, and alive under another number.
#[test]
fn instances_are_kept_while_they_are_clean() {
    alone("poll::instances_are_kept_while_they_are_clean", || {
        let (one, two) = (pipe(), pipe());
        let mut entries = [entry(&one.0, POLLIN), entry(&two.0, POLLIN)];
        let without = epolls();
        for _ in 0..10 {
            assert_eq!(poll(&mut entries, 1), 0);
            assert_eq!(epolls(), without + 1);
        }
        let _twin = one.0.try_clone().unwrap();
        let act = move || {
            drop(one.0);
            poke(&two.1);
        };
        assert_eq!(while_another(act, || poll(&mut entries, -1)), 2);
        assert_eq!(answers(&entries), [POLLNVAL, POLLIN | POLLHUP]);
        assert_eq!(epolls(), without);
    });
}

#[test]
fn what_is_always_ready_lets_others_run() {
    alone("poll::what_is_always_ready_lets_others_run", || {
        let (reader, writer) = pipe();
        poke(&writer);
        let ask = || {
            let start = std::time::Instant::now();
            let mut asked = 0;
            while asked < 2000 || start.elapsed() < 20 * TICK {
                assert_eq!(poll(&mut [entry(&reader, POLLIN)], -1), 1);
                asked += 1;
            }
        };
        cooperative(ask);
    });
}

#[test]
fn too_little_room_ends_the_program() {
    let body = || {
        patched(|| {
            let mut entries = [raw(-1, 0), raw(-1, 0)];
            // SAFETY: it says so itself: room for one less.
            unsafe { __poll_chk(entries.as_mut_ptr(), 2, 1, 2 * size_of::<pollfd>() - 1) };
        });
    };
    let name = "poll::too_little_room_ends_the_program";
    if let Some((said, well)) = patch_support::attempt(name, 30 * SECOND, body) {
        assert!(!well && said.stderr.contains("buffer overflow detected"), "{}", said.stderr);
    }
}

#[test]
fn wrong_arguments() {
    alone("poll::wrong_arguments", || {
        let bad = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
        assert_eq!((ppoll(&mut [], Some(&bad)), errno()), (-1, libc::EINVAL));
        // SAFETY: the kernel refuses the pointer.
        assert_eq!(unsafe { libc::poll(ptr::without_provenance_mut(8), 1, -1) }, -1);
        assert_eq!(errno(), libc::EFAULT);
    });
}

#[test]
fn without_a_descriptor_to_spare() {
    alone("poll::without_a_descriptor_to_spare", || {
        let (one, two) = (pipe(), pipe());
        let mut entries = [entry(&one.0, POLLIN), entry(&two.0, POLLIN)];
        // One that the hub has not seen yet would still be a number less than this.
        let limit = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
        // SAFETY: sets a limit of this process.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        // SAFETY: opens nothing, as it is told.
        assert_eq!(unsafe { libc::epoll_create1(0) }, -1);
        // poll(2) itself refuses more entries than the limit: two are within it.
        let (_one, two) = (one, two);
        let poker = two.1.try_clone();
        assert!(poker.is_err(), "no number is left");
        let found = while_another(move || poke(&two.1), || poll(&mut entries, -1));
        assert_eq!(found, 1);
        assert_eq!((entries[0].revents, entries[1].revents & POLLIN), (0, POLLIN));
    });
}
