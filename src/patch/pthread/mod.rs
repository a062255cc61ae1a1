//! pthread's locks, conditions, semaphores and `pthread_once`, for C and C++.
//!
//! The objects stay glibc's: OS threads use them as ever. A green thread only ever *tries* (`pthread_mutex_trylock` and
//! its kin), and between its tries waits in the [`lot`](crate::patch::lot) at the object's address; whoever unlocks
//! looks there. So green threads and OS threads share them.
//!
//! All waits are deaf to `timeout` scopes and cancellation: most callers of these functions ignore what they return.
//!
//! What is not here: `pthread_join` (`join`), and spin locks, whose waiters keep the worker busy.
//!
//! Read on: [`mutex`], [`cond`], [`rwlock`], [`sem`], [`once`], [`barrier`], [`c11`]; [`time`] for deadlines.

mod barrier;
mod c11;
mod cond;
mod layout;
mod mutex;
mod once;
mod owners;
mod rwlock;
mod sem;
mod time;

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use libc::c_int;

use super::gate::Green;
use super::lot::{self, Slept};
use super::{complain, name_of};
use crate::sys::futex;
use time::Until;

/// The bits of those who wait in the lot; several kinds may wait at one address.
const MUTEX: u32 = 1;
const COND: u32 = 2;
const READER: u32 = 4;
const WRITER: u32 = 8;

/// When a waiter looks by itself, whether it was woken or not.
///
/// Not every unlock passes by our hooks: `pthread_cond_wait` of an OS thread gives its mutex back inside glibc, and
/// another process the one that it shares with us. The pauses grow with the wait, so such an unlock is seen after at
/// most as much time again as was waited already.
struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    fn new(shared: bool) -> Pauses {
        let longest = Duration::from_millis(if shared { 8 } else { 256 });
        Pauses { next: Duration::from_millis(1), longest }
    }

    /// The end of the next pause, or of the wait.
    fn end(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        let end = Instant::now().checked_add(pause);
        match (end, deadline) {
            (Some(end), Some(deadline)) => Some(end.min(deadline)),
            (end, deadline) => end.or(deadline),
        }
    }
}

/// Tries until `attempt` has an answer (`None` means "not now"), and parks in between. ETIMEDOUT if there is none in
/// time.
fn acquire(
    green: Green,
    address: usize,
    bits: u32,
    until: &Until,
    shared: bool,
    mut attempt: impl FnMut() -> Option<c_int>,
) -> c_int {
    let mut pauses = Pauses::new(shared);
    loop {
        let mut answer = None;
        let slept = lot::sleep(green, address, bits, pauses.end(until.instant()), || {
            answer = attempt();
            answer.is_none()
        });
        if let Some(answer) = answer {
            return answer;
        }
        if slept != Slept::Woken && until.has_passed() {
            // What became free this moment is not left lying.
            return attempt().unwrap_or(libc::ETIMEDOUT);
        }
    }
}

/// The caller waits for what a green thread of its own worker holds, where it cannot let that one run.
#[cold]
fn stuck(green: Green, until: &Until) -> c_int {
    complain(&format!(
        "sward: green thread '{}' (id {}) waits for a pthread lock that another green thread of its worker holds, where \
         none may run: during a panic, in a signal handler, or inside patch::pinned. If nothing ends the wait the \
         worker hangs. See sward::patch::pins().\n",
        name_of(green),
        green.fiber.id
    ));
    let word = AtomicU32::new(0);
    while !until.has_passed() {
        let left = until.instant().map(|at| at.saturating_duration_since(Instant::now()));
        futex::wait(&word, 0, left);
    }
    libc::ETIMEDOUT
}
