//! sendfile, splice, and std's `copy`, which uses them.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;

use super::*;

/// A file of `BIG` bytes that has no name any more.
fn file() -> File {
    let path = std::env::temp_dir().join(format!("sward-transfer-{}", std::process::id()));
    std::fs::write(&path, pattern(BIG)).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn sendfile(
    to: &impl AsRawFd,
    from: &File,
    offset: Option<&mut i64>,
    len: usize,
) -> Result<usize, i32> {
    let offset = offset.map_or(std::ptr::null_mut(), |at| at);
    // SAFETY: null, or a number to read and write.
    outcome(unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), offset, len) })
}

fn splice(from: &impl AsRawFd, to: &impl AsRawFd, len: usize, flags: u32) -> Result<usize, i32> {
    let null = std::ptr::null_mut;
    // SAFETY: no positions.
    outcome(unsafe { libc::splice(from.as_raw_fd(), null(), to.as_raw_fd(), null(), len, flags) })
}

#[test]
fn sendfile_to_a_slow_reader() {
    alone("transfer::sendfile_to_a_slow_reader", || {
        let (a, b) = pair();
        let reader = drain(b);
        let mut file = file();
        assert_eq!(sendfile(&a, &file, None, BIG + 1), Ok(BIG), "to the end of the file");
        assert_eq!(file.stream_position().unwrap(), BIG as u64);
        let mut offset = 1000;
        assert_eq!(sendfile(&a, &file, Some(&mut offset), 500), Ok(500));
        assert_eq!((offset, file.stream_position().unwrap()), (1500, BIG as u64));
        drop(a);
        let all = reader.join().unwrap();
        assert!(all[..BIG] == pattern(BIG) && all[BIG..] == pattern(BIG)[1000..1500]);
    });
}

#[test]
fn sendfile_to_unix_sockets_and_pipes() {
    alone("transfer::sendfile_to_unix_sockets_and_pipes", || {
        let file = file();
        let (a, b) = UnixStream::pair().unwrap();
        let reader = drain(b);
        assert_eq!(sendfile(&a, &file, Some(&mut 0), BIG), Ok(BIG));
        drop(a);
        assert!(reader.join().unwrap() == pattern(BIG));
        let (reader, writer) = io::pipe().unwrap();
        let reader = drain(reader);
        assert_eq!(sendfile(&writer, &file, Some(&mut 0), BIG), Ok(BIG));
        drop(writer);
        assert!(reader.join().unwrap() == pattern(BIG));
    });
}

#[test]
fn sendfile_that_ends_early() {
    alone("transfer::sendfile_that_ends_early", || {
        let file = file();
        let (a, _b) = UnixStream::pair().unwrap();
        let (n, next) = sward::timeout(50 * TICK, || {
            let n = sendfile(&a, &file, Some(&mut 0), BIG);
            (n, sendfile(&a, &file, Some(&mut 0), BIG))
        })
        .unwrap();
        assert!(n.is_ok_and(|n| n > 0 && n < BIG), "{n:?}");
        assert_eq!(next, Err(libc::ETIMEDOUT));
        let (a, _b) = UnixStream::pair().unwrap();
        set_timeout(&a, libc::SO_SNDTIMEO, 50 * TICK);
        let n = cooperative(|| sendfile(&a, &file, Some(&mut 0), BIG));
        assert!(n.is_ok_and(|n| n > 0 && n < BIG), "{n:?}");
        assert_eq!(cooperative(|| sendfile(&a, &file, Some(&mut 0), BIG)), Err(libc::EAGAIN));
        a.set_nonblocking(true).unwrap();
        // The kernel itself finds room that it has not announced.
        let fill = || {
            loop {
                if let Err(error) = sendfile(&a, &file, Some(&mut 0), BIG) {
                    return error;
                }
            }
        };
        assert_eq!(at_once(fill), libc::EAGAIN);
    });
}

