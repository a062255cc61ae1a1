//! gethostbyname(3), gethostbyname2, gethostbyaddr, and their `_r` kin: getaddrinfo's elders, for C code.
//!
//! The pool asks by the `_r` kind with memory of its own, since a call that nobody waits for any more must not write
//! to its caller's. What the others return stays until the same *green thread* asks again, or ends.

use std::cell::RefCell;
use std::ffi::CString;
use std::ptr;
use std::rc::Rc;

use libc::{c_char, c_int, c_void, hostent, size_t, socklen_t};

use super::host::Host;
use super::{Green, asker, errno, is_address, pool, real, text};
use crate::hub::park::with_locals;

/// The values of h_errno that we give ourselves. See errno.
const NETDB_INTERNAL: c_int = -1;

unsafe extern "C" {
    /// glibc's: where the calling OS thread's h_errno is.
    safe fn __h_errno_location() -> *mut c_int;
}

fn set_h_errno(value: c_int) {
    // SAFETY: the calling thread's own, never null.
    unsafe { *__h_errno_location() = value };
}

/// Whom to look for.
enum Question {
    Name(CString),
    NameOf(CString, c_int),
    Address(Vec<u8>, c_int),
}

impl Question {
    fn is_numeric(&self) -> bool {
        match self {
            Question::Name(name) | Question::NameOf(name, _) => is_address(name),
            Question::Address(..) => false,
        }
    }

    /// One call of libc's, with `memory` to write to.
    fn call(
        &self,
        host: *mut hostent,
        memory: &mut [c_char],
        found: *mut *mut hostent,
        h_errno: *mut c_int,
    ) -> c_int {
        let (room, memory) = (memory.len(), memory.as_mut_ptr());
        match self {
            // SAFETY: a C string and places of our own.
            Question::Name(name) => unsafe {
                real::gethostbyname_r(name.as_ptr(), host, memory, room, found, h_errno)
            },
            // SAFETY: as above.
            Question::NameOf(name, family) => unsafe {
                let name = name.as_ptr();
                real::gethostbyname2_r(name, *family, host, memory, room, found, h_errno)
            },
            // SAFETY: an address of the length given, and places of our own.
            Question::Address(address, family) => unsafe {
                let (bytes, length) = (address.as_ptr().cast(), address.len() as socklen_t);
                real::gethostbyaddr_r(bytes, length, *family, host, memory, room, found, h_errno)
            },
        }
    }

    fn ask(&self) -> Answer {
        let mut room = 1024;
        loop {
            let mut memory = vec![0; room];
            // SAFETY: all zeroes are a valid hostent.
            let mut host: hostent = unsafe { std::mem::zeroed() };
            let (mut found, mut h_errno) = (ptr::null_mut(), 0);
            let code = self.call(&raw mut host, &mut memory, &raw mut found, &raw mut h_errno);
            if code == libc::ERANGE && room < 1 << 20 {
                room *= 2;
                continue;
            }
            // SAFETY: null, or `host`.
            let found = unsafe { found.as_ref() };
            // SAFETY: made by libc just now, and its memory is still there.
            let host = found.map(|host| unsafe { Host::read(host) });
            return Answer { code, host, h_errno };
        }
    }
}

struct Answer {
    /// 0, or an error number.
    code: c_int,
    host: Option<Host>,
    h_errno: c_int,
}

impl Answer {
    /// On the pool; errno as the call left it comes too.
    fn of(green: Green, question: Question) -> (Answer, c_int) {
        match pool::call(green, move || question.ask()) {
            Ok(pair) => pair,
            Err(stop) => {
                let error = stop.errno();
                (Answer { code: error, host: None, h_errno: NETDB_INTERNAL }, error)
            }
        }
    }
}

/// A hostent and the memory that it points to.
struct Packed {
    host: hostent,
    _memory: Vec<c_char>,
}

/// The key under which a green thread keeps its last answer.
static KEY: u8 = 0;

/// Keeps `host` for the calling green thread, in place of the one before, and returns where it is.
fn keep(host: &Host) -> *mut hostent {
    let mut memory = vec![0; host.room()];
    // SAFETY: as much room as is said.
    let Some(packed) = (unsafe { host.pack(memory.as_mut_ptr(), memory.len()) }) else {
        return ptr::null_mut();
    };
    // Boxed: the caller has the address while the next answer is being made.
    let mut packed = Box::new(Packed { host: packed, _memory: memory });
    let address = &raw mut packed.host;
    let key = (&raw const KEY).addr();
    with_locals(|locals| {
        let known = locals.get(key).and_then(|kept| kept.downcast().ok());
        let kept: Rc<RefCell<Option<Box<Packed>>>> = known.unwrap_or_else(|| {
            let fresh = Rc::new(RefCell::new(None));
            locals.set(key, fresh.clone());
            fresh
        });
        kept.replace(Some(packed));
    });
    address
}

