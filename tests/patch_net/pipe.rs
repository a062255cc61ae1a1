//! Pipes, eventfds, timerfds, terminals: what is read and written without being a socket.

use std::io::{IoSlice, Read, Write};
use std::os::fd::BorrowedFd;

use super::*;

/// A pipe: the end to read from, and the end to write to.
pub(crate) fn ends() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    ends.map(opened).into()
}

/// A test, also where the kernel does not know RWF_NOWAIT, as old ones do not for pipes: there a filter says so.
macro_rules! with_and_without_nowait {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn with() {
                alone(concat!("pipe::", stringify!($name), "::with"), $body);
            }

            #[test]
            fn without() {
                case(concat!("pipe::", stringify!($name), "::without"), LIMIT, || {
                    forbid_nowait(libc::EOPNOTSUPP);
                    patched($body);
                });
            }
        }
    };
}

/// From now on RWF_NOWAIT is an error for this thread and those that it starts.
fn forbid_nowait(error: i32) {
    let code = |what: u32| what as u16;
    let load = |at: u32| libc::sock_filter {
        code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
        jt: 0,
        jf: 0,
        k: at,
    };
    let when = |value: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
        jt,
        jf,
        k: value,
    };
    let end =
        |k: u32| libc::sock_filter { code: code(libc::BPF_RET | libc::BPF_K), jt: 0, jf: 0, k };
    let mut program = [
        load(0), // the number of the call
        when(libc::SYS_preadv2 as u32, 1, 0),
        when(libc::SYS_pwritev2 as u32, 0, 2),
        load(16 + 5 * 8), // its last argument, the flags
        when(libc::RWF_NOWAIT as u32, 1, 0),
        end(libc::SECCOMP_RET_ALLOW),
        end(libc::SECCOMP_RET_ERRNO | error as u32),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: gives up what this process never had.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let (what, mode) = (libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER);
    // SAFETY: reads the program.
    assert_eq!(unsafe { libc::prctl(what, mode, &raw const program) }, 0);
    let (reader, _writer) = ends();
    let mut byte = 0_u8;
    let list = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let (fd, flags) = (reader.as_raw_fd(), libc::RWF_NOWAIT);
    // SAFETY: room for one.
    assert_eq!(unsafe { libc::preadv2(fd, &raw const list, 1, -1, flags) }, -1);
    assert_eq!(errno(), error, "the filter works");
}

with_and_without_nowait!(reading_waits, || {
    let (mut reader, mut writer) = io::pipe().unwrap();
    let mut buf = [0; 8];
    let n = while_another(
        move || writer.write_all(b"hello").unwrap(),
        || {
            set_errno(libc::EXDEV);
            let n = reader.read(&mut buf);
            assert_eq!(errno(), libc::EXDEV, "success leaves errno alone");
            n
        },
    );
    assert_eq!((n.unwrap(), &buf[..5]), (5, b"hello".as_slice()));
    assert_eq!(reader.read(&mut buf).unwrap(), 0, "nobody writes any more");
});

with_and_without_nowait!(one_write_takes_all, || {
    let (reader, writer) = io::pipe().unwrap();
    let reader = drain(reader);
    assert_eq!(write(writer.as_raw_fd(), &pattern(BIG)), Ok(BIG));
    let all = pattern(BIG);
    let (one, two) = all.split_at(BIG / 3);
    let parts = [one, &[], two].map(IoSlice::new);
    assert_eq!((&writer).write_vectored(&parts).unwrap(), BIG);
    drop(writer);
    assert!(reader.join().unwrap() == [pattern(BIG), pattern(BIG)].concat());
});

with_and_without_nowait!(small_writes_stay_whole, || {
    let (reader, writer) = io::pipe().unwrap();
    let writer = std::sync::Arc::new(writer);
    let writers: Vec<_> = (0..4_u8)
        .map(|n| {
            let writer = writer.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    let record = [n; libc::PIPE_BUF];
                    assert_eq!(write(writer.as_raw_fd(), &record), Ok(record.len()));
                }
            })
        })
        .collect();
    drop(writer);
    let all = drain(reader).join().unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(all.len(), 800 * libc::PIPE_BUF);
    for record in all.chunks(libc::PIPE_BUF) {
        assert!(record.iter().all(|byte| *byte == record[0]), "torn");
    }
});

with_and_without_nowait!(nobody_reads, || {
    let (reader, writer) = ends();
    let n = while_another(move || drop(reader), || write(writer.as_raw_fd(), &pattern(BIG)));
    let n = n.expect("a part was taken");
    assert!(n > 0 && n < BIG, "{n}");
    assert_eq!(write(writer.as_raw_fd(), b"x"), Err(libc::EPIPE));
});

