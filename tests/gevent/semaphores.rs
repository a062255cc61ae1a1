//! Behaviours 20 to 22: fair, across OS threads, and a bound on how many run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sward::sync::{Mutex, Semaphore, mpsc};
use sward::thread;

use super::{LONG, SHORT, case, settle};

/// 20: who releases and acquires again at once queues behind those who wait.
#[test]
fn fair() {
    case(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let (sender, receiver) = mpsc::channel();
        let mine = semaphore.acquire();
        let theirs = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            let _permit = theirs.acquire();
            sender.send(()).unwrap();
        });
        settle();
        drop(mine);
        // Nobody has run since, and still it is not ours.
        assert!(semaphore.try_acquire().is_none());
        let _again = semaphore.acquire();
        assert_eq!(receiver.try_recv(), Ok(()));
        waiter.join().unwrap();
    });
}

/// 20, for the mutex.
#[test]
fn mutex_is_fair() {
    case(|| {
        let mutex = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (1..4)
            .map(|n| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || {
                    for _ in 0..3 {
                        let mut guard = mutex.lock().unwrap();
                        thread::yield_now();
                        guard.push(n);
                    }
                })
            })
            .collect();
        waiters.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(*mutex.lock().unwrap(), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    });
}

/// 20: one that gave up is passed over.
#[test]
fn dead_waiter_takes_no_permit() {
    case(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters = [(); 3].map(|()| {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.acquire().forget())
        });
        settle();
        waiters[0].cancel();
        settle();
        assert!(semaphore.acquire_timeout(SHORT).is_none());
        semaphore.release();
        settle();
        let done = waiters.each_ref().map(|one| one.is_finished());
        assert_eq!(done, [true, true, false]);
        semaphore.release();
        let ended = waiters.map(|one| one.join().is_ok());
        assert_eq!(ended, [false, true, true]);
        assert_eq!(semaphore.available(), 0);
    });
}

/// 21: green threads and OS threads pass one permit round, with and without a time limit.
#[test]
fn across_os_threads() {
    case(|| {
        const EACH: usize = 300;
        let shared = Arc::new((Semaphore::new(1), AtomicUsize::new(0), AtomicUsize::new(0)));
        let duel = |timed: bool| {
            let shared = Arc::clone(&shared);
            move || {
                let (semaphore, inside, turns) = &*shared;
                for _ in 0..EACH {
                    let permit = match timed {
                        true => semaphore.acquire_timeout(LONG).expect("not in an hour"),
                        false => semaphore.acquire(),
                    };
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    turns.fetch_add(1, SeqCst);
                    inside.fetch_sub(1, SeqCst);
                    drop(permit);
                }
            }
        };
        let green = [false, true].map(|timed| thread::spawn(duel(timed)));
        let os = [false, true].map(|timed| std::thread::spawn(duel(timed)));
        green.into_iter().for_each(|one| one.join().unwrap());
        sward::blocking(move || os.into_iter().for_each(|one| one.join().unwrap()));
        assert_eq!(shared.2.load(SeqCst), 4 * EACH);
        assert_eq!(shared.0.available(), 1);
    });
}

/// 21, `acquire_in_one_then_another`: taken here, waited for there, released here.
#[test]
fn acquire_here_release_there() {
    case(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.acquire_owned();
        let theirs = Arc::clone(&semaphore);
        let (sender, receiver) = mpsc::channel();
        let os = std::thread::spawn(move || {
            sender.send(()).unwrap();
            theirs.acquire().forget();
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        assert_eq!(receiver.recv_timeout(SHORT), Err(mpsc::RecvTimeoutError::Timeout));
        drop(permit);
        receiver.recv().unwrap();
        sward::blocking(move || os.join().unwrap());
        assert_eq!(semaphore.available(), 0);
    });
}

/// 22: a pool of n runs n at a time, and spawning blocks while it is full.
#[test]
fn so_many_at_a_time() {
    case(|| {
        const SIZE: usize = 3;
        let pool = Arc::new(Semaphore::new(SIZE));
        let shared = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        for _ in 0..20 {
            let permit = pool.acquire_owned();
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let _permit = permit;
                let (inside, most) = &*shared;
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, SeqCst);
            });
        }
        // All permits in hand: all of them have ended.
        let all: Vec<_> = (0..SIZE).map(|_| pool.acquire()).collect();
        assert_eq!((shared.0.load(SeqCst), shared.1.load(SeqCst)), (0, SIZE));
        drop(all);
        assert!(pool.try_acquire_owned().is_some());
        assert!(pool.acquire_timeout_owned(SHORT).is_some());
    });
}
