//! std's TcpStream: bytes both ways.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::*;

#[test]
fn a_hundred_clients_on_one_worker() {
    alone("stream::a_hundred_clients_on_one_worker", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..100 {
                let (mut stream, _) = listener.accept().unwrap();
                thread::spawn(move || {
                    let mut buf = [0; 5];
                    stream.read_exact(&mut buf).unwrap();
                    thread::sleep(20 * TICK);
                    stream.write_all(&buf).unwrap();
                });
            }
        });
        let clients: Vec<_> = (0..100)
            .map(|n| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    let word = format!("{n:05}");
                    stream.write_all(word.as_bytes()).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert_eq!(answer, word);
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.join().unwrap();
    });
}

#[test]
fn big_writes_both_ways() {
    alone("stream::big_writes_both_ways", || {
        let (a, b) = pair();
        let ends = [a, b].map(|end| {
            let reader = drain(end.try_clone().unwrap());
            let writer = thread::spawn_local(move || {
                (&end).write_all(&pattern(BIG)).unwrap();
                end.shutdown(Shutdown::Write).unwrap();
            });
            (reader, writer)
        });
        for (reader, writer) in ends {
            writer.join().unwrap();
            assert!(reader.join().unwrap() == pattern(BIG));
        }
    });
}

#[test]
fn one_send_takes_all() {
    alone("stream::one_send_takes_all", || {
        let (a, b) = pair();
        let reader = drain(b);
        assert_eq!(send(&a, &pattern(BIG), 0), Ok(BIG));
        drop(a);
        assert!(reader.join().unwrap() == pattern(BIG));
    });
}

#[test]
fn one_write_takes_all() {
    alone("stream::one_write_takes_all", || {
        let (a, b) = pair();
        let reader = drain(b);
        assert_eq!(write(a.as_raw_fd(), &pattern(BIG)), Ok(BIG));
        drop(a);
        assert!(reader.join().unwrap() == pattern(BIG));
    });
}

#[test]
fn one_vectored_write_takes_all() {
    alone("stream::one_vectored_write_takes_all", || {
        let (mut a, b) = pair();
        let reader = drain(b);
        let all = pattern(BIG);
        // Uneven, with an empty one, so that parts end inside of buffers and between them.
        let (one, rest) = all.split_at(BIG / 3);
        let (two, three) = rest.split_at(BIG / 5);
        let parts = [one, &[], two, three].map(IoSlice::new);
        assert_eq!(a.write_vectored(&parts).unwrap(), BIG);
        drop(a);
        assert!(reader.join().unwrap() == all);
    });
}

#[test]
fn vectored_read_waits() {
    alone("stream::vectored_read_waits", || {
        let (mut a, mut b) = pair();
        let (mut one, mut two) = ([0; 2], [0; 8]);
        let n = while_another(
            move || b.write_all(b"hello").unwrap(),
            || a.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]),
        );
        assert_eq!((n.unwrap(), &one, &two[..3]), (5, b"he", b"llo".as_slice()));
    });
}

#[test]
fn peek_waits_and_leaves_it_there() {
    alone("stream::peek_waits_and_leaves_it_there", || {
        let (a, mut b) = pair();
        let mut buf = [0; 8];
        let n = while_another(move || b.write_all(b"hello").unwrap(), || a.peek(&mut buf));
        assert_eq!((n.unwrap(), &buf[..5]), (5, b"hello".as_slice()));
        assert_eq!((&a).read(&mut buf).unwrap(), 5);
    });
}

#[test]
fn shutdown_by_the_peer_ends_the_read() {
    alone("stream::shutdown_by_the_peer_ends_the_read", || {
        let (mut a, b) = pair();
        let other = b.try_clone().unwrap();
        let n = while_another(move || b.shutdown(Shutdown::Write).unwrap(), || a.read(&mut [0; 8]));
        assert_eq!(n.unwrap(), 0);
        drop(other);
    });
}

#[test]
fn shutdown_by_a_neighbour_ends_the_read() {
    alone("stream::shutdown_by_a_neighbour_ends_the_read", || {
        let (a, _b) = pair();
        let a = Arc::new(a);
        let same = a.clone();
        let n = while_another(
            move || same.shutdown(Shutdown::Read).unwrap(),
            || (&*a).read(&mut [0; 8]),
        );
        assert_eq!(n.unwrap(), 0);
    });
}

