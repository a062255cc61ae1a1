//! Read-write locks, semaphores, `pthread_once`; other processes, and pthread's own cancellation.

use super::native::*;
use super::*;

#[test]
fn readers_share_and_writers_do_not() {
    alone("rest::readers_share_and_writers_do_not", || {
        let lock = rw_new();
        let (readers, writers, both) =
            (Section::default(), Section::default(), Arc::new(AtomicUsize::new(0)));
        let mut bodies: Vec<Box<dyn FnOnce()>> = Vec::new();
        for n in 0..9 {
            let write = n % 3 == 2;
            let (readers, writers, both) = (readers.clone(), writers.clone(), both.clone());
            bodies.push(Box::new(move || {
                for _ in 0..5 {
                    let (take, section, weight) = if write {
                        (rw_write as fn(_) -> _, &writers, 100)
                    } else {
                        (rw_read as fn(_) -> _, &readers, 1)
                    };
                    assert_eq!(take(lock), 0, "no EDEADLK, for one");
                    let inside = both.fetch_add(weight, Ordering::SeqCst) + weight;
                    assert!(inside <= 100, "{inside}");
                    section.visit(|| pause(1));
                    both.fetch_sub(weight, Ordering::SeqCst);
                    assert_eq!(rw_unlock(lock), 0);
                    thread::yield_now();
                }
            }));
        }
        together(bodies);
        assert_eq!(writers.most(), 1);
        assert!(readers.most() > 1, "they do not share");
    });
}

#[test]
fn handed_on_at_once() {
    alone("rest::handed_on_at_once", || {
        let lock = rw_new();
        handed_on(move || rw_write(lock), move || rw_unlock(lock));
        let sem = semaphore_new(1);
        handed_on(move || semaphore_wait(sem), move || semaphore_post(sem));
    });
}

#[test]
fn timed_read_write_locks() {
    alone("rest::timed_read_write_locks", || {
        let lock = rw_new();
        assert_eq!(rw_write(lock), 0);
        for timed in [rw_timed, rw_clock] {
            for write in [0, 1] {
                let began = Instant::now();
                let (result, ticks) = beside(|| timed(lock, write, 30));
                assert_eq!(result, libc::ETIMEDOUT);
                assert!(began.elapsed() >= 30 * TICK && ticks > 0, "{ticks} ticks");
            }
        }
        let waiters: Vec<_> = [0, 1]
            .map(|write| thread::spawn(move || (rw_timed(lock, write, 20_000), rw_unlock(lock))))
            .into();
        pause(5);
        assert_eq!(rw_unlock(lock), 0);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), (0, 0));
        }
    });
}

#[test]
fn read_write_locks_of_os_threads() {
    alone("rest::read_write_locks_of_os_threads", || {
        let lock = rw_new();
        let held = Arc::new(AtomicUsize::new(0));
        let holder = std::thread::spawn({
            let held = held.clone();
            move || {
                for take in [rw_read as fn(_) -> _, rw_write as fn(_) -> _] {
                    assert_eq!(take(lock), 0);
                    held.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(50 * TICK);
                    assert_eq!(rw_unlock(lock), 0);
                    while held.load(Ordering::SeqCst) % 2 == 1 {
                        std::thread::yield_now();
                    }
                }
            }
        });
        for (round, take) in [(1, rw_write as fn(_) -> _), (3, rw_read as fn(_) -> _)] {
            until(|| held.load(Ordering::SeqCst) == round);
            let (result, ticks) = beside(|| take(lock));
            assert_eq!(result, 0);
            assert!(ticks > 0, "{ticks} ticks");
            held.fetch_add(1, Ordering::SeqCst);
            assert_eq!(rw_unlock(lock), 0);
        }
        holder.join().unwrap();
    });
}

#[test]
fn semaphores() {
    alone("rest::semaphores", || {
        let (to, from) = (semaphore_new(0), semaphore_new(0));
        let answer = move || {
            for _ in 0..200 {
                assert_eq!(semaphore_wait(to), 0);
                assert_eq!(semaphore_post(from), 0);
            }
        };
        let ask = || {
            for _ in 0..200 {
                assert_eq!(semaphore_post(to), 0);
                assert_eq!(semaphore_wait(from), 0);
            }
        };
        let sibling = thread::spawn(answer);
        ask();
        sibling.join().unwrap();
        let other = std::thread::spawn(answer);
        ask();
        other.join().unwrap();
        for timed in [semaphore_timed, semaphore_clock] {
            let began = Instant::now();
            let (result, ticks) = beside(|| timed(to, 30));
            assert_eq!(result, libc::ETIMEDOUT);
            assert!(began.elapsed() >= 30 * TICK && ticks > 0, "{ticks} ticks");
            let poster = thread::spawn(move || semaphore_post(to));
            assert_eq!(timed(to, 20_000), 0);
            assert_eq!(poster.join().unwrap(), 0);
        }
        // Three permits for six, in turn.
        let (permits, section) = (semaphore_new(3), Section::default());
        let body = |section: Section| {
            Box::new(move || {
                assert_eq!(semaphore_wait(permits), 0);
                section.visit(|| pause(2));
                assert_eq!(semaphore_post(permits), 0);
            }) as Box<dyn FnOnce()>
        };
        together((0..6).map(|_| body(section.clone())).collect());
        assert_eq!(section.most(), 3);
    });
}

