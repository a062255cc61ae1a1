//! sward's primitives between green threads and OS threads: the body is green, and of what it spawns every other one is.

pub(crate) mod rt {
    pub(crate) use sward::sync;

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::alarm::watch(|| sward::Builder::new().workers(1).run(body));
    }

    /// As much of `std::thread` as the bodies under `sync/` use.
    pub(crate) mod thread {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        use std::thread as os;

        use sward::sync::mpsc::{Receiver, channel};
        use sward::thread as green;

        pub(crate) use sward::thread::{sleep, yield_now};

        pub(crate) enum JoinHandle<T> {
            Green(green::JoinHandle<T>),
            Os(Receiver<os::Result<T>>),
        }

        pub(crate) fn spawn<T, F>(f: F) -> JoinHandle<T>
        where
            F: FnOnce() -> T + Send + 'static,
            T: Send + 'static,
        {
            static TURN: AtomicUsize = AtomicUsize::new(0);
            if TURN.fetch_add(1, Relaxed).is_multiple_of(2) {
                return JoinHandle::Green(green::spawn(f));
            }
            // std's join would block the worker that the green ones need.
            let (sender, result) = channel();
            os::spawn(move || {
                let _ = sender.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
            });
            JoinHandle::Os(result)
        }

        impl<T> JoinHandle<T> {
            pub(crate) fn join(self) -> os::Result<T> {
                match self {
                    JoinHandle::Green(handle) => handle.join(),
                    JoinHandle::Os(result) => result.recv().expect("the thread sends its result"),
                }
            }
        }
    }
}

sync_bodies!();
