//! Unix sockets: streams, datagrams whose receiver is slow, descriptors that are passed on.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::*;

#[test]
fn echo() {
    alone("unix::echo", || {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let reader = thread::spawn_local(move || {
            let mut buf = vec![0; BIG];
            b.read_exact(&mut buf).unwrap();
            b.write_all(&buf).unwrap();
        });
        a.write_all(&pattern(BIG)).unwrap();
        let mut back = vec![0; BIG];
        a.read_exact(&mut back).unwrap();
        assert!(back == pattern(BIG));
        reader.join().unwrap();
    });
}

/// Receives `n` datagrams, late.
fn slow_receiver(from: UnixDatagram, n: usize) -> thread::LocalJoinHandle<()> {
    thread::spawn_local(move || {
        thread::sleep(30 * TICK);
        for at in 0..n {
            let mut buf = [0; 8];
            assert_eq!(from.recv(&mut buf).unwrap(), 8);
            assert_eq!(u64::from_ne_bytes(buf), at as u64);
        }
    })
}

#[test]
fn datagrams_to_a_slow_receiver() {
    alone("unix::datagrams_to_a_slow_receiver", || {
        let (a, b) = UnixDatagram::pair().unwrap();
        let receiver = slow_receiver(b, 1000);
        cooperative(|| {
            (0..1000_u64).for_each(|at| assert_eq!(a.send(&at.to_ne_bytes()).unwrap(), 8))
        });
        receiver.join().unwrap();
    });
}

#[test]
fn datagrams_to_a_slow_receiver_by_name() {
    alone("unix::datagrams_to_a_slow_receiver_by_name", || {
        let path = std::env::temp_dir().join(format!("sward-datagram-{}", std::process::id()));
        let b = UnixDatagram::bind(&path).unwrap();
        let receiver = slow_receiver(b.try_clone().unwrap(), 1000);
        let a = UnixDatagram::unbound().unwrap();
        // Nothing announces room in the queue of a socket that one is not connected to.
        for at in 0..1000_u64 {
            assert_eq!(a.send_to(&at.to_ne_bytes(), &path).unwrap(), 8);
        }
        receiver.join().unwrap();
        // Its waits end as others do.
        a.set_write_timeout(Some(20 * TICK)).unwrap();
        let fill = || loop {
            if let Err(error) = a.send_to(b"12345678", &path) {
                return error.kind();
            }
        };
        assert_eq!(cooperative(fill), ErrorKind::WouldBlock);
        a.set_write_timeout(None).unwrap();
        assert_eq!(idle(|| sward::timeout(100 * TICK, fill).unwrap()), ErrorKind::TimedOut);
        drop(b);
        std::fs::remove_file(path).unwrap();
    });
}

/// A message of `bytes` with room for `control` beside them.
fn message(bytes: &mut libc::iovec, control: &mut [u64; 3]) -> libc::msghdr {
    // SAFETY: all zeroes are a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (bytes, 1);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(control) as _;
    message
}

/// Sends `bytes` with a descriptor beside them.
fn pass(to: &UnixStream, bytes: &[u8], fd: i32) -> usize {
    let mut list = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = [0; 3];
    let mut message = message(&mut list, &mut control);
    // SAFETY: only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    // SAFETY: the message lives.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: there is room for it.
    let header = unsafe { &mut *header };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: only computes.
    header.cmsg_len = unsafe { libc::CMSG_LEN(4) } as _;
    // SAFETY: only computes.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: room for one descriptor.
    unsafe { data.cast::<i32>().write_unaligned(fd) };
    // SAFETY: the message lives.
    outcome(unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, 0) }).unwrap()
}

/// Receives into `buf`, and what comes beside: how many bytes, and the descriptor.
fn take(from: &UnixStream, buf: &mut [u8], flags: i32) -> (usize, Option<OwnedFd>) {
    let mut list = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut control = [0; 3];
    let mut message = message(&mut list, &mut control);
    // SAFETY: the message lives.
    let n = outcome(unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut message, flags) }).unwrap();
    // SAFETY: the message lives.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: null, or a header.
    let Some(header) = (unsafe { header.as_ref() }) else { return (n, None) };
    assert_eq!(header.cmsg_type, libc::SCM_RIGHTS);
    // SAFETY: only computes.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: one descriptor, ours now.
    (n, Some(opened(unsafe { data.cast::<i32>().read_unaligned() })))
}

#[test]
fn a_descriptor_beside_the_bytes() {
    alone("unix::a_descriptor_beside_the_bytes", || {
        let (a, b) = UnixStream::pair().unwrap();
        let (end, other) = pipe::ends();
        write(other.as_raw_fd(), b"hello").unwrap();
        let sender = thread::spawn_local(move || {
            (&a).write_all(b"12").unwrap();
            thread::sleep(20 * TICK);
            assert_eq!(pass(&a, b"345", end.as_raw_fd()), 3);
            thread::sleep(20 * TICK);
            (&a).write_all(b"678").unwrap();
        });
        let mut buf = [0; 8];
        // As in the kernel, what comes beside the bytes ends even a call that waits for all.
        let (n, passed) = take(&b, &mut buf, libc::MSG_WAITALL);
        assert_eq!((n, &buf[..5]), (5, b"12345".as_slice()));
        assert_eq!(read(passed.unwrap().as_raw_fd(), &mut [0; 8]), Ok(5));
        assert_eq!(take(&b, &mut buf, libc::MSG_WAITALL).0, 3);
        sender.join().unwrap();
    });
}

#[test]
fn a_descriptor_beside_more_than_fits() {
    alone("unix::a_descriptor_beside_more_than_fits", || {
        let (a, b) = UnixStream::pair().unwrap();
        let (end, _other) = pipe::ends();
        let sender = thread::spawn_local(move || {
            assert_eq!(pass(&a, &pattern(BIG), end.as_raw_fd()), BIG);
        });
        let (mut bytes, mut passed) = (0, 0);
        let mut buf = vec![0; 65536];
        loop {
            let (n, fd) = take(&b, &mut buf, 0);
            (bytes, passed) = (bytes + n, passed + usize::from(fd.is_some()));
            if n == 0 {
                break;
            }
        }
        assert_eq!((bytes, passed), (BIG, 1), "it goes with the first part only");
        sender.join().unwrap();
    });
}