#[test]
fn thread_local_semaphores_pin() {
    alone("rest::thread_local_semaphores_pin", || {
        let own = semaphore_own();
        let poster = std::thread::spawn(move || {
            std::thread::sleep(50 * TICK);
            assert_eq!(semaphore_post(own), 0);
        });
        let (result, ticks) = beside(|| semaphore_wait(own));
        assert_eq!((result, ticks), (0, 0));
        assert_eq!(pinned(PinKind::ThreadLocal), 1);
        poster.join().unwrap();
    });
}

/// A handler may post at any instruction of the worker: while that holds the lot's locks, and in the middle of the hub.
#[test]
fn semaphores_from_signal_handlers() {
    alone("rest::semaphores_from_signal_handlers", || {
        for nodefer in [0, 1] {
            let sem = semaphore_new(0);
            semaphore_post_on_signal(sem, nodefer);
            let worker = thread_id();
            // A worker that sleeps.
            let waker = std::thread::spawn(move || {
                std::thread::sleep(30 * TICK);
                thread_signal(worker);
            });
            assert_eq!(semaphore_wait(sem), 0);
            waker.join().unwrap();

            // A worker that is busy with semaphores and its run queue, all the time.
            let over = Arc::new(AtomicUsize::new(0));
            let busy: Vec<_> = (0..4)
                .map(|_| {
                    let over = over.clone();
                    thread::spawn(move || {
                        let (to, from) = (semaphore_new(0), semaphore_new(0));
                        let partner = thread::spawn(move || {
                            while semaphore_wait(to) == 0 && semaphore_post(from) == 0 {
                                thread::yield_now();
                            }
                        });
                        while over.load(Ordering::SeqCst) == 0 {
                            assert_eq!(semaphore_post(to), 0);
                            assert_eq!(semaphore_wait(from), 0);
                        }
                        drop(partner); // waits for ever
                    })
                })
                .collect();
            // Signals of one number do not queue up, so some are lost.
            let sender = std::thread::spawn(move || {
                for _ in 0..1000 {
                    thread_signal(worker);
                    std::thread::sleep(TICK / 20);
                }
            });
            let mut taken = 1; // above
            while !sender.is_finished() || taken < semaphore_posts_by_handler() {
                match semaphore_timed(sem, 20) {
                    0 => taken += 1,
                    error => assert_eq!(error, libc::ETIMEDOUT),
                }
            }
            sender.join().unwrap();
            assert_eq!(taken, semaphore_posts_by_handler());
            assert!(taken > 20, "{taken} posts");
            over.store(1, Ordering::SeqCst);
            busy.into_iter().for_each(|thread| thread.join().unwrap());
        }
        // The partners are still in their waits.
        std::process::exit(0);
    });
}

/// The initialiser sleeps. Were others let in, they would block the worker inside glibc, and it would never end.
#[test]
fn once_initialises_alone() {
    alone("rest::once_initialises_alone", || {
        let threads: Vec<_> = (0..3).map(|_| thread::spawn(once)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1);
        }
    });
}

#[test]
fn barriers() {
    alone("rest::barriers", || {
        let barrier = barrier_new(6);
        let wait = move || barrier_wait(barrier);
        for _ in 0..3 {
            let green: Vec<_> = (0..5).map(|_| thread::spawn(wait)).collect();
            let os = std::thread::spawn(wait);
            let mut answers: Vec<_> = green.into_iter().map(|t| t.join().unwrap()).collect();
            answers.push(os.join().unwrap());
            answers.sort_unstable();
            assert_eq!(answers, [libc::PTHREAD_BARRIER_SERIAL_THREAD, 0, 0, 0, 0, 0]);
        }
    });
}

#[test]
fn c11_names() {
    alone("rest::c11_names", || {
        let sibling = thread::spawn(|| c11_play(1, 60));
        assert_eq!(c11_play(0, 60), 0);
        assert_eq!(sibling.join().unwrap(), 0);
        let (both, ticks) = beside(c11_timed_out);
        assert_eq!(both, 2);
        assert!(ticks > 0, "{ticks} ticks");
    });
}

/// Nobody in another process can wake a green thread: it looks by itself.
#[test]
fn shared_with_another_process() {
    alone("rest::shared_with_another_process", || {
        let (status, ticks) = beside(other_process);
        assert_eq!(status, 0);
        assert!(ticks > 2, "{ticks} ticks");
    });
}

/// `pthread_cancel` unwinds through the call in which its victim waits, and so through the hooks.
#[test]
fn pthread_cancel_of_os_threads() {
    case("rest::pthread_cancel_of_os_threads", LIMIT, || {
        native::load();
        // SAFETY: nothing runs on green threads here.
        unsafe { sward::patch::install() }.unwrap();
        assert_eq!(cancelled(), 2);
    });
}
