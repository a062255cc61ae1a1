//! The same tests on std and on sward: what the names promise is what std does.
//!
//! Each body under `sync/`, `thread/` and `net/` is written once, against a module `rt` that its parent provides, and is
//! compiled into one parent per flavour:
//!
//! | module | primitives | threads | workers |
//! |---|---|---|---|
//! | `on_std` | std's | std's | |
//! | `on_green` | sward's | green | 1 |
//! | `on_two` | sward's | green | 2 |
//! | `on_os` | sward's | OS threads, no runtime | |
//! | `on_mixed` | sward's | every other one green, every other one an OS thread | 1 |
//!
//! `on_std` keeps the bodies honest: whatever fails there is wrong in the test. A body may use nothing that std lacks; what
//! only sward has is tested in `tests/sync_*.rs` and `tests/gevent.rs`.
//!
//! Left out, because sward has no such thing yet: `ReentrantLock`, mapped guards, `mpmc`, `thread::available_parallelism` (std's
//! is as good), `thread_local!` (`green_local!` is tested in `tests/gevent.rs`).

// The point of this file is to compile each body several times, and the bodies are there to call what src must not.
#![allow(clippy::duplicate_mod, clippy::disallowed_methods, clippy::disallowed_types)]

mod alarm;

macro_rules! sync_bodies {
    () => {
        #[path = "sync/barrier.rs"]
        mod barrier;
        #[path = "sync/condvar.rs"]
        mod condvar;
        #[path = "sync/lazy_lock.rs"]
        mod lazy_lock;
        #[path = "sync/mpsc.rs"]
        mod mpsc;
        #[path = "sync/mpsc_sync.rs"]
        mod mpsc_sync;
        #[path = "sync/mutex.rs"]
        mod mutex;
        #[path = "sync/once.rs"]
        mod once;
        #[path = "sync/once_lock.rs"]
        mod once_lock;
        #[path = "sync/rwlock.rs"]
        mod rwlock;
    };
}

macro_rules! thread_bodies {
    () => {
        #[path = "thread/park.rs"]
        mod park;
        #[path = "thread/scope.rs"]
        mod scope;
        #[path = "thread/spawn.rs"]
        mod spawn;
    };
}

macro_rules! net_bodies {
    () => {
        #[path = "net/tcp.rs"]
        mod tcp;
        #[path = "net/tcp_options.rs"]
        mod tcp_options;
        #[path = "net/udp.rs"]
        mod udp;
        #[path = "net/unix.rs"]
        mod unix;
    };
}

mod on_green;
mod on_mixed;
mod on_os;
mod on_std;
mod on_two;
