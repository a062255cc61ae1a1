//! One socket, many threads: several readers, readers beside writers, green threads beside OS threads.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod support;

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sward::net::{BindOptions, TcpListener, TcpStream, UdpSocket};
use sward::os::unix::net::UnixStream;
use sward::{thread, timeout};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Every byte reaches one of the readers, once.
fn shared_by_readers(workers: usize) {
    support::alarm();
    sward::Builder::new().workers(workers).run(|| {
        const BYTES: usize = 4000;
        let (stream, mut other) = pair();
        let stream = Arc::new(stream);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let stream = stream.clone();
                thread::spawn(move || {
                    let mut got = 0;
                    let mut buf = [0; 7];
                    loop {
                        match (&*stream).read(&mut buf).unwrap() {
                            0 => break got,
                            n => got += n,
                        }
                    }
                })
            })
            .collect();
        for _ in 0..BYTES / 8 {
            other.write_all(&[1; 8]).unwrap();
            thread::yield_now();
        }
        drop(other);
        let got: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert_eq!(got, BYTES);
    });
}

#[test]
fn several_readers_on_one_worker() {
    shared_by_readers(1);
}

#[test]
fn several_readers_on_two_workers() {
    shared_by_readers(2);
}

#[test]
fn reader_beside_writer() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let (stream, mut other) = pair();
        let stream = Arc::new(stream);
        let reading = stream.clone();
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            (&*reading).read_to_end(&mut all).map(|_| all.len())
        });
        let big = vec![7; 1 << 22];
        let size = big.len();
        let writer = thread::spawn(move || {
            (&*stream).write_all(&big).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = vec![0; 1 << 16];
        let mut echoed = 0;
        loop {
            let n = other.read(&mut back).unwrap();
            if n == 0 {
                break;
            }
            other.write_all(&back[..n]).unwrap();
            echoed += n;
        }
        drop(other);
        writer.join().unwrap();
        assert_eq!((reader.join().unwrap().unwrap(), echoed), (size, size));
    });
}

/// A green thread and an OS thread take turns on the two ends, and on the same end.
#[test]
fn green_and_os_threads() {
    support::alarm();
    let (mut here, there) = pair();
    let there = Arc::new(there);
    let theirs = there.clone();
    let os = std::thread::spawn(move || {
        for n in 0..200_u8 {
            here.write_all(&[n]).unwrap();
            let mut back = [0];
            here.read_exact(&mut back).unwrap();
            assert_eq!(back[0], n);
        }
        here
    });
    sward::Builder::new().workers(1).run(move || {
        for n in 0..100_u8 {
            let mut byte = [0];
            (&*theirs).read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], n);
            (&*theirs).write_all(&byte).unwrap();
        }
    });
    // The same end, now from this OS thread: a socket stays in the mode that its owner set.
    for n in 100..200_u8 {
        let mut byte = [0];
        (&*there).read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], n);
        (&*there).write_all(&byte).unwrap();
    }
    drop(os.join().unwrap());
}

/// One listener, acceptors of both kinds: each connection reaches one of them.
#[test]
fn acceptors_of_both_kinds() {
    support::alarm();
    sward::Builder::new().workers(2).run(|| {
        const CONNECTIONS: usize = 60;
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let addr = listener.local_addr().unwrap();
        static TOTAL: AtomicUsize = AtomicUsize::new(0);
        let accept_all = |listener: Arc<TcpListener>| {
            let mut ports = Vec::new();
            while let Ok((_, peer)) = listener.accept() {
                ports.push(peer.port());
                TOTAL.fetch_add(1, Ordering::Relaxed);
            }
            ports
        };
        let (one, two, three) = (listener.clone(), listener.clone(), listener.clone());
        let green =
            [thread::spawn(move || accept_all(one)), thread::spawn(move || accept_all(two))];
        let os = std::thread::spawn(move || accept_all(three));
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let sent: HashSet<_> =
            clients.iter().map(|client| client.local_addr().unwrap().port()).collect();
        while TOTAL.load(Ordering::Relaxed) < CONNECTIONS {
            thread::sleep(Duration::from_millis(1));
        }
        listener.close();
        let mut got = os.join().unwrap();
        got.extend(green.into_iter().flat_map(|thread| thread.join().unwrap()));
        assert_eq!(got.len(), CONNECTIONS, "each once");
        assert_eq!(got.into_iter().collect::<HashSet<_>>(), sent);
    });
}

