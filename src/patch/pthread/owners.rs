//! Which green thread of this worker holds a recursive or an error-checking mutex.
//!
//! glibc knows the owner by its OS thread, so to it all green threads of a worker are one: the second to lock a
//! recursive mutex would get in. So the worker keeps its own list, of such mutexes only, while green threads hold them.
//! Nobody else needs it: a green thread never leaves its worker, and glibc tells OS threads apart.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::patch::gate;

struct Held {
    by: NonZeroU64,
    /// How often it was locked and not unlocked.
    times: usize,
}

thread_local! {
    static OWNERS: RefCell<BTreeMap<usize, Held>> = const { RefCell::new(BTreeMap::new()) };
}

/// The list, if it can be had: not while it is in use (an allocator built on recursive mutexes, called by the list
/// itself) or gone already. Without a switch, so that nobody of this worker comes in between.
fn with<R>(f: impl FnOnce(&mut BTreeMap<usize, Held>) -> R) -> Option<R> {
    gate::without_switching(|| {
        let f = |owners: &RefCell<_>| owners.try_borrow_mut().ok().map(|mut owners| f(&mut owners));
        OWNERS.try_with(f).ok().flatten()
    })
}

/// Who holds the mutex at `address`, which this OS thread has locked.
pub(super) fn of(address: usize) -> Option<NonZeroU64> {
    with(|owners| owners.get(&address).map(|held| held.by)).flatten()
}

/// `by` has locked it; `first`: it was free before.
pub(super) fn took(address: usize, by: NonZeroU64, first: bool) {
    with(|owners| {
        let held = owners.entry(address).or_insert(Held { by, times: 0 });
        if first {
            // What was there was left by a mutex that is no more.
            *held = Held { by, times: 0 };
        }
        held.times += 1;
    });
}

/// Its owner has unlocked it.
pub(super) fn gave(address: usize) {
    with(|owners| {
        if let Some(held) = owners.get_mut(&address) {
            held.times = held.times.saturating_sub(1);
            if held.times == 0 {
                owners.remove(&address);
            }
        }
    });
}
