//! `close`: whoever waits on the socket gets EBADF, and so does whoever comes later, on threads of both kinds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use sward::net::{TcpListener, TcpStream, UdpSocket};
use sward::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use sward::thread;

const EBADF: Option<i32> = Some(9);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Starts `wait` on a green thread and on an OS thread, closes, and expects EBADF from both, then and afterwards.
fn closes<S: Send + Sync + 'static>(socket: S, wait: fn(&S) -> io::Result<()>, close: fn(&S)) {
    support::alarm();
    sward::Builder::new().workers(1).run(move || {
        let socket = Arc::new(socket);
        let (one, two) = (socket.clone(), socket.clone());
        let green = thread::spawn(move || wait(&one));
        let os = std::thread::spawn(move || wait(&two));
        thread::sleep(Duration::from_millis(30));
        assert!(!green.is_finished() && !os.is_finished(), "both wait");
        close(&socket);
        assert_eq!(green.join().unwrap().unwrap_err().raw_os_error(), EBADF, "green");
        assert_eq!(os.join().unwrap().unwrap_err().raw_os_error(), EBADF, "OS thread");
        assert_eq!(wait(&socket).unwrap_err().raw_os_error(), EBADF, "later");
    });
}

#[test]
fn tcp_reader() {
    let (stream, _other) = pair();
    // The other end stays open until the process ends: nothing but `close` may end the wait.
    std::mem::forget(_other);
    closes(stream, |mut s| s.read(&mut [0; 8]).map(drop), TcpStream::close);
}

#[test]
fn tcp_writer() {
    let (stream, other) = pair();
    std::mem::forget(other);
    let fill = |mut s: &TcpStream| -> io::Result<()> {
        loop {
            s.write_all(&[0; 1 << 16])?;
        }
    };
    closes(stream, fill, TcpStream::close);
}

#[test]
fn tcp_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    closes(listener, |l| l.accept().map(drop), TcpListener::close);
}

#[test]
fn udp_reader() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    closes(socket, |s| s.recv_from(&mut [0; 8]).map(drop), UdpSocket::close);
}

#[test]
fn unix_reader() {
    let (stream, other) = UnixStream::pair().unwrap();
    std::mem::forget(other);
    closes(stream, |mut s| s.read(&mut [0; 8]).map(drop), UnixStream::close);
}

#[test]
fn unix_listener() {
    let name = format!("sward-test-close-{}", std::process::id());
    let addr =
        <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&addr).unwrap();
    closes(listener, |l| l.accept().map(drop), UnixListener::close);
}

#[test]
fn unix_datagram_reader() {
    let (socket, other) = UnixDatagram::pair().unwrap();
    std::mem::forget(other);
    closes(socket, |s| s.recv(&mut [0; 8]).map(drop), UnixDatagram::close);
}

/// The peer and the clones see the end of the connection.
#[test]
fn others_see_the_end() {
    support::alarm();
    sward::run(|| {
        let (stream, mut other) = pair();
        let mut clone = stream.try_clone().unwrap();
        let reader = thread::spawn(move || clone.read(&mut [0; 8]).unwrap());
        thread::yield_now();
        stream.close();
        assert_eq!(reader.join().unwrap(), 0);
        assert_eq!(other.read(&mut [0; 8]).unwrap(), 0);
    });
}

/// The last owner may go while others wait elsewhere; the number is used again and nobody gets a stranger's event.
#[test]
fn numbers_are_used_again() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        use std::os::fd::AsRawFd;
        let mut again = 0;
        let mut last = -1;
        for round in 0..200_u32 {
            let (mut stream, mut other) = pair();
            again += u32::from(stream.as_raw_fd() == last);
            last = stream.as_raw_fd();
            let reader = thread::spawn(move || {
                let mut word = [0; 4];
                stream.read_exact(&mut word).map(|()| u32::from_le_bytes(word))
            });
            thread::yield_now(); // it waits, so the number is known to epoll
            other.write_all(&round.to_le_bytes()).unwrap();
            if round % 3 == 0 {
                other.write_all(b"never read").unwrap(); // an event that nobody takes
            }
            assert_eq!(reader.join().unwrap().unwrap(), round);
        }
        assert!(again > 100, "the numbers were meant to come back: {again}");
    });
}

/// A fresh socket on an old number does not inherit readiness: its first wait does wait.
#[test]
fn a_fresh_socket_starts_fresh() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        for _ in 0..50 {
            let (mut stream, mut other) = pair();
            other.write_all(b"x").unwrap();
            stream.read_exact(&mut [0; 1]).unwrap();
            drop((stream, other));
            let (stream, _other) = pair();
            stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let error = (&stream).read(&mut [0; 1]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    });
}