#[test]
fn std_copies() {
    alone("transfer::std_copies", || {
        let (mut a, b) = pair();
        let reader = drain(b);
        assert_eq!(io::copy(&mut file(), &mut a).unwrap(), BIG as u64);
        drop(a);
        assert!(reader.join().unwrap() == pattern(BIG));

        // Socket to socket.
        let ((a, mut b), (mut c, d)) = (pair(), pair());
        let writer = thread::spawn_local(move || (&a).write_all(&pattern(BIG)).unwrap());
        let copier = thread::spawn_local(move || io::copy(&mut b, &mut c).unwrap());
        let reader = drain(d);
        writer.join().unwrap();
        assert_eq!(copier.join().unwrap(), BIG as u64);
        assert!(reader.join().unwrap() == pattern(BIG));

        // Pipe to socket, and socket to pipe.
        let ((reader, writer), (a, mut b)) = (io::pipe().unwrap(), pair());
        let (last, mut middle) = io::pipe().unwrap();
        let first = thread::spawn_local(move || (&writer).write_all(&pattern(BIG)).unwrap());
        let second = thread::spawn_local(move || io::copy(&mut { reader }, &mut { a }).unwrap());
        let third = thread::spawn_local(move || io::copy(&mut b, &mut middle).unwrap());
        assert!(drain(last).join().unwrap() == pattern(BIG));
        first.join().unwrap();
        assert_eq!((second.join().unwrap(), third.join().unwrap()), (BIG as u64, BIG as u64));
    });
}

#[test]
fn splice_waits_for_its_input() {
    alone("transfer::splice_waits_for_its_input", || {
        let (reader, writer) = pipe::ends();
        let (mut a, b) = pair();
        let act = {
            let writer = writer.try_clone().unwrap();
            move || assert_eq!(write(writer.as_raw_fd(), b"hello"), Ok(5))
        };
        assert_eq!(while_another(act, || splice(&reader, &b, 100, 0)), Ok(5));
        let mut buf = [0; 8];
        assert_eq!(a.read(&mut buf).unwrap(), 5);
        let act = move || a.write_all(b"back").unwrap();
        assert_eq!(while_another(act, || splice(&b, &writer, 100, 0)), Ok(4));
        assert_eq!(read(reader.as_raw_fd(), &mut buf), Ok(4));
        assert_eq!(&buf[..4], b"back");
    });
}

#[test]
fn splice_waits_for_room() {
    alone("transfer::splice_waits_for_room", || {
        let (reader, writer) = pipe::ends();
        let (a, b) = pair();
        // Until the socket is full, with the pipe refilled each time.
        let fill = || loop {
            write(writer.as_raw_fd(), &[0; 4096]).unwrap();
            match splice(&reader, &a, 4096, 0) {
                Ok(n) => assert!(n > 0),
                Err(error) => return error,
            }
        };
        assert_eq!(cooperative(|| sward::timeout(200 * TICK, fill).unwrap()), libc::ETIMEDOUT);
        let other = b.try_clone().unwrap();
        let act = move || assert!(recv(&other, &mut vec![0; BIG], 0).is_ok());
        assert!(while_another(act, || splice(&reader, &a, 4096, 0)).is_ok());
        drop(b);
    });
}

#[test]
fn splice_that_does_not_wait() {
    alone("transfer::splice_that_does_not_wait", || {
        let (reader, _writer) = pipe::ends();
        let (a, _b) = pair();
        let flag = libc::SPLICE_F_NONBLOCK;
        assert_eq!(at_once(|| splice(&reader, &a, 100, flag)), Err(libc::EAGAIN));
        let (full, other) = pipe::ends();
        a.set_nonblocking(true).unwrap();
        assert_eq!(at_once(|| splice(&a, &other, 100, 0)), Err(libc::EAGAIN));
        let ended = sward::timeout(20 * TICK, || splice(&reader, &other, 100, 0)).unwrap();
        assert_eq!(ended, Err(libc::ETIMEDOUT));
        drop(full);
    });
}
