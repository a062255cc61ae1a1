//! Behaviours 23 to 25. More of 23 and 24 is in `tests/net_close.rs` and `tests/net_sharing.rs`.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::net::{TcpListener, TcpStream};
use sward::{thread, timeout};

use super::{LONG, SHORT, case, settle};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// 23, `test_recv_closed`: closing under a blocked read ends it at once, with EBADF.
#[test]
fn recv_closed() {
    case(|| {
        let (stream, _other) = pair();
        let stream = Arc::new(stream);
        let theirs = Arc::clone(&stream);
        let reader = thread::spawn(move || (&*theirs).read(&mut [0; 4]));
        settle();
        let start = Instant::now();
        stream.close();
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(9));
        assert!(start.elapsed() < Duration::from_secs(10));
    });
}

/// 24, `test_recv_twice`: gevent refuses the second reader; here both are served, and each byte goes to one of them.
#[test]
fn recv_twice() {
    case(|| {
        let (stream, mut other) = pair();
        let stream = Arc::new(stream);
        let readers = [(); 2].map(|()| {
            let stream = Arc::clone(&stream);
            thread::spawn(move || {
                let mut byte = [0];
                (&*stream).read_exact(&mut byte).unwrap();
                byte[0]
            })
        });
        settle();
        other.write_all(&[1]).unwrap();
        other.write_all(&[2]).unwrap();
        let mut got = readers.map(|one| one.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// 24, `test_fullduplex`: reading does not keep from writing.
#[test]
fn full_duplex() {
    case(|| {
        let (stream, mut other) = pair();
        let stream = Arc::new(stream);
        let theirs = Arc::clone(&stream);
        let reader = thread::spawn(move || (&*theirs).read(&mut [0; 4]).unwrap());
        settle();
        (&*stream).write_all(b"from the one who also reads").unwrap();
        assert!(!reader.is_finished());
        other.write_all(b"abc").unwrap();
        assert_eq!(reader.join().unwrap(), 3);
    });
}

/// 25, `test_sendall_timeout`: the limit is on the whole send, though every part of it makes progress.
#[test]
fn sendall_timeout() {
    case(|| {
        let (mut client, mut server) = pair();
        let slow = thread::spawn(move || {
            let mut buf = vec![0; 64 << 10];
            while server.read(&mut buf).is_ok_and(|n| n > 0) {
                thread::sleep(Duration::from_millis(2));
            }
        });
        let limit = SHORT * 10;
        let start = Instant::now();
        let sent = timeout(limit, || {
            let endless = vec![0; 1 << 30];
            client.write_all(&endless)
        });
        // The scope lets I/O return its own error.
        assert_eq!(sent.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= limit);
        assert!(start.elapsed() < LONG / 2);
        drop(client);
        slow.join().unwrap();
    });
}

/// 4, for sockets: a read that timed out leaves the socket as good as before.
#[test]
fn usable_after_a_timeout() {
    case(|| {
        let (mut stream, mut other) = pair();
        let read = timeout(SHORT, || stream.read(&mut [0; 4]));
        assert_eq!(read.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        other.write_all(b"abcd").unwrap();
        let mut all = [0; 4];
        stream.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"abcd");
    });
}
