//! accept, and the O_NONBLOCK on listeners that nobody may see.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Connects after a while, in a way that blocks nobody.
fn visit(addr: SocketAddr) -> impl FnOnce() + Send {
    move || drop(TcpStream::connect(addr).unwrap())
}

fn accept(fd: &impl AsRawFd) -> Result<OwnedFd, i32> {
    let (name, len) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: no name is asked for.
    let fd = unsafe { libc::accept(fd.as_raw_fd(), name, len) };
    if fd < 0 { Err(errno()) } else { Ok(opened(fd)) }
}

#[test]
fn accept_waits() {
    alone("listener::accept_waits", || {
        let (listener, addr) = listener();
        let (stream, peer) = while_another(visit(addr), || listener.accept()).unwrap();
        assert_eq!(peer.ip(), addr.ip());
        assert!(!kernel_nonblocking(&stream), "what is accepted is in blocking mode");
        while_another(visit(addr), || accept(&listener)).unwrap();
    });
}

#[test]
fn the_mode_is_hidden() {
    alone("listener::the_mode_is_hidden", || {
        let (listener, addr) = listener();
        let before = listener.try_clone().unwrap();
        while_another(visit(addr), || listener.accept()).unwrap();
        assert!(kernel_nonblocking(&listener), "or this tests nothing");
        let after = listener.try_clone().unwrap();
        for same in [&listener, &before, &after] {
            assert_eq!(flags(same) & libc::O_NONBLOCK, 0);
        }
        // Through clones too it is ours, and not the program's.
        for same in [&before, &after] {
            while_another(visit(addr), || cooperative(|| same.accept())).unwrap();
        }
    });
}

#[test]
fn os_thread_on_a_forced_listener_waits() {
    alone("listener::os_thread_on_a_forced_listener_waits", || {
        let (listener, addr) = listener();
        while_another(visit(addr), || listener.accept()).unwrap();
        let os = std::thread::spawn(move || {
            let first = listener.accept().map(drop);
            (first, accept(&listener).map(drop))
        });
        thread::sleep(50 * TICK);
        assert!(!os.is_finished(), "it waits");
        visit(addr)();
        thread::sleep(50 * TICK);
        visit(addr)();
        let (first, second) = os.join().unwrap();
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    });
}

#[test]
fn os_thread_that_waits_already_goes_on() {
    alone("listener::os_thread_that_waits_already_goes_on", || {
        let (listener, addr) = listener();
        let clone = listener.try_clone().unwrap();
        let os = std::thread::spawn(move || clone.accept().map(drop));
        thread::sleep(50 * TICK);
        let green = thread::spawn(move || listener.accept().map(drop));
        thread::sleep(50 * TICK);
        visit(addr)();
        visit(addr)();
        assert!(os.join().unwrap().is_ok() && green.join().unwrap().is_ok());
    });
}

#[test]
fn green_threads_and_os_threads_share_one() {
    alone("listener::green_threads_and_os_threads_share_one", || {
        const EACH: usize = 4;
        let (listener, addr) = listener();
        let listener = std::sync::Arc::new(listener);
        let serve = |listener: std::sync::Arc<TcpListener>| {
            move || (0..EACH).for_each(|_| drop(listener.accept().unwrap()))
        };
        let green: Vec<_> = (0..3).map(|_| thread::spawn(serve(listener.clone()))).collect();
        let os: Vec<_> = (0..3).map(|_| std::thread::spawn(serve(listener.clone()))).collect();
        for _ in 0..6 * EACH {
            visit(addr)();
            thread::sleep(TICK);
        }
        green.into_iter().for_each(|thread| thread.join().unwrap());
        os.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn the_programs_own_mode_is_kept() {
    alone("listener::the_programs_own_mode_is_kept", || {
        let (listener, addr) = listener();
        let os_accept = |listener: &TcpListener| {
            let clone = listener.try_clone().unwrap();
            std::thread::spawn(move || clone.accept().map(drop)).join().unwrap()
        };
        // Twice, as the first accept of a green thread forces the mode.
        for _ in 0..2 {
            listener.set_nonblocking(true).unwrap();
            assert_ne!(flags(&listener) & libc::O_NONBLOCK, 0);
            let error = at_once(|| listener.accept()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "green");
            assert_eq!(os_accept(&listener).unwrap_err().kind(), ErrorKind::WouldBlock, "OS");
            listener.set_nonblocking(false).unwrap();
            assert_eq!(flags(&listener) & libc::O_NONBLOCK, 0);
            while_another(visit(addr), || cooperative(|| listener.accept())).unwrap();
        }
        // By fcntl, as C programs do it: read, change, write.
        let fd = listener.as_raw_fd();
        for on in [true, false, true] {
            let wanted =
                (flags(&listener) & !libc::O_NONBLOCK) | if on { libc::O_NONBLOCK } else { 0 };
            // SAFETY: changes a flag.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, wanted) }, 0);
            assert_eq!(flags(&listener), wanted);
            if on {
                assert_eq!(at_once(|| accept(&listener)).unwrap_err(), libc::EAGAIN);
            } else {
                while_another(visit(addr), || accept(&listener)).unwrap();
            }
        }
    });
}

#[test]
fn the_mode_is_taken_away_unseen() {
    alone("listener::the_mode_is_taken_away_unseen", || {
        let (listener, addr) = listener();
        while_another(visit(addr), || listener.accept()).unwrap();
        unseen(libc::SYS_fcntl, listener.as_raw_fd(), libc::F_SETFL, libc::O_RDWR);
        assert!(!kernel_nonblocking(&listener));
        while_another(visit(addr), || listener.accept()).unwrap();
    });
}

#[test]
fn time_out_of_a_listener() {
    alone("listener::time_out_of_a_listener", || {
        let (listener, _) = listener();
        set_timeout(&listener, libc::SO_RCVTIMEO, 50 * TICK);
        let began = Instant::now();
        assert_eq!(cooperative(|| accept(&listener)).unwrap_err(), libc::EAGAIN);
        later(began, 50 * TICK);
        // On an OS thread the wait is ours too, as the listener is in O_NONBLOCK by now.
        assert!(kernel_nonblocking(&listener));
        let began = Instant::now();
        let os = std::thread::spawn(move || accept(&listener).map(drop)).join().unwrap();
        assert_eq!(os, Err(libc::EAGAIN));
        later(began, 50 * TICK);
    });
}

#[test]
fn shutdown_ends_accept() {
    alone("listener::shutdown_ends_accept", || {
        let (listener, _) = listener();
        let fd = listener.as_raw_fd();
        // SAFETY: `listener` lives until the end.
        let act = move || assert_eq!(unsafe { libc::shutdown(fd, libc::SHUT_RD) }, 0);
        assert_eq!(while_another(act, || accept(&listener)).unwrap_err(), libc::EINVAL);
    });
}

#[test]
fn pinned_accept_on_a_forced_listener_waits() {
    alone("listener::pinned_accept_on_a_forced_listener_waits", || {
        let (listener, addr) = listener();
        while_another(visit(addr), || listener.accept()).unwrap();
        let accepted = while_os_thread(visit(addr), || sward::patch::pinned(|| accept(&listener)));
        assert!(accepted.is_ok());
    });
}

#[test]
fn unix_listener() {
    alone("listener::unix_listener", || {
        let path = std::env::temp_dir().join(format!("sward-listener-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let to = path.clone();
        let act = move || drop(UnixStream::connect(to).unwrap());
        while_another(act, || listener.accept()).unwrap();
        std::fs::remove_file(path).unwrap();
    });
}
