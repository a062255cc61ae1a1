//! The functions that the hooks stand in front of: libc's own, found by `dlsym(RTLD_NEXT)`.
//!
//! One list, below. Each is `unsafe fn NAME(same arguments) -> same result`, and costs a load and an indirect call.
//! A static program has no dlsym: there each is the bare system call beside it, and what is no system call does not
//! exist, nor does its hook (`#[cfg(not(target_feature = "crt-static"))]`).
//!
//! What is not here: decisions. Read on: `gate` for who may use a hook.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{c_int, c_uint, c_ulong, c_void, size_t, ssize_t};

#[cfg(target_feature = "crt-static")]
use super::raw::syscall;
#[cfg(target_feature = "crt-static")]
use super::time::Spec;

/// Finds libc's function. Ends the process if there is none, as nothing else can be done for the caller.
#[cold]
#[cfg(not(target_feature = "crt-static"))]
pub(super) fn find(name: &CStr, version: Option<&CStr>, slot: &AtomicPtr<c_void>) -> *mut c_void {
    let mut found = ptr::null_mut();
    if let Some(version) = version {
        // SAFETY: two strings that end with NUL.
        found = unsafe { libc::dlvsym(libc::RTLD_NEXT, name.as_ptr(), version.as_ptr()) };
    }
    if found.is_null() {
        // SAFETY: a string that ends with NUL.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    }
    if found.is_null() {
        // We are in a library that was loaded after libc: ask libc itself.
        // SAFETY: a string that ends with NUL; libc is loaded already, so nothing of its runs.
        let libc = unsafe { libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_LAZY) };
        if !libc.is_null() {
            // SAFETY: a handle that dlopen gave, and a string that ends with NUL.
            found = unsafe { libc::dlsym(libc, name.as_ptr()) };
        }
    }
    if found.is_null() {
        missing(name);
    }
    slot.store(found, Ordering::Relaxed);
    found
}

#[cfg(not(target_feature = "crt-static"))]
fn missing(name: &CStr) -> ! {
    eprintln!(
        "sward: this libc has no function {name:?}, which the patch needs; build without the feature `patch`"
    );
    std::process::abort();
}

/// Declares originals, each with the system call that it is (`= SYS_x, arguments`), if it is one.
macro_rules! real {
    ($(
        $(@$version:literal)? fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $(= $sys:expr $(, $value:expr)*)?;
    )*) => {
        $(real!(@one [$($version)?] $name ($($arg: $ty),*) [$($ret)?] [$($sys $(, $value)*)?]);)*

        /// Finds all of them now, so that no later call, perhaps in a signal handler, has to.
        #[cfg(not(target_feature = "crt-static"))]
        pub(super) fn find_all() {
            $(slots::$name();)*
        }

        #[cfg(target_feature = "crt-static")]
        pub(super) fn find_all() {}

        #[cfg(not(target_feature = "crt-static"))]
        mod slots {
            use super::*;
            $(
                #[inline(always)]
                pub(super) fn $name() -> *mut c_void {
                    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
                    let found = FOUND.load(Ordering::Relaxed);
                    if !found.is_null() {
                        return found;
                    }
                    #[allow(unused_mut, unused_assignments, reason = "most have no version")]
                    let mut version = None;
                    $(version = Some($version);)?
                    // OK because the name ends with the only NUL.
                    let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
                    find(name.unwrap_or(c""), version, &FOUND)
                }
            )*
        }
    };
    (@one [$($version:literal)?] $name:ident ($($arg:ident: $ty:ty),*) [$($ret:ty)?] [$($sys:expr $(, $value:expr)*)?]) => {
        /// libc's own.
        ///
        /// # Safety
        /// As libc demands.
        #[cfg(not(target_feature = "crt-static"))]
        #[inline(always)]
        #[allow(clippy::too_many_arguments, reason = "libc's signature")]
        pub(super) unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: libc's function of this name has this type.
            let original = unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) $(-> $ret)?>(slots::$name())
            };
            // SAFETY: the caller's duty.
            unsafe { original($($arg),*) }
        }
        real!(@raw $name ($($arg: $ty),*) [$($ret)?] [$($sys $(, $value)*)?]);
    };
    (@raw $name:ident ($($arg:ident: $ty:ty),*) [$($ret:ty)?] []) => {};
    (@raw $name:ident ($($arg:ident: $ty:ty),*) [$ret:ty] [$sys:expr $(, $value:expr)*]) => {
        /// The system call of this name.
        ///
        /// # Safety
        /// As the kernel demands.
        #[cfg(target_feature = "crt-static")]
        #[inline(always)]
        #[allow(clippy::too_many_arguments, reason = "libc's signature")]
        pub(super) unsafe fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's duty.
            unsafe { syscall!($sys $(, $value)*) }
        }
    };
}

