//! std on plain OS threads, after the patch was installed: every call passes straight through.

pub(crate) mod rt {
    pub(crate) use std::os::unix::net as unix;
    pub(crate) use std::{net, sync, thread};

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::patched();
        crate::alarm::watch(body);
    }
}

sync_bodies!();
channel_bodies!();
thread_bodies!();
net_bodies!();
