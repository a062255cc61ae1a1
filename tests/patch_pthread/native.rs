//! The C library of these tests: compiled once, loaded at run time, so that the hooks must reach it through the dynamic
//! linker.

use std::ffi::{CString, c_int, c_void};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One of the library's objects. The tests free none, but where that is what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object(*mut c_void);

// SAFETY: locks are made to be shared.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

fn library() -> usize {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    *LIBRARY.get_or_init(|| {
        // Each test has a process of its own: each compiles its own copy.
        let file =
            format!("{}/patch_pthread_{}.so", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/patch_pthread/native.c");
        let mut compiler = Command::new("cc");
        compiler.args([
            "-Wall",
            "-shared",
            "-fPIC",
            "-fexceptions",
            "-pthread",
            "-o",
            &file,
            source,
        ]);
        assert!(compiler.status().expect("a C compiler").success());
        let name = CString::new(file.clone()).unwrap();
        // SAFETY: a C string; the library runs nothing when it is loaded.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{file}");
        std::fs::remove_file(file).unwrap();
        library.expose_provenance()
    })
}

/// Loads the library; the first thing in a test, on an OS thread.
pub(crate) fn load() {
    library();
}

fn symbol(name: &str) -> *mut c_void {
    let name = CString::new(name).unwrap();
    let library = std::ptr::with_exposed_provenance_mut(library());
    // SAFETY: a library that stays, and a C string.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null(), "{name:?}");
    symbol
}

macro_rules! functions {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {$(
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
            if FOUND.load(Ordering::Relaxed).is_null() {
                FOUND.store(symbol(stringify!($name)), Ordering::Relaxed);
            }
            // SAFETY: the library's function of this name has this type.
            let f = unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) $(-> $ret)?>(
                    FOUND.load(Ordering::Relaxed),
                )
            };
            // SAFETY: objects of the library's own, used as they are meant to be.
            unsafe { f($($arg),*) }
        }
    )*};
}

functions! {
    mutex_new(kind: c_int, shared: c_int) -> Object;
    mutex_again(mutex: Object, kind: c_int);
    mutex_lock(mutex: Object) -> c_int;
    mutex_try(mutex: Object) -> c_int;
    mutex_unlock(mutex: Object) -> c_int;
    mutex_timed(mutex: Object, ms: c_int) -> c_int;
    mutex_clock(mutex: Object, ms: c_int) -> c_int;
    mutex_nonsense(mutex: Object) -> c_int;
    mutex_unlock_and_free(mutex: Object);
    cond_new(monotonic: c_int, shared: c_int) -> Object;
    cond_wait(cond: Object, mutex: Object) -> c_int;
    cond_signal(cond: Object) -> c_int;
    cond_broadcast(cond: Object) -> c_int;
    cond_timed(cond: Object, mutex: Object, monotonic: c_int, ms: c_int) -> c_int;
    cond_clock(cond: Object, mutex: Object, monotonic: c_int, ms: c_int) -> c_int;
    cond_own() -> Object;
    rw_new() -> Object;
    rw_read(lock: Object) -> c_int;
    rw_write(lock: Object) -> c_int;
    rw_unlock(lock: Object) -> c_int;
    rw_timed(lock: Object, write: c_int, ms: c_int) -> c_int;
    rw_clock(lock: Object, write: c_int, ms: c_int) -> c_int;
    semaphore_new(value: c_int) -> Object;
    semaphore_wait(sem: Object) -> c_int;
    semaphore_post(sem: Object) -> c_int;
    semaphore_timed(sem: Object, ms: c_int) -> c_int;
    semaphore_clock(sem: Object, ms: c_int) -> c_int;
    semaphore_own() -> Object;
    semaphore_post_on_signal(sem: Object, nodefer: c_int);
    semaphore_posts_by_handler() -> c_int;
    thread_id() -> c_int;
    thread_signal(id: c_int);
    once() -> c_int;
    barrier_new(parties: c_int) -> Object;
    barrier_wait(barrier: Object) -> c_int;
    c11_play(mine: c_int, rounds: c_int) -> c_int;
    c11_timed_out() -> c_int;
    other_process() -> c_int;
    cancelled() -> c_int;
}