with_and_without_nowait!(nonblocking, || {
    let (reader, writer) = ends();
    for end in [&reader, &writer] {
        let wanted = flags(end) | libc::O_NONBLOCK;
        // SAFETY: changes a flag.
        assert_eq!(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, wanted) }, 0);
    }
    assert_eq!(at_once(|| read(reader.as_raw_fd(), &mut [0; 8])), Err(libc::EAGAIN));
    let n = at_once(|| write(writer.as_raw_fd(), &pattern(BIG))).unwrap();
    assert!(n > 0 && n < BIG, "{n}");
    assert_eq!(at_once(|| write(writer.as_raw_fd(), b"more")), Err(libc::EAGAIN));
});

with_and_without_nowait!(scope_and_cancellation, || {
    let (reader, writer) = ends();
    let ended = sward::timeout(20 * TICK, || read(reader.as_raw_fd(), &mut [0; 8])).unwrap();
    assert_eq!(ended, Err(libc::ETIMEDOUT));
    let (n, next) = sward::timeout(20 * TICK, || {
        let n = write(writer.as_raw_fd(), &pattern(BIG));
        (n, write(writer.as_raw_fd(), b"more"))
    })
    .unwrap();
    assert!(n.is_ok_and(|n| n > 0 && n < BIG), "{n:?}");
    assert_eq!(next, Err(libc::ETIMEDOUT));
    let waits = thread::spawn_local(move || write(writer.as_raw_fd(), b"more"));
    thread::sleep(20 * TICK);
    waits.cancel();
    assert_eq!(waits.join().unwrap(), Err(libc::ECANCELED));
});

with_and_without_nowait!(eventfd, || {
    // SAFETY: makes an eventfd.
    let event = opened(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) });
    let fd = event.as_raw_fd();
    let mut buf = [0; 8];
    let act = move || assert_eq!(write(fd, &7_u64.to_ne_bytes()), Ok(8));
    assert_eq!(while_another(act, || read(fd, &mut buf)), Ok(8));
    assert_eq!(u64::from_ne_bytes(buf), 7);
    // Full: a writer waits for a reader.
    assert_eq!(write(fd, &(u64::MAX - 1).to_ne_bytes()), Ok(8));
    let act = move || assert_eq!(read(fd, &mut [0; 8]), Ok(8));
    assert_eq!(while_another(act, || write(fd, &1_u64.to_ne_bytes())), Ok(8));
    assert_eq!(read(fd, &mut [0; 4]), Err(libc::EINVAL), "the kernel's own errors");
});

#[test]
fn timerfd_and_inotify() {
    alone("pipe::timerfd_and_inotify", || {
        // SAFETY: makes a timerfd.
        let timer = opened(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) });
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let soon = libc::timespec { tv_sec: 0, tv_nsec: 30_000_000 };
        let when = libc::itimerspec { it_interval: zero, it_value: soon };
        // SAFETY: reads `when`.
        let set = unsafe {
            libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const when, std::ptr::null_mut())
        };
        assert_eq!(set, 0);
        assert_eq!(cooperative(|| read(timer.as_raw_fd(), &mut [0; 8])), Ok(8));

        // A file that does not know RWF_NOWAIT.
        // SAFETY: makes an inotify descriptor.
        let watch = opened(unsafe { libc::inotify_init1(0) });
        let dir = std::env::temp_dir().join(format!("sward-watch-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = std::ffi::CString::new(dir.to_str().unwrap()).unwrap();
        // SAFETY: a string that ends with NUL.
        let added =
            unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), libc::IN_CREATE) };
        assert!(added >= 0);
        let file = dir.join("file");
        let act = move || drop(std::fs::write(file, b"x"));
        let n = while_another(act, || cooperative(|| read(watch.as_raw_fd(), &mut [0; 256])));
        assert!(n.is_ok_and(|n| n > 0), "{n:?}");
        std::fs::remove_dir_all(dir).unwrap();
    });
}

/// A terminal: the end that a terminal emulator has, and the end that programs have.
fn pseudo_terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let (name, mode, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: room for two numbers, and nothing else is asked for.
    let made = unsafe { libc::openpty(&raw mut master, &raw mut slave, name, mode, size) };
    assert_eq!(made, 0);
    (opened(master), opened(slave))
}

