//! The bodies on std itself.

pub(crate) mod rt {
    pub(crate) use std::os::unix::net as unix;
    pub(crate) use std::{net, sync, thread};

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::alarm::watch(body);
    }
}

sync_bodies!();
thread_bodies!();
net_bodies!();
