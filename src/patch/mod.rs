//! The patch: blocking code that nobody wrote for us parks its green thread instead of its worker.
//!
//! gevent's `monkey.patch_all()`, for Rust and for C libraries. This module defines functions with the names of
//! libc's blocking ones (`recv`, `poll`, `nanosleep`, `pthread_mutex_lock`, ...). The linker prefers them to libc's,
//! for everything in the program and for the shared libraries that it loads. They pass every call straight on,
//! except for a green thread, after [`install`]: there they try, park on EAGAIN, and try again.
//!
//! ```no_run
//! use std::io::Read;
//! use std::net::TcpStream; // std's own
//!
//! // SAFETY: this program's code and its libraries keep the contract of `install`.
//! unsafe { sward::patch::install() }.unwrap();
//! sward::Builder::new().workers(1).run(|| {
//!     let threads: Vec<_> = (0..100)
//!         .map(|_| {
//!             sward::thread::spawn(|| {
//!                 let mut stream = TcpStream::connect("127.0.0.1:7000").unwrap();
//!                 stream.read(&mut [0; 64]).unwrap() // parks this green thread only
//!             })
//!         })
//!         .collect();
//!     threads.into_iter().for_each(|thread| drop(thread.join()));
//! });
//! ```
//!
//! # What becomes cooperative
//! Sockets, pipes and event descriptors (`read`, `recv`, `accept`, `connect`, `poll`, `select`, `epoll_wait` and their
//! kin), sleeping, name resolution, child processes, and whatever waits on a futex: std's `Mutex`, `RwLock`, `Condvar`,
//! `Once`, `Barrier`, `thread::park`, `JoinHandle::join`; pthread's locks, conditions and semaphores for C.
//! [`sward::timeout`](crate::timeout()) and `cancel` reach into them: the call fails with ETIMEDOUT or ECANCELED.
//!
//! # What does not
//! - `std::sync::mpsc` and crossbeam-channel *between two green threads of one worker*: they tell threads apart by
//!   their OS thread, and a sender never wakes a receiver of its own. From OS threads they work. Between green
//!   threads use [`sward::sync::mpsc`](crate::sync::mpsc).
//! - parking_lot's locks held across a wait: its queues live in thread-local memory, so a contended wait blocks the
//!   whole worker ([`PinKind::ThreadLocal`]); if the holder is a green thread of that very worker, it waits for ever,
//!   and says so on stderr. Use std's locks, or sward's.
//! - What goes round libc: crates that make system calls themselves (rustix by default), stdio's `FILE`, `io_uring`.
//! - Files: reads are short and are left alone, unless [`Builder::files`] sends them to the pool.
//! - Code that waits inside a signal handler, during a panic, or inside [`pinned`] blocks its worker, as it did
//!   before.
//!
//! # Reading on
//! `gate` (who may switch where), `wait` and `fds` (descriptors), `lot` (waiting on an address), `futex` (std's locks),
//! then one file per family of calls. The rules are numbered in DESIGN.md, section 5.

mod batch;
mod buffers;
mod close;
#[cfg(not(target_feature = "crt-static"))]
mod dns;
mod epoll;
mod errno;
mod fds;
mod files;
mod futex;
mod gate;
#[cfg(not(target_feature = "crt-static"))]
mod join;
mod kernel;
mod listeners;
mod locks;
mod lot;
mod message;
mod patience;
mod pins;
mod poll;
mod pool;
mod process;
#[cfg(not(target_feature = "crt-static"))]
mod pthread;
mod raw;
mod ready;
mod real;
mod receive;
mod select;
#[cfg(not(target_feature = "crt-static"))]
mod shell;
mod signals;
mod socket;
mod stream;
mod time;
mod tls;
mod transfer;
mod transmit;
mod wait;

use std::io;

use gate::Group;

pub use pins::{Pin, PinKind, pins};

/// What is patched.
///
/// ```no_run
/// // Only sockets and sleeping.
/// let patch = sward::patch::Builder::new().dns(false).sync(false).process(false);
/// // SAFETY: as `install` demands.
/// unsafe { patch.install() }.unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "call install"]
pub struct Builder {
    groups: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Everything but `files`.
    pub fn new() -> Self {
        let all = [Group::Net, Group::Time, Group::Dns, Group::Sync, Group::Process];
        Builder { groups: all.iter().fold(0, |groups, group| groups | *group as u32) }
    }

    fn with(mut self, group: Group, on: bool) -> Self {
        let bit = group as u32;
        self.groups = if on { self.groups | bit } else { self.groups & !bit };
        self
    }

    /// Sockets, pipes, event descriptors; `poll`, `select` and `epoll_wait`. Default: on.
    pub fn net(self, on: bool) -> Self {
        self.with(Group::Net, on)
    }

    /// `sleep`, `usleep`, `nanosleep`, `clock_nanosleep`, `sched_yield`. Default: on.
    pub fn time(self, on: bool) -> Self {
        self.with(Group::Time, on)
    }

    /// `getaddrinfo` and its elders, on the pool of [`sward::blocking`](crate::blocking()). Default: on.
    pub fn dns(self, on: bool) -> Self {
        self.with(Group::Dns, on)
    }

