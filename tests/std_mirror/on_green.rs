//! The bodies on green threads, one worker: what runs is decided by parking alone.

pub(crate) mod rt {
    pub(crate) use sward::os::unix::net as unix;
    pub(crate) use sward::{net, sync, thread};

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::alarm::watch(|| sward::Builder::new().workers(1).run(body));
    }
}

sync_bodies!();
thread_bodies!();
net_bodies!();
