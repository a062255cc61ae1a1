//! What the kernel does not say about a descriptor: who is parked on it, and whether it was closed meanwhile; and its
//! kind, remembered.
//!
//! Everything else is asked from the kernel when it matters. Programs change O_NONBLOCK and time-outs by calls that no
//! hook sees (crates that make system calls themselves), so a copy of ours would be wrong one day.
//!
//! A table by number, in chunks that are allocated once and stay; reading it takes no lock.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use libc::c_int;

use super::errno;
use super::raw::syscall;
use crate::hub::Thread;
use crate::list::{Linked, Links, List};
use crate::sys::Lock;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A socket: MSG_DONTWAIT works.
    Socket = 1,
    /// A pipe or FIFO.
    Pipe,
    /// An eventfd, timerfd, epoll, a device and the like: can perhaps be waited for.
    Other,
    /// A terminal.
    Terminal,
    /// A regular file, a directory: never "not ready".
    File,
}

const KINDS: [Kind; 5] = [Kind::Socket, Kind::Pipe, Kind::Other, Kind::Terminal, Kind::File];

struct Entry {
    /// 0: not looked at yet.
    kind: AtomicU8,
    /// One more with every close.
    generation: AtomicU32,
    /// Green threads that are parked on it, on any worker.
    waiters: AtomicU32,
}

const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;
type Chunk = [Entry; CHUNK];

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];

/// Who is parked on which number; by number modulo 64. Intrusive, as nothing may be allocated under a lock: an allocator
/// that is built on pthread's mutexes would come back to the patch.
static PARKED: [Lock<Queue>; 64] = [const { Lock::new(Queue(List::new())) }; 64];

struct Queue(List<Parked>);

// SAFETY: the list is used under its lock only, and its nodes stay until they are off it.
unsafe impl Send for Queue {}

/// The entry of `fd`, if anything was ever noted there. `None` too for numbers beyond a million.
fn look(fd: c_int) -> Option<&'static Entry> {
    let at = usize::try_from(fd).ok()?;
    let chunk = TABLE.get(at / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: null, or a chunk that `entry` leaked.
    unsafe { chunk.as_ref() }?.get(at % CHUNK)
}

/// The entry of `fd`, made if there is none.
fn entry(fd: c_int) -> Option<&'static Entry> {
    if let Some(entry) = look(fd) {
        return Some(entry);
    }
    let at = usize::try_from(fd).ok()?;
    let slot = TABLE.get(at / CHUNK)?;
    let fresh: Box<Chunk> = Box::new(
        [const {
            Entry {
                kind: AtomicU8::new(0),
                generation: AtomicU32::new(0),
                waiters: AtomicU32::new(0),
            }
        }; CHUNK],
    );
    let fresh = Box::into_raw(fresh);
    let old = slot.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
    if old.is_err() {
        // SAFETY: nobody else has seen it.
        drop(unsafe { Box::from_raw(fresh) });
    }
    look(fd)
}

/// What `fd` is. `File` if it is nothing: the real call says what is wrong with it.
pub(super) fn kind(fd: c_int) -> Kind {
    let Some(entry) = entry(fd) else { return Kind::File };
    let known = entry.kind.load(Ordering::Relaxed);
    if let Some(kind) = KINDS.iter().find(|kind| **kind as u8 == known) {
        return *kind;
    }
    let _errno = errno::keep();
    // SAFETY: all zeroes are a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: writes to `stat` only.
    if unsafe { libc::fstat(fd, &raw mut stat) } != 0 {
        return Kind::File; // and not remembered: the number may be given out any time
    }
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFIFO => Kind::Pipe,
        // SAFETY: asks only.
        libc::S_IFCHR if unsafe { libc::isatty(fd) } == 1 => Kind::Terminal,
        // Devices, and what has no type: event descriptors.
        libc::S_IFCHR | 0 => Kind::Other,
        _ => Kind::File,
    };
    // The others show it when the number has become something else behind our back (ENOTSOCK, EAGAIN); a socket that is
    // taken for a file would block the worker and say nothing.
    if kind != Kind::File {
        entry.kind.store(kind as u8, Ordering::Relaxed);
    }
    kind
}

/// The kind was wrong: the number has a new meaning that no hook has seen.
pub(super) fn mistaken(fd: c_int) {
    if let Some(entry) = look(fd) {
        entry.kind.store(0, Ordering::Relaxed);
    }
}

