//! std's own locks, `thread::park` and channels on green threads of one worker, and what cannot work there.
//!
//! The hazards of "one parker per OS thread", "my thread-local is mine while I block" and "owner = OS thread": each
//! is correct, or is refused with a message, and never a silent hang.

#![cfg(feature = "patch")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod patch_support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock, mpsc};
use std::time::{Duration, Instant};

use patch_support::{attempt, case, patched};
use sward::thread;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn std_mutex_is_handed_over() {
    case("std_mutex_is_handed_over", LIMIT, || {
        patched(|| {
            let mutex = Arc::new(Mutex::new(0));
            let threads: Vec<_> = (0..20)
                .map(|_| {
                    let mutex = mutex.clone();
                    thread::spawn(move || {
                        for _ in 0..10 {
                            let mut value = mutex.lock().unwrap();
                            let seen = *value;
                            thread::yield_now(); // held across a switch
                            *value = seen + 1;
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*mutex.lock().unwrap(), 200);
        });
    });
}

#[test]
fn std_condvar_barrier_rwlock_once() {
    case("std_condvar_barrier_rwlock_once", LIMIT, || {
        patched(|| {
            let pair = Arc::new((Mutex::new(0), Condvar::new()));
            let barrier = Arc::new(Barrier::new(8));
            let lock = Arc::new(RwLock::new(0));
            static ONCE: Once = Once::new();
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            let threads: Vec<_> = (0..8)
                .map(|turn| {
                    let (pair, barrier, lock) = (pair.clone(), barrier.clone(), lock.clone());
                    thread::spawn(move || {
                        barrier.wait();
                        ONCE.call_once(|| {
                            thread::yield_now();
                            CALLS.fetch_add(1, Ordering::SeqCst);
                        });
                        {
                            let mut value = lock.write().unwrap();
                            thread::yield_now();
                            *value += 1;
                        }
                        assert!(*lock.read().unwrap() > 0);
                        let (mutex, condvar) = &*pair;
                        let mut next = mutex.lock().unwrap();
                        while *next != turn {
                            next = condvar.wait(next).unwrap();
                        }
                        *next += 1;
                        condvar.notify_all();
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*pair.0.lock().unwrap(), 8);
            assert_eq!(CALLS.load(Ordering::SeqCst), 1);
            assert_eq!(*lock.read().unwrap(), 8);
        });
    });
}

/// A lock that an OS thread holds for a while: the worker goes on meanwhile.
#[test]
fn os_threads_wake_green_ones() {
    case("os_threads_wake_green_ones", LIMIT, || {
        patched(|| {
            let mutex = Arc::new(Mutex::new(()));
            let held = Arc::new(AtomicBool::new(false));
            let release = Arc::new(AtomicBool::new(false));
            let holder = std::thread::spawn({
                let (mutex, held, release) = (mutex.clone(), held.clone(), release.clone());
                move || {
                    let _guard = mutex.lock().unwrap();
                    held.store(true, Ordering::SeqCst);
                    while !release.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                }
            });
            while !held.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let waiter = thread::spawn({
                let mutex = mutex.clone();
                move || drop(mutex.lock().unwrap())
            });
            // Only runs if the waiter has let go of the worker.
            thread::yield_now();
            release.store(true, Ordering::SeqCst);
            waiter.join().unwrap();
            holder.join().unwrap();
        });
    });
}

#[test]
fn green_threads_wake_os_threads() {
    case("green_threads_wake_os_threads", LIMIT, || {
        patched(|| {
            let (to_os, from_green) = mpsc::channel();
            let (to_green, from_os) = mpsc::channel();
            let echo = std::thread::spawn(move || {
                for value in from_green {
                    to_green.send(value + 1).unwrap();
                }
            });
            for n in 0..1000 {
                to_os.send(n).unwrap();
                assert_eq!(from_os.recv().unwrap(), n + 1);
            }
            drop(to_os);
            echo.join().unwrap();
        });
    });
}

#[test]
fn waits_time_out() {
    case("waits_time_out", LIMIT, || {
        patched(|| {
            let pair = (Mutex::new(()), Condvar::new());
            let guard = pair.0.lock().unwrap();
            let began = Instant::now();
            let (guard, result) = pair.1.wait_timeout(guard, Duration::from_millis(50)).unwrap();
            assert!(result.timed_out() && began.elapsed() >= Duration::from_millis(50));
            drop(guard);
            let began = Instant::now();
            std::thread::park_timeout(Duration::from_millis(50));
            assert!(began.elapsed() >= Duration::from_millis(30));
            let (_keep, silent) = mpsc::channel::<()>();
            let result = silent.recv_timeout(Duration::from_millis(50));
            assert_eq!(result, Err(mpsc::RecvTimeoutError::Timeout));
        });
    });
}

/// "One parker per OS thread": several green threads of one worker in std's `thread::park` at once.
#[test]
fn two_in_std_park() {
    case("two_in_std_park", LIMIT, || {
        patched(|| {
            let flags: Vec<_> = (0..4).map(|_| Arc::new(AtomicBool::new(false))).collect();
            let parked: Vec<_> = flags
                .iter()
                .map(|flag| {
                    let flag = flag.clone();
                    thread::spawn(move || {
                        while !flag.load(Ordering::SeqCst) {
                            std::thread::park();
                        }
                    })
                })
                .collect();
            thread::yield_now();
            let worker = std::thread::current();
            let before = sward::stats().switches;
            // One after the other, by an OS thread; the others stay, and nobody spins meanwhile.
            let waker = std::thread::spawn(move || {
                for flag in flags {
                    std::thread::sleep(Duration::from_millis(50));
                    flag.store(true, Ordering::SeqCst);
                    worker.unpark();
                }
            });
            for thread in parked {
                thread.join().unwrap();
            }
            waker.join().unwrap();
            let switches = sward::stats().switches - before;
            assert!(switches < 500, "somebody spins: {switches} switches in 0.2 s");
        });
    });
}

/// Each of many green threads waits for its own OS thread, all through the one park word: nothing is lost.
#[test]
fn no_wake_up_of_std_park_is_lost() {
    case("no_wake_up_of_std_park_is_lost", LIMIT, || {
        patched(|| {
            let threads: Vec<_> = (0..50)
                .map(|n| {
                    thread::spawn(move || {
                        for round in 0..20 {
                            let (sender, receiver) = mpsc::channel();
                            let sends = std::thread::spawn(move || sender.send(n + round).unwrap());
                            assert_eq!(receiver.recv().unwrap(), n + round);
                            sends.join().unwrap();
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
}

/// A token given before the worker's park word was known is not swallowed while it is learnt.
#[test]
fn first_token_is_kept() {
    case("first_token_is_kept", LIMIT, || {
        patched(|| {
            std::thread::current().unpark();
            // The first futex wait of the worker: on a lock, so the park word is learnt beside it.
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock().unwrap();
            let other = thread::spawn({
                let mutex = mutex.clone();
                move || drop(mutex.lock().unwrap())
            });
            thread::yield_now();
            drop(guard);
            other.join().unwrap();
            std::thread::park(); // or this waits for ever
        });
    });
}

/// std's channel between two green threads of one worker cannot work: it must not hang without a word.
#[test]
fn std_mpsc_between_green_threads_is_named() {
    let said = attempt("std_mpsc_between_green_threads_is_named", Duration::from_secs(12), || {
        patched(|| {
            let (sender, receiver) = mpsc::channel();
            let waits = thread::Builder::new()
                .name("receiver".into())
                .spawn(move || receiver.recv().unwrap())
                .unwrap();
            thread::yield_now();
            sender.send(7).unwrap();
            waits.join().unwrap();
        });
    });
    let Some((said, ended)) = said else { return };
    let named = said.stderr.contains("'receiver'") && said.stderr.contains("sward::sync::mpsc");
    // Should std change so that it works, so much the better.
    assert!(ended || named, "neither works nor is named:\n{}", said.stderr);
}

/// A futex in thread-local memory belongs to the OS thread: the worker waits, and that is counted.
#[test]
fn thread_local_futex_pins() {
    case("thread_local_futex_pins", LIMIT, || {
        thread_local! {
            static WORD: AtomicU32 = const { AtomicU32::new(0) };
        }
        patched(|| {
            let others = Arc::new(AtomicUsize::new(0));
            let other = thread::spawn({
                let others = others.clone();
                move || {
                    others.fetch_add(1, Ordering::SeqCst);
                }
            });
            let address = WORD.with(|word| std::ptr::from_ref(word).expose_provenance());
            let wakes = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                let word = std::ptr::with_exposed_provenance::<AtomicU32>(address);
                // SAFETY: the waiter's thread is in its wait, and its thread-local stays.
                unsafe { &*word }.store(1, Ordering::SeqCst);
                futex(address, libc::FUTEX_WAKE, 1);
            });
            assert_eq!(futex(address, libc::FUTEX_WAIT, 0), 0);
            assert_eq!(others.load(Ordering::SeqCst), 0, "somebody ran on a pinned worker");
            wakes.join().unwrap();
            other.join().unwrap();
            let pins = sward::patch::pins();
            let pin = pins.iter().find(|pin| pin.kind == sward::patch::PinKind::ThreadLocal);
            let pin = pin.expect("a pin");
            assert_eq!(pin.count, 1);
            assert!(pin.first.contains("thread_local_futex_pins"), "{pin}");
        });
    });
}

fn futex(address: usize, operation: i32, value: u32) -> i64 {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address of a word that lives.
    unsafe { libc::syscall(libc::SYS_futex, address, operation, value, 0, 0, 0) }
}

/// A pinned wait that lasts says so.
#[test]
fn long_pin_says_so() {
    let said = case("long_pin_says_so", LIMIT, || {
        thread_local! {
            static WORD: AtomicU32 = const { AtomicU32::new(0) };
        }
        patched(|| {
            let address = WORD.with(|word| std::ptr::from_ref(word).expose_provenance());
            let wakes = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(3500));
                futex(address, libc::FUTEX_WAKE, 1);
            });
            let stuck = thread::Builder::new().name("stuck".into());
            let stuck = stuck.spawn(move || futex(address, libc::FUTEX_WAIT, 0)).unwrap();
            assert_eq!(stuck.join().unwrap(), 0);
            wakes.join().unwrap();
        });
    });
    let Some(said) = said else { return };
    assert!(said.stderr.contains("green thread 'stuck'"), "{}", said.stderr);
    assert!(said.stderr.contains("thread-local"), "{}", said.stderr);
}

/// std's re-entrant lock of stdout belongs to the OS thread: a full pipe blocks the worker, and no line is torn.
#[test]
fn printing_to_a_full_pipe() {
    let name = "printing_to_a_full_pipe";
    if std::env::var("SWARD_TEST_CHILD").is_ok_and(|wanted| wanted == name) {
        patched(|| {
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    thread::spawn(move || {
                        for line in 0..200 {
                            println!("<{n} {line} {}>", "x".repeat(600));
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("SWARD_TEST_CHILD", name)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe is full long before anybody reads.
    std::thread::sleep(Duration::from_millis(500));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let lines: Vec<_> = text.lines().filter_map(|line| Some(&line[line.find('<')?..])).collect();
    assert_eq!(lines.len(), 800, "lines are lost");
    for line in lines {
        let good = line.len() > 600 && line.ends_with("x>") && line.matches('<').count() == 1;
        assert!(good, "a torn line: {line}");
    }
}

/// The lock of stdout held across a wait by one green thread, and another one prints: what std makes of it is its own
/// affair (both are the same OS thread to it), but nothing hangs and nothing is lost.
#[test]
fn pinned_blocks_others() {
    case("pinned_blocks_others", LIMIT, || {
        patched(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let other = thread::spawn({
                let ran = ran.clone();
                move || ran.store(true, Ordering::SeqCst)
            });
            sward::patch::pinned(|| std::thread::park_timeout(Duration::from_millis(50)));
            assert!(!ran.load(Ordering::SeqCst), "somebody ran inside `pinned`");
            other.join().unwrap();
            let pins = sward::patch::pins();
            assert!(pins.iter().any(|pin| pin.kind == sward::patch::PinKind::Asked), "{pins:?}");
        });
    });
}

/// During an unwind `thread::panicking()` holds for the whole OS thread, so nobody else may run there.
#[test]
fn no_switch_while_unwinding() {
    case("no_switch_while_unwinding", LIMIT, || {
        struct Waits(mpsc::Receiver<()>);
        impl Drop for Waits {
            fn drop(&mut self) {
                let _ = self.0.recv_timeout(Duration::from_millis(50));
            }
        }
        patched(|| {
            let poisoned = Arc::new(Mutex::new(()));
            let panics = thread::spawn(|| {
                let (_sender, receiver) = mpsc::channel();
                let _waits = Waits(receiver);
                panic!("as it should");
            });
            let other = thread::spawn({
                let poisoned = poisoned.clone();
                move || {
                    assert!(!std::thread::panicking());
                    drop(poisoned.lock().unwrap());
                }
            });
            assert!(panics.join().is_err());
            other.join().unwrap();
            assert!(!poisoned.is_poisoned());
            let pins = sward::patch::pins();
            assert!(
                pins.iter().any(|pin| pin.kind == sward::patch::PinKind::Unwinding),
                "{pins:?}"
            );
        });
    });
}

/// A signal handler never switches, whatever it calls.
#[test]
fn signal_handlers_do_not_switch() {
    case("signal_handlers_do_not_switch", LIMIT, || {
        static INSIDE: AtomicBool = AtomicBool::new(false);
        static SEEN: AtomicBool = AtomicBool::new(false);
        static WORD: AtomicU32 = AtomicU32::new(0);
        extern "C" fn handler(_: i32) {
            INSIDE.store(true, Ordering::SeqCst);
            let timeout = libc::timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            // SAFETY: a word and a time-out that live.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    (&raw const WORD).addr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    0,
                    (&raw const timeout).addr(),
                    0,
                    0,
                );
            }
            INSIDE.store(false, Ordering::SeqCst);
        }
        let handler: extern "C" fn(i32) = handler;
        // SAFETY: the handler makes one system call and touches atomics.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        patched(|| {
            let other = thread::spawn(|| {
                SEEN.store(INSIDE.load(Ordering::SeqCst), Ordering::SeqCst);
            });
            // SAFETY: to this very thread.
            unsafe { libc::raise(libc::SIGUSR1) };
            other.join().unwrap();
            assert!(!SEEN.load(Ordering::SeqCst), "another green thread ran inside the handler");
            let pins = sward::patch::pins();
            let pin = pins.iter().find(|pin| pin.kind == sward::patch::PinKind::SignalHandler);
            assert_eq!(pin.map(|pin| pin.count), Some(1), "{pins:?}");
            // And afterwards everything is as before.
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock().unwrap();
            let waiter = thread::spawn({
                let mutex = mutex.clone();
                move || drop(mutex.lock().unwrap())
            });
            thread::yield_now();
            drop(guard);
            waiter.join().unwrap();
        });
    });
}

/// A program that blocks signals for itself is not taken for a handler.
#[test]
fn blocked_signals_are_no_handler() {
    case("blocked_signals_are_no_handler", LIMIT, || {
        patched(|| {
            // SAFETY: a set of ours.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            unsafe { libc::sigaddset(&raw mut set, libc::SIGTERM) };
            // SAFETY: as above.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
            let cell = Arc::new(OnceLock::new());
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock().unwrap();
            let waiter = thread::spawn({
                let (mutex, cell) = (mutex.clone(), cell.clone());
                move || {
                    drop(mutex.lock().unwrap());
                    cell.set(()).unwrap();
                }
            });
            thread::yield_now();
            drop(guard);
            waiter.join().unwrap();
            assert!(cell.get().is_some());
            assert!(sward::patch::pins().is_empty(), "{:?}", sward::patch::pins());
        });
    });
}

/// A forked child has no hub: every call passes straight through there.
#[test]
fn forked_child_is_left_alone() {
    case("forked_child_is_left_alone", LIMIT, || {
        patched(|| {
            // SAFETY: the child makes system calls and leaves.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // A wait that would park: here it times out in the kernel.
                std::thread::park_timeout(Duration::from_millis(20));
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(7) };
            }
            let mut status = 0;
            // SAFETY: our child, and a status of ours.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(libc::WEXITSTATUS(status), 7);
        });
    });
}

/// Nothing is patched before `install`, nor for OS threads after it.
#[test]
fn inert_before_install() {
    case("inert_before_install", LIMIT, || {
        sward::Builder::new().workers(1).run(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let other = thread::spawn({
                let ran = ran.clone();
                move || ran.store(true, Ordering::SeqCst)
            });
            std::thread::park_timeout(Duration::from_millis(20));
            assert!(!ran.load(Ordering::SeqCst), "something is patched already");
            other.join().unwrap();
        });
    });
}

/// std's locks are not made to be unwound through: neither cancellation nor a time-out ends a wait for one. The next call
/// that can report it does.
#[test]
fn locks_are_not_unwound() {
    case("locks_are_not_unwound", LIMIT, || {
        patched(|| {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock().unwrap();
            let cancelled = thread::spawn({
                let mutex = mutex.clone();
                move || *mutex.lock().unwrap() += 1
            });
            let late = thread::spawn({
                let mutex = mutex.clone();
                move || {
                    let began = Instant::now();
                    let result = sward::timeout(Duration::from_millis(20), || {
                        *mutex.lock().unwrap() += 1;
                    });
                    (result, began.elapsed())
                }
            });
            thread::yield_now();
            cancelled.cancel();
            thread::sleep(Duration::from_millis(100));
            drop(guard);
            cancelled.join().unwrap();
            let (result, took) = late.join().unwrap();
            assert!(result.is_ok() && took >= Duration::from_millis(90), "{took:?}");
            assert_eq!(*mutex.lock().unwrap(), 2);
            assert!(!mutex.is_poisoned());
        });
    });
}

/// A thread-local borrowed across a wait is the OS thread's, so the next green thread finds it borrowed: a panic, nothing
/// worse. `pinned` is for such code.
#[test]
fn borrowed_thread_local() {
    case("borrowed_thread_local", LIMIT, || {
        thread_local! {
            static SHARED: std::cell::RefCell<u32> = const { std::cell::RefCell::new(0) };
        }
        fn add_slowly() {
            SHARED.with_borrow_mut(|n| {
                *n += 1;
                std::thread::park_timeout(Duration::from_millis(40));
            });
        }
        patched(|| {
            let threads: Vec<_> = (0..2).map(|_| thread::spawn(add_slowly)).collect();
            let ended: Vec<_> = threads.into_iter().map(|t| t.join().is_ok()).collect();
            assert_eq!(ended, [true, false], "the second one finds it borrowed");
            let threads: Vec<_> =
                (0..2).map(|_| thread::spawn(|| sward::patch::pinned(add_slowly))).collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(SHARED.with_borrow(|n| *n), 3);
        });
    });
}

/// What waits in std's locks cannot be cancelled: when the main green thread has ended, that does not take the whole
/// grace of 5 s.
#[test]
fn run_ends_with_somebody_in_a_lock() {
    case("run_ends_with_somebody_in_a_lock", LIMIT, || {
        static LOCK: Mutex<()> = Mutex::new(());
        let began = Instant::now();
        patched(|| {
            std::mem::forget(LOCK.lock().unwrap());
            thread::spawn(|| drop(LOCK.lock()));
            thread::spawn(std::thread::park);
            thread::yield_now();
        });
        assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
    });
}

/// More connections in one burst than std's backlog has room for.
#[test]
fn burst_of_connections() {
    case("burst_of_connections", LIMIT, || {
        patched(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let began = Instant::now();
            let clients: Vec<_> = (0..400)
                .map(|_| {
                    thread::spawn(move || {
                        let mut text = String::new();
                        let mut stream = std::net::TcpStream::connect(address).unwrap();
                        stream.read_to_string(&mut text).unwrap();
                        text
                    })
                })
                .collect();
            for _ in 0..400 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"hello").unwrap();
            }
            for client in clients {
                assert_eq!(client.join().unwrap(), "hello");
            }
            // What is dropped comes again after 1 s.
            assert!(began.elapsed() < Duration::from_millis(900), "took {:?}", began.elapsed());
        });
    });
}

/// A full stderr blocks the worker, too; and what is written to a file is written at once.
#[test]
fn install_says_where_it_reaches() {
    case("install_says_where_it_reaches", LIMIT, || {
        assert!(sward::patch::reaches_shared_libraries());
        patched(|| std::io::stderr().write_all(b"fine\n").unwrap());
    });
}
