//! LazyLock: made on first use, once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::LazyLock;
use super::rt::{case, thread};

#[test]
fn made_on_first_use() {
    case(|| {
        let runs = AtomicUsize::new(0);
        let lazy = LazyLock::new(|| {
            runs.fetch_add(1, SeqCst);
            92
        });
        assert_eq!(runs.load(SeqCst), 0);
        assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
        assert_eq!(*lazy - 30, 62);
        assert_eq!(*LazyLock::force(&lazy), 92);
        assert_eq!(runs.load(SeqCst), 1);
        assert_eq!(format!("{lazy:?}"), "LazyLock(92)");
    });
}

#[test]
fn one_value_for_all() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
        thread::yield_now();
        RUNS.fetch_add(1, SeqCst);
        vec!["one".to_string(), "two".to_string()]
    });
    case(|| {
        let all: Vec<_> = (0..8).map(|_| thread::spawn(|| WORDS.len())).collect();
        assert!(all.into_iter().all(|one| one.join().unwrap() == 2));
        assert_eq!(RUNS.load(SeqCst), 1);
    });
}

#[test]
fn panic_is_for_good() {
    case(|| {
        let lazy: LazyLock<String> = LazyLock::new(|| panic!("on purpose"));
        for _ in 0..2 {
            assert!(catch_unwind(AssertUnwindSafe(|| lazy.len())).is_err());
        }
    });
}

#[test]
fn default_and_drop() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    case(|| {
        assert_eq!(*LazyLock::<u8>::default(), 0);
        let drops = Arc::new(AtomicUsize::new(0));
        let counts = Counts(Arc::clone(&drops));
        // What the initialiser owns is dropped with it when it never ran.
        drop(LazyLock::new(move || counts));
        assert_eq!(drops.load(SeqCst), 1);
        let counts = Counts(Arc::clone(&drops));
        let lazy = LazyLock::new(move || counts);
        LazyLock::force(&lazy);
        assert_eq!(drops.load(SeqCst), 1);
        drop(lazy);
        assert_eq!(drops.load(SeqCst), 2);
    });
}
