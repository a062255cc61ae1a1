//! The flags of recv, lengths of zero, and the functions that C programs call when built with buffer checks.

use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use super::*;

unsafe extern "C" {
    fn __recv_chk(fd: i32, buf: *mut u8, len: usize, room: usize, flags: i32) -> isize;
    fn __recvfrom_chk(
        fd: i32,
        buf: *mut u8,
        len: usize,
        room: usize,
        flags: i32,
        addr: *mut libc::sockaddr,
        addr_len: *mut libc::socklen_t,
    ) -> isize;
    fn __read_chk(fd: i32, buf: *mut u8, len: usize, room: usize) -> isize;
}

/// Sends `parts` with a pause before each.
fn in_parts(mut to: TcpStream, parts: &'static [&'static [u8]]) -> thread::LocalJoinHandle<()> {
    thread::spawn_local(move || {
        for part in parts {
            thread::sleep(20 * TICK);
            to.write_all(part).unwrap();
        }
    })
}

#[test]
fn waitall_waits_for_all() {
    alone("flags::waitall_waits_for_all", || {
        let (a, b) = pair();
        let sender = in_parts(b, &[b"on", b"", b"ce up", b"on"]);
        let mut buf = [0; 9];
        assert_eq!(recv(&a, &mut buf, libc::MSG_WAITALL), Ok(9));
        assert_eq!(&buf, b"once upon");
        sender.join().unwrap();
    });
}

#[test]
fn waitall_ends_with_the_stream() {
    alone("flags::waitall_ends_with_the_stream", || {
        let (a, b) = pair();
        let sender = in_parts(b, &[b"on", b"ce"]);
        let mut buf = [0; 9];
        assert_eq!(recv(&a, &mut buf, libc::MSG_WAITALL), Ok(4));
        assert_eq!(&buf[..4], b"once");
        sender.join().unwrap();
    });
}

#[test]
fn waitall_ends_with_the_time_out() {
    alone("flags::waitall_ends_with_the_time_out", || {
        let (a, b) = pair();
        let clone = b.try_clone().unwrap();
        let sender = in_parts(b, &[b"on"]);
        set_timeout(&a, libc::SO_RCVTIMEO, 100 * TICK);
        assert_eq!(cooperative(|| recv(&a, &mut [0; 9], libc::MSG_WAITALL)), Ok(2));
        sender.join().unwrap();
        drop(clone);
    });
}

#[test]
fn waitall_of_a_datagram_is_one() {
    alone("flags::waitall_of_a_datagram_is_one", || {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = a.local_addr().unwrap();
        let act = move || assert_eq!(b.send_to(b"once", to).unwrap(), 4);
        let n = while_another(act, || recv(&a, &mut [0; 9], libc::MSG_WAITALL));
        assert_eq!(n, Ok(4));
    });
}

fn message(buffers: &mut [libc::iovec], control: &mut [u64]) -> libc::msghdr {
    // SAFETY: all zeroes are a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (buffers.as_mut_ptr(), buffers.len() as _);
    (message.msg_control, message.msg_controllen) =
        (control.as_mut_ptr().cast(), size_of_val(control) as _);
    message
}

fn buffers<const N: usize>(of: [&mut [u8]; N]) -> [libc::iovec; N] {
    of.map(|buf| libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() })
}

#[test]
fn waitall_into_several_buffers() {
    alone("flags::waitall_into_several_buffers", || {
        let (a, b) = pair();
        let sender = in_parts(b, &[b"on", b"ce up", b"on"]);
        let (mut one, mut two, mut three) = ([0; 4], [0; 1], [0; 4]);
        let mut list = buffers([&mut one, &mut two, &mut three]);
        let mut control = [0; 8];
        let mut message = message(&mut list, &mut control);
        // SAFETY: the buffers live.
        let n = unsafe { libc::recvmsg(a.as_raw_fd(), &raw mut message, libc::MSG_WAITALL) };
        assert_eq!(n, 9);
        assert_eq!(message.msg_controllen, 0, "nothing came beside the bytes");
        assert_eq!((&one, &two, &three), (b"once", b" ", b"upon"));
        sender.join().unwrap();
    });
}

#[test]
fn waitall_while_peeking() {
    alone("flags::waitall_while_peeking", || {
        let (a, b) = pair();
        let sender = in_parts(b, &[b"on", b"ce"]);
        let mut buf = [0; 4];
        let flags = libc::MSG_WAITALL | libc::MSG_PEEK;
        let n = cooperative(|| recv(&a, &mut buf, flags));
        assert_eq!((n, &buf), (Ok(4), b"once"));
        assert_eq!(recv(&a, &mut buf, 0), Ok(4), "all is still there");
        sender.join().unwrap();
        // At the end of the stream it takes what there is.
        assert_eq!(recv(&a, &mut buf, flags), Ok(0));
    });
}

#[test]
fn peeking_for_more_than_comes() {
    alone("flags::peeking_for_more_than_comes", || {
        let (a, b) = pair();
        let sender = in_parts(b, &[b"on", b"ce"]);
        assert_eq!(recv(&a, &mut [0; 9], libc::MSG_WAITALL | libc::MSG_PEEK), Ok(4));
        sender.join().unwrap();
    });
}

