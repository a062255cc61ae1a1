//! UDP: datagrams with and without a fixed peer.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::rt::net::{SocketAddr, UdpSocket};
use super::rt::{case, thread};

fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[test]
fn echo() {
    case(|| {
        let (server, addr) = bind();
        let echo = thread::spawn(move || {
            let mut buf = [0; 64];
            for _ in 0..3 {
                let (n, from) = server.recv_from(&mut buf).unwrap();
                assert_eq!(server.send_to(&buf[..n], from).unwrap(), n);
            }
        });
        let (client, _) = bind();
        for text in [&b"one"[..], b"", b"three"] {
            assert_eq!(client.send_to(text, addr).unwrap(), text.len());
            let mut buf = [0; 64];
            let (n, from) = client.recv_from(&mut buf).unwrap();
            assert_eq!((&buf[..n], from), (text, addr));
        }
        echo.join().unwrap();
    });
}

#[test]
fn connected() {
    case(|| {
        let ((one, first), (two, second)) = (bind(), bind());
        assert_eq!(one.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        one.connect(second).unwrap();
        two.connect(first).unwrap();
        assert_eq!(one.peer_addr().unwrap(), second);
        let other = thread::spawn(move || {
            let mut buf = [0; 8];
            let n = two.recv(&mut buf).unwrap();
            two.send(&buf[..n]).unwrap();
        });
        one.send(b"ping").unwrap();
        let mut buf = [0; 8];
        assert_eq!(one.recv(&mut buf).unwrap(), 4);
        assert_eq!(&buf[..4], b"ping");
        other.join().unwrap();
    });
}

#[test]
fn peek_leaves_the_datagram() {
    case(|| {
        let ((one, first), (two, second)) = (bind(), bind());
        two.send_to(b"abc", first).unwrap();
        let mut buf = [0; 8];
        assert_eq!(one.peek_from(&mut buf).unwrap(), (3, second));
        one.connect(second).unwrap();
        assert_eq!(one.peek(&mut buf).unwrap(), 3);
        assert_eq!(one.recv(&mut buf).unwrap(), 3);
        one.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert!(one.recv(&mut buf).is_err());
    });
}

#[test]
fn too_long_is_cut() {
    case(|| {
        let ((one, first), (two, _)) = (bind(), bind());
        two.send_to(b"abcdef", first).unwrap();
        two.send_to(b"g", first).unwrap();
        let mut buf = [0; 4];
        assert_eq!(one.recv_from(&mut buf).unwrap().0, 4);
        assert_eq!(&buf, b"abcd");
        assert_eq!(one.recv_from(&mut buf).unwrap().0, 1);
    });
}

#[test]
fn timeouts() {
    case(|| {
        let (socket, _) = bind();
        assert_eq!(socket.read_timeout().unwrap(), None);
        let zero = socket.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        let limit = Duration::new(15, 0);
        socket.set_write_timeout(Some(limit)).unwrap();
        assert_eq!(socket.write_timeout().unwrap(), Some(limit));
        let short = Duration::from_millis(20);
        socket.set_read_timeout(Some(short)).unwrap();
        let start = Instant::now();
        let kind = socket.recv_from(&mut [0; 4]).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(start.elapsed() >= short / 2);
    });
}

#[test]
fn nonblocking() {
    case(|| {
        let (socket, addr) = bind();
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        socket.send_to(b"me", addr).unwrap();
        let n = loop {
            match socket.recv_from(&mut [0; 4]) {
                Ok((n, from)) => {
                    assert_eq!(from, addr);
                    break n;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            thread::yield_now();
        };
        assert_eq!(n, 2);
    });
}

#[test]
fn two_threads_receive() {
    case(|| {
        let (socket, addr) = bind();
        let all = [socket.try_clone().unwrap(), socket].map(|socket| {
            thread::spawn(move || {
                let mut buf = [0; 1];
                socket.recv_from(&mut buf).unwrap();
                buf[0]
            })
        });
        let (sender, _) = bind();
        sender.send_to(&[1], addr).unwrap();
        sender.send_to(&[2], addr).unwrap();
        let sum: u8 = all.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn small_options() {
    case(|| {
        let (socket, _) = bind();
        assert!(!socket.broadcast().unwrap());
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(40).unwrap();
        assert_eq!(socket.ttl().unwrap(), 40);
        assert!(socket.take_error().unwrap().is_none());
        assert!(socket.send_to(b"x", &[][..]).is_err());
    });
}

#[test]
fn refusal_is_told() {
    case(|| {
        let (gone, addr) = bind();
        drop(gone);
        let (socket, _) = bind();
        socket.connect(addr).unwrap();
        socket.send(b"anybody?").unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}