/// To std's type and back, as it is: mode, time-outs and what is in the buffers.
#[test]
fn to_std_and_back() {
    support::alarm();
    let (mut stream, mut other) = pair();
    other.write_all(b"one two ").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).unwrap();
    let mut std_stream = std::net::TcpStream::from(stream);
    assert_eq!(std_stream.read_timeout().unwrap(), Some(Duration::from_millis(20)));
    std_stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"two ");
    std_stream.set_nonblocking(true).unwrap();

    sward::Builder::new().workers(1).run(move || {
        let mut stream = TcpStream::from(std_stream);
        assert_eq!(stream.read_timeout().unwrap(), Some(Duration::from_millis(20)));
        assert_eq!(stream.read(&mut word).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
        assert_eq!(stream.read(&mut word).unwrap_err().kind(), ErrorKind::WouldBlock, "20 ms");
        stream.set_read_timeout(None).unwrap();
        let reader = thread::spawn(move || stream.read(&mut word).unwrap());
        thread::yield_now();
        other.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap(), 1);
    });
}

/// A listener that green threads accepted from is in blocking mode again when std gets it.
#[test]
fn a_listener_goes_back_to_its_mode() {
    support::alarm();
    let listener = sward::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap();
        drop(client);
        listener
    });
    let listener = std::net::TcpListener::from(listener);
    let addr = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        std::net::TcpStream::connect(addr).unwrap()
    });
    listener.accept().expect("it waits");
    client.join().unwrap();
}

#[test]
fn raw_descriptors() {
    support::alarm();
    let (one, mut two) = UnixStream::pair().unwrap();
    let number = one.as_raw_fd();
    assert_eq!(one.as_fd().as_raw_fd(), number);
    assert_eq!(one.into_raw_fd(), number);
    // SAFETY: `into_raw_fd` has just given the number away.
    let mut one = unsafe { UnixStream::from_raw_fd(number) };
    one.write_all(b"hi").unwrap();
    drop(OwnedFd::from(one));
    let mut text = String::new();
    two.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hi");
}

/// A scope's end is `TimedOut`, the socket's own is `WouldBlock`; the nearer of the two counts.
#[test]
fn whose_time_is_up() {
    support::alarm();
    let check = || {
        let (mut stream, _other) = pair();
        let (short, long) = (Duration::from_millis(15), Duration::from_secs(60));
        let buf = &mut [0; 4];
        stream.set_read_timeout(Some(short)).unwrap();
        assert_eq!(stream.read(buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        let scoped = timeout(long, || stream.read(buf)).unwrap();
        assert_eq!(scoped.unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(long)).unwrap();
        let scoped = timeout(short, || stream.read(buf)).unwrap();
        assert_eq!(scoped.unwrap_err().kind(), ErrorKind::TimedOut);
        stream.set_read_timeout(Some(Duration::MAX)).unwrap();
        let scoped = timeout(short, || stream.read(buf)).unwrap();
        assert_eq!(scoped.unwrap_err().kind(), ErrorKind::TimedOut);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let scoped = timeout(short, || udp.recv_from(buf)).unwrap();
        assert_eq!(scoped.unwrap_err().kind(), ErrorKind::TimedOut);
    };
    sward::Builder::new().workers(1).run(check);
    check(); // and on an OS thread
}

#[test]
fn one_port_for_two_listeners() {
    support::alarm();
    sward::run(|| {
        let options = BindOptions::new().reuse_port(true);
        let one = TcpListener::bind_with("127.0.0.1:0", options).unwrap();
        let addr = one.local_addr().unwrap();
        let two = TcpListener::bind_with(addr, options).unwrap();
        let error = TcpListener::bind(addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "both have to want it");
        let listeners = [one, two].map(Arc::new);
        let total = Arc::new(AtomicUsize::new(0));
        let counts = listeners.clone().map(|listener| {
            let total = total.clone();
            let mut next = move || {
                let accepted = listener.accept().ok();
                total.fetch_add(usize::from(accepted.is_some()), Ordering::Relaxed);
                accepted
            };
            thread::spawn(move || std::iter::from_fn(&mut next).count())
        });
        let _clients: Vec<_> = (0..64).map(|_| TcpStream::connect(addr).unwrap()).collect();
        while total.load(Ordering::Relaxed) < 64 {
            thread::sleep(Duration::from_millis(1));
        }
        listeners.iter().for_each(|listener| listener.close());
        let [a, b] = counts.map(|count| count.join().unwrap());
        assert_eq!(a + b, 64);
        assert!(a > 0 && b > 0, "the kernel spreads them: {a} and {b}");
    });
}
