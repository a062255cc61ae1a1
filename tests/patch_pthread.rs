//! pthread's locks, conditions, semaphores and `pthread_once`, called by a C library from green threads and OS threads.
//!
//! One worker in most, and whoever ends a wait is a green thread of the same worker: a call that blocks it never ends,
//! and the child process with it is killed.

#![cfg(all(feature = "patch", target_os = "linux", target_env = "gnu"))]
#![cfg(not(target_feature = "crt-static"))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "patch_pthread/cond.rs"]
mod cond;
#[path = "patch_pthread/mutex.rs"]
mod mutex;
#[path = "patch_pthread/native.rs"]
mod native;
mod patch_support;
#[path = "patch_pthread/rest.rs"]
mod rest;
#[path = "patch_pthread/stress.rs"]
mod stress;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patch_support::{case, patched};
use sward::patch::{PinKind, pins};
use sward::thread;

const LIMIT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(1);

/// Runs `body` on a green thread of the only worker, in a child process, with the patch installed.
fn alone(name: &str, body: fn()) {
    case(name, LIMIT, || {
        native::load();
        patched(body);
    });
}

/// Sleeps, and lets others run.
fn pause(ticks: u32) {
    thread::sleep(ticks * TICK);
}

fn errno() -> i32 {
    // SAFETY: takes nothing.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    unsafe { *at }
}

fn set_errno(value: i32) {
    // SAFETY: takes nothing.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    unsafe { *at = value };
}

/// Runs `f`, and says how often a neighbour on the same worker ran meanwhile.
fn beside<T>(f: impl FnOnce() -> T) -> (T, u32) {
    let ticks = Rc::new(Cell::new(0));
    let over = Rc::new(Cell::new(false));
    let neighbour = {
        let (ticks, over) = (ticks.clone(), over.clone());
        thread::spawn_local(move || {
            while !over.get() {
                ticks.set(ticks.get() + 1);
                // What the hooks must keep errno from.
                set_errno(libc::E2BIG);
                thread::sleep(TICK);
            }
        })
    };
    let result = f();
    over.set(true);
    let ran = ticks.get();
    neighbour.join().unwrap();
    (result, ran)
}

/// Runs each of `bodies` on a green thread of this worker, to the end.
fn together(bodies: Vec<Box<dyn FnOnce()>>) {
    let threads: Vec<_> = bodies.into_iter().map(thread::spawn_local).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// How many are in a section, and how many there were at most.
#[derive(Clone, Default)]
struct Section {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Section {
    /// Goes in, does `f` and comes out.
    fn visit(&self, f: impl FnOnce()) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        f();
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A lock that was long waited for goes from one to the next at once: they are woken, and do not merely look now and
/// then, which by now would be every quarter of a second.
fn handed_on(take: impl Fn() -> i32 + Copy + 'static, give: impl Fn() -> i32 + Copy + 'static) {
    assert_eq!(take(), 0);
    let waiters: Vec<_> = (0..12)
        .map(|_| {
            thread::spawn_local(move || {
                assert_eq!(take(), 0);
                pause(1);
                assert_eq!(give(), 0);
            })
        })
        .collect();
    pause(600);
    let began = Instant::now();
    assert_eq!(give(), 0);
    waiters.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

fn pinned(kind: PinKind) -> u64 {
    pins().iter().filter(|pin| pin.kind == kind).map(|pin| pin.count).sum()
}

/// Waits until `what` holds, and lets others run.
fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < LIMIT, "it never comes");
        thread::sleep(TICK);
    }
}

#[test]
fn the_hooks_reach_the_library() {
    alone("the_hooks_reach_the_library", || {
        assert!(sward::patch::reaches_shared_libraries());
    });
}
