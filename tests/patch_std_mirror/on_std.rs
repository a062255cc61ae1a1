//! std as it is, the body on a green thread: it waits for OS threads, and they for it.

pub(crate) mod rt {
    pub(crate) use std::os::unix::net as unix;
    pub(crate) use std::{net, sync, thread};

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::green(1, body);
    }
}

sync_bodies!();
channel_bodies!();
thread_bodies!();
net_bodies!();