#[test]
fn terminal() {
    alone("pipe::terminal", || {
        let (master, slave) = pseudo_terminal();
        let fd = master.as_raw_fd();
        let mut buf = [0; 8];
        let act = move || assert_eq!(write(fd, b"hello\n"), Ok(6));
        assert_eq!(while_another(act, || read(slave.as_raw_fd(), &mut buf)), Ok(6));
        assert_eq!(&buf[..6], b"hello\n");
        // Both ways.
        let fd = slave.as_raw_fd();
        let act = move || assert_eq!(write(fd, b"x"), Ok(1));
        let mut echo = [0; 16];
        let n = read(master.as_raw_fd(), &mut echo).unwrap();
        assert_eq!(&echo[..n], b"hello\r\n", "the echo");
        assert_eq!(while_another(act, || read(master.as_raw_fd(), &mut echo)), Ok(1));
    });
}

#[test]
fn writes_to_a_terminal_do_not_switch() {
    alone("pipe::writes_to_a_terminal_do_not_switch", || {
        let (master, slave) = pseudo_terminal();
        let fd = slave.as_raw_fd();
        let mode = |nonblocking: i32| {
            // SAFETY: changes a flag.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_RDWR | nonblocking) }, 0);
        };
        // Full, by writes that do not wait. The kernel moves some of it on, a little later.
        mode(libc::O_NONBLOCK);
        for _ in 0..5 {
            let full = at_once(|| {
                loop {
                    if let Err(error) = write(fd, &[b'x'; 100]) {
                        return error;
                    }
                }
            });
            assert_eq!(full, libc::EAGAIN);
            thread::sleep(20 * TICK);
        }
        mode(0);
        let before = pinned(PinKind::Stdio);
        let reads = move || {
            let mut buf = [0; 4096];
            // Until the other end is closed.
            while read(master.as_raw_fd(), &mut buf).is_ok() {}
        };
        while_os_thread(reads, || {
            at_once(|| assert_eq!(write(fd, &[b'x'; 100]), Ok(100)));
            drop(slave);
        });
        assert!(pinned(PinKind::Stdio) > before, "a pin is counted");
    });
}

#[test]
fn standard_output_does_not_switch() {
    alone("pipe::standard_output_does_not_switch", || {
        let (reader, writer) = ends();
        // SAFETY: standard output is this pipe from now on.
        let old = opened(unsafe { libc::dup(1) });
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 1) }, 1);
        let before = pinned(PinKind::Stdio);
        let os = std::thread::spawn(move || {
            std::thread::sleep(50 * TICK);
            let mut left = 1 << 20;
            let mut buf = [0; 4096];
            while left > 0 {
                left -= read(reader.as_raw_fd(), &mut buf).unwrap();
            }
        });
        at_once(|| {
            for _ in 0..256 {
                assert_eq!(write(1, &[b'x'; 4096]), Ok(4096));
            }
        });
        os.join().unwrap();
        // SAFETY: as it was.
        assert_eq!(unsafe { libc::dup2(old.as_raw_fd(), 1) }, 1);
        assert!(pinned(PinKind::Stdio) > before, "a pin is counted");
    });
}

#[test]
fn devices_that_are_always_ready() {
    alone("pipe::devices_that_are_always_ready", || {
        let file = |path| std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (null, zero) = (file("/dev/null"), file("/dev/zero"));
        let random = std::fs::File::open("/dev/urandom").unwrap();
        assert_eq!(read(null.as_raw_fd(), &mut [0; 8]), Ok(0));
        assert_eq!(write(null.as_raw_fd(), &[0; 8]), Ok(8));
        assert_eq!(read(zero.as_raw_fd(), &mut [1; 8]), Ok(8));
        assert_eq!(read(random.as_raw_fd(), &mut [0; 8]), Ok(8));
    });
}

#[test]
fn what_is_borrowed_is_not_closed() {
    alone("pipe::what_is_borrowed_is_not_closed", || {
        let (reader, _writer) = ends();
        // SAFETY: `reader` lives.
        let same = unsafe { BorrowedFd::borrow_raw(reader.as_raw_fd()) };
        // A clone has a number of its own; its end ends no wait on ours.
        let act = {
            let clone = same.try_clone_to_owned().unwrap();
            move || drop(clone)
        };
        let ended = sward::timeout(60 * TICK, || {
            while_another(act, || read(reader.as_raw_fd(), &mut [0; 8]))
        });
        assert_eq!(ended.unwrap(), Err(libc::ETIMEDOUT));
    });
}

#[test]
fn ready_and_yet_not() {
    // As files are whose data have to come from a disk: poll says ready, RWF_NOWAIT says EAGAIN, again and again.
    case("pipe::ready_and_yet_not", LIMIT, || {
        forbid_nowait(libc::EAGAIN);
        patched(|| {
            let (reader, writer) = ends();
            let act = move || assert_eq!(write(writer.as_raw_fd(), b"hello"), Ok(5));
            assert_eq!(while_another(act, || read(reader.as_raw_fd(), &mut [0; 8])), Ok(5));
        });
    });
}