/// The status flags of the open file, 0 if there is none. By the bare system call: fcntl is hooked.
pub(super) fn kernel_flags(fd: c_int) -> c_int {
    let _errno = errno::keep();
    // SAFETY: asks only.
    let flags: c_int = unsafe { syscall!(libc::SYS_fcntl, fd, libc::F_GETFL) };
    flags.max(0)
}

/// Puts `fd` into O_NONBLOCK (or takes it out again), by the bare system call. False if that cannot be done.
pub(super) fn set_kernel_nonblocking(fd: c_int, on: bool) -> bool {
    let _errno = errno::keep();
    let flags = kernel_flags(fd);
    let wanted = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    // SAFETY: changes a flag, no memory.
    let result: c_int = unsafe { syscall!(libc::SYS_fcntl, fd, libc::F_SETFL, wanted) };
    result == 0
}

/// The number is about to lose its meaning: whoever is parked on it is woken and finds it closed.
///
/// Before the close: afterwards the number may be somebody else's.
#[inline]
pub(super) fn forget(fd: c_int) {
    if let Some(entry) = look(fd) {
        forget_entry(fd, entry);
    }
}

/// As `forget`, for every number of a range.
pub(super) fn forget_range(first: u32, last: u32) {
    let end = last.min((CHUNK * CHUNKS) as u32 - 1);
    let mut fd = first;
    while fd <= end {
        let at = fd as usize / CHUNK;
        if TABLE.get(at).is_some_and(|slot| slot.load(Ordering::Acquire).is_null()) {
            fd = ((at + 1) * CHUNK) as u32;
            continue;
        }
        forget(fd as c_int);
        fd += 1;
    }
}

fn forget_entry(fd: c_int, entry: &Entry) {
    if entry.waiters.load(Ordering::SeqCst) != 0 && is_vforked() {
        return; // the numbers of a child that shares our memory are not ours
    }
    entry.kind.store(0, Ordering::Relaxed);
    entry.generation.fetch_add(1, Ordering::SeqCst);
    if entry.waiters.load(Ordering::SeqCst) != 0 {
        wake_all(fd);
    }
}

#[cold]
fn wake_all(fd: c_int) {
    let Some(parked) = PARKED.get(fd as usize % PARKED.len()) else { return };
    parked.lock().0.for_each(|parked| {
        // SAFETY: on the list, hence alive while we hold the lock.
        let parked = unsafe { &*parked };
        if parked.fd == fd {
            parked.thread.wake();
        }
    });
}

/// Whether this is a child of vfork(2), by the kernel's answer.
fn is_vforked() -> bool {
    // SAFETY: takes nothing, changes nothing.
    let pid: c_int = unsafe { syscall!(libc::SYS_getpid) };
    pid != PROCESS.load(Ordering::Relaxed) as c_int
}

/// The process in which the patch was installed.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// At the installation: notes which process this is, and makes room for the first thousand numbers, since the first to
/// need it may be a signal handler.
pub(super) fn prepare() {
    let _room = entry(0);
    // SAFETY: takes nothing, changes nothing.
    let pid: c_int = unsafe { syscall!(libc::SYS_getpid) };
    PROCESS.store(pid as u32, Ordering::Relaxed);
}

/// A green thread that is parked on `fd`, or about to.
pub(super) struct Parked {
    links: Links<Parked>,
    fd: c_int,
    thread: Thread,
    entry: Option<&'static Entry>,
    generation: u32,
}

// SAFETY: one field.
unsafe impl Linked<()> for Parked {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

/// Runs `wait`, in which the caller parks on `fd`; a close meanwhile wakes it.
pub(super) fn park_on<T>(fd: c_int, wait: impl FnOnce(&Parked) -> T) -> T {
    let entry = entry(fd);
    let generation = entry.map_or(0, |entry| entry.generation.load(Ordering::SeqCst));
    let parked = Parked { links: Links::new(), fd, thread: Thread::current(), entry, generation };
    let queue = entry.and_then(|_| PARKED.get(fd as usize % PARKED.len()));
    let (Some(entry), Some(queue)) = (entry, queue) else { return wait(&parked) };
    // SAFETY: it stays on this frame until it is off the list, below; `wait` does not unwind (rule 6).
    unsafe { queue.lock().0.push_back(&parked) };
    entry.waiters.fetch_add(1, Ordering::SeqCst);
    let result = wait(&parked);
    entry.waiters.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: in this list.
    unsafe { queue.lock().0.remove(&parked) };
    result
}

impl Parked {
    /// Whether the number has been closed since.
    pub(super) fn is_closed(&self) -> bool {
        self.entry.is_some_and(|entry| entry.generation.load(Ordering::SeqCst) != self.generation)
    }
}
