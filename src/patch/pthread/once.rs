//! pthread_once: glibc's own, and while it initialises nobody else of this worker runs.
//!
//! Whoever comes to a `pthread_once` under way waits inside glibc. If that were another green thread of this worker, the
//! one that initialises could never go on. Initialisers are short, and there is one of each.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{c_int, c_void, pthread_once_t};

use crate::patch::gate::{self, Group};
use crate::patch::real;

type Init = unsafe extern "C-unwind" fn();
type Once = unsafe extern "C-unwind" fn(*mut pthread_once_t, Option<Init>) -> c_int;

/// glibc's. Not in the list of `real`, for it may unwind.
fn original() -> Once {
    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    let mut found = FOUND.load(Ordering::Relaxed);
    if found.is_null() {
        found = real::find(c"pthread_once", None, &FOUND);
    }
    // SAFETY: libc's function of this name has this type.
    unsafe { std::mem::transmute::<*mut c_void, Once>(found) }
}

/// pthread_once(3).
///
/// # Safety
/// As libc's.
// Unwinds if the initialiser does: a C++ `std::call_once` passes its exceptions on through here.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn pthread_once(
    control: *mut pthread_once_t,
    init: Option<Init>,
) -> c_int {
    // SAFETY: the caller's arguments.
    let call = || unsafe { original()(control, init) };
    match gate::green(Group::Sync) {
        Some(_) => gate::without_switching(call),
        None => call(),
    }
}
