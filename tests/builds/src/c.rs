//! What C code waits in: `c/waits.c`, linked into the program and loaded at run time.

#[cfg(not(target_feature = "crt-static"))]
use std::ffi::{CString, c_void};
use std::ffi::{c_char, c_int, c_long, c_ulong};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use crate::{Checked, ensure, meanwhile, on_the_pool, text, when_others_ran};

/// Declares the functions of `waits.c`, and where to find them.
macro_rules! waits {
    ($($name:ident = $symbol:ident: fn($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        /// The functions of `waits.c`.
        #[derive(Clone, Copy)]
        struct Waits {
            $($name: unsafe extern "C" fn($($ty),*) -> $ret,)*
        }

        /// Those in the program.
        fn linked() -> Waits {
            unsafe extern "C" {
                $(fn $symbol($($arg: $ty),*) -> $ret;)*
            }
            Waits { $($name: $symbol,)* }
        }

        /// Those in a library, each as `find` finds it.
        #[cfg(not(target_feature = "crt-static"))]
        fn looked_up(find: impl Fn(&str) -> Result<*mut c_void, String>) -> Result<Waits, String> {
            Ok(Waits {
                $(
                    // SAFETY: the type is that of the function of this name in waits.c.
                    $name: unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) -> $ret>(
                            find(stringify!($symbol))?,
                        )
                    },
                )*
            })
        }
    };
}

waits! {
    recv = waits_recv: fn(fd: c_int) -> c_long;
    read = waits_read: fn(fd: c_int) -> c_long;
    poll = waits_poll: fn(fd: c_int) -> c_int;
    checked_recv = waits_checked_recv: fn(fd: c_int, length: usize) -> c_long;
    checked_read = waits_checked_read: fn(fd: c_int, length: usize) -> c_long;
    checked_poll = waits_checked_poll: fn(fd: c_int, count: c_ulong) -> c_int;
    nanosleep = waits_nanosleep: fn() -> c_int;
    usleep = waits_usleep: fn() -> c_int;
    resolve = waits_resolve: fn(name: *const c_char) -> c_int;
    lock = waits_lock: fn() -> c_int;
    unlock = waits_unlock: fn() -> c_int;
}

#[cfg(target_feature = "crt-static")]
fn loaded() -> Result<Waits, String> {
    Err("a static program loads no libraries".into())
}

#[cfg(not(target_feature = "crt-static"))]
fn loaded() -> Result<Waits, String> {
    let path = CString::new(env!("LOADED")).map_err(text)?;
    // SAFETY: our own library, which does nothing when it is loaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    ensure(!library.is_null(), "cannot be loaded")?;
    looked_up(|name| {
        let symbol = CString::new(name).map_err(text)?;
        // SAFETY: the library stays loaded; the name ends with NUL.
        let found = unsafe { libc::dlsym(library, symbol.as_ptr()) };
        ensure(!found.is_null(), name).map(|()| found)
    })
}

/// Each call waits for a byte on the descriptor, and returns 1.
fn wait_for_a_byte(calls: &[(&str, &dyn Fn(c_int) -> c_long)]) -> Checked {
    for (name, call) in calls {
        let (ours, mut theirs) = UnixStream::pair().map_err(text)?;
        let result = meanwhile(|| {
            let writer = when_others_ran(move || theirs.write_all(b"x").expect("it is open"));
            let result = call(ours.as_raw_fd());
            writer.join().map(|()| result).map_err(text)
        });
        let result = result.map_err(|what| format!("{name}: {what}"))??;
        ensure(result == 1, (name, result))?;
    }
    Ok(())
}

fn sockets(waits: Waits) -> Checked {
    wait_for_a_byte(&[
        // SAFETY: an open descriptor, here and below.
        ("recv", &|fd| unsafe { (waits.recv)(fd) }),
        // SAFETY: as above.
        ("read", &|fd| unsafe { (waits.read)(fd) }),
        // SAFETY: as above.
        ("poll", &|fd| unsafe { (waits.poll)(fd) }.into()),
    ])
}

fn fortified(waits: Waits) -> Checked {
    wait_for_a_byte(&[
        // SAFETY: an open descriptor; the buffer in waits.c holds 64 bytes.
        ("__recv_chk", &|fd| unsafe { (waits.checked_recv)(fd, 64) }),
        // SAFETY: as above.
        ("__read_chk", &|fd| unsafe { (waits.checked_read)(fd, 64) }),
        // SAFETY: an open descriptor; waits.c has room for two.
        ("__poll_chk", &|fd| unsafe { (waits.checked_poll)(fd, 2) }.into()),
    ])
}

fn sleeps(waits: Waits) -> Checked {
    // SAFETY: no arguments.
    let slept = meanwhile(|| unsafe { (waits.nanosleep)() });
    ensure(slept == Ok(0), ("nanosleep", slept))?;
    // SAFETY: no arguments.
    let slept = meanwhile(|| unsafe { (waits.usleep)() });
    ensure(slept == Ok(0), ("usleep", slept))
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
    // Many times, as in `rust::dns`.
    on_the_pool(|| {
        (0..50).try_for_each(|_| {
            // SAFETY: the name ends with NUL.
            let error = unsafe { (waits.resolve)(c"localhost".as_ptr()) };
            ensure(error == 0, error)
        })
    })?
}

/// Each check, on the functions in the program and on those in the library.
macro_rules! both {
    ($($check:ident: $linked:ident, $loaded:ident;)*) => {
        $(
            pub(crate) fn $linked() -> Checked {
                $check(linked())
            }

            pub(crate) fn $loaded() -> Checked {
                $check(loaded()?)
            }
        )*
    };
}

both! {
    sockets: linked_sockets, loaded_sockets;
    fortified: linked_fortified, loaded_fortified;
    sleeps: linked_sleeps, loaded_sleeps;
    mutex: linked_mutex, loaded_mutex;
    resolver: linked_resolver, loaded_resolver;
}
