//! spawn, join, Builder, names, ids, panics, sleep.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::rt::sync::mpsc::channel;
use super::rt::thread::{self, Builder, JoinHandle, Thread, ThreadId};
use super::rt::case;

#[test]
fn result_comes_back() {
    case(|| {
        assert_eq!(thread::spawn(|| 1 + 1).join().unwrap(), 2);
        thread::spawn(|| ()).join().unwrap();
        let text = String::from("moved in and out");
        assert_eq!(thread::spawn(move || text).join().unwrap(), "moved in and out");
    });
}

#[test]
fn many() {
    case(|| {
        let all: Vec<_> = (0..200u64).map(|n| thread::spawn(move || n * n)).collect();
        let sum: u64 = all.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(sum, (0..200).map(|n| n * n).sum::<u64>());
    });
}

#[test]
fn runs_without_being_joined() {
    case(|| {
        let (sender, receiver) = channel();
        drop(thread::spawn(move || sender.send(7).unwrap()));
        assert_eq!(receiver.recv(), Ok(7));
    });
}

#[test]
fn spawn_in_spawn() {
    case(|| {
        fn nest(depth: u32) -> u32 {
            match depth {
                0 => 0,
                _ => 1 + thread::spawn(move || nest(depth - 1)).join().unwrap(),
            }
        }
        assert_eq!(nest(20), 20);
    });
}

#[test]
fn panic_is_the_joiners() {
    case(|| {
        let text = thread::spawn(|| panic!("static text")).join().unwrap_err();
        assert_eq!(*text.downcast::<&'static str>().unwrap(), "static text");

        let owned = thread::spawn(|| panic!("made of {}", std::hint::black_box(7))).join().unwrap_err();
        assert_eq!(*owned.downcast::<String>().unwrap(), "made of 7");

        let any = thread::spawn(|| std::panic::panic_any(7u16)).join().unwrap_err();
        assert_eq!(*any.downcast::<u16>().unwrap(), 7);

        let boxed: Box<dyn Any + Send> = Box::new(juice());
        let again = thread::spawn(move || std::panic::resume_unwind(boxed)).join().unwrap_err();
        assert!(again.is::<u64>());
    });

    fn juice() -> u64 {
        413
    }
}

#[test]
fn panic_is_not_others() {
    case(|| {
        let (go, may_go) = channel::<()>();
        let steady = thread::spawn(move || {
            let _ = may_go.recv();
            5
        });
        assert!(thread::spawn(|| panic!("on purpose")).join().is_err());
        assert!(!std::thread::panicking());
        drop(go);
        assert_eq!(steady.join().unwrap(), 5);
    });
}

#[test]
fn panic_runs_destructors() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mine, captured) = (Counts(Arc::clone(&drops)), Counts(Arc::clone(&drops)));
        let result = thread::spawn(move || {
            let _captured = captured;
            let _mine = mine;
            panic!("on purpose");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(drops.load(SeqCst), 2);
    });
}

#[test]
fn result_is_dropped_unjoined() {
    struct Tells(super::rt::sync::mpsc::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    case(|| {
        let (sender, receiver) = channel();
        drop(thread::spawn(move || Tells(sender)));
        receiver.recv().unwrap();
    });
}

#[test]
fn finished_or_not() {
    case(|| {
        let (go, may_go) = channel::<()>();
        let handle = thread::spawn(move || {
            let _ = may_go.recv();
        });
        assert!(!handle.is_finished());
        drop(go);
        while !handle.is_finished() {
            thread::yield_now();
        }
        handle.join().unwrap();
    });
}

#[test]
fn names() {
    case(|| {
        let name = || thread::current().name().map(str::to_string);
        let named = Builder::new().name("a blade".into()).spawn(name).unwrap();
        assert_eq!(named.thread().name(), Some("a blade"));
        assert_eq!(named.join().unwrap().as_deref(), Some("a blade"));

        let unnamed = Builder::new().spawn(name).unwrap();
        assert_eq!(unnamed.thread().name(), None);
        assert_eq!(unnamed.join().unwrap(), None);
    });
}

#[test]
#[should_panic(expected = "interior null bytes")]
fn name_with_a_nul() {
    case(|| {
        let _ = Builder::new().name("no\0pe".into()).spawn(|| ());
    });
}

#[test]
fn stack_size_is_honoured() {
    #[inline(never)]
    fn deep(levels: usize) -> u8 {
        let frame = std::hint::black_box([levels as u8; 1024]);
        if levels == 0 { frame[0] } else { deep(levels - 1).wrapping_add(frame[1023]) }
    }
    case(|| {
        // A megabyte and more of frames.
        let big = Builder::new().stack_size(8 << 20).spawn(|| deep(1000)).unwrap();
        big.join().unwrap();
    });
}

#[test]
fn ids_differ() {
    case(|| {
        let mine = thread::current().id();
        let handle = thread::spawn(|| thread::current().id());
        let told = handle.thread().id();
        let theirs = handle.join().unwrap();
        assert_eq!(told, theirs);
        assert_ne!(mine, theirs);
        assert_eq!(mine, thread::current().id());
        let other = thread::spawn(|| thread::current().id()).join().unwrap();
        assert_ne!(theirs, other);
    });
}

#[test]
fn sleep_takes_its_time() {
    case(|| {
        let limit = Duration::from_millis(15);
        let start = Instant::now();
        thread::sleep(limit);
        assert!(start.elapsed() >= limit);
        thread::sleep(Duration::ZERO);
    });
}

#[test]
fn sleepers_sleep_at_once() {
    case(|| {
        const SLEEPERS: u32 = 40;
        let each = Duration::from_millis(50);
        let start = Instant::now();
        let all: Vec<_> = (0..SLEEPERS)
            .map(|_| {
                thread::spawn(move || {
                    let start = Instant::now();
                    thread::sleep(each);
                    assert!(start.elapsed() >= each);
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert!(start.elapsed() < each * SLEEPERS / 2);
    });
}

#[test]
fn yielding_lets_others_run() {
    case(|| {
        let turns = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&turns);
        let other = thread::spawn(move || theirs.fetch_add(1, SeqCst));
        // On one worker nothing but the yield lets the other run.
        while turns.load(SeqCst) == 0 {
            thread::yield_now();
        }
        other.join().unwrap();
    });
}

#[test]
fn marker_traits() {
    fn send_sync<T: Send + Sync>() {}
    send_sync::<JoinHandle<()>>();
    send_sync::<Thread>();
    send_sync::<ThreadId>();
}
