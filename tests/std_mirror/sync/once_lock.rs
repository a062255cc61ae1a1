//! OnceLock: written once, read by all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::OnceLock;
use super::rt::{case, thread};

#[test]
fn set_and_get() {
    case(|| {
        let mut cell = OnceLock::new();
        assert_eq!(cell.get(), None);
        assert_eq!(cell.get_mut(), None);
        assert_eq!(cell.set(1), Ok(()));
        assert_eq!(cell.set(2), Err(2));
        assert_eq!(cell.get(), Some(&1));
        *cell.get_mut().unwrap() = 3;
        assert_eq!(*cell.get_or_init(|| unreachable!()), 3);
        assert_eq!(cell.take(), Some(3));
        assert_eq!(cell.take(), None);
        assert_eq!(cell.set(4), Ok(()));
        assert_eq!(cell.into_inner(), Some(4));
    });
}

#[test]
fn one_value_for_all() {
    static CELL: OnceLock<usize> = OnceLock::new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    case(|| {
        let all: Vec<_> = (0..8)
            .map(|n| {
                thread::spawn(move || {
                    *CELL.get_or_init(|| {
                        thread::yield_now();
                        RUNS.fetch_add(1, SeqCst);
                        n
                    })
                })
            })
            .collect();
        let values: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(values.iter().all(|value| Some(value) == CELL.get()));
        assert_eq!(RUNS.load(SeqCst), 1);
    });
}

#[test]
fn panic_leaves_it_empty() {
    case(|| {
        let cell: OnceLock<String> = OnceLock::new();
        let result = catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("on purpose"))));
        assert!(result.is_err());
        assert_eq!(cell.get(), None);
        assert_eq!(cell.get_or_init(|| "hello".to_string()), "hello");
    });
}

#[test]
fn wait_for_a_value() {
    case(|| {
        let cell = Arc::new(OnceLock::new());
        let theirs = Arc::clone(&cell);
        let waiter = thread::spawn(move || *theirs.wait());
        for _ in 0..10 {
            thread::yield_now();
        }
        cell.set(5).unwrap();
        assert_eq!(waiter.join().unwrap(), 5);
    });
}

#[test]
fn drops_its_value_once() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let cell = OnceLock::new();
        assert!(cell.set(Counts(Arc::clone(&drops))).is_ok());
        drop(cell);
        assert_eq!(drops.load(SeqCst), 1);
        drop(OnceLock::<Counts>::new());
        assert_eq!(drops.load(SeqCst), 1);
    });
}

#[test]
fn clones_and_compares() {
    case(|| {
        let (empty, full) = (OnceLock::<i32>::default(), OnceLock::from(1));
        assert_eq!(empty, empty.clone());
        assert_eq!(full, full.clone());
        assert_ne!(empty, full);
        assert_eq!(format!("{empty:?} {full:?}"), "OnceLock(<uninit>) OnceLock(1)");
    });
}