#[test]
fn flags_that_do_not_wait() {
    alone("flags::flags_that_do_not_wait", || {
        let (a, _b) = pair();
        let never = |flags| at_once(|| recv(&a, &mut [0; 8], flags));
        assert_eq!(never(libc::MSG_DONTWAIT), Err(libc::EAGAIN));
        assert_eq!(never(libc::MSG_ERRQUEUE), Err(libc::EAGAIN));
        assert_eq!(never(libc::MSG_OOB), Err(libc::EINVAL));
        let (a, _b) = UnixStream::pair().unwrap();
        let sent = at_once(|| send(&a, &pattern(BIG), libc::MSG_DONTWAIT)).unwrap();
        assert!(sent > 0 && sent < BIG, "{sent}");
        assert_eq!(at_once(|| send(&a, b"more", libc::MSG_DONTWAIT)), Err(libc::EAGAIN));
    });
}

#[test]
fn urgent_byte() {
    alone("flags::urgent_byte", || {
        let (a, b) = pair();
        assert_eq!(send(&b, b"!", libc::MSG_OOB), Ok(1));
        let mut buf = [0];
        while recv(&a, &mut buf, libc::MSG_OOB) == Err(libc::EAGAIN) {
            thread::yield_now();
        }
        assert_eq!(&buf, b"!");
    });
}

#[test]
fn reading_nothing() {
    alone("flags::reading_nothing", || {
        let (a, _b) = pair();
        let fd = a.as_raw_fd();
        assert_eq!(at_once(|| read(fd, &mut [])), Ok(0));
        let mut list = buffers([&mut [], &mut []]);
        // SAFETY: buffers of nothing.
        assert_eq!(at_once(|| unsafe { libc::readv(fd, list.as_mut_ptr(), 2) }), 0);
        // SAFETY: as above.
        assert_eq!(at_once(|| unsafe { libc::writev(fd, list.as_mut_ptr(), 2) }), 0);
        let pipe = pipe::ends().0;
        assert_eq!(at_once(|| read(pipe.as_raw_fd(), &mut [])), Ok(0));
    });
}

#[test]
fn receiving_nothing_waits_as_in_the_kernel() {
    alone("flags::receiving_nothing_waits_as_in_the_kernel", || {
        let (a, mut b) = pair();
        let n = while_another(move || b.write_all(b"x").unwrap(), || recv(&a, &mut [], 0));
        assert_eq!(n, Ok(0));
        assert_eq!(recv(&a, &mut [0; 8], 0), Ok(1));
    });
}

#[test]
fn wrong_arguments_fail_as_in_the_kernel() {
    alone("flags::wrong_arguments_fail_as_in_the_kernel", || {
        let (a, _b) = pair();
        let fd = a.as_raw_fd();
        assert_eq!(recv(&-1, &mut [0; 8], 0), Err(libc::EBADF));
        assert_eq!(read(-1, &mut [0; 8]), Err(libc::EBADF));
        assert_eq!(read(i32::MAX, &mut [0; 8]), Err(libc::EBADF));
        assert_eq!(write(-1, b"x"), Err(libc::EBADF));
        let null = std::ptr::null_mut();
        type Call = unsafe fn(i32, *mut libc::c_void) -> isize;
        let calls: [Call; 7] = [
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::recv(fd, null, 8, libc::MSG_DONTWAIT) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::recvmsg(fd, null.cast(), 0) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::sendmsg(fd, null.cast(), 0) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::send(fd, null, 8, 0) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::readv(fd, null.cast(), 1) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::writev(fd, null.cast(), 1) },
            // SAFETY: the caller's.
            |fd, null| unsafe { libc::readv(fd, null.cast(), -1) },
        ];
        for call in calls {
            // SAFETY: the kernel looks before it reads or writes.
            assert_eq!(unsafe { call(fd, null) }, -1);
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(recv(&file, &mut [0; 8], 0), Err(libc::ENOTSOCK));
    });
}

#[test]
fn with_buffer_checks() {
    alone("flags::with_buffer_checks", || {
        let (a, b) = pair();
        let fd = a.as_raw_fd();
        let mut buf = [0_u8; 8];
        let poke = || {
            let clone = b.try_clone().unwrap();
            move || assert_eq!(send(&clone, b"x", 0), Ok(1))
        };
        let at = buf.as_mut_ptr();
        // SAFETY: the buffer has 8 bytes, in all three.
        let calls = [
            while_another(poke(), || unsafe { __recv_chk(fd, at, 8, 8, 0) }),
            while_another(poke(), || unsafe {
                __recvfrom_chk(fd, at, 8, 8, 0, std::ptr::null_mut(), std::ptr::null_mut())
            }),
            while_another(poke(), || unsafe { __read_chk(fd, at, 8, 8) }),
        ];
        assert_eq!(calls, [1; 3]);
    });
}

/// Ends the process if the check is still made.
#[test]
fn buffer_checks_are_made() {
    let (said, ended_well) =
        match patch_support::attempt("flags::buffer_checks_are_made", LIMIT, || {
            patched(|| {
                let (a, _b) = pair();
                // SAFETY: the check comes first, and ends the process.
                unsafe { __recv_chk(a.as_raw_fd(), [0_u8; 8].as_mut_ptr(), 9, 8, 0) };
            });
        }) {
            Some(outcome) => outcome,
            None => return,
        };
    assert!(!ended_well);
    assert!(said.stderr.contains("buffer overflow detected"), "{}", said.stderr);
}
