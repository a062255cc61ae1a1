//! std's primitives and sockets between green threads and OS threads: of what a body spawns every other one is green.

pub(crate) mod rt {
    pub(crate) use std::net;
    pub(crate) use std::os::unix::net as unix;

    /// Some bodies report by a channel, which cannot be std's here.
    pub(crate) mod sync {
        pub(crate) use std::sync::*;
        pub(crate) use sward::sync::mpsc;
    }

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::green(1, body);
    }

    /// As much of `std::thread` as the bodies under `sync/` and `net/` use.
    pub(crate) mod thread {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        use std::thread as os;

        use sward::thread as green;

        pub(crate) use std::thread::{sleep, yield_now};

        pub(crate) enum JoinHandle<T> {
            Green(green::JoinHandle<T>),
            Os(os::JoinHandle<T>),
        }

        pub(crate) fn spawn<T, F>(f: F) -> JoinHandle<T>
        where
            F: FnOnce() -> T + Send + 'static,
            T: Send + 'static,
        {
            static TURN: AtomicUsize = AtomicUsize::new(0);
            match TURN.fetch_add(1, Relaxed).is_multiple_of(2) {
                true => JoinHandle::Green(green::spawn(f)),
                false => JoinHandle::Os(os::spawn(f)),
            }
        }

        impl<T> JoinHandle<T> {
            pub(crate) fn join(self) -> os::Result<T> {
                match self {
                    JoinHandle::Green(handle) => handle.join(),
                    JoinHandle::Os(handle) => handle.join(),
                }
            }
        }
    }
}

sync_bodies!();
net_bodies!();
