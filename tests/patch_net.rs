//! Patched calls on descriptors: std's own sockets and pipes, and what C programs call, on green threads.
//!
//! One worker in each, and the other end is a green thread of the same worker: a call that blocks it never ends, and
//! the child process with it is killed.

#![cfg(all(feature = "patch", target_os = "linux", target_env = "gnu"))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "patch_net/batch.rs"]
mod batch;
#[path = "patch_net/close.rs"]
mod close;
#[path = "patch_net/connect.rs"]
mod connect;
#[path = "patch_net/files.rs"]
mod files;
#[path = "patch_net/flags.rs"]
mod flags;
#[path = "patch_net/limits.rs"]
mod limits;
#[path = "patch_net/listener.rs"]
mod listener;
#[path = "patch_net/locks.rs"]
mod locks;
mod patch_support;
#[path = "patch_net/pipe.rs"]
mod pipe;
#[path = "patch_net/stream.rs"]
mod stream;
#[path = "patch_net/transfer.rs"]
mod transfer;
#[path = "patch_net/udp.rs"]
mod udp;
#[path = "patch_net/unix.rs"]
mod unix;

use std::cell::Cell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use patch_support::{case, patched};
use sward::patch::{PinKind, pins};
use sward::thread;

const SECOND: Duration = Duration::from_secs(1);
/// For a child process, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);
/// More than any buffer of the kernel's holds.
const BIG: usize = 8 << 20;

/// Runs `body` on a green thread of the only worker, in a child process, with the patch installed.
fn alone(name: &str, body: fn()) {
    case(name, LIMIT, || patched(body));
}

/// Runs `f`, and says how often a neighbour on the same worker ran meanwhile, which wants to every millisecond.
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
                thread::sleep(TICK);
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

/// Runs `f`, which must not let a neighbour run.
fn at_once<T>(f: impl FnOnce() -> T) -> T {
    let (result, ran) = beside(f);
    assert_eq!(ran, 0, "it let others run");
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

/// The same while an OS thread does `act`: for calls that may block the worker.
fn while_os_thread<T>(act: impl FnOnce() + Send + 'static, f: impl FnOnce() -> T) -> T {
    let other = std::thread::spawn(move || {
        std::thread::sleep(50 * TICK);
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

/// Two ends of a TCP connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    (client, listener.accept().unwrap().0)
}

/// As the call says, with errno if it failed.
fn outcome(result: isize) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| errno())
}

fn recv(fd: &impl AsRawFd, buf: &mut [u8], flags: i32) -> Result<usize, i32> {
    // SAFETY: writes to `buf` only.
    outcome(unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) })
}

fn send(fd: &impl AsRawFd, buf: &[u8], flags: i32) -> Result<usize, i32> {
    // SAFETY: reads `buf` only.
    outcome(unsafe { libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) })
}

fn read(fd: i32, buf: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: writes to `buf` only.
    outcome(unsafe { libc::read(fd, buf.as_mut_ptr().cast(), buf.len()) })
}

fn write(fd: i32, buf: &[u8]) -> Result<usize, i32> {
    // SAFETY: reads `buf` only.
    outcome(unsafe { libc::write(fd, buf.as_ptr().cast(), buf.len()) })
}

/// A file of the kernel's that nobody else has.
fn opened(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "errno {}", errno());
    // SAFETY: just opened, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The status flags, by the hook.
fn flags(fd: &impl AsRawFd) -> i32 {
    // SAFETY: asks only.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }
}

/// Whether the kernel has O_NONBLOCK for it, whatever the hook says.
fn kernel_nonblocking(fd: &impl AsRawFd) -> bool {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = std::fs::read_to_string(path).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_NONBLOCK != 0
}

/// Sets SO_RCVTIMEO or SO_SNDTIMEO.
fn set_timeout(fd: &impl AsRawFd, name: i32, timeout: Duration) {
    let value = libc::timeval {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_usec: timeout.subsec_micros().into(),
    };
    let size = size_of::<libc::timeval>() as libc::socklen_t;
    let (fd, level) = (fd.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: reads `value`.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) };
    assert_eq!(result, 0);
}

/// Bytes that tell where they were.
fn pattern(len: usize) -> Vec<u8> {
    let piece: Vec<u8> = (0..251).collect();
    let mut all = piece.repeat(len / piece.len() + 1);
    all.truncate(len);
    all
}

/// Reads to the end on a green thread, and gives it to `join`.
fn drain(mut from: impl io::Read + 'static) -> thread::LocalJoinHandle<Vec<u8>> {
    thread::spawn_local(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

fn later(since: Instant, at_least: Duration) {
    assert!(since.elapsed() >= at_least, "after {:?} already", since.elapsed());
}

/// Runs `f`, which mostly waits, and must not wake up again and again meanwhile.
fn idle<T>(f: impl FnOnce() -> T) -> T {
    let before = sward::stats().switches;
    let result = f();
    let switches = sward::stats().switches - before;
    assert!(switches < 1000, "{switches} switches");
    result
}

/// A system call that no hook sees, as crates make them that go round libc. libc's `syscall` is hooked, but for
/// futexes only.
fn unseen(number: libc::c_long, a: i32, b: i32, c: i32) {
    // SAFETY: the callers' numbers touch no memory.
    assert!(unsafe { libc::syscall(number, a, b, c) } >= 0, "errno {}", errno());
}
