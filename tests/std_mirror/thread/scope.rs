//! scope: borrowing, joining at the end, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::thread::{self, Builder, scope};
use super::rt::case;

#[test]
fn borrows() {
    case(|| {
        let mut numbers = vec![1, 2, 3];
        let mut sum = 0;
        scope(|s| {
            s.spawn(|| assert_eq!(numbers.len(), 3));
            s.spawn(|| sum += numbers.iter().sum::<i32>());
        });
        numbers.push(sum);
        assert_eq!(numbers, [1, 2, 3, 6]);
    });
}

#[test]
fn ends_when_all_have_ended() {
    case(|| {
        let ended = AtomicUsize::new(0);
        scope(|s| {
            for n in 0..10 {
                let ended = &ended;
                s.spawn(move || {
                    for _ in 0..n {
                        thread::yield_now();
                    }
                    ended.fetch_add(1, SeqCst);
                });
            }
        });
        assert_eq!(ended.load(SeqCst), 10);
    });
}

#[test]
fn results() {
    case(|| {
        let words = ["one", "three"];
        let total = scope(|s| {
            let all = words.map(|word| s.spawn(move || word.len()));
            all.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
        });
        assert_eq!(total, 8);
    });
}

#[test]
fn spawn_inside() {
    case(|| {
        let count = AtomicUsize::new(0);
        scope(|s| {
            s.spawn(|| {
                count.fetch_add(1, SeqCst);
                s.spawn(|| count.fetch_add(1, SeqCst));
            });
        });
        assert_eq!(count.load(SeqCst), 2);
    });
}

#[test]
fn unjoined_panic_is_the_scopes() {
    case(|| {
        let ended = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| panic!("on purpose"));
                s.spawn(|| ended.fetch_add(1, SeqCst));
            });
        }));
        let payload = result.unwrap_err();
        assert_eq!(*payload.downcast::<&'static str>().unwrap(), "a scoped thread panicked");
        assert_eq!(ended.load(SeqCst), 1);
    });
}

#[test]
fn joined_panic_is_the_joiners() {
    case(|| {
        scope(|s| {
            let payload = s.spawn(|| panic!("on purpose")).join().unwrap_err();
            assert_eq!(*payload.downcast::<&'static str>().unwrap(), "on purpose");
        });
    });
}

#[test]
fn panic_in_the_body_still_joins() {
    case(|| {
        let ended = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| {
                    for _ in 0..10 {
                        thread::yield_now();
                    }
                    ended.fetch_add(1, SeqCst)
                });
                panic!("on purpose");
            });
        }));
        let payload = result.unwrap_err();
        assert_eq!(*payload.downcast::<&'static str>().unwrap(), "on purpose");
        assert_eq!(ended.load(SeqCst), 1);
    });
}

#[test]
fn finished_or_not() {
    case(|| {
        scope(|s| {
            let handle = s.spawn(|| ());
            while !handle.is_finished() {
                thread::yield_now();
            }
            handle.join().unwrap();
        });
    });
}

#[test]
fn named() {
    case(|| {
        scope(|s| {
            let name = || thread::current().name().map(str::to_string);
            let handle = Builder::new().name("inner".into()).spawn_scoped(s, name).unwrap();
            assert_eq!(handle.thread().name(), Some("inner"));
            assert_eq!(handle.join().unwrap().as_deref(), Some("inner"));
        });
    });
}
