//! [`Barrier`]: std's, for green threads and OS threads mixed.

#![forbid(unsafe_code)]

use std::fmt;

use crate::wait::Monitor;

/// A point where a number of threads wait for one another, with the interface of [`std::sync::Barrier`].
///
/// A thread that is interrupted while it waits (by an enclosing timeout or a cancel) no longer counts as having come.
///
/// ```
/// use sward::sync::{Arc, Barrier};
///
/// sward::run(|| {
///     let barrier = Arc::new(Barrier::new(3));
///     let others: Vec<_> = (0..2)
///         .map(|_| {
///             let barrier = Arc::clone(&barrier);
///             sward::thread::spawn(move || barrier.wait().is_leader())
///         })
///         .collect();
///     let mut leaders = u32::from(barrier.wait().is_leader());
///     for other in others {
///         leaders += u32::from(other.join().unwrap());
///     }
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    parties: usize,
    /// Behind the lock: in which round we are, and how many have come in it.
    state: Monitor<State>,
}

struct State {
    come: usize,
    round: usize,
}

/// What [`Barrier::wait`] returns.
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// True for one of the threads that met: the one that came last.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for `n` threads; 0 counts as 1.
    #[must_use]
    pub const fn new(n: usize) -> Barrier {
        Barrier { parties: n, state: Monitor::new(State { come: 0, round: 0 }) }
    }

    /// Waits until `n` threads have come, this one included. The barrier is then as new.
    pub fn wait(&self) -> BarrierWaitResult {
        let mut state = self.state.lock();
        state.come += 1;
        if state.come >= self.parties {
            state.come = 0;
            state.round = state.round.wrapping_add(1);
            state.wake_all(0);
            return BarrierWaitResult(true);
        }
        let round = state.round;
        if let Err(interrupt) = state.wait(0, None) {
            let mut state = self.state.lock();
            // The last one may have come, and counted us, before we could take ourselves off.
            if state.round == round {
                state.come -= 1;
            }
            drop(state);
            interrupt.unwind();
        }
        BarrierWaitResult(false)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}
