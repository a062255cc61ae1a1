//! recvmmsg and sendmmsg.

use std::net::UdpSocket;

use super::udp::two;
use super::*;

/// `N` messages of one buffer each.
struct Batch<const N: usize> {
    buffers: Vec<Vec<u8>>,
    lists: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

impl<const N: usize> Batch<N> {
    fn new(buffers: [Vec<u8>; N]) -> Self {
        let mut buffers = Vec::from(buffers);
        let list = |buf: &mut Vec<u8>| libc::iovec {
            iov_base: buf.as_mut_ptr().cast(),
            iov_len: buf.len(),
        };
        let mut lists: Vec<_> = buffers.iter_mut().map(list).collect();
        let message = |list: &mut libc::iovec| {
            // SAFETY: all zeroes are a message of nothing.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (list, 1);
            message
        };
        let messages = lists.iter_mut().map(message).collect();
        Batch { buffers, lists, messages }
    }

    fn receive(
        &mut self,
        fd: &impl AsRawFd,
        flags: i32,
        timeout: Option<&mut libc::timespec>,
    ) -> Result<usize, i32> {
        let timeout = timeout.map_or(std::ptr::null_mut(), |at| at);
        let (at, n) = (self.messages.as_mut_ptr(), N as u32);
        // SAFETY: as many messages, whose buffers live here.
        let got = unsafe { libc::recvmmsg(fd.as_raw_fd(), at, n, flags, timeout) };
        assert_eq!(self.lists.len(), N);
        outcome(got as isize)
    }

    fn send(&mut self, fd: &impl AsRawFd, flags: i32) -> Result<usize, i32> {
        let (at, n) = (self.messages.as_mut_ptr(), N as u32);
        // SAFETY: as in `receive`.
        outcome(unsafe { libc::sendmmsg(fd.as_raw_fd(), at, n, flags) } as isize)
    }

    fn lens(&self) -> Vec<u32> {
        self.messages.iter().map(|message| message.msg_len).collect()
    }
}

/// Sends each after a pause.
fn trickle(to: &UdpSocket, parts: &'static [&'static [u8]]) -> thread::LocalJoinHandle<()> {
    let to = to.try_clone().unwrap();
    thread::spawn_local(move || {
        for part in parts {
            thread::sleep(20 * TICK);
            to.send(part).unwrap();
        }
    })
}

#[test]
fn waits_for_all() {
    alone("batch::waits_for_all", || {
        let (a, b) = two();
        let sender = trickle(&b, &[b"one", b"", b"three"]);
        let mut batch = Batch::new([(); 3].map(|()| vec![0; 8]));
        assert_eq!(batch.receive(&a, 0, None), Ok(3));
        assert_eq!(batch.lens(), [3, 0, 5]);
        assert_eq!(&batch.buffers[2][..5], b"three");
        sender.join().unwrap();
    });
}

#[test]
fn waits_for_one() {
    alone("batch::waits_for_one", || {
        let (a, b) = two();
        let sender = trickle(&b, &[b"one"]);
        let mut batch = Batch::new([(); 3].map(|()| vec![0; 8]));
        assert_eq!(batch.receive(&a, libc::MSG_WAITFORONE, None), Ok(1));
        assert_eq!(at_once(|| batch.receive(&a, libc::MSG_DONTWAIT, None)), Err(libc::EAGAIN));
        sender.join().unwrap();
    });
}

#[test]
fn its_own_time_out() {
    alone("batch::its_own_time_out", || {
        let (a, b) = two();
        let sender = trickle(&b, &[b"one"]);
        let mut batch = Batch::new([(); 3].map(|()| vec![0; 8]));
        let mut timeout = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let began = Instant::now();
        assert_eq!(cooperative(|| batch.receive(&a, 0, Some(&mut timeout))), Ok(1));
        later(began, 100 * TICK);
        assert_eq!((timeout.tv_sec, timeout.tv_nsec), (0, 0), "nothing of it is left");
        sender.join().unwrap();
        // As in the kernel, it does not end the wait for the first one, and what is left of it is told.
        let mut timeout = libc::timespec { tv_sec: 60, tv_nsec: 0 };
        let sender = trickle(&b, &[b"one", b"two", b"three"]);
        assert_eq!(batch.receive(&a, 0, Some(&mut timeout)), Ok(3));
        assert!((50..60).contains(&timeout.tv_sec), "{}", timeout.tv_sec);
        sender.join().unwrap();
        let mut wrong = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
        assert_eq!(batch.receive(&a, 0, Some(&mut wrong)), Err(libc::EINVAL));
    });
}

#[test]
fn time_out_of_the_socket() {
    alone("batch::time_out_of_the_socket", || {
        let (a, b) = two();
        a.set_read_timeout(Some(50 * TICK)).unwrap();
        let mut batch = Batch::new([(); 2].map(|()| vec![0; 8]));
        assert_eq!(cooperative(|| batch.receive(&a, 0, None)), Err(libc::EAGAIN));
        b.send(b"one").unwrap();
        assert_eq!(cooperative(|| batch.receive(&a, 0, None)), Ok(1), "a part is success");
    });
}

#[test]
fn sends_many() {
    alone("batch::sends_many", || {
        let (a, b) = two();
        let mut batch = Batch::new([b"one".to_vec(), Vec::new(), b"three".to_vec()]);
        assert_eq!(batch.send(&b, 0), Ok(3));
        assert_eq!(batch.lens(), [3, 0, 5]);
        let mut buf = [0; 8];
        assert_eq!([3, 0, 5], [(); 3].map(|()| a.recv(&mut buf).unwrap()));
    });
}

#[test]
fn sends_all_of_each_on_a_stream() {
    alone("batch::sends_all_of_each_on_a_stream", || {
        let (a, b) = pair();
        let reader = drain(b);
        let mut batch = Batch::new([pattern(100), pattern(BIG), pattern(BIG), pattern(7)]);
        assert_eq!(batch.send(&a, 0), Ok(4));
        assert_eq!(batch.lens(), [100, BIG as u32, BIG as u32, 7]);
        drop(a);
        let expected = [pattern(100), pattern(BIG), pattern(BIG), pattern(7)].concat();
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn a_batch_that_is_cut_short() {
    alone("batch::a_batch_that_is_cut_short", || {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut batch = Batch::new([pattern(100), pattern(BIG), pattern(7)]);
        let sent = sward::timeout(50 * TICK, || batch.send(&a, 0)).unwrap();
        assert_eq!(sent, Ok(2), "the second in part");
        let lens = batch.lens();
        assert!(lens[0] == 100 && (1..BIG as u32).contains(&lens[1]) && lens[2] == 0, "{lens:?}");
        let sent = sward::timeout(50 * TICK, || batch.send(&a, 0)).unwrap();
        assert_eq!(sent, Err(libc::ETIMEDOUT));
    });
}
