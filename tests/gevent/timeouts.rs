//! Behaviours 1 to 4: timeouts nest, know their own, and leave everything usable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::sync::{Barrier, Condvar, Event, Mutex, Once, RwLock, Semaphore, broadcast, mpsc};
use sward::{pubsub, thread, timeout};

use super::{LONG, SHORT, case, settle};

/// 1: the outer, shorter one fires, passes through the inner one untouched, and the inner one is not taken for it.
#[test]
fn nested_outer_first() {
    case(|| {
        let mut inner_returned = false;
        let outer = timeout(SHORT, || {
            let inner = timeout(LONG, || thread::sleep(LONG));
            inner_returned = true;
            inner
        });
        assert!(outer.is_err());
        assert!(!inner_returned);
    });
}

/// 1, the other way round: the inner one fires, the outer one stays armed and fires later.
#[test]
fn nested_inner_first() {
    case(|| {
        let mut steps = Vec::new();
        let outer = timeout(SHORT * 5, || {
            steps.push(timeout(SHORT, || thread::sleep(LONG)).is_err());
            steps.push(timeout(LONG, || 1) == Ok(1));
            thread::sleep(LONG);
        });
        assert_eq!(steps, [true, true]);
        assert!(outer.is_err());
    });
}

/// 1: an inner one cannot extend the outer one, and of equal ones the outer one is meant.
#[test]
fn nested_cannot_extend() {
    case(|| {
        let start = Instant::now();
        let outer = timeout(SHORT, || {
            let _ = timeout(LONG, || thread::sleep(LONG));
            let _ = timeout(LONG, || thread::sleep(LONG));
        });
        assert!(outer.is_err());
        assert!(start.elapsed() < LONG / 2);
    });
}

/// 2: a silent outer one unwinds through the inner block and skips the rest of its own body; destructors run.
#[test]
fn outer_skips_the_rest() {
    struct Tells<'a>(&'a mpsc::Sender<&'static str>, &'static str);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.send(self.1).unwrap();
        }
    }
    case(|| {
        let (sender, receiver) = mpsc::channel();
        let _ = timeout(SHORT, || {
            let _outer = Tells(&sender, "outer dropped");
            let _ = timeout(LONG, || {
                let _inner = Tells(&sender, "inner dropped");
                thread::sleep(LONG);
            });
            sender.send("rest of the outer body").unwrap();
        });
        sender.send("after").unwrap();
        let seen: Vec<_> = receiver.try_iter().collect();
        assert_eq!(seen, ["inner dropped", "outer dropped", "after"]);
    });
}

