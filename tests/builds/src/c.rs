//! What C code waits in: `c/waits.c`, linked into the program and loaded at run time.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use crate::{Checked, ensure, meanwhile, text, when_others_ran};

/// The functions of `waits.c`.
#[derive(Clone, Copy)]
struct Waits {
    recv: unsafe extern "C" fn(c_int, usize) -> c_long,
    read: unsafe extern "C" fn(c_int, usize) -> c_long,
    poll: unsafe extern "C" fn(c_int, c_int) -> c_int,
    sleep: unsafe extern "C" fn(c_long) -> c_int,
    resolve: unsafe extern "C" fn(*const c_char) -> c_int,
    lock: unsafe extern "C" fn() -> c_int,
    unlock: unsafe extern "C" fn() -> c_int,
}

fn linked() -> Waits {
    unsafe extern "C" {
        fn waits_recv(fd: c_int, length: usize) -> c_long;
        fn waits_read(fd: c_int, length: usize) -> c_long;
        fn waits_poll(fd: c_int, milliseconds: c_int) -> c_int;
        fn waits_sleep(milliseconds: c_long) -> c_int;
        fn waits_resolve(name: *const c_char) -> c_int;
        fn waits_lock() -> c_int;
        fn waits_unlock() -> c_int;
    }
    Waits {
        recv: waits_recv,
        read: waits_read,
        poll: waits_poll,
        sleep: waits_sleep,
        resolve: waits_resolve,
        lock: waits_lock,
        unlock: waits_unlock,
    }
}

#[cfg(target_feature = "crt-static")]
fn loaded() -> Result<Waits, String> {
    Err("a static program loads no libraries".into())
}

#[cfg(not(target_feature = "crt-static"))]
#[allow(clippy::missing_transmute_annotations, reason = "the types are those of the fields")]
fn loaded() -> Result<Waits, String> {
    let path = std::ffi::CString::new(env!("LOADED")).map_err(text)?;
    // SAFETY: our own library, which does nothing when it is loaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    ensure(!library.is_null(), "cannot be loaded")?;
    let find = |name: &CStr| {
        // SAFETY: the library stays loaded; the name ends with NUL.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        ensure(!found.is_null(), name).map(|()| found)
    };
    macro_rules! take {
        ($name:literal) => {
            // SAFETY: the field's type is that of the function in waits.c.
            unsafe { std::mem::transmute::<*mut libc::c_void, _>(find($name)?) }
        };
    }
    Ok(Waits {
        recv: take!(c"waits_recv"),
        read: take!(c"waits_read"),
        poll: take!(c"waits_poll"),
        sleep: take!(c"waits_sleep"),
        resolve: take!(c"waits_resolve"),
        lock: take!(c"waits_lock"),
        unlock: take!(c"waits_unlock"),
    })
}

fn sockets(waits: Waits) -> Checked {
    let (ours, theirs) = UnixStream::pair().map_err(text)?;
    let fd = ours.as_raw_fd();
    // Each call waits for a byte; poll, the last, leaves it where it is.
    let calls: [(&str, &dyn Fn() -> c_long); 3] = [
        // SAFETY: the descriptor is open, and the buffer in waits.c holds 64 bytes.
        ("recv", &|| unsafe { (waits.recv)(fd, 64) }),
        // SAFETY: as above.
        ("read", &|| unsafe { (waits.read)(fd, 64) }),
        // SAFETY: a descriptor and a number.
        ("poll", &|| unsafe { (waits.poll)(fd, -1) }.into()),
    ];
    for (name, call) in calls {
        let mut theirs = theirs.try_clone().map_err(text)?;
        let result = meanwhile(|| {
            let writer = when_others_ran(move || theirs.write_all(b"x").expect("it is open"));
            let result = call();
            writer.join().map(|()| result).map_err(text)
        });
        let result = result.map_err(|what| format!("{name}: {what}"))??;
        ensure(result == 1, (name, result))?;
    }
    // SAFETY: a number.
    let slept = meanwhile(|| unsafe { (waits.sleep)(20) });
    ensure(slept == Ok(0), ("sleep", slept))
}

/// An OS thread has the lock until others have run.
fn mutex(waits: Waits) -> Checked {
    let (held, is_held) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        // SAFETY: a mutex of waits.c.
        unsafe { (waits.lock)() };
        let _ = held.send(());
        let _ = may_go.recv();
        // SAFETY: ours, since above.
        unsafe { (waits.unlock)() };
    });
    is_held.recv().map_err(text)?;
    let locked = meanwhile(|| {
        let opener = when_others_ran(move || {
            let _ = go.send(());
        });
        // SAFETY: a mutex of waits.c.
        let locked = unsafe { (waits.lock)() };
        opener.join().map_err(text).map(|()| locked)
    });
    // SAFETY: ours, since above.
    unsafe { (waits.unlock)() };
    holder.join().map_err(text)?;
    let locked = locked??;
    ensure(locked == 0, locked)
}

fn resolver(waits: Waits) -> Checked {
    // SAFETY: the name ends with NUL.
    let error = meanwhile(|| unsafe { (waits.resolve)(c"localhost".as_ptr()) })?;
    ensure(error == 0, error)
}

pub(crate) fn linked_sockets() -> Checked {
    sockets(linked())
}

pub(crate) fn linked_mutex() -> Checked {
    mutex(linked())
}

pub(crate) fn linked_resolver() -> Checked {
    resolver(linked())
}

pub(crate) fn loaded_sockets() -> Checked {
    sockets(loaded()?)
}

pub(crate) fn loaded_mutex() -> Checked {
    mutex(loaded()?)
}

pub(crate) fn loaded_resolver() -> Checked {
    resolver(loaded()?)
}
