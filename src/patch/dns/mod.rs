//! Names: getaddrinfo(3) and getnameinfo(3). Their elders are in `hosts`.
//!
//! libc's resolver waits inside libc, where no hook reaches (DESIGN.md section 5, rule 7). So the whole call goes to
//! the pool, unless it only puts numbers into another form. What it changes for the thread that makes it (`res_init`,
//! `_res`) it changes on a thread of the pool.

mod host;
mod hosts;

use std::ffi::{CStr, CString};
use std::net::IpAddr;
use std::ptr;

use libc::{addrinfo, c_char, c_int, sockaddr, sockaddr_storage, socklen_t};

use super::gate::{self, Green, Group, Stop};
use super::{errno, pool, real};

/// The green thread that asks; `None` for the real call.
fn asker() -> Option<Green> {
    gate::green(Group::Dns).filter(|green| green.may_switch())
}

/// What getaddrinfo(3) was asked for, as our own.
struct Question {
    node: Option<CString>,
    service: Option<CString>,
    hints: Option<[c_int; 4]>,
}

impl Question {
    /// # Safety
    /// As getaddrinfo(3) wants them.
    unsafe fn read(
        node: *const c_char,
        service: *const c_char,
        hints: *const addrinfo,
    ) -> Question {
        // SAFETY: null, or the caller's; the other fields are not looked at.
        let hints = unsafe { hints.as_ref() }
            .map(|hints| [hints.ai_flags, hints.ai_family, hints.ai_socktype, hints.ai_protocol]);
        // SAFETY: null, or a C string of the caller's.
        let node = unsafe { text(node) };
        // SAFETY: as above.
        let service = unsafe { text(service) };
        Question { node, service, hints }
    }

    /// Whether nobody has to be asked.
    fn is_numeric(&self) -> bool {
        let node = self.node.as_deref().is_none_or(is_address);
        let service = self.service.as_deref();
        node && service.is_none_or(|text| text.to_bytes().iter().all(u8::is_ascii_digit))
    }

    fn ask(&self) -> Answer {
        let hints = self.hints.map(|[flags, family, socktype, protocol]| addrinfo {
            ai_flags: flags,
            ai_family: family,
            ai_socktype: socktype,
            ai_protocol: protocol,
            ai_addrlen: 0,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
        });
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |s| s.as_ptr());
        let hints = hints.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut list = ptr::null_mut();
        let (node, service) = (pointer(&self.node), pointer(&self.service));
        // SAFETY: C strings and hints of our own, or null.
        let code = unsafe { real::getaddrinfo(node, service, hints, &raw mut list) };
        Answer { code, list: Addresses(list) }
    }
}

struct Answer {
    code: c_int,
    list: Addresses,
}

/// getaddrinfo's list; freed, unless the caller gets it.
struct Addresses(*mut addrinfo);

// SAFETY: the list belongs to whoever has the pointer.
unsafe impl Send for Addresses {}

impl Addresses {
    fn give_up(mut self) -> *mut addrinfo {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by getaddrinfo, and nobody else has it.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

/// A copy of a C string.
///
/// # Safety
/// Null, or a C string.
unsafe fn text(text: *const c_char) -> Option<CString> {
    // SAFETY: by the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
}

/// Whether `name` is an address in numbers.
fn is_address(name: &CStr) -> bool {
    name.to_str().is_ok_and(|name| name.parse::<IpAddr>().is_ok())
}

/// getaddrinfo(3). Cut short it fails with EAI_SYSTEM, and errno says why.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    let Some(green) = asker() else {
        // SAFETY: the caller's arguments.
        return unsafe { real::getaddrinfo(node, service, hints, result) };
    };
    // SAFETY: the caller's arguments.
    let question = unsafe { Question::read(node, service, hints) };
    if question.is_numeric() {
        // SAFETY: the caller's arguments.
        return unsafe { real::getaddrinfo(node, service, hints, result) };
    }
    let kept = errno::keep();
    match pool::call(green, move || question.ask()) {
        Ok((Answer { code: 0, list }, _)) => {
            // SAFETY: the caller's, to be written.
            unsafe { result.write(list.give_up()) };
            0
        }
        Ok((Answer { code, .. }, error)) => {
            if code == libc::EAI_SYSTEM {
                let _minus_one: c_int = kept.fail(error);
            }
            code
        }
        Err(stop) => {
            let _minus_one: c_int = kept.fail(stop.errno());
            libc::EAI_SYSTEM
        }
    }
}

/// Longer names than this do not exist (NI_MAXHOST is 1025).
const LONGEST: usize = 4096;

/// getnameinfo(3). Cut short it fails with EAI_SYSTEM, and errno says why.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getnameinfo(
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    host_room: socklen_t,
    service: *mut c_char,
    service_room: socklen_t,
    flags: c_int,
) -> c_int {
    let real = || {
        // SAFETY: the caller's arguments.
        unsafe { real::getnameinfo(address, length, host, host_room, service, service_room, flags) }
    };
    let host_wanted = !host.is_null() && host_room > 0;
    let service_wanted = !service.is_null() && service_room > 0;
    let asks = (host_wanted && flags & libc::NI_NUMERICHOST == 0)
        || (service_wanted && flags & libc::NI_NUMERICSERV == 0);
    let fits = !address.is_null() && length as usize <= size_of::<sockaddr_storage>();
    let Some(green) = asker().filter(|_| asks && fits) else { return real() };
    // SAFETY: all zeroes are a valid address of no family.
    let mut theirs: sockaddr_storage = unsafe { std::mem::zeroed() };
    let bytes = (&raw mut theirs).cast::<u8>();
    // SAFETY: the caller's `length` bytes, for which there is room.
    unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), bytes, length as usize) };
    let room = |wanted: bool, room: socklen_t| {
        vec![0_u8; if wanted { room as usize } else { 0 }.min(LONGEST)]
    };
    let mut names = [room(host_wanted, host_room), room(service_wanted, service_room)];
    let ask = move || {
        let [host, service] = &mut names;
        let length_of = |name: &Vec<u8>| name.len() as socklen_t;
        let (host_room, service_room) = (length_of(host), length_of(service));
        let (host, service) = (host.as_mut_ptr().cast(), service.as_mut_ptr().cast());
        let address = (&raw const theirs).cast();
        // SAFETY: an address and room of our own.
        let code = unsafe {
            real::getnameinfo(address, length, host, host_room, service, service_room, flags)
        };
        (code, names)
    };
    let kept = errno::keep();
    match pool::call(green, ask) {
        Ok(((0, [name, port]), _)) => {
            // SAFETY: as much room as the caller said, or less.
            unsafe { put(&name, host) };
            // SAFETY: as above.
            unsafe { put(&port, service) };
            0
        }
        Ok(((code, _), error)) => {
            if code == libc::EAI_SYSTEM {
                let _minus_one: c_int = kept.fail(error);
            }
            code
        }
        Err(stop) => {
            let _minus_one: c_int = kept.fail(Stop::errno(stop));
            libc::EAI_SYSTEM
        }
    }
}

/// Copies the C string in `name`, if there is one.
///
/// # Safety
/// `to` has room for `name`, unless that is empty.
unsafe fn put(name: &[u8], to: *mut c_char) {
    let Ok(text) = CStr::from_bytes_until_nul(name) else { return };
    // SAFETY: by the caller's promise.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), to, text.count_bytes() + 1) };
}