    /// futex (std's locks and `thread::park`), pthread's locks, conditions and semaphores, and file locks (`flock`,
    /// `fcntl(F_SETLKW)`). Default: on.
    pub fn sync(self, on: bool) -> Self {
        self.with(Group::Sync, on)
    }

    /// `waitpid` and its kin, `system`, `pthread_join`. Default: on.
    pub fn process(self, on: bool) -> Self {
        self.with(Group::Process, on)
    }

    /// Reads of regular files (`read`, `readv`, `pread`), on the pool. Default: off, as what is in the page cache is read faster than handed
    /// over. For files on slow disks or on the network. Writes are never moved.
    pub fn files(self, on: bool) -> Self {
        self.with(Group::Files, on)
    }

    /// Installs the patch, for the whole process and for good. What is installed already stays.
    ///
    /// # Errors
    /// `Unsupported` if the linker did not put our functions in front of libc's: sward is in a library that was
    /// loaded at run time, say.
    ///
    /// # Safety
    /// From now on, calls of the chosen groups may let other green threads of the same OS thread run before they
    /// return. The caller vouches for all code that runs on green threads, libraries included, that it bears this:
    ///
    /// - No code relies on its OS thread's own state (`thread_local!`, C's thread-locals) being left alone across a
    ///   blocking call, for memory safety. Safe Rust cannot: a `RefCell` in a thread-local that is borrowed across
    ///   such a call panics at worst. Unsafe code and C may.
    /// - No code holds a lock that belongs to an OS thread (a re-entrant one that the patch does not know, such as
    ///   stdio's `flockfile` or std's `stdout().lock()`) across a blocking call and relies on it to keep other green
    ///   threads of the worker out.
    /// - Stacks are large enough: C libraries that expect megabytes need
    ///   [`thread::Builder::stack_size`](crate::thread::Builder::stack_size).
    ///
    /// The patch itself takes care of what is known to break otherwise: futexes in thread-local memory, recursive
    /// pthread locks, unwinding, signal handlers, forked children.
    pub unsafe fn install(self) -> io::Result<()> {
        if !is_in_front(Name::Linked) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "libc's functions are not behind sward's: link sward into the executable, not into a library that is \
                 loaded at run time",
            ));
        }
        real::find_all();
        signals::look();
        fds::prepare();
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: a function that only stores a number.
            unsafe { libc::pthread_atfork(None, None, Some(gate::shut)) };
        });
        gate::open(self.groups);
        if gate::installed(Group::Net) {
            crate::blocking::sockets_park();
        }
        Ok(())
    }
}

/// Installs the patch with its defaults: everything but files.
///
/// # Errors
/// See [`Builder::install`].
///
/// # Safety
/// See [`Builder::install`].
pub unsafe fn install() -> io::Result<()> {
    // SAFETY: the caller's duty.
    unsafe { Builder::new().install() }
}

/// Runs `f` without a switch inside any patched call: what would wait blocks the whole worker.
///
/// For the few lines that cannot bear others in between: code that uses OS-thread-local state across a blocking call.
/// Sward's own calls switch all the same. On an OS thread it just runs `f`.
///
/// ```
/// let n = sward::patch::pinned(|| 42);
/// assert_eq!(n, 42);
/// ```
pub fn pinned<T>(f: impl FnOnce() -> T) -> T {
    gate::without_switching(f)
}

/// Whether shared libraries find our functions before libc's too. If not (the executable does not export them), code
/// that is linked into the executable is patched, and C libraries in shared objects are not: link with
/// `-C link-arg=-rdynamic`.
pub fn reaches_shared_libraries() -> bool {
    is_in_front(Name::Looked)
}

enum Name {
    /// As the linker resolved it.
    Linked,
    /// As the dynamic linker finds it.
    Looked,
}

/// Whether libc's names mean our functions.
#[cfg(not(target_feature = "crt-static"))]
fn is_in_front(name: Name) -> bool {
    #[allow(clippy::disallowed_methods, reason = "only its address")]
    let found = match name {
        Name::Linked => libc::syscall as *const libc::c_void,
        // SAFETY: a string that ends with NUL.
        Name::Looked => unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"syscall".as_ptr()) },
    };
    let base = |address: *const libc::c_void| {
        // SAFETY: all zeroes are a valid answer.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: any address may be asked for; the answer goes to `info`.
        (unsafe { libc::dladdr(address, &raw mut info) } != 0).then_some(info.dli_fbase)
    };
    // A function that nobody else can have a name for.
    let ours = base(is_in_front as *const libc::c_void);
    ours.is_some() && base(found) == ours
}

/// In a static program the linker has decided; that it decided for us is seen in `tests/builds`.
#[cfg(target_feature = "crt-static")]
fn is_in_front(name: Name) -> bool {
    matches!(name, Name::Linked)
}

/// Says something on stderr, without allocating much and without anything that could wait for a lock of std's.
fn complain(text: &str) {
    // SAFETY: the string's own bytes.
    let _: libc::ssize_t =
        unsafe { raw::syscall!(libc::SYS_write, 2, text.as_ptr().addr(), text.len()) };
}

/// A name for reports.
fn name_of(green: gate::Green) -> &'static str {
    green.fiber.name.as_deref().unwrap_or("<unnamed>")
}
