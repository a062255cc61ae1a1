//! Regular files, with the group `files`: reads go to the pool, as the page may have to come from a slow disk.
//!
//! Not here: everything without that group, which leaves files alone (`stream`).

use libc::{c_int, c_void, off_t, size_t, ssize_t};

use super::buffers::Buffers;
use super::fds::{self, Kind};
use super::gate::{self, Group};
use super::message::answer;
use super::{errno, kernel, real};

/// Runs `read` on the pool if `fd` is a file; `None`: it is to be read here.
///
/// `read` gets the address, whose memory is the caller's and stays his until this is done: the wait is masked.
#[cold]
fn on_pool<T>(
    fd: c_int,
    address: *const T,
    read: impl FnOnce(*const T) -> isize + Send + 'static,
) -> Option<Result<usize, c_int>> {
    let green = gate::green(Group::Files)?;
    if fds::kind(fd) != Kind::File || !green.may_switch() {
        return None;
    }
    let _errno = errno::keep();
    let address = address.expose_provenance();
    let task = move || read(std::ptr::with_exposed_provenance(address));
    match crate::blocking::offload(task, true) {
        Ok(n) if n >= 0 => Some(Ok(n as usize)),
        Ok(error) => Some(Err(-error as c_int)),
        Err(_) => None,
    }
}

/// readv(2) on the pool.
///
/// # Safety
/// As readv's.
pub(super) unsafe fn take_on_pool(fd: c_int, into: Buffers) -> Option<Result<usize, c_int>> {
    // SAFETY: the caller's duty.
    on_pool(fd, into.list, move |list| unsafe { kernel::readv(fd, list, into.count, 0) })
}

/// pread(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pread(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    at: off_t,
) -> ssize_t {
    if gate::installed(Group::Files) {
        let read = move |buf: *const c_void| {
            // SAFETY: the caller's arguments.
            unsafe { kernel::pread(fd, buf.cast_mut(), len, at) }
        };
        if let Some(result) = on_pool(fd, buf.cast_const(), read) {
            return answer(result);
        }
    }
    // SAFETY: the caller's arguments.
    unsafe { real::pread(fd, buf, len, at) }
}

/// pread64(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pread64(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    at: off_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pread(fd, buf, len, at) }
}
