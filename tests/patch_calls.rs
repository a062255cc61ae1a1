//! Patched calls that wait without reading or writing: poll and its kin, sleeping, names, child processes, join.
//!
//! One worker in each, and whoever ends the wait is a green thread of the same worker: a call that blocks it never
//! ends, and the child process with it is killed.

#![cfg(all(feature = "patch", target_os = "linux", target_env = "gnu"))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "patch_calls/dns.rs"]
mod dns;
#[path = "patch_calls/epoll.rs"]
mod epoll;
#[path = "patch_calls/join.rs"]
mod join;
mod patch_support;
#[path = "patch_calls/poll.rs"]
mod poll;
#[path = "patch_calls/process.rs"]
mod process;
#[path = "patch_calls/select.rs"]
mod select;
#[path = "patch_calls/time.rs"]
mod time;
#[path = "patch_calls/wait.rs"]
mod wait;

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use patch_support::{case, patched};
use sward::patch::{PinKind, pins};
use sward::thread;

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

/// Runs `body` on a green thread of the only worker, in a child process, with the patch installed.
fn alone(name: &str, body: fn()) {
    case(name, 30 * SECOND, || patched(body));
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
                // Whatever a hook keeps of errno, this is what it must keep it from.
                set_errno(libc::E2BIG);
                // It can run when `f` begins; later on, the worker is to sleep.
                if ticks.get() < 5 { thread::yield_now() } else { thread::sleep(TICK) }
            }
        })
    };
    thread::yield_now();
    let before = ticks.get();
    let result = f();
    let ran = ticks.get() - before;
    over.set(true);
    neighbour.join().unwrap();
    (result, ran)
}

/// Runs `f`, which must let a neighbour run.
fn cooperative<T>(f: impl FnOnce() -> T) -> T {
    let (result, ran) = beside(f);
    assert!(ran > 0, "nobody else ran");
    result
}

/// Runs `f` while a neighbour on the same worker waits a while and then does `act`.
fn while_another<T>(act: impl FnOnce() + 'static, f: impl FnOnce() -> T) -> T {
    let other = thread::spawn_local(move || {
        thread::sleep(20 * TICK);
        act();
    });
    let result = f();
    other.join().unwrap();
    result
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap()
}

fn set_errno(value: i32) {
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own.
    unsafe { *errno = value };
}

/// What the pins of `kind` count.
fn pinned(kind: PinKind) -> u64 {
    pins().iter().find(|pin| pin.kind == kind).map_or(0, |pin| pin.count)
}

/// The CPU time of the calling OS thread.
fn cpu() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// How many threads the pool has.
fn pool_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("sward-block")).count()
}

/// A pipe: the end to read from, and the end to write to.
fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: just opened, and nobody else's.
    ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }).into()
}

/// Writes one byte, without a hook in the way.
fn poke(end: &OwnedFd) {
    // SAFETY: one byte to read.
    let wrote = unsafe {
        libc::pwritev2(
            end.as_raw_fd(),
            &libc::iovec { iov_base: (&raw const TO_SEND).cast_mut().cast(), iov_len: 1 },
            1,
            -1,
            0,
        )
    };
    assert_eq!(wrote, 1);
}

static TO_SEND: u8 = b'x';

/// Checks that `f` takes about as long as it should: not less, and not as long as it must not.
fn takes<T>(least: Duration, less_than: Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = f();
    let took = start.elapsed();
    assert!(took >= least && took < less_than, "took {took:?}");
    result
}
