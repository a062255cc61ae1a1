//! mpsc without a bound: order, disconnection from both ends, timeouts, iterators, what happens to unread messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::rt::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, channel,
};
use super::rt::{case, thread};

/// A message that tells when it is dropped.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn smoke() {
    case(|| {
        let (sender, receiver) = channel();
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Ok(2));
    });
}

#[test]
fn between_threads() {
    case(|| {
        let (sender, receiver) = channel();
        let other = thread::spawn(move || sender.send(Box::new(1)).unwrap());
        assert_eq!(receiver.recv(), Ok(Box::new(1)));
        other.join().unwrap();
    });
}

#[test]
fn from_a_waiting_receiver_back() {
    case(|| {
        const TURNS: u32 = 500;
        let (there, here) = channel();
        let (back, answer) = channel();
        let other = thread::spawn(move || {
            for n in here {
                back.send(n + 1).unwrap();
            }
        });
        let mut n = 0;
        for _ in 0..TURNS {
            there.send(n).unwrap();
            n = answer.recv().unwrap();
        }
        assert_eq!(n, TURNS);
        drop(there);
        other.join().unwrap();
        assert_eq!(answer.recv(), Err(RecvError));
    });
}

#[test]
fn order_of_each_sender() {
    case(|| {
        const SENDERS: usize = 5;
        const EACH: usize = 400;
        let (sender, receiver) = channel();
        let all: Vec<_> = (0..SENDERS)
            .map(|me| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        sender.send((me, n)).unwrap();
                        if n % 50 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut next = [0; SENDERS];
        for (from, n) in &receiver {
            assert_eq!(n, next[from]);
            next[from] += 1;
        }
        assert_eq!(next, [EACH; SENDERS]);
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn receiver_gone() {
    case(|| {
        let (sender, receiver) = channel();
        drop(receiver);
        let error = sender.send(7).unwrap_err();
        assert_eq!(error, SendError(7));
        assert_eq!(error.to_string(), "sending on a closed channel");
    });
}

#[test]
fn receiver_goes_while_sending() {
    case(|| {
        let (sender, receiver) = channel();
        let other = thread::spawn(move || {
            receiver.recv().unwrap();
        });
        while sender.send(1).is_ok() {
            thread::yield_now();
        }
        other.join().unwrap();
    });
}

#[test]
fn senders_gone() {
    case(|| {
        let (sender, receiver) = channel();
        let second = sender.clone();
        sender.send(1).unwrap();
        drop(sender);
        second.send(2).unwrap();
        drop(second);
        // What was sent is still there.
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Ok(2));
        assert_eq!(receiver.recv(), Err(RecvError));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        let long = Duration::from_secs(1000);
        assert_eq!(receiver.recv_timeout(long), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn senders_go_while_receiving() {
    case(|| {
        let (sender, receiver) = channel::<()>();
        let second = sender.clone();
        let waiter = thread::spawn(move || receiver.recv());
        for _ in 0..10 {
            thread::yield_now();
        }
        drop(sender);
        for _ in 0..10 {
            thread::yield_now();
        }
        drop(second);
        assert_eq!(waiter.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn panicking_sender_disconnects() {
    case(|| {
        let (sender, receiver) = channel::<()>();
        let other = thread::spawn(move || {
            let _sender = sender;
            panic!("on purpose");
        });
        assert_eq!(receiver.recv(), Err(RecvError));
        assert!(other.join().is_err());
    });
}

#[test]
fn try_recv_states() {
    case(|| {
        let (sender, receiver) = channel();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        sender.send(1).unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn recv_times_out() {
    case(|| {
        let (sender, receiver) = channel::<i32>();
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        assert_eq!(receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= limit);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        // The receiver is as good as before.
        sender.send(1).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
    });
}

#[test]
fn recv_timeout_gets_what_comes() {
    case(|| {
        let (sender, receiver) = channel();
        let other = thread::spawn(move || {
            for n in 0..100 {
                sender.send(n).unwrap();
                thread::yield_now();
            }
        });
        let mut expected = 0;
        loop {
            match receiver.recv_timeout(Duration::from_secs(1000)) {
                Ok(n) => {
                    assert_eq!(n, expected);
                    expected += 1;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("not in a thousand seconds"),
            }
        }
        assert_eq!(expected, 100);
        other.join().unwrap();
    });
}

#[test]
fn timing_out_all_the_time_loses_nothing() {
    case(|| {
        const ALL: usize = 200;
        let (sender, receiver) = channel();
        let other = thread::spawn(move || {
            for n in 0..ALL {
                sender.send(n).unwrap();
                if n % 20 == 0 {
                    thread::sleep(Duration::from_micros(300));
                }
            }
        });
        let mut expected = 0;
        loop {
            match receiver.recv_timeout(Duration::from_micros(100)) {
                Ok(n) => {
                    assert_eq!(n, expected);
                    expected += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(expected, ALL);
        other.join().unwrap();
    });
}

#[test]
fn iterators() {
    case(|| {
        let (sender, receiver) = channel();
        for n in 0..4 {
            sender.send(n).unwrap();
        }
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(receiver.try_iter().next(), None);
        let other = thread::spawn(move || {
            for n in 4..8 {
                sender.send(n).unwrap();
            }
        });
        assert_eq!(receiver.iter().take(2).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [6, 7]);
        other.join().unwrap();
    });
}

#[test]
fn unread_messages_are_dropped() {
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = channel();
        for _ in 0..3 {
            sender.send(Counts(Arc::clone(&drops))).unwrap();
        }
        drop(receiver.recv().unwrap());
        assert_eq!(drops.load(SeqCst), 1);
        // With the receiver, though the sender is still there.
        drop(receiver);
        assert_eq!(drops.load(SeqCst), 3);
        assert!(sender.send(Counts(Arc::clone(&drops))).is_err());
        assert_eq!(drops.load(SeqCst), 4);
    });
}

#[test]
fn unread_message_holds_its_channel() {
    // The receiver's end drops a message that owns a sender of this very channel.
    struct Holds(#[allow(dead_code)] Sender<Holds>);
    case(|| {
        let (sender, receiver): (Sender<Holds>, Receiver<Holds>) = channel();
        sender.send(Holds(sender.clone())).unwrap();
        drop(receiver);
        assert!(sender.send(Holds(sender.clone())).is_err());
    });
}

#[test]
fn channel_through_a_channel() {
    case(|| {
        let (sender, receiver) = channel::<Sender<i32>>();
        let other = thread::spawn(move || receiver.recv().unwrap().send(5).unwrap());
        let (answer, answered) = channel();
        sender.send(answer).unwrap();
        assert_eq!(answered.recv(), Ok(5));
        other.join().unwrap();
    });
}

#[test]
fn receiver_moves() {
    case(|| {
        let (sender, receiver) = channel();
        sender.send(1).unwrap();
        let receiver = thread::spawn(move || {
            assert_eq!(receiver.recv(), Ok(1));
            receiver
        })
        .join()
        .unwrap();
        sender.send(2).unwrap();
        assert_eq!(receiver.recv(), Ok(2));
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let (sender, receiver) = channel::<i32>();
        assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
    });
}

#[test]
fn marker_traits() {
    fn send_sync<T: Send + Sync>() {}
    fn send<T: Send>() {}
    send_sync::<Sender<std::cell::Cell<i32>>>();
    send::<Receiver<std::cell::Cell<i32>>>();
}