real! {
    // --- sockets and streams ---
    fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t
        = libc::SYS_recvfrom, fd, buf, len, flags, 0, 0;
    fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t
        = libc::SYS_sendto, fd, buf, len, flags, 0, 0;
    fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t = libc::SYS_read, fd, buf, len;
    fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t = libc::SYS_write, fd, buf, len;
    fn close(fd: c_int) -> c_int = libc::SYS_close, fd;
    fn recvfrom(
        fd: c_int,
        buf: *mut c_void,
        len: size_t,
        flags: c_int,
        addr: *mut libc::sockaddr,
        addr_len: *mut libc::socklen_t,
    ) -> ssize_t = libc::SYS_recvfrom, fd, buf, len, flags, addr, addr_len;
    fn recvmsg(fd: c_int, message: *mut libc::msghdr, flags: c_int) -> ssize_t
        = libc::SYS_recvmsg, fd, message, flags;
    fn recvmmsg(
        fd: c_int,
        of: *mut libc::mmsghdr,
        n: c_uint,
        flags: c_int,
        timeout: *mut libc::timespec,
    ) -> c_int = libc::SYS_recvmmsg, fd, of, n, flags, timeout;
    fn sendto(
        fd: c_int,
        buf: *const c_void,
        len: size_t,
        flags: c_int,
        addr: *const libc::sockaddr,
        addr_len: libc::socklen_t,
    ) -> ssize_t = libc::SYS_sendto, fd, buf, len, flags, addr, addr_len;
    fn sendmsg(fd: c_int, message: *const libc::msghdr, flags: c_int) -> ssize_t
        = libc::SYS_sendmsg, fd, message, flags;
    fn sendmmsg(fd: c_int, of: *mut libc::mmsghdr, n: c_uint, flags: c_int) -> c_int
        = libc::SYS_sendmmsg, fd, of, n, flags;
    fn __recv_chk(
        fd: c_int,
        buf: *mut c_void,
        len: size_t,
        room: size_t,
        flags: c_int,
    ) -> ssize_t;
    fn __recvfrom_chk(
        fd: c_int,
        buf: *mut c_void,
        len: size_t,
        room: size_t,
        flags: c_int,
        addr: *mut libc::sockaddr,
        addr_len: *mut libc::socklen_t,
    ) -> ssize_t;
    fn __read_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t) -> ssize_t;
    fn readv(fd: c_int, of: *const libc::iovec, count: c_int) -> ssize_t
        = libc::SYS_readv, fd, of, count;
    fn writev(fd: c_int, of: *const libc::iovec, count: c_int) -> ssize_t
        = libc::SYS_writev, fd, of, count;
    fn sendfile(to: c_int, from: c_int, offset: *mut libc::off_t, len: size_t) -> ssize_t
        = libc::SYS_sendfile, to, from, offset, len;
    fn splice(
        from: c_int,
        from_offset: *mut libc::loff_t,
        to: c_int,
        to_offset: *mut libc::loff_t,
        len: size_t,
        flags: c_uint,
    ) -> ssize_t = libc::SYS_splice, from, from_offset, to, to_offset, len, flags;
    fn accept(fd: c_int, addr: *mut libc::sockaddr, len: *mut libc::socklen_t) -> c_int
        = libc::SYS_accept4, fd, addr, len, 0;
    fn accept4(
        fd: c_int,
        addr: *mut libc::sockaddr,
        len: *mut libc::socklen_t,
        flags: c_int,
    ) -> c_int = libc::SYS_accept4, fd, addr, len, flags;
    fn listen(fd: c_int, backlog: c_int) -> c_int = libc::SYS_listen, fd, backlog;
    fn connect(fd: c_int, addr: *const libc::sockaddr, len: libc::socklen_t) -> c_int
        = libc::SYS_connect, fd, addr, len;
    fn dup(fd: c_int) -> c_int = libc::SYS_dup, fd;
    fn dup2(old: c_int, new: c_int) -> c_int = libc::SYS_dup3, old, new, 0;
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int = libc::SYS_dup3, old, new, flags;
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int
        = libc::SYS_close_range, first, last, flags;
    // Both take their optional third argument in the register that a third argument has anyway.
    fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int
        = libc::SYS_fcntl, fd, command, argument;
    fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int;
    fn flock(fd: c_int, operation: c_int) -> c_int = libc::SYS_flock, fd, operation;
    fn pread(fd: c_int, buf: *mut c_void, len: size_t, at: libc::off_t) -> ssize_t
        = libc::SYS_pread64, fd, buf, len, at;
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int
        = libc::SYS_ioctl, fd, request, argument;
    // --- readiness ---
    fn poll(fds: *mut libc::pollfd, n: libc::nfds_t, timeout: c_int) -> c_int
        = libc::SYS_ppoll, fds, n, Spec::millis(timeout).pointer(), 0, 8;
    fn ppoll(
        fds: *mut libc::pollfd,
        n: libc::nfds_t,
        timeout: *const libc::timespec,
        mask: *const libc::sigset_t,
    ) -> c_int = libc::SYS_ppoll, fds, n, Spec::copy(timeout).pointer(), mask, 8;
    fn __poll_chk(fds: *mut libc::pollfd, n: libc::nfds_t, timeout: c_int, room: size_t) -> c_int;
    fn __ppoll_chk(
        fds: *mut libc::pollfd,
        n: libc::nfds_t,
        timeout: *const libc::timespec,
        mask: *const libc::sigset_t,
        room: size_t,
    ) -> c_int;
    fn select(
        n: c_int,
        read: *mut libc::fd_set,
        write: *mut libc::fd_set,
        except: *mut libc::fd_set,
        timeout: *mut libc::timeval,
    ) -> c_int = libc::SYS_pselect6, n, read, write, except, Spec::micros(timeout).pointer(), 0;
    fn pselect(
        n: c_int,
        read: *mut libc::fd_set,
        write: *mut libc::fd_set,
        except: *mut libc::fd_set,
        timeout: *const libc::timespec,
        mask: *const libc::sigset_t,
    ) -> c_int
        = libc::SYS_pselect6, n, read, write, except, Spec::copy(timeout).pointer(),
            [mask.addr(), 8].as_ptr();
    fn epoll_wait(
        fd: c_int,
        events: *mut libc::epoll_event,
        room: c_int,
        timeout: c_int,
    ) -> c_int = libc::SYS_epoll_pwait, fd, events, room, timeout, 0, 8;
    fn epoll_pwait(
        fd: c_int,
        events: *mut libc::epoll_event,
        room: c_int,
        timeout: c_int,
        mask: *const libc::sigset_t,
    ) -> c_int = libc::SYS_epoll_pwait, fd, events, room, timeout, mask, 8;
    // --- time ---
    fn sleep(seconds: libc::c_uint) -> libc::c_uint;
    fn usleep(micros: libc::useconds_t) -> c_int;
    fn nanosleep(request: *const libc::timespec, rest: *mut libc::timespec) -> c_int
        = libc::SYS_nanosleep, request, rest;
    fn clock_nanosleep(
        clock: libc::clockid_t,
        flags: c_int,
        request: *const libc::timespec,
        rest: *mut libc::timespec,
    ) -> c_int = libc::SYS_clock_nanosleep, clock, flags, request, rest;
    fn sched_yield() -> c_int = libc::SYS_sched_yield;
    // --- names ---
    fn getaddrinfo(
        node: *const libc::c_char,
        service: *const libc::c_char,
        hints: *const libc::addrinfo,
        result: *mut *mut libc::addrinfo,
    ) -> c_int;
    fn getnameinfo(
        address: *const libc::sockaddr,
        length: libc::socklen_t,
        host: *mut libc::c_char,
        host_room: libc::socklen_t,
        service: *mut libc::c_char,
        service_room: libc::socklen_t,
        flags: c_int,
    ) -> c_int;
    fn gethostbyname(name: *const libc::c_char) -> *mut libc::hostent;
    fn gethostbyname2(name: *const libc::c_char, family: c_int) -> *mut libc::hostent;
    fn gethostbyaddr(
        address: *const c_void,
        length: libc::socklen_t,
        family: c_int,
    ) -> *mut libc::hostent;
    fn gethostbyname_r(
        name: *const libc::c_char,
        host: *mut libc::hostent,
        memory: *mut libc::c_char,
        room: size_t,
        found: *mut *mut libc::hostent,
        h_errno: *mut c_int,
    ) -> c_int;
    fn gethostbyname2_r(
        name: *const libc::c_char,
        family: c_int,
        host: *mut libc::hostent,
        memory: *mut libc::c_char,
        room: size_t,
        found: *mut *mut libc::hostent,
        h_errno: *mut c_int,
    ) -> c_int;
    fn gethostbyaddr_r(
        address: *const c_void,
        length: libc::socklen_t,
        family: c_int,
        host: *mut libc::hostent,
        memory: *mut libc::c_char,
        room: size_t,
        found: *mut *mut libc::hostent,
        h_errno: *mut c_int,
    ) -> c_int;
    // --- processes and threads ---
    fn wait4(
        pid: libc::pid_t,
        status: *mut c_int,
        options: c_int,
        usage: *mut libc::rusage,
    ) -> c_int = libc::SYS_wait4, pid, status, options, usage;
    fn waitid(
        kind: libc::idtype_t,
        id: libc::id_t,
        info: *mut libc::siginfo_t,
        options: c_int,
    ) -> c_int = libc::SYS_waitid, kind, id, info, options, 0;
    fn system(command: *const libc::c_char) -> c_int;
    fn pclose(stream: *mut libc::FILE) -> c_int;
    fn pthread_join(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int;
    fn pthread_tryjoin_np(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int;
    fn pthread_timedjoin_np(
        thread: libc::pthread_t,
        result: *mut *mut c_void,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_clockjoin_np(
        thread: libc::pthread_t,
        result: *mut *mut c_void,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    // --- signals ---
    fn pthread_sigmask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int;
    fn sigaction(signal: c_int, action: *const libc::sigaction, old: *mut libc::sigaction) -> c_int;
    fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t;
    fn sigprocmask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int
        = libc::SYS_rt_sigprocmask, how, set, old, 8;
    // --- pthread ---
    fn pthread_mutex_lock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn pthread_mutex_trylock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    fn pthread_mutex_timedlock(
        mutex: *mut libc::pthread_mutex_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_mutex_clocklock(
        mutex: *mut libc::pthread_mutex_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_mutex_unlock(mutex: *mut libc::pthread_mutex_t) -> c_int;
    // The newer of two, which differ in what a condition looks like; other machines have only the newer one.
    @c"GLIBC_2.3.2" fn pthread_cond_wait(
        cond: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
    ) -> c_int;
    @c"GLIBC_2.3.2" fn pthread_cond_timedwait(
        cond: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_cond_clockwait(
        cond: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    @c"GLIBC_2.3.2" fn pthread_cond_signal(cond: *mut libc::pthread_cond_t) -> c_int;
    @c"GLIBC_2.3.2" fn pthread_cond_broadcast(cond: *mut libc::pthread_cond_t) -> c_int;
    @c"GLIBC_2.3.2" fn pthread_cond_init(
        cond: *mut libc::pthread_cond_t,
        attr: *const libc::pthread_condattr_t,
    ) -> c_int;
    fn pthread_rwlock_rdlock(lock: *mut libc::pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_wrlock(lock: *mut libc::pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_tryrdlock(lock: *mut libc::pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_trywrlock(lock: *mut libc::pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_timedrdlock(
        lock: *mut libc::pthread_rwlock_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_rwlock_timedwrlock(
        lock: *mut libc::pthread_rwlock_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_rwlock_clockrdlock(
        lock: *mut libc::pthread_rwlock_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_rwlock_clockwrlock(
        lock: *mut libc::pthread_rwlock_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_rwlock_unlock(lock: *mut libc::pthread_rwlock_t) -> c_int;
    fn pthread_barrier_wait(barrier: *mut libc::pthread_barrier_t) -> c_int;
    fn sem_wait(sem: *mut libc::sem_t) -> c_int;
    fn sem_trywait(sem: *mut libc::sem_t) -> c_int;
    fn sem_timedwait(sem: *mut libc::sem_t, until: *const libc::timespec) -> c_int;
    fn sem_clockwait(
        sem: *mut libc::sem_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn sem_post(sem: *mut libc::sem_t) -> c_int;
}
