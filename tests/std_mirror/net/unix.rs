//! Unix sockets: streams, listeners and datagrams, by path and in pairs.

use std::fs;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::rt::unix::{UnixDatagram, UnixListener, UnixStream};
use super::rt::{case, thread};

/// A path for a socket of this test; removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "sward-{}-{}-{}",
            process::id(),
            module_path!().replace("::", "-"),
            NEXT.fetch_add(1, Relaxed)
        );
        Place(std::env::temp_dir().join(name))
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn echo() {
    case(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap();
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        for word in ["one", "two"] {
            let mut client = UnixStream::connect(&place).unwrap();
            client.write_all(word.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text, word);
        }
        server.join().unwrap();
    });
}

#[test]
fn pair_waits() {
    case(|| {
        let (mut one, mut two) = UnixStream::pair().unwrap();
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            two.read_to_end(&mut all).unwrap();
            all.len()
        });
        let chunk = [IoSlice::new(&[1; 1000]), IoSlice::new(&[2; 500])];
        let mut sent = 0;
        while sent < 3_000_000 {
            sent += one.write_vectored(&chunk).unwrap();
        }
        drop(one);
        assert_eq!(reader.join().unwrap(), sent);
    });
}

#[test]
fn addresses() {
    case(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(place.as_ref()));
        let client = UnixStream::connect(&place).unwrap();
        let (server, from) = listener.accept().unwrap();
        assert!(from.is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(place.as_ref()));
        assert!(server.peer_addr().unwrap().is_unnamed());
        assert!(UnixStream::pair().unwrap().0.local_addr().unwrap().is_unnamed());
    });
}

#[test]
fn errors() {
    case(|| {
        let place = Place::new();
        assert_eq!(UnixStream::connect(&place).unwrap_err().kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&place).unwrap();
        assert_eq!(UnixListener::bind(&place).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        assert_eq!(UnixStream::connect(&place).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let too_long = "x".repeat(200);
        assert_eq!(UnixStream::connect(&too_long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(UnixListener::bind("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
        let (mut one, two) = UnixStream::pair().unwrap();
        drop(two);
        assert_eq!(one.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn timeouts_and_modes() {
    case(|| {
        let (mut one, two) = UnixStream::pair().unwrap();
        assert_eq!(one.read_timeout().unwrap(), None);
        let zero = one.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        one.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let kind = one.read(&mut [0; 4]).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        let limit = Duration::new(15, 0);
        one.set_write_timeout(Some(limit)).unwrap();
        assert_eq!(one.write_timeout().unwrap(), Some(limit));
        one.set_nonblocking(true).unwrap();
        assert_eq!(one.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        one.set_nonblocking(false).unwrap();
        one.set_read_timeout(None).unwrap();
        let mut clone = two.try_clone().unwrap();
        drop(two);
        let writer = thread::spawn(move || clone.write_all(b"abc").unwrap());
        let mut buf = [0; 3];
        one.read_exact(&mut buf).unwrap();
        writer.join().unwrap();
        assert_eq!(one.read(&mut buf).unwrap(), 0);
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn nonblocking_listener() {
    case(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        listener.set_nonblocking(false).unwrap();
        let second = listener.try_clone().unwrap();
        let acceptor = thread::spawn(move || second.accept().map(drop).unwrap());
        for _ in 0..10 {
            thread::yield_now();
        }
        let _client = UnixStream::connect(&place).unwrap();
        acceptor.join().unwrap();
    });
}

#[test]
fn datagrams_by_path() {
    case(|| {
        let (here, there) = (Place::new(), Place::new());
        let one = UnixDatagram::bind(&here).unwrap();
        let two = UnixDatagram::bind(&there).unwrap();
        let answer = thread::spawn(move || {
            let mut buf = [0; 16];
            let (n, from) = two.recv_from(&mut buf).unwrap();
            two.send_to(&buf[..n], from.as_pathname().unwrap()).unwrap();
        });
        one.send_to(b"hello", &there).unwrap();
        let mut buf = [0; 16];
        let (n, from) = one.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..n], from.as_pathname()), (&b"hello"[..], Some(there.as_ref())));
        answer.join().unwrap();
        let gone = one.send_to(b"x", &there).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn datagram_pair() {
    case(|| {
        let (one, two) = UnixDatagram::pair().unwrap();
        let reader = thread::spawn(move || {
            let mut buf = [0; 16];
            [two.recv(&mut buf).unwrap(), two.recv(&mut buf).unwrap()]
        });
        one.send(b"abc").unwrap();
        one.send(b"de").unwrap();
        assert_eq!(reader.join().unwrap(), [3, 2]);

        let unbound = UnixDatagram::unbound().unwrap();
        assert!(unbound.local_addr().unwrap().is_unnamed());
        let place = Place::new();
        let bound = UnixDatagram::bind(&place).unwrap();
        unbound.connect(&place).unwrap();
        unbound.send(b"to you").unwrap();
        bound.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        assert_eq!(bound.recv(&mut [0; 16]).unwrap(), 6);
    });
}
