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
        let (began, cpu) = (Instant::now(), cpu());
        (0..1000_u64).for_each(|at| assert_eq!(a.send_to(&at.to_ne_bytes(), &path).unwrap(), 8));
        assert!(cpu_since(cpu) < began.elapsed() / 2, "it naps, and does not spin");
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
        assert_eq!(sward::timeout(20 * TICK, fill).unwrap(), ErrorKind::TimedOut);
        drop(b);
        std::fs::remove_file(path).unwrap();
    });
}

/// The CPU time of the calling OS thread.
fn cpu() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn cpu_since(then: Duration) -> Duration {
    cpu() - then
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
    // SAFETY: there is room for a header and one descriptor behind it.
    let header = unsafe { &mut *libc::CMSG_FIRSTHDR(&raw const message) };
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

#[test]
fn a_descriptor_beside_the_bytes() {
    alone("unix::a_descriptor_beside_the_bytes", || {
        let (a, b) = UnixStream::pair().unwrap();
        let (end, other) = pipe::ends();
        write(other.as_raw_fd(), b"hello").unwrap();
        let sender = thread::spawn_local(move || {
            let mut a = &a;
            a.write_all(b"12").unwrap();
            thread::sleep(20 * TICK);
            // More than fits at once: the descriptor goes with the first part, and only with that.
            let sent = pass(a, &pattern(BIG), end.as_raw_fd());
            assert_eq!(sent, BIG);
        });
        let mut buf = [0; 8];
        let mut list = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: 8 };
        let mut control = [0; 3];
        let mut message = message(&mut list, &mut control);
        // SAFETY: the message lives.
        let n = unsafe { libc::recvmsg(b.as_raw_fd(), &raw mut message, libc::MSG_WAITALL) };
        assert_eq!(n, 8, "the second part filled it up");
        assert!(message.msg_controllen > 0, "what came beside the second part is told");
        // SAFETY: a header is there.
        let header = unsafe { &*libc::CMSG_FIRSTHDR(&raw const message) };
        assert_eq!(header.cmsg_type, libc::SCM_RIGHTS);
        // SAFETY: only computes.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: one descriptor, ours now.
        let passed = opened(unsafe { data.cast::<i32>().read_unaligned() });
        assert_eq!(read(passed.as_raw_fd(), &mut [0; 8]), Ok(5));
        let mut rest = Vec::new();
        (&b).read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), BIG - 6);
        sender.join().unwrap();
    });
}
