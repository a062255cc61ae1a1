//! What all these calls have in common: `timeout` scopes and cancellation reach in, errno is the caller's.

use std::net::ToSocketAddrs;
use std::os::fd::RawFd;
use std::process::Command;
use std::ptr;
use std::sync::OnceLock;

use libc::{POLLIN, pollfd};
use sward::patch::PinKind;

use super::*;

/// Two pipes that nobody writes to, and that stay open.
fn silent(which: usize) -> RawFd {
    static PIPES: [OnceLock<(OwnedFd, OwnedFd)>; 2] = [const { OnceLock::new() }; 2];
    PIPES[which].get_or_init(pipe).0.as_raw_fd()
}

fn poll<const N: usize>(fds: [RawFd; N]) -> i32 {
    let mut entries = fds.map(|fd| pollfd { fd, events: POLLIN, revents: 0 });
    // SAFETY: as many as there are.
    unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, -1) }
}

/// Each waits for ever, and returns what its call does.
const FOR_EVER: [fn() -> i32; 5] = [
    || poll([]),
    || poll([silent(0)]),
    || poll([silent(0), silent(1)]),
    || {
        // SAFETY: all zeroes are an empty set.
        let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
        // SAFETY: within the set.
        unsafe { libc::FD_SET(silent(0), &raw mut set) };
        let null = ptr::null_mut();
        // SAFETY: a set, for ever.
        unsafe { libc::select(100, &raw mut set, null, null, ptr::null_mut()) }
    },
    || {
        static EPOLL: OnceLock<OwnedFd> = OnceLock::new();
        // SAFETY: a flag.
        let open = || unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        // SAFETY: just opened.
        let epoll = EPOLL.get_or_init(|| unsafe { OwnedFd::from_raw_fd(open()) }).as_raw_fd();
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one.
        unsafe { libc::epoll_wait(epoll, &raw mut event, 1, -1) }
    },
];

#[test]
fn a_scope_elapses() {
    alone("wait::a_scope_elapses", || {
        for wait in FOR_EVER {
            let limited = || {
                let result = sward::timeout(50 * TICK, || cooperative_and(wait));
                assert_eq!(result, Ok((-1, libc::ETIMEDOUT)));
            };
            takes(50 * TICK, 2 * SECOND, limited);
        }
    });
}

/// The neighbour of `cooperative` cannot be joined in a scope that has elapsed.
fn cooperative_and(wait: fn() -> i32) -> (i32, i32) {
    let result = wait();
    (result, errno())
}

#[test]
fn cancelled() {
    alone("wait::cancelled", || {
        for wait in FOR_EVER {
            let waiter = thread::spawn(move || (wait(), errno()));
            thread::sleep(20 * TICK);
            waiter.cancel();
            assert_eq!(waiter.join().unwrap(), (-1, libc::ECANCELED));
        }
    });
}

/// C code that takes an error for a passing one goes round; others must run all the same.
#[test]
fn a_loop_that_ignores_errors_holds_nobody_up() {
    alone("wait::a_loop_that_ignores_errors_holds_nobody_up", || {
        for wait in FOR_EVER {
            let over = Rc::new(Cell::new(false));
            let seen = over.clone();
            let waiter = thread::spawn_local(move || {
                while !seen.get() {
                    wait();
                }
            });
            thread::sleep(20 * TICK);
            waiter.cancel();
            thread::sleep(20 * TICK);
            over.set(true);
            waiter.join().unwrap();
        }
    });
}

#[test]
fn nobody_runs_where_switching_is_forbidden() {
    alone("wait::nobody_runs_where_switching_is_forbidden", || {
        let calls: [fn(); 9] = [
            || std::thread::sleep(20 * TICK),
            // SAFETY: a number.
            || assert_eq!(unsafe { libc::usleep(20_000) }, 0),
            // SAFETY: no descriptor.
            || assert_eq!(unsafe { libc::poll(ptr::null_mut(), 0, 20) }, 0),
            || {
                let null = ptr::null_mut();
                let mut soon = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
                // SAFETY: no sets, and a time.
                assert_eq!(unsafe { libc::select(0, null, null, null, &raw mut soon) }, 0);
            },
            || assert!(Command::new("sleep").arg("0.02").status().unwrap().success()),
            // SAFETY: a C string.
            || assert_eq!(unsafe { libc::system(c"sleep 0.02".as_ptr()) }, 0),
            || {
                // SAFETY: two C strings.
                let stream = unsafe { libc::popen(c"sleep 0.02".as_ptr(), c"r".as_ptr()) };
                // SAFETY: popen's, and closed once.
                assert_eq!(unsafe { libc::pclose(stream) }, 0);
            },
            || std::thread::spawn(|| std::thread::sleep(20 * TICK)).join().unwrap(),
            || assert_eq!(("localhost", 1).to_socket_addrs().unwrap().count().min(1), 1),
        ];
        for call in calls {
            let before = pinned(PinKind::Asked);
            assert_eq!(beside(|| sward::patch::pinned(call)).1, 0);
            assert!(pinned(PinKind::Asked) > before);
        }
        assert_eq!(pool_threads(), 0);
    });
}

#[test]
fn errno_is_kept() {
    alone("wait::errno_is_kept", || {
        let calls: [fn(); 4] = [
            || {
                let (reader, writer) = pipe();
                let wait = || {
                    set_errno(libc::EXDEV);
                    assert_eq!(poll([reader.as_raw_fd()]), 1);
                    assert_eq!(errno(), libc::EXDEV);
                };
                while_another(move || poke(&writer), wait);
            },
            // SAFETY: takes a number.
            || assert_eq!(unsafe { libc::usleep(20_000) }, 0),
            || std::thread::sleep(20 * TICK),
            || {
                let mut child = Command::new("sleep").arg("0.05").spawn().unwrap();
                let pid = child.id() as libc::pid_t;
                set_errno(libc::EXDEV);
                // SAFETY: no status is wanted.
                assert_eq!(unsafe { libc::waitpid(pid, ptr::null_mut(), 0) }, pid);
                assert_eq!(errno(), libc::EXDEV);
                let _gone = child.wait();
                set_errno(libc::EXDEV);
            },
        ];
        for call in calls {
            cooperative(|| {
                set_errno(libc::EXDEV);
                call();
                assert_eq!(errno(), libc::EXDEV);
            });
        }
    });
}
