//! What ends a wait early: the socket's own time-outs, O_NONBLOCK, `timeout` scopes, cancellation.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

#[test]
fn read_timeout() {
    alone("limits::read_timeout", || {
        let (mut a, _b) = pair();
        a.set_read_timeout(Some(50 * TICK)).unwrap();
        let began = Instant::now();
        let error = cooperative(|| a.read(&mut [0; 8])).unwrap_err();
        later(began, 50 * TICK);
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    });
}

#[test]
fn read_timeout_that_is_not_needed() {
    alone("limits::read_timeout_that_is_not_needed", || {
        let (mut a, mut b) = pair();
        a.set_read_timeout(Some(10 * SECOND)).unwrap();
        let n = while_another(move || b.write_all(b"x").unwrap(), || a.read(&mut [0; 8]));
        assert_eq!(n.unwrap(), 1);
    });
}

#[test]
fn write_timeout_gives_the_part() {
    alone("limits::write_timeout_gives_the_part", || {
        // A TCP socket may find more room later; this one does not.
        let (a, _b) = UnixStream::pair().unwrap();
        a.set_write_timeout(Some(50 * TICK)).unwrap();
        let began = Instant::now();
        let n = cooperative(|| send(&a, &pattern(BIG), 0)).expect("a part was taken");
        assert!(n > 0 && n < BIG, "{n}");
        later(began, 50 * TICK);
        assert_eq!(cooperative(|| send(&a, b"more", 0)), Err(libc::EAGAIN));
    });
}

#[test]
fn nonblocking_as_std_sets_it() {
    alone("limits::nonblocking_as_std_sets_it", || {
        let (a, _b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        assert_eq!(at_once(|| (&a).read(&mut [0; 8])).unwrap_err().kind(), ErrorKind::WouldBlock);
        let n = at_once(|| send(&a, &pattern(BIG), 0)).unwrap();
        assert!(n > 0 && n < BIG, "a part, at once: {n}");
        assert_eq!(at_once(|| send(&a, b"more", 0)), Err(libc::EAGAIN));
        a.set_nonblocking(false).unwrap();
        a.set_read_timeout(Some(20 * TICK)).unwrap();
        assert_eq!(cooperative(|| recv(&a, &mut [0; 8], 0)), Err(libc::EAGAIN));
    });
}

#[test]
fn nonblocking_as_nobody_saw_it_set() {
    alone("limits::nonblocking_as_nobody_saw_it_set", || {
        let (a, _b) = pair();
        set_timeout(&a, libc::SO_RCVTIMEO, 20 * TICK);
        assert_eq!(cooperative(|| recv(&a, &mut [0; 8], 0)), Err(libc::EAGAIN));
        // No hook sees this, as with crates that make system calls themselves: the kernel is asked, not a memory.
        let number = a.as_raw_fd();
        unseen(libc::SYS_fcntl, number, libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK);
        assert_eq!(at_once(|| recv(&a, &mut [0; 8], 0)), Err(libc::EAGAIN));
        assert_eq!(at_once(|| read(number, &mut [0; 8])), Err(libc::EAGAIN));
    });
}

#[test]
fn scope_ends_a_read() {
    alone("limits::scope_ends_a_read", || {
        let (mut a, _b) = pair();
        let began = Instant::now();
        let result = cooperative(|| sward::timeout(50 * TICK, || a.read(&mut [0; 8])));
        let error = result.unwrap().unwrap_err();
        later(began, 50 * TICK);
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    });
}

#[test]
fn scope_ends_a_write_and_gives_the_part() {
    alone("limits::scope_ends_a_write_and_gives_the_part", || {
        let (a, _b) = UnixStream::pair().unwrap();
        let (n, next) = sward::timeout(50 * TICK, || {
            let n = write(a.as_raw_fd(), &pattern(BIG)).expect("a part was taken");
            (n, write(a.as_raw_fd(), b"more"))
        })
        .unwrap();
        assert!(n > 0 && n < BIG, "{n}");
        assert_eq!(next, Err(libc::ETIMEDOUT));
    });
}

#[test]
fn cancellation_ends_a_read() {
    alone("limits::cancellation_ends_a_read", || {
        let (a, _b) = pair();
        let reader = thread::spawn_local(move || recv(&a, &mut [0; 8], 0));
        thread::sleep(20 * TICK);
        reader.cancel();
        assert_eq!(reader.join().unwrap(), Err(libc::ECANCELED));
    });
}

#[test]
fn who_ignores_cancellation_lets_others_run() {
    alone("limits::who_ignores_cancellation_lets_others_run", || {
        let (a, _b) = pair();
        let over = Rc::new(Cell::new(false));
        let stubborn = {
            let over = over.clone();
            thread::spawn_local(move || {
                while !over.get() {
                    assert!(recv(&a, &mut [0; 8], 0).is_err());
                }
            })
        };
        thread::sleep(20 * TICK);
        stubborn.cancel();
        // Comes back only if the loop lets go of the worker.
        thread::sleep(20 * TICK);
        over.set(true);
        stubborn.join().unwrap();
    });
}
