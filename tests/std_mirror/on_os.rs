//! sward's primitives on plain OS threads, with no runtime anywhere.

pub(crate) mod rt {
    pub(crate) use std::thread;
    pub(crate) use sward::sync;

    pub(crate) fn case(body: impl FnOnce() + Send + 'static) {
        crate::alarm::watch(body);
    }
}

sync_bodies!();
