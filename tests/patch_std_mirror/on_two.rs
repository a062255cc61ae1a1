//! std's primitives and sockets between green threads of two workers: wake-ups cross OS threads.

pub(crate) mod rt {
    pub(crate) use std::net;
    pub(crate) use std::os::unix::net as unix;
    pub(crate) use sward::thread;

    /// Some bodies report by a channel, which cannot be std's here.
    pub(crate) mod sync {
        pub(crate) use std::sync::*;
        pub(crate) use sward::sync::mpsc;
    }

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::green(2, body);
    }
}

sync_bodies!();
net_bodies!();
