//! TCP: connecting, accepting, bytes both ways, the ends of a connection.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;

use super::rt::net::{
    IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs,
};
use super::rt::{case, thread};

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let (listener, addr) = listen();
    let client = TcpStream::connect(addr).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

#[test]
fn echo() {
    case(|| {
        let (listener, addr) = listen();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buf = [0; 64];
            loop {
                match stream.read(&mut buf).unwrap() {
                    0 => break,
                    n => stream.write_all(&buf[..n]).unwrap(),
                }
            }
        });
        let mut client = TcpStream::connect(addr).unwrap();
        let mut buf = [0; 5];
        for word in [b"hello", b"again"] {
            client.write_all(word).unwrap();
            client.read_exact(&mut buf).unwrap();
            assert_eq!(&buf, word);
        }
        drop(client);
        server.join().unwrap();
    });
}

#[test]
fn reader_waits_for_the_writer() {
    case(|| {
        let (mut client, mut server) = pair();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            server.read_to_string(&mut text).unwrap();
            text
        });
        for _ in 0..10 {
            thread::yield_now();
        }
        client.write_all(b"late ").unwrap();
        thread::yield_now();
        client.write_all(b"but here").unwrap();
        drop(client);
        assert_eq!(reader.join().unwrap(), "late but here");
    });
}

#[test]
fn more_than_the_buffers_hold() {
    case(|| {
        const SIZE: usize = 6 << 20;
        let (mut client, mut server) = pair();
        let writer = thread::spawn(move || {
            let all: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
            client.write_all(&all).unwrap();
        });
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), SIZE);
        assert!(all.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
        writer.join().unwrap();
    });
}

