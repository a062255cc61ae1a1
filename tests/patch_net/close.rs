//! What takes a number away from who waits on it: EBADF for him, and nothing for who has the number next.

use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

use super::*;

/// Waits to read on a number that `act` takes away meanwhile. The open socket itself stays, by a clone: the kernel
/// alone would tell nobody.
fn taken_away(act: impl FnOnce(i32) + 'static) {
    let (a, _b) = UnixStream::pair().unwrap();
    let _clone = a.try_clone().unwrap();
    let fd = a.into_raw_fd();
    let result = while_another(move || act(fd), || read(fd, &mut [0; 8]));
    assert_eq!(result, Err(libc::EBADF));
}

#[test]
fn close_ends_a_read() {
    alone("close::close_ends_a_read", || {
        // SAFETY: the number is ours.
        taken_away(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
    });
}

#[test]
fn dup2_and_dup3_end_a_read() {
    alone("close::dup2_and_dup3_end_a_read", || {
        let other = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: the number is ours, and stays open as something else.
        taken_away(move |fd| assert_eq!(unsafe { libc::dup2(other, fd) }, fd));
        // SAFETY: as above.
        taken_away(move |fd| assert_eq!(unsafe { libc::dup3(other, fd, 0) }, fd));
    });
}

#[test]
fn close_range_ends_a_read() {
    alone("close::close_range_ends_a_read", || {
        let n = |fd: i32| fd as u32;
        // SAFETY: the number is ours.
        taken_away(move |fd| assert_eq!(unsafe { libc::close_range(n(fd), n(fd), 0) }, 0));
    });
}

#[test]
fn what_closes_nothing_wakes_nobody() {
    alone("close::what_closes_nothing_wakes_nobody", || {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let fd = a.as_raw_fd();
        let act = move || {
            // SAFETY: the same number.
            assert_eq!(unsafe { libc::dup2(fd, fd) }, fd);
            // SAFETY: a number that is not open.
            assert_eq!(unsafe { libc::dup2(i32::MAX, fd) }, -1);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::dup3(i32::MAX, fd, 0) }, -1);
            let (n, flags) = (fd as u32, libc::CLOSE_RANGE_CLOEXEC as i32);
            // SAFETY: closes nothing before an exec.
            assert_eq!(unsafe { libc::close_range(n, n, flags) }, 0);
            thread::sleep(20 * TICK);
            b.write_all(b"x").unwrap();
        };
        let n = while_another(act, || a.read(&mut [0; 8]));
        assert_eq!(n.unwrap(), 1);
    });
}

#[test]
fn close_from_an_os_thread() {
    alone("close::close_from_an_os_thread", || {
        let (a, _b) = UnixStream::pair().unwrap();
        let _clone = a.try_clone().unwrap();
        let fd = a.into_raw_fd();
        let result = while_os_thread(
            // SAFETY: the number is ours.
            move || assert_eq!(unsafe { libc::close(fd) }, 0),
            || read(fd, &mut [0; 8]),
        );
        assert_eq!(result, Err(libc::EBADF));
    });
}

#[test]
fn the_next_owner_of_the_number() {
    alone("close::the_next_owner_of_the_number", || {
        for round in 0..3_u8 {
            let (a, mut b) = UnixStream::pair().unwrap();
            let number = a.as_raw_fd();
            let (mut clone, fd) = (a.try_clone().unwrap(), a.into_raw_fd());
            let first = thread::spawn_local(move || read(fd, &mut [0; 8]));
            thread::sleep(10 * TICK);
            // SAFETY: the number is ours.
            assert_eq!(unsafe { libc::close(fd) }, 0);
            let (mut c, mut d) = UnixStream::pair().unwrap();
            assert!(c.as_raw_fd() == number || d.as_raw_fd() == number, "the number is used again");
            let mut buf = [0; 8];
            let n = while_another(
                move || {
                    // For the clone of the old one; nobody who waits on the number hears of it.
                    b.write_all(b"old").unwrap();
                    thread::sleep(10 * TICK);
                    d.write_all(&[round]).unwrap();
                },
                || c.read(&mut buf),
            );
            assert_eq!((n.unwrap(), buf[0]), (1, round));
            assert_eq!(first.join().unwrap(), Err(libc::EBADF));
            assert_eq!(clone.read(&mut buf).unwrap(), 3);
        }
    });
}

#[test]
fn a_number_of_another_kind() {
    alone("close::a_number_of_another_kind", || {
        let path = std::env::temp_dir().join(format!("sward-kind-{}", std::process::id()));
        std::fs::write(&path, b"file").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (socket, peer) = UnixStream::pair().unwrap();
        let (pipe, writer) = pipe::ends();
        let kinds: [&dyn AsRawFd; 3] = [&file, &socket, &pipe];
        let words = [b"file", b"sock", b"pipe"];
        let number = file.try_clone().unwrap().into_raw_fd();
        let expect = |at: usize| {
            // SAFETY: moves the file's position, if it is the file.
            unsafe { libc::lseek(number, 0, libc::SEEK_SET) };
            let mut buf = [0; 8];
            let mut fill = {
                let (mut peer, writer) = (peer.try_clone().unwrap(), writer.try_clone().unwrap());
                move || match at {
                    0 => {}
                    1 => peer.write_all(words[1]).unwrap(),
                    _ => assert_eq!(write(writer.as_raw_fd(), words[2]), Ok(4)),
                }
            };
            fill();
            assert_eq!(read(number, &mut buf), Ok(4));
            assert_eq!(&buf[..4], words[at]);
            if at > 0 {
                // With a wait.
                assert_eq!(while_another(fill, || read(number, &mut buf)), Ok(4));
                assert_eq!(&buf[..4], words[at]);
            }
        };
        for (known, before) in kinds.iter().enumerate() {
            for (at, after) in kinds.iter().enumerate() {
                // In a way that hooks see, and in a way that none sees.
                // SAFETY: the number is ours.
                assert_eq!(unsafe { libc::dup2(before.as_raw_fd(), number) }, number);
                expect(known);
                unseen(libc::SYS_dup3, after.as_raw_fd(), number, 0);
                expect(at);
            }
        }
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_number_that_is_given_out_again() {
    alone("close::a_number_that_is_given_out_again", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let other = listener.as_raw_fd();
        let _clients = [(); 3].map(|()| TcpStream::connect(addr).unwrap());
        let gives: [&dyn Fn() -> i32; 3] = [
            // SAFETY: touches no memory.
            &|| unsafe { libc::dup(other) },
            // SAFETY: as above.
            &|| unsafe { libc::fcntl(other, libc::F_DUPFD_CLOEXEC, 0) },
            &|| listener.accept().unwrap().0.into_raw_fd(),
        ];
        for give in gives {
            let (a, _b) = UnixStream::pair().unwrap();
            let _clone = a.try_clone().unwrap();
            let fd = a.into_raw_fd();
            let waits = thread::spawn_local(move || read(fd, &mut [0; 8]));
            thread::sleep(10 * TICK);
            // Nobody sees it go, but somebody sees it come again.
            unseen(libc::SYS_close, fd, 0, 0);
            assert_eq!(give(), fd, "the number is used again");
            assert_eq!(waits.join().unwrap(), Err(libc::EBADF));
            // SAFETY: ours.
            assert_eq!(unsafe { libc::close(fd) }, 0);
        }
    });
}
