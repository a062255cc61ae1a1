//! Calls that wait inside libc, where no hook reaches: a thread of the pool makes them, and the green thread parks.
//!
//! A call that is out cannot be called back. When its caller is interrupted it runs on, and its result is dropped
//! there; so it owns all that it uses.
#![forbid(unsafe_code)]

use libc::c_int;

use super::errno;
use super::gate::{Green, Stop};
use crate::blocking;

/// Makes `call` on the pool; its result comes with the errno it left. The caller may switch (`may_switch`).
pub(super) fn call<T, F>(green: Green, call: F) -> Result<(T, c_int), Stop>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let answer = blocking::offload(move || (call(), errno::get()), false);
    // A refused call lets others run before it returns: code that ignores errors must not hold its worker.
    answer.map_err(|why| match green.ended(Err(why)) {
        Err(stop) => stop,
        Ok(()) => why.into(),
    })
}
