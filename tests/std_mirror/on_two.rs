//! The bodies on green threads, two workers: they run at once, and wake one another across OS threads.

pub(crate) mod rt {
    pub(crate) use sward::os::unix::net as unix;
    pub(crate) use sward::{net, sync, thread};

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::alarm::watch(|| sward::Builder::new().workers(2).run(body));
    }
}

sync_bodies!();
thread_bodies!();
net_bodies!();
