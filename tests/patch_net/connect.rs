//! connect, which waits until the connection is made or refused, and leaves the socket in its own mode.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

/// A listener whose queue is full, so that the kernel leaves the next one unanswered; and who fills it.
fn busy() -> (TcpListener, SocketAddr, Vec<OwnedFd>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: changes the length of its queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = socket(libc::SOCK_NONBLOCK);
        match connect(&socket, addr) {
            Ok(()) | Err(libc::EINPROGRESS) => waiting.push(socket),
            Err(error) => panic!("errno {error}"),
        }
        thread::sleep(5 * TICK);
        let last = waiting.last().unwrap();
        let mut poll = libc::pollfd { fd: last.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry.
        if unsafe { libc::poll(&raw mut poll, 1, 20) } == 0 {
            return (listener, addr, waiting);
        }
    }
}

fn socket(flags: i32) -> OwnedFd {
    // SAFETY: makes a socket.
    opened(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | flags, 0) })
}

fn connect(fd: &OwnedFd, addr: SocketAddr) -> Result<(), i32> {
    let SocketAddr::V4(addr) = addr else { panic!("{addr}") };
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
        sin_zero: [0; 8],
    };
    let size = size_of_val(&name) as libc::socklen_t;
    // SAFETY: reads the name.
    let result = unsafe { libc::connect(fd.as_raw_fd(), (&raw const name).cast(), size) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// Accepts whatever comes, after a while.
fn accept_all(listener: TcpListener) -> thread::LocalJoinHandle<()> {
    thread::spawn_local(move || {
        thread::sleep(20 * TICK);
        let mut accepted = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            accepted.push(stream);
        }
    })
}

#[test]
fn connects_and_is_refused() {
    alone("connect::connects_and_is_refused", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = socket(0);
        set_errno(libc::EXDEV);
        assert_eq!(connect(&socket, addr), Ok(()));
        assert_eq!(errno(), libc::EXDEV, "success leaves errno alone");
        assert!(!kernel_nonblocking(&socket), "its mode is as it was");
        assert_eq!(connect(&socket, addr), Err(libc::EISCONN));
        drop(listener);
        let error = TcpStream::connect(addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // As after any blocking call, the socket is good for another attempt.
        let socket = self::socket(0);
        assert_eq!(connect(&socket, addr), Err(libc::ECONNREFUSED));
        let listener = TcpListener::bind(addr).unwrap();
        assert_eq!(connect(&socket, addr), Ok(()));
        drop(listener);
    });
}

#[test]
fn connect_waits() {
    alone("connect::connect_waits", || {
        let (listener, addr, waiting) = busy();
        // The kernel may have forgotten some of those that wait, so nobody counts them.
        let accepting = accept_all(listener);
        // The kernel's next try is after a second.
        let stream = cooperative(|| TcpStream::connect(addr)).unwrap();
        assert!(stream.peer_addr().is_ok(), "it is connected");
        assert!(!kernel_nonblocking(&stream));
        assert_eq!(flags(&stream) & libc::O_NONBLOCK, 0);
        accepting.cancel();
        accepting.join().unwrap();
        drop(waiting);
    });
}

#[test]
fn time_out_of_connect() {
    alone("connect::time_out_of_connect", || {
        let (_listener, addr, _waiting) = busy();
        let socket = socket(0);
        set_timeout(&socket, libc::SO_SNDTIMEO, 50 * TICK);
        let began = Instant::now();
        assert_eq!(cooperative(|| connect(&socket, addr)), Err(libc::EINPROGRESS));
        later(began, 50 * TICK);
        assert!(!kernel_nonblocking(&socket));
    });
}

#[test]
fn scope_ends_connect_and_it_can_be_taken_up_again() {
    alone("connect::scope_ends_connect_and_it_can_be_taken_up_again", || {
        let (listener, addr, waiting) = busy();
        let socket = socket(0);
        let ended = sward::timeout(50 * TICK, || connect(&socket, addr)).unwrap();
        assert_eq!(ended, Err(libc::ETIMEDOUT));
        let accepting = accept_all(listener);
        // A blocking call waits for the attempt that is under way.
        assert_eq!(cooperative(|| connect(&socket, addr)), Ok(()));
        accepting.cancel();
        accepting.join().unwrap();
        drop(waiting);
    });
}

#[test]
fn two_wait_for_one_connection() {
    alone("connect::two_wait_for_one_connection", || {
        let (listener, addr, waiting) = busy();
        let socket = Rc::new(socket(0));
        let second = {
            let socket = socket.clone();
            thread::spawn_local(move || connect(&socket, addr))
        };
        let accepting = accept_all(listener);
        assert_eq!(connect(&socket, addr), Ok(()));
        assert_eq!(second.join().unwrap(), Ok(()));
        accepting.cancel();
        accepting.join().unwrap();
        drop(waiting);
    });
}

#[test]
fn pinned_connect_waits() {
    alone("connect::pinned_connect_waits", || {
        let (listener, addr, waiting) = busy();
        let accepting = std::thread::spawn(move || {
            std::thread::sleep(50 * TICK);
            // Until ours is there, and then for ever: the process ends all the same.
            while listener.accept().is_ok() {}
        });
        let (stream, ran) = beside(|| sward::patch::pinned(|| TcpStream::connect(addr)));
        assert!(stream.unwrap().peer_addr().is_ok() && ran == 0);
        drop((accepting, waiting));
    });
}

#[test]
fn nonblocking_connect_does_not_wait() {
    alone("connect::nonblocking_connect_does_not_wait", || {
        let (_listener, addr, _waiting) = busy();
        let socket = socket(libc::SOCK_NONBLOCK);
        assert_eq!(at_once(|| connect(&socket, addr)), Err(libc::EINPROGRESS));
        assert!(kernel_nonblocking(&socket), "its mode is as it was");
    });
}

#[test]
fn std_connect_timeout() {
    alone("connect::std_connect_timeout", || {
        let (_listener, addr, _waiting) = busy();
        let began = Instant::now();
        let error = cooperative(|| TcpStream::connect_timeout(&addr, 50 * TICK)).unwrap_err();
        later(began, 50 * TICK);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn full_unix_listener() {
    alone("connect::full_unix_listener", || {
        let path = std::env::temp_dir().join(format!("sward-connect-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        // SAFETY: changes the length of its queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let _first = UnixStream::connect(&path).unwrap();
        // Nothing announces room in the queue, so this is a wait of another kind.
        let act = move || {
            drop(listener.accept().unwrap());
            listener
        };
        let accepting = thread::spawn_local(move || {
            thread::sleep(50 * TICK);
            act()
        });
        let second = cooperative(|| UnixStream::connect(&path)).unwrap();
        assert!(!kernel_nonblocking(&second));
        let listener = accepting.join().unwrap();
        let ended = sward::timeout(50 * TICK, || UnixStream::connect(&path)).unwrap();
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(listener);
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn udp_connect() {
    alone("connect::udp_connect", || {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        at_once(|| a.connect(b.local_addr().unwrap())).unwrap();
        a.send(b"x").unwrap();
        assert_eq!(b.recv(&mut [0; 8]).unwrap(), 1);
    });
}
