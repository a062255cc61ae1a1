//! TCP: timeouts, non-blocking mode, socket options, how they print.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::rt::net::{TcpListener, TcpStream};
use super::rt::{case, thread};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Which of the two it is std leaves to the platform.
fn timed_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn timeouts_are_kept() {
    case(|| {
        let (stream, _other) = pair();
        assert_eq!(stream.read_timeout().unwrap(), None);
        assert_eq!(stream.write_timeout().unwrap(), None);
        let limit = Duration::new(15, 0);
        stream.set_read_timeout(Some(limit)).unwrap();
        stream.set_write_timeout(Some(limit * 2)).unwrap();
        assert_eq!(stream.read_timeout().unwrap(), Some(limit));
        assert_eq!(stream.write_timeout().unwrap(), Some(limit * 2));
        stream.set_read_timeout(None).unwrap();
        stream.set_write_timeout(None).unwrap();
        assert_eq!(stream.read_timeout().unwrap(), None);
        assert_eq!(stream.write_timeout().unwrap(), None);
    });
}

#[test]
fn zero_is_no_timeout() {
    case(|| {
        let (stream, _other) = pair();
        let read = stream.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        let write = stream.set_write_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!([read.kind(), write.kind()], [ErrorKind::InvalidInput; 2]);
    });
}

#[test]
fn read_times_out() {
    case(|| {
        let (mut client, mut server) = pair();
        let limit = Duration::from_millis(20);
        server.set_read_timeout(Some(limit)).unwrap();
        let start = Instant::now();
        assert!(timed_out(server.read(&mut [0; 4]).unwrap_err().kind()));
        assert!(start.elapsed() >= limit / 2);
        assert!(timed_out(server.peek(&mut [0; 4]).unwrap_err().kind()));
        // The connection is as good as before.
        client.write_all(b"a").unwrap();
        assert_eq!(server.read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn write_times_out() {
    case(|| {
        let (client, _server) = pair();
        client.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let chunk = vec![0; 1 << 20];
        let error = loop {
            // Nobody reads, so the buffers fill up.
            if let Err(error) = (&client).write(&chunk) {
                break error;
            }
        };
        assert!(timed_out(error.kind()));
    });
}

#[test]
fn timeout_does_not_outlast_itself() {
    case(|| {
        let (mut client, mut server) = pair();
        server.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert!(server.read(&mut [0; 4]).is_err());
        server.set_read_timeout(None).unwrap();
        let reader = thread::spawn(move || server.read(&mut [0; 4]).unwrap());
        thread::sleep(Duration::from_millis(20));
        client.write_all(b"ab").unwrap();
        assert_eq!(reader.join().unwrap(), 2);
    });
}

#[test]
fn clones_share_the_socket() {
    case(|| {
        let (stream, _other) = pair();
        let clone = stream.try_clone().unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(clone.nodelay().unwrap());
        clone.set_nonblocking(true).unwrap();
        assert_eq!((&stream).read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        clone.set_nonblocking(false).unwrap();
    });
}

#[test]
fn nonblocking_stream() {
    case(|| {
        let (mut client, mut server) = pair();
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(server.peek(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.write_all(b"abc").unwrap();
        let n = loop {
            match server.read(&mut [0; 4]) {
                Ok(n) => break n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            thread::yield_now();
        };
        assert_eq!(n, 3);
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = server.write(&chunk) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        server.set_nonblocking(false).unwrap();
        let reader = thread::spawn(move || server.read(&mut [0; 4]).unwrap());
        for _ in 0..10 {
            thread::yield_now();
        }
        client.write_all(b"d").unwrap();
        assert_eq!(reader.join().unwrap(), 1);
    });
}

#[test]
fn nonblocking_listener() {
    case(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = loop {
            match listener.accept() {
                Ok(accepted) => break accepted,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            thread::yield_now();
        };
        // An accepted socket does not inherit the mode: this would say WouldBlock.
        server.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let start = Instant::now();
        assert!(server.read(&mut [0; 4]).is_err());
        assert!(start.elapsed() >= Duration::from_millis(15));
        listener.set_nonblocking(false).unwrap();
        let second = thread::spawn(move || listener.accept().map(drop));
        drop(TcpStream::connect(server.local_addr().unwrap()).unwrap());
        second.join().unwrap().unwrap();
    });
}

#[test]
fn small_options() {
    case(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_ttl(41).unwrap();
        assert_eq!(listener.ttl().unwrap(), 41);
        assert!(listener.take_error().unwrap().is_none());
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!stream.nodelay().unwrap());
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        stream.set_ttl(42).unwrap();
        assert_eq!(stream.ttl().unwrap(), 42);
        assert!(stream.take_error().unwrap().is_none());
    });
}

#[test]
fn connect_in_time() {
    case(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(100)).unwrap();
        // And it blocks afterwards, as any other.
        let (mut server, _) = listener.accept().unwrap();
        let reader = thread::spawn(move || stream.read(&mut [0; 4]).unwrap());
        for _ in 0..10 {
            thread::yield_now();
        }
        server.write_all(b"abc").unwrap();
        assert_eq!(reader.join().unwrap(), 3);
    });
}

#[test]
fn descriptors_come_and_go() {
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
    case(|| {
        let (mut client, server) = pair();
        let number = server.as_raw_fd();
        assert_eq!(server.as_fd().as_raw_fd(), number);
        let owned: OwnedFd = server.into();
        let server = TcpStream::from(owned);
        assert_eq!(server.as_raw_fd(), number);
        let raw = server.into_raw_fd();
        // SAFETY: the number is ours, `into_raw_fd` has just given it up.
        let mut server = unsafe { TcpStream::from_raw_fd(raw) };
        client.write_all(b"ok").unwrap();
        let mut buf = [0; 2];
        server.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"ok");
    });
}

#[test]
fn prints_as_std() {
    use std::os::fd::AsRawFd;
    case(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let fd = listener.as_raw_fd();
        assert_eq!(format!("{listener:?}"), format!("TcpListener {{ addr: {addr}, fd: {fd} }}"));
        let stream = TcpStream::connect(addr).unwrap();
        let (mine, fd) = (stream.local_addr().unwrap(), stream.as_raw_fd());
        let expected = format!("TcpStream {{ addr: {mine}, peer: {addr}, fd: {fd} }}");
        assert_eq!(format!("{stream:?}"), expected);
    });
}