/// The ones without `_r`.
fn look_up(green: Green, question: Question) -> *mut hostent {
    let kept = errno::keep();
    let (answer, error) = Answer::of(green, question);
    if let Some(host) = &answer.host {
        return keep(host);
    }
    set_h_errno(answer.h_errno);
    let _minus_one: c_int = kept.fail(error);
    ptr::null_mut()
}

/// Where the caller of an `_r` call wants its answer.
struct Place {
    host: *mut hostent,
    memory: *mut c_char,
    room: size_t,
    found: *mut *mut hostent,
    h_errno: *mut c_int,
}

/// The ones with `_r`.
///
/// # Safety
/// `place` holds what the caller gave, as the call demands it.
unsafe fn look_up_r(green: Green, question: Question, place: &Place) -> c_int {
    let kept = errno::keep();
    let (answer, error) = Answer::of(green, question);
    // SAFETY: the caller's memory, of the size it said.
    let pack = |host: &Host| unsafe { host.pack(place.memory, place.room) };
    let packed = answer.host.as_ref().map(pack);
    let (code, found, h_errno) = match packed {
        None => (answer.code, ptr::null_mut(), answer.h_errno),
        Some(None) => (libc::ERANGE, ptr::null_mut(), NETDB_INTERNAL),
        Some(Some(host)) => {
            // SAFETY: the caller's, to be written.
            unsafe { place.host.write(host) };
            (0, place.host, answer.h_errno)
        }
    };
    // SAFETY: as above.
    unsafe { place.found.write(found) };
    // SAFETY: as above.
    unsafe { place.h_errno.write(h_errno) };
    if code != 0 {
        let _minus_one: c_int = kept.fail(if code == libc::ERANGE { code } else { error });
    }
    code
}

/// The asker and its question about a name; `None` for the real call.
///
/// # Safety
/// Null, or a C string.
unsafe fn about(
    name: *const c_char,
    question: impl FnOnce(CString) -> Question,
) -> Option<(Green, Question)> {
    let green = asker()?;
    // SAFETY: the caller's promise.
    let question = question(unsafe { text(name) }?);
    (!question.is_numeric()).then_some((green, question))
}

/// As `about`, for an address.
///
/// # Safety
/// Null, or `length` bytes.
unsafe fn about_address(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> Option<(Green, Question)> {
    let green = asker().filter(|_| !address.is_null())?;
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length as usize) };
    Some((green, Question::Address(bytes.to_vec(), family)))
}

/// gethostbyname(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname(name: *const c_char) -> *mut hostent {
    // SAFETY: the caller's argument.
    match unsafe { about(name, Question::Name) } {
        Some((green, question)) => look_up(green, question),
        // SAFETY: the caller's argument.
        None => unsafe { real::gethostbyname(name) },
    }
}

/// gethostbyname2(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    // SAFETY: the caller's arguments.
    match unsafe { about(name, |name| Question::NameOf(name, family)) } {
        Some((green, question)) => look_up(green, question),
        // SAFETY: the caller's arguments.
        None => unsafe { real::gethostbyname2(name, family) },
    }
}

/// gethostbyaddr(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyaddr(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> *mut hostent {
    // SAFETY: the caller's arguments.
    match unsafe { about_address(address, length, family) } {
        Some((green, question)) => look_up(green, question),
        // SAFETY: the caller's arguments.
        None => unsafe { real::gethostbyaddr(address, length, family) },
    }
}

/// gethostbyname_r(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname_r(
    name: *const c_char,
    host: *mut hostent,
    memory: *mut c_char,
    room: size_t,
    found: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    // SAFETY: the caller's argument.
    let Some((green, question)) = (unsafe { about(name, Question::Name) }) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::gethostbyname_r(name, host, memory, room, found, h_errno) };
    };
    // SAFETY: the caller's arguments.
    unsafe { look_up_r(green, question, &Place { host, memory, room, found, h_errno }) }
}

/// gethostbyname2_r(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    memory: *mut c_char,
    room: size_t,
    found: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    let asked = unsafe { about(name, |name| Question::NameOf(name, family)) };
    let Some((green, question)) = asked else {
        // SAFETY: the caller's arguments.
        return unsafe { real::gethostbyname2_r(name, family, host, memory, room, found, h_errno) };
    };
    // SAFETY: the caller's arguments.
    unsafe { look_up_r(green, question, &Place { host, memory, room, found, h_errno }) }
}

/// gethostbyaddr_r(3).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "libc's signature")]
pub(super) unsafe extern "C" fn gethostbyaddr_r(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
    host: *mut hostent,
    memory: *mut c_char,
    room: size_t,
    found: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    let Some((green, question)) = (unsafe { about_address(address, length, family) }) else {
        // SAFETY: the caller's arguments.
        return unsafe {
            real::gethostbyaddr_r(address, length, family, host, memory, room, found, h_errno)
        };
    };
    // SAFETY: the caller's arguments.
    unsafe { look_up_r(green, question, &Place { host, memory, room, found, h_errno }) }
}
