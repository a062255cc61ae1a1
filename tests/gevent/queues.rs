//! Behaviours 16 to 19: nobody who gave up takes or leaves anything, and everybody else is served in order.

use std::sync::Arc;

use sward::sync::mpsc::{self, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use sward::sync::{Mutex, broadcast};
use sward::{thread, timeout};

use super::{LONG, SHORT, case, settle};

/// 16: a getter that timed out or was cancelled does not get what comes later; the next one does.
#[test]
fn dead_getter_takes_nothing() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        assert!(timeout(SHORT, || receiver.recv()).is_err());
        let receiver = Arc::new(Mutex::new(receiver));
        let theirs = Arc::clone(&receiver);
        let cancelled = thread::spawn(move || theirs.lock().unwrap().recv());
        settle();
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        sender.send(1).unwrap();
        assert_eq!(receiver.lock().unwrap().try_recv(), Ok(1));
    });
}

/// 16, `two_waiters_one_dies`: of two who share a receiver one dies, the other gets both messages.
#[test]
fn two_getters_one_dies() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let getter = || {
            let receiver = Arc::clone(&receiver);
            thread::spawn(move || {
                let receiver = receiver.lock().unwrap();
                (receiver.recv(), receiver.recv())
            })
        };
        let (first, second) = (getter(), getter());
        settle();
        first.cancel();
        settle();
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert!(first.join().is_err());
        assert_eq!(second.join().unwrap(), (Ok(1), Ok(2)));
    });
}

/// 16: one that is woken and cancelled before it runs keeps what it was given: it is not lost.
#[test]
fn woken_then_cancelled() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        let (told, tells) = mpsc::channel();
        let getter = thread::spawn(move || {
            told.send(receiver.recv()).unwrap();
            receiver.recv()
        });
        settle();
        sender.send(1).unwrap();
        getter.cancel();
        assert_eq!(tells.recv(), Ok(Ok(1)));
        assert!(getter.join().is_err());
    });
}

/// 17: putters that wait are served in order, each exactly once, as room comes.
#[test]
fn putters_in_order() {
    case(|| {
        for bound in [0, 1, 2] {
            let (sender, receiver) = mpsc::sync_channel(bound);
            let putters: Vec<_> = (0..10)
                .map(|n| {
                    let sender = sender.clone();
                    thread::spawn(move || sender.send(n).unwrap())
                })
                .collect();
            settle();
            for n in 0..10 {
                assert_eq!(receiver.try_recv(), Ok(n), "bound {bound}");
                settle();
                let done = putters.iter().filter(|one| one.is_finished()).count();
                assert_eq!(done, (n + 1 + bound).min(10));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

/// 17, `test_senders_that_die`: a putter that gave up leaves nothing, and the others keep their order.
#[test]
fn dead_putter_leaves_nothing() {
    case(|| {
        for bound in [0, 1] {
            let (sender, receiver) = mpsc::sync_channel(bound);
            (0..bound).for_each(|_| sender.send(100).unwrap());
            let putters: Vec<_> = (0..5)
                .map(|n| {
                    let sender = sender.clone();
                    thread::spawn(move || sender.send(n).unwrap())
                })
                .collect();
            settle();
            putters[0].cancel();
            putters[3].cancel();
            settle();
            drop(sender);
            let mut got: Vec<_> = receiver.iter().collect();
            got.retain(|n| *n != 100);
            assert_eq!(got, [1, 2, 4]);
        }
    });
}

/// 18: without a buffer a put waits until it is taken, and nothing is ever kept.
#[test]
fn rendezvous() {
    case(|| {
        let (sender, receiver) = mpsc::sync_channel(0);
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
        let putter = thread::spawn(move || sender.send(2));
        settle();
        assert!(!putter.is_finished());
        assert_eq!(receiver.recv(), Ok(2));
        assert_eq!(putter.join().unwrap(), Ok(()));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

/// 19: when one side goes, those who wait on the other are woken and told; what was sent before is still there.
#[test]
fn shutdown_wakes() {
    case(|| {
        let (sender, receiver) = mpsc::channel::<i32>();
        let getter = thread::spawn(move || (receiver.recv(), receiver.recv()));
        settle();
        sender.send(1).unwrap();
        drop(sender);
        assert_eq!(getter.join().unwrap(), (Ok(1), Err(mpsc::RecvError)));

        for bound in [0, 1] {
            let (sender, receiver) = mpsc::sync_channel(bound);
            (0..bound).for_each(|_| sender.send(0).unwrap());
            let putters = [1, 2].map(|n| {
                let sender = sender.clone();
                thread::spawn(move || sender.send(n))
            });
            settle();
            drop(receiver);
            let told = putters.map(|one| one.join().unwrap());
            assert_eq!(told, [Err(SendError(1)), Err(SendError(2))]);
        }
    });
}

/// 19, for a channel that all listen to.
#[test]
fn shutdown_wakes_all() {
    case(|| {
        let (sender, first) = broadcast::channel(4);
        let listeners = [first, sender.subscribe()]
            .map(|receiver| thread::spawn(move || (receiver.recv(), receiver.recv_timeout(LONG))));
        settle();
        sender.send(1).unwrap();
        drop(sender);
        for one in listeners {
            let closed = Err(broadcast::RecvTimeoutError::Closed);
            assert_eq!(one.join().unwrap(), (Ok(1), closed));
        }
    });
}