/// 3: the end of the block is the end of its timer.
#[test]
fn over_is_over() {
    case(|| {
        for _ in 0..100 {
            assert_eq!(timeout(SHORT, || 7), Ok(7));
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = timeout(SHORT, || panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        // Nothing of these is left to hit us.
        thread::sleep(SHORT * 4);
    });
}

/// 3: `with_timeout(seconds, f, timeout_value=...)`.
#[test]
fn value_instead() {
    case(|| {
        let slow = timeout(SHORT, || {
            thread::sleep(LONG);
            "in time"
        });
        assert_eq!(slow.unwrap_or("too late"), "too late");
        assert_eq!(timeout(LONG, || "in time").unwrap_or("too late"), "in time");
    });
}

/// 3: a timeout of 0 is the next wait, not never.
#[test]
fn zero() {
    case(|| {
        assert_eq!(timeout(Duration::ZERO, || 1), Ok(1));
        assert!(timeout(Duration::ZERO, || thread::sleep(LONG)).is_err());
    });
}

/// 4: runs `wait`, which blocks, under an outer timeout: it must end by it, in time.
fn interrupted<T>(what: &str, wait: impl FnOnce() -> T) {
    let start = Instant::now();
    assert!(timeout(SHORT, wait).is_err(), "{what} did not end by the timeout");
    assert!(start.elapsed() >= SHORT, "{what} ended too early");
    assert!(start.elapsed() < LONG / 2, "{what} ended too late");
}

/// 4: locks. A waiter that was interrupted is gone, the lock works on, and nothing is poisoned.
#[test]
fn during_locks() {
    case(|| {
        let (mutex, condvar) = (Mutex::new(1), Condvar::new());
        let guard = mutex.lock().unwrap();
        interrupted("Mutex::lock", || mutex.lock());
        drop(guard);
        assert_eq!(*mutex.lock().unwrap(), 1);

        interrupted("Condvar::wait", || condvar.wait(mutex.lock().unwrap()));
        interrupted("Condvar::wait_timeout", || {
            drop(condvar.wait_timeout(mutex.lock().unwrap(), LONG));
        });
        assert!(mutex.try_lock().is_ok(), "the wait ended without the mutex, and no poison");
        // With nobody in the queue this is nobody's notification; it must not be kept for the next one.
        condvar.notify_one();
        let (_, result) = condvar.wait_timeout(mutex.lock().unwrap(), SHORT).unwrap();
        assert!(result.timed_out());

        let lock = RwLock::new(1);
        let reader = lock.read().unwrap();
        interrupted("RwLock::write", || lock.write());
        // Had the writer that gave up stayed in the queue, this would wait for it.
        assert!(lock.try_read().is_ok());
        drop(reader);
        let writer = lock.write().unwrap();
        interrupted("RwLock::read", || lock.read());
        drop(writer);
        assert!(lock.try_write().is_ok());
    });
}

/// 4: unwinding with a lock held releases it, and that is no poison; a panic is.
#[test]
fn unwinding_does_not_poison() {
    case(|| {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
        interrupted("sleep under locks", || {
            let (_one, _two) = (mutex.lock().unwrap(), lock.write().unwrap());
            thread::sleep(LONG);
        });
        assert!(mutex.lock().is_ok() && lock.write().is_ok());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let (_one, _two) = (mutex.lock().unwrap(), lock.write().unwrap());
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert!(mutex.lock().is_err() && lock.write().is_err());
    });
}

/// 4: things that are waited for once or together.
#[test]
fn during_meetings() {
    case(|| {
        let event = Event::new();
        interrupted("Event::wait", || event.wait());
        interrupted("Event::wait_timeout", || event.wait_timeout(LONG));
        event.set();
        event.wait();

        // Who was interrupted does not count as having come.
        let barrier = Arc::new(Barrier::new(2));
        interrupted("Barrier::wait", || barrier.wait());
        let theirs = Arc::clone(&barrier);
        let other = thread::spawn(move || theirs.wait().is_leader());
        settle();
        assert!(!other.is_finished());
        let leads = barrier.wait().is_leader();
        assert_ne!(leads, other.join().unwrap());

        // An initialiser that was interrupted has not run, and the next one may.
        let once = Once::new();
        interrupted("Once::call_once", || once.call_once(|| thread::sleep(LONG)));
        let mut ran = false;
        once.call_once(|| ran = true);
        assert!(ran);

        let semaphore = Semaphore::new(0);
        interrupted("Semaphore::acquire", || semaphore.acquire());
        interrupted("Semaphore::acquire_timeout", || semaphore.acquire_timeout(LONG));
        semaphore.release();
        assert_eq!(semaphore.available(), 1);
    });
}

/// 4: channels and topics.
#[test]
fn during_channels() {
    case(|| {
        let (sender, receiver) = mpsc::channel();
        interrupted("Receiver::recv", || receiver.recv());
        interrupted("Receiver::recv_timeout", || receiver.recv_timeout(LONG));
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));

        for bound in [0, 1] {
            let (sender, receiver) = mpsc::sync_channel(bound);
            (0..bound).for_each(|n| sender.send(n).unwrap());
            interrupted("SyncSender::send", || sender.send(100));
            // The message that was not sent is not there.
            assert_eq!(receiver.try_iter().count(), bound);
        }

        let (sender, receiver) = broadcast::channel(4);
        interrupted("broadcast recv", || receiver.recv());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));

        let topic = pubsub::Topic::new(4);
        let subscriber = topic.subscribe();
        interrupted("Subscriber::recv", || subscriber.recv());
        topic.publish(&b"x"[..]);
        assert_eq!(subscriber.recv().unwrap().id, 1);
    });
}

/// 4: waits for other green threads.
#[test]
fn during_threads() {
    case(|| {
        let event = Arc::new(Event::new());
        let theirs = Arc::clone(&event);
        let other = thread::spawn(move || theirs.wait());
        interrupted("join", || other.join());
        interrupted("sleep", || thread::sleep(LONG));
        interrupted("park", || {
            loop {
                thread::park();
            }
        });
        event.set();
        // A token that was not consumed is still there.
        thread::current().unpark();
        thread::park();
    });
}
