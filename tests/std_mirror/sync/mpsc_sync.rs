//! mpsc with a bound, 0 included: how much fits, who waits, and who is told when the other end goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::rt::sync::mpsc::{
    RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError, channel, sync_channel,
};
use super::rt::{case, thread};

#[test]
fn bound_is_kept() {
    case(|| {
        let (sender, receiver) = sync_channel(2);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Ok(()));
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(sender.try_send(4), Ok(()));
        assert_eq!(sender.try_send(5), Err(TrySendError::Full(5)));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 4]);
        drop(receiver);
        assert_eq!(sender.try_send(6), Err(TrySendError::Disconnected(6)));
        assert_eq!(sender.send(7), Err(SendError(7)));
    });
}

#[test]
fn sender_waits_for_room() {
    case(|| {
        for bound in [0, 1, 3] {
            let (sender, receiver) = sync_channel(bound);
            let sent = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&sent);
            let other = thread::spawn(move || {
                for n in 0..50 {
                    sender.send(n).unwrap();
                    count.fetch_add(1, SeqCst);
                }
            });
            for n in 0..50 {
                // What has been sent and not received fits into the channel.
                assert!(sent.load(SeqCst) <= n + bound);
                assert_eq!(receiver.recv(), Ok(n));
            }
            other.join().unwrap();
            assert_eq!(receiver.recv(), Err(RecvError));
        }
    });
}

#[test]
fn rendezvous() {
    case(|| {
        let (sender, receiver) = sync_channel(0);
        let received = Arc::new(AtomicBool::new(false));
        let (about, is_about) = channel();
        let flag = Arc::clone(&received);
        let other = thread::spawn(move || {
            about.send(()).unwrap();
            sender.send(1).unwrap();
            // Sending returns when somebody has come for it, and that one raised the flag before.
            assert!(flag.load(SeqCst));
        });
        is_about.recv().unwrap();
        for _ in 0..10 {
            thread::yield_now();
        }
        received.store(true, SeqCst);
        assert_eq!(receiver.recv(), Ok(1));
        other.join().unwrap();
    });
}

#[test]
fn rendezvous_needs_a_receiver() {
    case(|| {
        let (sender, receiver) = sync_channel(0);
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
        let other = thread::spawn(move || receiver.recv());
        // Until the other waits this is Full.
        while let Err(error) = sender.try_send(2) {
            assert_eq!(error, TrySendError::Full(2));
            thread::yield_now();
        }
        assert_eq!(other.join().unwrap(), Ok(2));
        assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
    });
}

#[test]
fn rendezvous_try_recv() {
    case(|| {
        let (sender, receiver) = sync_channel(0);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let other = thread::spawn(move || sender.send(1).unwrap());
        let got = loop {
            match receiver.try_recv() {
                Err(TryRecvError::Empty) => thread::yield_now(),
                other => break other,
            }
        };
        assert_eq!(got, Ok(1));
        other.join().unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn every_message_once() {
    case(|| {
        const SENDERS: usize = 4;
        const EACH: usize = 150;
        for bound in [0, 1, 7] {
            let (sender, receiver) = sync_channel(bound);
            let all: Vec<_> = (0..SENDERS)
                .map(|me| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        for n in 0..EACH {
                            sender.send((me, n)).unwrap();
                        }
                    })
                })
                .collect();
            drop(sender);
            let mut next = [0; SENDERS];
            for (from, n) in receiver {
                assert_eq!(n, next[from]);
                next[from] += 1;
            }
            assert_eq!(next, [EACH; SENDERS]);
            all.into_iter().for_each(|one| one.join().unwrap());
        }
    });
}

#[test]
fn receiver_goes_while_senders_wait() {
    case(|| {
        for bound in [0, 1] {
            let (sender, receiver) = sync_channel(bound);
            for n in 0..bound {
                sender.send(n).unwrap();
            }
            let all: Vec<_> = (10..13)
                .map(|n| {
                    let sender = sender.clone();
                    thread::spawn(move || sender.send(n))
                })
                .collect();
            for _ in 0..10 {
                thread::yield_now();
            }
            drop(receiver);
            for (n, one) in (10..13).zip(all) {
                assert_eq!(one.join().unwrap(), Err(SendError(n)));
            }
        }
    });
}

#[test]
fn senders_go_while_receiving() {
    case(|| {
        for bound in [0, 1] {
            let (sender, receiver) = sync_channel::<()>(bound);
            let waiter = thread::spawn(move || receiver.recv());
            for _ in 0..10 {
                thread::yield_now();
            }
            drop(sender);
            assert_eq!(waiter.join().unwrap(), Err(RecvError));
        }
    });
}

#[test]
fn recv_times_out() {
    case(|| {
        for bound in [0, 1] {
            let (sender, receiver) = sync_channel(bound);
            let limit = Duration::from_millis(5);
            assert_eq!(receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
            // A receiver that gave up is no receiver for try_send.
            if bound == 0 {
                assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
            }
            let other = thread::spawn(move || sender.send(1).unwrap());
            assert_eq!(receiver.recv_timeout(Duration::from_secs(1000)), Ok(1));
            other.join().unwrap();
        }
    });
}

#[test]
fn unread_messages_are_dropped() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = sync_channel(4);
        for _ in 0..3 {
            sender.send(Counts(Arc::clone(&drops))).unwrap();
        }
        drop(sender);
        assert_eq!(drops.load(SeqCst), 0);
        drop(receiver);
        assert_eq!(drops.load(SeqCst), 3);
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let (sender, receiver) = sync_channel::<i32>(0);
        assert_eq!(format!("{sender:?} {receiver:?}"), "SyncSender { .. } Receiver { .. }");
    });
}
