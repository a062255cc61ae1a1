//! std's UdpSocket.

use std::io::ErrorKind;
use std::net::UdpSocket;

use super::*;

pub(crate) fn two() -> (UdpSocket, UdpSocket) {
    let a = UdpSocket::bind("127.0.0.1:0").unwrap();
    let b = UdpSocket::bind("127.0.0.1:0").unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    (a, b)
}

#[test]
fn receiving_waits() {
    alone("udp::receiving_waits", || {
        let (a, b) = two();
        let from = b.local_addr().unwrap();
        let poke = |word: &'static [u8]| {
            let b = b.try_clone().unwrap();
            move || assert_eq!(b.send(word).unwrap(), word.len())
        };
        let mut buf = [0; 8];
        assert_eq!(while_another(poke(b"one"), || a.recv_from(&mut buf)).unwrap(), (3, from));
        assert_eq!(while_another(poke(b"two"), || a.peek_from(&mut buf)).unwrap(), (3, from));
        assert_eq!(a.recv(&mut buf).unwrap(), 3);
        assert_eq!(while_another(poke(b""), || a.recv_from(&mut buf)).unwrap(), (0, from));
        let all = libc::MSG_PEEK | libc::MSG_WAITALL;
        assert_eq!(while_another(poke(b"two"), || super::recv(&a, &mut buf, all)), Ok(3));
        assert_eq!(a.recv(&mut buf).unwrap(), 3);
        // Too long for the buffer: cut, and one message all the same.
        assert_eq!(while_another(poke(b"far too long"), || a.recv(&mut buf)).unwrap(), 8);
    });
}

#[test]
fn time_out() {
    alone("udp::time_out", || {
        let (a, _b) = two();
        a.set_read_timeout(Some(50 * TICK)).unwrap();
        let began = Instant::now();
        let error = cooperative(|| a.recv_from(&mut [0; 8])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        later(began, 50 * TICK);
    });
}

#[test]
fn send_to_names_the_receiver() {
    alone("udp::send_to_names_the_receiver", || {
        let (a, _b) = two();
        let c = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(c.send_to(b"hello", a.local_addr().unwrap()).unwrap(), 5);
        let mut buf = [0; 8];
        assert_eq!(a.recv_from(&mut buf).unwrap(), (5, c.local_addr().unwrap()));
    });
}

#[test]
fn error_of_an_earlier_message() {
    alone("udp::error_of_an_earlier_message", || {
        let (a, b) = two();
        drop(a);
        b.send(b"to nobody").unwrap();
        let error = b.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn empty_write_is_an_empty_message() {
    alone("udp::empty_write_is_an_empty_message", || {
        let (a, b) = two();
        assert_eq!(write(b.as_raw_fd(), &[]), Ok(0));
        assert_eq!(a.recv(&mut [0; 8]).unwrap(), 0);
        // Of a list of nothing, the kernel says otherwise.
        let list = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 2];
        // SAFETY: buffers of nothing.
        assert_eq!(unsafe { libc::writev(b.as_raw_fd(), list.as_ptr(), 2) }, 0);
        assert_eq!(recv(&a, &mut [0; 8], libc::MSG_DONTWAIT), Err(libc::EAGAIN));
    });
}

#[test]
fn ready_for_ever_and_nothing_to_read() {
    alone("udp::ready_for_ever_and_nothing_to_read", || {
        let (a, b) = two();
        let (level, on) = (libc::IPPROTO_IP, 1_i32);
        let (at, size) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
        // SAFETY: reads `on`.
        let set = unsafe { libc::setsockopt(b.as_raw_fd(), level, libc::IP_RECVERR, at, size) };
        assert_eq!(set, 0);
        drop(a);
        b.send(b"to nobody").unwrap();
        assert_eq!(recv(&b, &mut [0; 8], 0), Err(libc::ECONNREFUSED));
        // Its report stays in the error queue until somebody reads that, and poll says POLLERR all the time.
        b.set_read_timeout(Some(200 * TICK)).unwrap();
        assert_eq!(idle(|| recv(&b, &mut [0; 8], 0)), Err(libc::EAGAIN));
        assert_eq!(recv(&b, &mut [0; 8], libc::MSG_ERRQUEUE), Ok(8));
    });
}
