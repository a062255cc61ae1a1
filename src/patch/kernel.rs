//! What the hooks of descriptors say to the kernel: attempts at a transfer, and questions.
//!
//! Bare system calls, so no hook sees them and errno stays as it is. A negative result is an error number, negated.
//!
//! Not here: when to try and when to ask. Read on: `patience`.

use std::mem::MaybeUninit;
use std::time::Duration;

use libc::{c_int, c_long, c_short, c_void, iovec, mmsghdr, msghdr, sockaddr, socklen_t};

use super::raw::{syscall, syscall6};

/// A bare system call; arguments that are missing are 0.
macro_rules! call {
    ($number:expr $(, $arg:expr)*) => { syscall6($number, syscall!(@pad $($arg),*)) };
}

/// Where recvfrom puts, and sendto finds, a name.
#[derive(Clone, Copy)]
pub(super) struct Name<A, L> {
    pub(super) addr: A,
    pub(super) len: L,
}

/// recvfrom's: may be null.
pub(super) type NameOut = Name<*mut sockaddr, *mut socklen_t>;
/// sendto's: may be null.
pub(super) type NameIn = Name<*const sockaddr, socklen_t>;

impl NameOut {
    pub(super) const NONE: Self = Name { addr: std::ptr::null_mut(), len: std::ptr::null_mut() };
}

impl NameIn {
    pub(super) const NONE: Self = Name { addr: std::ptr::null(), len: 0 };

    /// AF_INET or another; 0 of nobody.
    ///
    /// # Safety
    /// The kernel has read the address.
    pub(super) unsafe fn family(self) -> c_int {
        // SAFETY: null, or the caller's duty.
        unsafe { self.addr.as_ref() }.map_or(0, |addr| addr.sa_family.into())
    }

    /// Whether this names a Unix socket.
    ///
    /// # Safety
    /// The kernel has read the address.
    pub(super) unsafe fn is_unix(self) -> bool {
        // SAFETY: the caller's duty.
        unsafe { self.family() == libc::AF_UNIX }
    }
}

/// recvfrom(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    name: NameOut,
) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_recvfrom, fd, buf, len, flags, name.addr, name.len) }
}

/// sendto(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    name: NameIn,
) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_sendto, fd, buf, len, flags, name.addr, name.len) }
}

/// recvmsg(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_recvmsg, fd, message, flags) }
}

/// sendmsg(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_sendmsg, fd, message, flags) }
}

/// recvmmsg(2), without its time-out.
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn recvmmsg(fd: c_int, of: *mut mmsghdr, n: u32, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_recvmmsg, fd, of, n, flags) }
}

/// sendmmsg(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn sendmmsg(fd: c_int, of: *mut mmsghdr, n: u32, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_sendmmsg, fd, of, n, flags) }
}

/// preadv2(2) or pwritev2(2) at the file's own position.
///
/// # Safety
/// As the kernel demands of the buffers.
unsafe fn vectored(
    number: c_long,
    fd: c_int,
    of: *const iovec,
    count: usize,
    flags: c_int,
) -> isize {
    // SAFETY: the caller's duty. -1, in two halves, is "where the file is".
    unsafe { call!(number, fd, of, count, -1_isize, -1_isize, flags) }
}

/// readv(2); with RWF_NOWAIT, if the file knows how, it does not wait.
///
/// # Safety
/// As the kernel demands of the buffers.
pub(super) unsafe fn readv(fd: c_int, of: *const iovec, count: usize, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { vectored(libc::SYS_preadv2, fd, of, count, flags) }
}

/// writev(2); with RWF_NOWAIT, if the file knows how, it does not wait.
///
/// # Safety
/// As the kernel demands of the buffers.
pub(super) unsafe fn writev(fd: c_int, of: *const iovec, count: usize, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { vectored(libc::SYS_pwritev2, fd, of, count, flags) }
}

/// accept4(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn accept4(fd: c_int, name: NameOut, flags: c_int) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_accept4, fd, name.addr, name.len, flags) }
}

/// connect(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn connect(fd: c_int, name: NameIn) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_connect, fd, name.addr, name.len) }
}

/// splice(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn splice(
    from: (c_int, *mut libc::loff_t),
    to: (c_int, *mut libc::loff_t),
    len: usize,
    flags: libc::c_uint,
) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_splice, from.0, from.1, to.0, to.1, len, flags) }
}

