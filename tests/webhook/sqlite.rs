//! The SQLite store passes the battery, in a file and in memory; and what only files have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sward::webhook::store::{Durability, SqliteOptions, SqliteStore, Store};
use sward::webhook::{DeliveryState, EndpointState};

use crate::battery::{self, at, claim, publish, register, state};

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("sward-webhook-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("webhooks.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

macro_rules! in_a_file {
    ($subject:ident::$case:ident) => {
        #[test]
        fn $case() {
            let folder = super::Folder::new();
            // The calls are what is tested here, not the disk.
            let options = SqliteOptions::new().durability(Durability::Normal);
            battery::run(
                || Arc::new(options.open(folder.file()).unwrap()),
                battery::$subject::$case,
            );
        }
    };
}

macro_rules! in_memory {
    ($subject:ident::$case:ident) => {
        #[test]
        fn $case() {
            battery::run(|| Arc::new(SqliteStore::in_memory().unwrap()), battery::$subject::$case);
        }
    };
}

mod file {
    use super::*;
    battery::each_case!(in_a_file);
}

mod memory {
    use super::*;
    battery::each_case!(in_memory);
}

#[test]
fn many_random_calls_have_the_same_answers() {
    // One is enough to run on; each seed has a new one.
    battery::run(
        || Arc::new(SqliteStore::in_memory().unwrap()),
        |_| {
            for seed in 1..=12 {
                let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
                battery::model::compare(&store, seed, 1_000);
            }
        },
    );
}

#[test]
fn a_file_is_open_once() {
    let folder = Folder::new();
    sward::run(|| {
        let first = SqliteStore::open(folder.file()).unwrap();
        let refused = SqliteStore::open(folder.file()).unwrap_err().to_string();
        assert!(refused.contains("open already"), "{refused}");
        // By another name it is the same.
        let link = folder.0.join("link.db");
        std::os::unix::fs::symlink(folder.file(), &link).unwrap();
        SqliteStore::open(&link).unwrap_err();
        let through = folder.0.join("..").join(folder.0.file_name().unwrap()).join("webhooks.db");
        SqliteStore::open(through).unwrap_err();
        drop(first);
        // Dropping has waited for the end.
        drop(SqliteStore::open(&link).unwrap());
        let second = SqliteStore::open(folder.file()).unwrap();
        let waiting = sward::thread::spawn({
            let file = folder.file();
            move || SqliteOptions::new().wait(Duration::from_secs(30)).open(file)
        });
        sward::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(second);
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    sward::run(|| {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.file()).unwrap());
        register(&store, "a", &[("k", "1")]);
        for end in ["", "-wal", "-shm", "-lock"] {
            let path = format!("{}{end}", folder.file().display());
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path}");
        }
    });
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = Folder::new();
    sward::run(|| {
        std::fs::write(folder.file(), "this is not a database, it is a letter to somebody")
            .unwrap();
        SqliteStore::open(folder.file()).unwrap_err();
        let letter = std::fs::read(folder.file()).unwrap();
        assert!(letter.starts_with(b"this is not"), "and it is left alone");
        SqliteStore::open(folder.0.join("none").join("webhooks.db")).unwrap_err();
        SqliteStore::open(&folder.0).unwrap_err();
    });
}

#[test]
fn what_was_claimed_is_due_when_it_is_opened_again() {
    let folder = Folder::new();
    sward::run(|| {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.file()).unwrap());
        let [a, b, off] = ["a", "b", "off"].map(|name| register(&store, name, &[("k", "1")]));
        battery::set_ordered(&store, &b, true);
        publish(&store, "m", at(10), &[("k", "1")]);
        publish(&store, "n", at(20), &[("k", "1")]);
        for id in [&a, &b, &off] {
            claim(&store, id, at(10), at(1_000_000), 1);
        }
        let gone = EndpointState::Disabled { why: "gone".into(), at: at(30) };
        battery::set_state(&store, &off, gone);
        assert_eq!(store.next_due().unwrap(), Some(at(20)));
        drop(store);

        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.file()).unwrap());
        assert_eq!(store.next_due().unwrap(), Some(at(10)));
        assert_eq!(store.due(at(10), &[], 9).unwrap(), [a.clone(), b.clone()]);
        assert_eq!(claim(&store, &a, at(10), at(100), 9), ["m"]);
        assert_eq!(claim(&store, &b, at(10), at(100), 9), ["m"]);
        assert_eq!(state(&store, "m", "off"), DeliveryState::Dead);
        assert_eq!(store.totals(None).unwrap().in_flight, 2);
    });
}

#[test]
fn a_caller_that_gives_up_disturbs_nobody() {
    let folder = Folder::new();
    sward::run(|| {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.file()).unwrap());
        register(&store, "a", &[("k", "1")]);
        let tries: Vec<_> = (0..40)
            .map(|n| {
                let store = store.clone();
                sward::thread::spawn(move || {
                    let soon = Duration::from_micros(n * 40);
                    let _ = sward::timeout(soon, || {
                        publish(&store, &format!("m{n}"), at(1), &[("k", "1")]);
                        store.totals(None).unwrap();
                    });
                })
            })
            .collect();
        for one in tries {
            one.join().unwrap();
        }
        publish(&store, "last", at(2), &[("k", "1")]);
        let totals = store.totals(None).unwrap();
        assert_eq!(totals.messages, totals.pending, "each whole or not at all");
    });
}
