//! std's `park` and `unpark` between green threads of one worker, which all share that OS thread's one word: the hazard of
//! two parkers at once, in every body that parks.

pub(crate) mod rt {
    pub(crate) use sward::sync;

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::green(1, body);
    }

    /// Green threads that park as std parks.
    pub(crate) mod thread {
        use std::thread as os;
        use sward::thread as green;

        pub(crate) use std::thread::{park, park_timeout, yield_now};

        /// std's handle to the worker's OS thread. The green thread's own name, which is what a body asks for.
        #[derive(Clone)]
        pub(crate) struct Thread(os::Thread, Option<String>);

        impl Thread {
            pub(crate) fn unpark(&self) {
                self.0.unpark();
            }

            pub(crate) fn name(&self) -> Option<&str> {
                self.1.as_deref()
            }
        }

        pub(crate) fn current() -> Thread {
            Thread(os::current(), green::current().name().map(str::to_string))
        }

        pub(crate) struct JoinHandle<T>(green::JoinHandle<T>, Thread);

        pub(crate) fn spawn<T, F>(f: F) -> JoinHandle<T>
        where
            F: FnOnce() -> T + Send + 'static,
            T: Send + 'static,
        {
            // One worker, hence the caller's OS thread.
            JoinHandle(green::spawn(f), Thread(os::current(), None))
        }

        impl<T> JoinHandle<T> {
            pub(crate) fn thread(&self) -> &Thread {
                &self.1
            }

            pub(crate) fn join(self) -> green::Result<T> {
                self.0.join()
            }
        }
    }
}

#[path = "../std_mirror/thread/park.rs"]
mod park;