#[test]
fn the_end_of_the_peer_gives_the_part_and_then_an_error() {
    alone("stream::the_end_of_the_peer_gives_the_part_and_then_an_error", || {
        // A part is success: no SIGPIPE, which would end the process. std ignores it otherwise.
        // SAFETY: changes how a signal is treated.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let part = |n: Result<usize, i32>| assert!(n.is_ok_and(|n| n > 0 && n < BIG), "{n:?}");
        let (a, b) = pair();
        part(while_another(move || drop(b), || send(&a, &pattern(BIG), 0)));
        let error = send(&a, b"more", libc::MSG_NOSIGNAL).unwrap_err();
        assert!([libc::EPIPE, libc::ECONNRESET].contains(&error), "{error}");
        let (a, b) = UnixStream::pair().unwrap();
        part(while_another(move || drop(b), || send(&a, &pattern(BIG), 0)));
        assert_eq!(send(&a, b"more", libc::MSG_NOSIGNAL), Err(libc::EPIPE));
        let (mut a, b) = UnixStream::pair().unwrap();
        let all = pattern(BIG);
        let parts = [&all[..5], &all[5..]].map(IoSlice::new);
        part(while_another(
            move || drop(b),
            || a.write_vectored(&parts).map_err(|error| error.raw_os_error().unwrap()),
        ));
    });
}

#[test]
fn several_readers_of_one_stream() {
    alone("stream::several_readers_of_one_stream", || {
        let (a, mut b) = pair();
        let a = Arc::new(a);
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let a = a.clone();
                thread::spawn(move || {
                    let mut one = [0];
                    (&*a).read_exact(&mut one).unwrap();
                    one[0]
                })
            })
            .collect();
        thread::sleep(20 * TICK);
        b.write_all(b"0123456789").unwrap();
        let mut got: Vec<u8> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, b"0123456789");
    });
}

#[test]
fn green_thread_and_os_thread_on_one_stream() {
    alone("stream::green_thread_and_os_thread_on_one_stream", || {
        let (a, mut b) = pair();
        let clone = a.try_clone().unwrap();
        // It blocks for real, as the descriptor stays in blocking mode.
        let os = std::thread::spawn(move || recv(&clone, &mut [0; 1], 0));
        let green = thread::spawn_local(move || recv(&a, &mut [0; 1], 0));
        thread::sleep(30 * TICK);
        b.write_all(b"x").unwrap();
        thread::sleep(30 * TICK);
        b.write_all(b"y").unwrap();
        assert_eq!((os.join().unwrap(), green.join().unwrap()), (Ok(1), Ok(1)));
    });
}

#[test]
fn errno_is_kept_across_a_wait() {
    alone("stream::errno_is_kept_across_a_wait", || {
        let (a, mut b) = pair();
        let (n, seen) = while_another(
            move || b.write_all(b"x").unwrap(),
            || {
                cooperative(|| {
                    set_errno(libc::EXDEV);
                    let n = recv(&a, &mut [0; 8], 0);
                    (n, errno())
                })
            },
        );
        assert_eq!((n, seen), (Ok(1), libc::EXDEV), "success leaves errno alone");
    });
}

#[test]
fn pinned_reads_block_and_are_right() {
    alone("stream::pinned_reads_block_and_are_right", || {
        let (a, b) = pair();
        let mut buf = [0; 4];
        let before = pinned(PinKind::Asked);
        let n = while_os_thread(
            move || {
                send(&b, b"on", 0).unwrap();
                std::thread::sleep(50 * TICK);
                send(&b, b"ce", 0).unwrap();
            },
            || at_once(|| sward::patch::pinned(|| recv(&a, &mut buf, libc::MSG_WAITALL))),
        );
        assert_eq!((n, &buf), (Ok(4), b"once"));
        assert!(pinned(PinKind::Asked) > before, "a pin is counted");
    });
}

#[test]
fn panicking_reads_block_and_are_right() {
    alone("stream::panicking_reads_block_and_are_right", || {
        struct ReadsInDrop(TcpStream);
        impl Drop for ReadsInDrop {
            fn drop(&mut self) {
                assert_eq!(recv(&self.0, &mut [0; 4], 0), Ok(4));
            }
        }
        let (a, b) = pair();
        // Printing a backtrace takes longer than we want to wait.
        std::panic::set_hook(Box::new(|_| {}));
        let before = pinned(PinKind::Unwinding);
        while_os_thread(
            move || assert_eq!(send(&b, b"once", 0), Ok(4)),
            || {
                at_once(|| {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let _reads = ReadsInDrop(a);
                        panic!("as planned");
                    }));
                    assert!(result.is_err());
                });
            },
        );
        let _ = std::panic::take_hook();
        assert!(pinned(PinKind::Unwinding) > before, "a pin is counted");
    });
}

#[test]
fn who_never_waits_lets_others_run() {
    alone("stream::who_never_waits_lets_others_run", || {
        let (a, b) = pair();
        let over = Rc::new(Cell::new(false));
        let busy = {
            let over = over.clone();
            thread::spawn_local(move || {
                // What is sent is there already: no call of the loop has to wait.
                while !over.get() {
                    assert_eq!(send(&a, b"x", 0), Ok(1));
                    assert_eq!(recv(&b, &mut [0; 8], 0), Ok(1));
                }
            })
        };
        thread::yield_now();
        over.set(true);
        busy.join().unwrap();
    });
}