/// sendfile(2).
///
/// # Safety
/// As the kernel demands of the pointers.
pub(super) unsafe fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut libc::off_t,
    len: usize,
) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_sendfile, to, from, offset, len) }
}

/// pread(2).
///
/// # Safety
/// As the kernel demands of the buffer.
pub(super) unsafe fn pread(fd: c_int, buf: *mut c_void, len: usize, at: libc::off_t) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_pread64, fd, buf, len, at) }
}

/// flock(2).
pub(super) fn flock(fd: c_int, operation: c_int) -> isize {
    // SAFETY: touches no memory.
    unsafe { call!(libc::SYS_flock, fd, operation, 0) }
}

/// fcntl(2).
///
/// # Safety
/// As the kernel demands of the argument.
pub(super) unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> isize {
    // SAFETY: the caller's duty.
    unsafe { call!(libc::SYS_fcntl, fd, command, argument) }
}

/// An option of a socket; `None` if `fd` is none or does not know it. `T` must be what the kernel writes, and be
/// valid whatever is written.
fn option<T: Copy>(fd: c_int, name: c_int) -> Option<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as socklen_t;
    // SAFETY: writes `len` bytes at most to `value`, and the length.
    let result = unsafe {
        call!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, name, value.as_mut_ptr(), &raw mut len)
    };
    // SAFETY: zeroed, so every byte is initialised; the callers are below and choose integers and structs of such.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// SO_RCVTIMEO or SO_SNDTIMEO; `None`: no limit.
pub(super) fn timeout(fd: c_int, name: c_int) -> Option<Duration> {
    let value: libc::timeval = option(fd, name)?;
    let seconds = u64::try_from(value.tv_sec).ok()?;
    let micros = u32::try_from(value.tv_usec).ok()?;
    let timeout = Duration::new(seconds, micros.saturating_mul(1000).min(999_999_999));
    (!timeout.is_zero()).then_some(timeout)
}

/// Whether `fd` is a socket whose bytes have no boundaries.
pub(super) fn is_stream(fd: c_int) -> bool {
    option::<c_int>(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// The error that the kernel keeps for the socket, taken from it; 0 if there is none.
pub(super) fn take_error(fd: c_int) -> c_int {
    option(fd, libc::SO_ERROR).unwrap_or(0)
}

/// A number that is the open socket's alone, whatever descriptors lead to it, and is never used again.
pub(super) fn cookie(fd: c_int) -> Option<u64> {
    option(fd, libc::SO_COOKIE)
}

/// At least how many bytes a stream socket that is writable now takes without waiting.
pub(super) fn room(fd: c_int) -> usize {
    /// One page fits whenever a socket is writable at all.
    const LEAST: usize = 4096;
    const SO_MEMINFO: c_int = 55;
    // What sk_get_meminfo fills in: u32s, of which these are the limit and what is in use, for TCP and for Unix.
    let Some([_, _, in_use, limit, _, queued, ..]) = option::<[u32; 9]>(fd, SO_MEMINFO) else {
        return LEAST;
    };
    // A quarter is for what the kernel adds to the bytes.
    (limit.saturating_sub(in_use.max(queued)) as usize / 4 * 3).max(LEAST)
}

/// Whether the number is of an open file.
pub(super) fn is_open(fd: c_int) -> bool {
    // SAFETY: asks only.
    (unsafe { fcntl(fd, libc::F_GETFD, 0) }) >= 0
}

/// Which of `events` are there now, with errors and hang-ups; 0 if none.
pub(super) fn poll(fd: c_int, events: c_short) -> c_short {
    poll_for(fd, events, Some(Duration::ZERO))
}

/// As `poll`, but the OS thread waits for them, `timeout` at most. 0 too if a signal came.
pub(super) fn poll_for(fd: c_int, events: c_short, timeout: Option<Duration>) -> c_short {
    let mut one = libc::pollfd { fd, events, revents: 0 };
    let mut limit = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let limit = match timeout {
        None => std::ptr::null_mut(),
        Some(timeout) => {
            limit.tv_sec = timeout.as_secs().min(i64::MAX as u64) as libc::time_t;
            limit.tv_nsec = timeout.subsec_nanos().into();
            &raw mut limit
        }
    };
    // SAFETY: writes `one` and `limit`, which live here; no signal mask.
    let ready = unsafe { call!(libc::SYS_ppoll, &raw mut one, 1, limit, 0, 8) };
    if ready > 0 { one.revents } else { 0 }
}