#[test]
fn full_duplex() {
    case(|| {
        const SIZE: usize = 2 << 20;
        let (client, server) = pair();
        let both_ways = |stream: TcpStream, mine: u8, theirs: u8| {
            let mut reading = stream.try_clone().unwrap();
            let mut writing = stream;
            let reader = thread::spawn(move || {
                let mut all = Vec::new();
                reading.read_to_end(&mut all).unwrap();
                assert_eq!(all, vec![theirs; SIZE]);
            });
            let writer = thread::spawn(move || {
                writing.write_all(&vec![mine; SIZE]).unwrap();
                writing.shutdown(Shutdown::Write).unwrap();
            });
            [reader, writer]
        };
        let all = [both_ways(client, 1, 2), both_ways(server, 2, 1)];
        all.into_iter().flatten().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn many_clients_at_once() {
    case(|| {
        const CLIENTS: u32 = 40;
        let (listener, addr) = listen();
        let server = thread::spawn(move || {
            let all: Vec<_> = listener
                .incoming()
                .take(CLIENTS as usize)
                .map(|stream| {
                    let mut stream = stream.unwrap();
                    thread::spawn(move || {
                        let mut number = [0; 4];
                        stream.read_exact(&mut number).unwrap();
                        let doubled = u32::from_be_bytes(number) * 2;
                        stream.write_all(&doubled.to_be_bytes()).unwrap();
                    })
                })
                .collect();
            all.into_iter().for_each(|one| one.join().unwrap());
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    stream.write_all(&n.to_be_bytes()).unwrap();
                    let mut answer = [0; 4];
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(u32::from_be_bytes(answer), n * 2);
                })
            })
            .collect();
        clients.into_iter().for_each(|one| one.join().unwrap());
        server.join().unwrap();
    });
}

#[test]
fn nobody_listens() {
    case(|| {
        let (listener, addr) = listen();
        drop(listener);
        assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect_timeout(&addr, Duration::from_secs(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bad_addresses() {
    case(|| {
        let no_addresses: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(no_addresses).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(TcpStream::connect("no port").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(TcpListener::bind("127.0.0.1:x").unwrap_err().kind(), ErrorKind::InvalidInput);
        let (_listener, addr) = listen();
        assert_eq!(TcpListener::bind(addr).unwrap_err().kind(), ErrorKind::AddrInUse);
        let error = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn first_address_that_works() {
    case(|| {
        let (closed, refused) = listen();
        drop(closed);
        let (listener, addr) = listen();
        let stream = TcpStream::connect(&[refused, addr][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        drop((listener, stream));
    });
}

#[test]
fn by_name() {
    case(|| {
        let (_listener, addr) = listen();
        let found: Vec<_> = ("localhost", addr.port()).to_socket_addrs().unwrap().collect();
        assert!(found.iter().all(|found| found.ip().is_loopback() && found.port() == addr.port()));
        let stream = TcpStream::connect(("localhost", addr.port())).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let stream = TcpStream::connect(format!("localhost:{}", addr.port())).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
    });
}

#[test]
fn addresses() {
    case(|| {
        let (client, server) = pair();
        assert_eq!(client.local_addr().unwrap(), server.peer_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap().ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    });
}

#[test]
fn peek_leaves_the_bytes() {
    case(|| {
        let (mut client, mut server) = pair();
        client.write_all(b"abc").unwrap();
        let mut buf = [0; 8];
        let n = server.peek(&mut buf).unwrap();
        assert_eq!(&buf[..n], &b"abc"[..n]);
        let mut all = [0; 3];
        server.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"abc");
        drop(client);
        assert_eq!(server.peek(&mut buf).unwrap(), 0);
    });
}

#[test]
fn vectored() {
    case(|| {
        let (mut client, mut server) = pair();
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(client.write_vectored(&parts).unwrap(), 5);
        let (mut one, mut two) = ([0; 1], [0; 8]);
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 5 {
            let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
            let n = server.read_vectored(&mut parts).unwrap();
            got.extend(one.iter().chain(&two).take(n));
        }
        assert_eq!(got, b"abcde");
    });
}

#[test]
fn shutdown_of_each_half() {
    case(|| {
        let (mut client, mut server) = pair();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut buf = [0; 4];
        assert_eq!(server.read(&mut buf).unwrap(), 0);
        // The other direction is still open.
        server.write_all(b"yes").unwrap();
        assert_eq!(client.read(&mut buf).unwrap(), 3);
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(client.read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn shutdown_wakes_a_reader() {
    case(|| {
        let (client, server) = pair();
        let mut theirs = server.try_clone().unwrap();
        let reader = thread::spawn(move || theirs.read(&mut [0; 4]).unwrap());
        for _ in 0..10 {
            thread::yield_now();
        }
        server.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join().unwrap(), 0);
        drop(client);
    });
}

#[test]
fn clone_keeps_it_open() {
    case(|| {
        let (client, mut server) = pair();
        let mut second = client.try_clone().unwrap();
        drop(client);
        second.write_all(b"a").unwrap();
        let mut buf = [0; 4];
        assert_eq!(server.read(&mut buf).unwrap(), 1);
        drop(second);
        assert_eq!(server.read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn writing_to_one_that_has_gone() {
    case(|| {
        let (client, mut server) = pair();
        drop(client);
        let error = loop {
            if let Err(error) = server.write(b"anybody there?") {
                break error;
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
    });
}

#[test]
fn nothing_to_move() {
    case(|| {
        let (mut client, mut server) = pair();
        assert_eq!(server.write(&[]).unwrap(), 0);
        client.write_all(b"a").unwrap();
        assert_eq!(server.read(&mut []).unwrap(), 0);
        assert_eq!(server.read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn shared_by_reference() {
    case(|| {
        let (client, server) = pair();
        (&client).write_all(b"abc").unwrap();
        let mut buf = [0; 3];
        (&server).read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"abc");
    });
}

#[test]
fn two_acceptors() {
    case(|| {
        let (listener, addr) = listen();
        let acceptors = [listener.try_clone().unwrap(), listener]
            .map(|listener| thread::spawn(move || listener.accept().map(drop).unwrap()));
        let clients = [(); 2].map(|()| TcpStream::connect(addr).unwrap());
        acceptors.into_iter().for_each(|one| one.join().unwrap());
        drop(clients);
    });
}
