//! recvmmsg and sendmmsg: several messages in one call.
//!
//! Not here: single messages (`message`).

use std::time::{Duration, Instant};

use libc::{c_int, c_uint, mmsghdr, timespec};

use super::buffers::Buffers;
use super::gate::{self, Green, Group};
use super::message::{answer, part};
use super::patience::{For, Patience};
use super::transmit::transmit_message;
use super::{kernel, message, real};

/// The kernel takes no more in one call.
const MOST: c_uint = 1024;

/// How far the caller's time-out reaches.
enum Limit {
    /// No time-out, or one that no clock reaches.
    None,
    At(Instant),
}

/// recvmmsg(2) for a green thread.
///
/// Its time-out is the kernel's in that it does not end the wait for the first message (SO_RCVTIMEO does); unlike the
/// kernel's it does end the wait for the next ones, which is what everybody expects of it.
///
/// # Safety
/// As recvmmsg's.
unsafe fn receive_many(
    green: Green,
    fd: c_int,
    of: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    limit: &Limit,
) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Reading);
    let mut done = 0;
    loop {
        let at = of.wrapping_add(done as usize);
        let dont = patience.unless_pinned(libc::MSG_DONTWAIT);
        // SAFETY: the caller's duty; `at` is the first that is still free.
        let got = unsafe { kernel::recvmmsg(fd, at, n - done, flags | dont) };
        if got >= 0 {
            done += (got as c_uint).min(n - done);
            if got == 0 || done >= n || flags & libc::MSG_WAITFORONE != 0 {
                return patience.done(done as usize);
            }
            if let Limit::At(limit) = limit {
                if *limit <= Instant::now() {
                    return patience.done(done as usize);
                }
                patience.not_beyond(*limit);
            }
            patience.fruitful();
            continue;
        }
        if let Err(error) = patience.after(-got as c_int) {
            return part(done as usize, error);
        }
    }
}

/// sendmmsg(2) for a green thread.
///
/// # Safety
/// As sendmmsg's.
unsafe fn transmit_many(
    green: Green,
    fd: c_int,
    of: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
) -> Result<usize, c_int> {
    let mut done = 0_usize;
    while done < n as usize {
        let at = of.wrapping_add(done);
        // SAFETY: the caller's duty; `at` is the first that was not sent.
        let sent =
            unsafe { kernel::sendmmsg(fd, at, n - done as c_uint, flags | libc::MSG_DONTWAIT) };
        if sent > 0 {
            done += sent as usize;
            // SAFETY: the caller's; the kernel has read it and filled it in.
            let last = unsafe { &mut *of.wrapping_add(done - 1) };
            let buffers = Buffers { list: last.msg_hdr.msg_iov, count: last.msg_hdr.msg_iovlen };
            // SAFETY: the kernel has read the list.
            let len = unsafe { buffers.len() };
            let part = last.msg_len as usize;
            // On a stream the last one may have been cut.
            if part > 0 && part < len {
                // SAFETY: the caller's message.
                let all =
                    unsafe { transmit_message(green, fd, &raw const last.msg_hdr, flags, part) };
                last.msg_len = all.unwrap_or(part) as c_uint;
                if all != Ok(len) {
                    return Ok(done);
                }
            }
            continue;
        }
        // The first of the rest has to wait, or fails: it is sent by itself.
        // SAFETY: the caller's.
        let first = unsafe { &mut *at };
        // SAFETY: the caller's message.
        match unsafe { transmit_message(green, fd, &raw const first.msg_hdr, flags, 0) } {
            Ok(len) => {
                first.msg_len = len as c_uint;
                done += 1;
            }
            Err(error) => return part(done, error),
        }
    }
    Ok(done)
}

/// recvmmsg(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvmmsg(
    fd: c_int,
    of: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let Some(green) = gate::green(Group::Net).filter(|_| flags & message::NEVER_WAITS == 0) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::recvmmsg(fd, of, n, flags, timeout) };
    };
    // SAFETY: null, or the caller's.
    let asked = unsafe { timeout.as_ref() }.copied();
    let limit = match asked {
        None => Limit::None,
        Some(asked) => {
            let (Ok(seconds), Ok(nanos @ ..=999_999_999)) =
                (u64::try_from(asked.tv_sec), u32::try_from(asked.tv_nsec))
            else {
                return answer(Err(libc::EINVAL)) as c_int;
            };
            let limit = Instant::now().checked_add(Duration::new(seconds, nanos));
            limit.map_or(Limit::None, Limit::At)
        }
    };
    // SAFETY: the caller's arguments.
    let result = unsafe { receive_many(green, fd, of, n.min(MOST), flags, &limit) };
    if let (Ok(_), Limit::At(limit)) = (result, limit) {
        let left = limit.saturating_duration_since(Instant::now());
        let left = timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: left.subsec_nanos().into(),
        };
        // SAFETY: the caller's, not null as it was read above; the kernel writes there too.
        unsafe { *timeout = left };
    }
    answer(result) as c_int
}

/// sendmmsg(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendmmsg(
    fd: c_int,
    of: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
) -> c_int {
    match gate::green(Group::Net) {
        Some(green) if flags & libc::MSG_DONTWAIT == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { transmit_many(green, fd, of, n.min(MOST), flags) }) as c_int
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::sendmmsg(fd, of, n, flags) },
    }
}
