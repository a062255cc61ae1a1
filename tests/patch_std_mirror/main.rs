//! The bodies of `tests/std_mirror` a third time: on std's own types, with the patch installed and green threads under them.
//!
//! Nothing of sward is in the bodies but, in some flavours, who starts the threads. What passed on std must pass here:
//!
//! | module | primitives and sockets | the body runs on | its threads are | workers |
//! |---|---|---|---|---|
//! | `on_os` | std's | an OS thread | std's | none: the patch is installed, and changes nothing |
//! | `on_std` | std's | a green thread | std's | 1 |
//! | `on_green` | std's | a green thread | green | 1 |
//! | `on_two` | std's | a green thread | green | 2 |
//! | `on_mixed` | std's | a green thread | every other one green, every other one std's | 1 |
//! | `on_park_word` | std's `park` and `unpark` | a green thread | green, and share one std `Thread` | 1 |
//!
//! Left out where green threads are on both sides: `mpsc` and `mpsc_sync`, which is a fact about std and not about the patch
//! (DESIGN.md section 5, rule 8). What happens instead is in `tests/patch_sync.rs`, `std_mpsc_between_green_threads_is_named`.

// The point of this file is to compile each body several times, and the bodies are there to call what src must not.
#![allow(clippy::duplicate_mod, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../std_mirror/alarm.rs"]
mod alarm;

macro_rules! sync_bodies {
    () => {
        #[path = "../std_mirror/sync/barrier.rs"]
        mod barrier;
        #[path = "../std_mirror/sync/condvar.rs"]
        mod condvar;
        #[path = "../std_mirror/sync/lazy_lock.rs"]
        mod lazy_lock;
        #[path = "../std_mirror/sync/mutex.rs"]
        mod mutex;
        #[path = "../std_mirror/sync/once.rs"]
        mod once;
        #[path = "../std_mirror/sync/once_lock.rs"]
        mod once_lock;
        #[path = "../std_mirror/sync/rwlock.rs"]
        mod rwlock;
    };
}

macro_rules! channel_bodies {
    () => {
        #[path = "../std_mirror/sync/mpsc.rs"]
        mod mpsc;
        #[path = "../std_mirror/sync/mpsc_sync.rs"]
        mod mpsc_sync;
    };
}

macro_rules! thread_bodies {
    () => {
        #[path = "../std_mirror/thread/park.rs"]
        mod park;
        #[path = "../std_mirror/thread/scope.rs"]
        mod scope;
        #[path = "../std_mirror/thread/spawn.rs"]
        mod spawn;
    };
}

macro_rules! net_bodies {
    () => {
        #[path = "../std_mirror/net/tcp.rs"]
        mod tcp;
        #[path = "../std_mirror/net/tcp_options.rs"]
        mod tcp_options;
        #[path = "../std_mirror/net/udp.rs"]
        mod udp;
        #[path = "../std_mirror/net/unix.rs"]
        mod unix;
    };
}

mod on_green;
mod on_mixed;
mod on_os;
mod on_park_word;
mod on_std;
mod on_two;

/// Installs the patch, the first time.
fn patched() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: everything here is std's, sward's and the bodies', which keep nothing in thread-locals across a wait.
    ONCE.call_once(|| unsafe { sward::patch::install() }.expect("the patch can be installed"));
}

/// Runs a body on a green thread, under the patch and the alarm.
fn green(workers: usize, body: impl FnOnce() + Send + 'static) {
    patched();
    alarm::watch(|| sward::Builder::new().workers(workers).run(body));
}
