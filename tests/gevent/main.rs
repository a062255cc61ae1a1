//! What people know from gevent holds here: its tests' behaviours, one by one, in our words and with our names.
//!
//! The numbers are those of the list of thirty in which the project keeps them; each test names its own. All run on one
//! worker, where green threads run one at a time and in a known order, so that nothing here is a matter of luck.
//!
//! | behaviour | where |
//! |---|---|
//! | 1 nested timeouts, 2 an outer one through an inner, 3 a timeout that is over | `timeouts.rs` |
//! | 4 an outer timeout during any wait leaves the primitive usable | `timeouts.rs` |
//! | 5 order of `sleep(0)`, 7 cancel before the start, 8 cancel of many, 29 locals at the end | `threads.rs` |
//! | 10 a scope joins (its other half, cancelling on a panic, is not ours: see below) | `threads.rs` |
//! | 14 set then clear, 15 waiting again when woken | `events.rs` |
//! | 16 a getter that gave up takes nothing, 17 the same for putters, 18 rendezvous, 19 shutdown | `queues.rs` |
//! | 20 release and acquire again does not starve, 21 semaphores across OS threads | `semaphores.rs` |
//! | 22 as far as it is "so many at a time" | `semaphores.rs` |
//! | 23 close under a blocked read, 24 two readers, 25 one timeout for a whole send | `sockets.rs` |
//!
//! Not here, and why:
//! - 6, 11 links, 9 joinall, 12 iwait, 13 wait and `ref=False`, the rest of 10 and of 22: they are about groups, which come with
//!   `group`; until then `thread::scope`, channels and `Semaphore` do their work.
//! - 3, custom exception classes: a timeout here is a value, `Err(Elapsed)`, and the caller names it as it likes.
//! - 8, exceptions of one's own into a green thread: `cancel` has one payload, `Cancelled`.
//! - 26 select: there is no `poll` yet. Reused descriptor numbers are in `tests/net_close.rs`.
//! - 27 the server and 30 the protocol: `tests/http_*.rs`. 28 the monitor: no watchdog yet.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::time::Duration;

use sward::thread;

#[path = "../std_mirror/alarm.rs"]
mod alarm;
mod events;
mod queues;
mod semaphores;
mod sockets;
mod threads;
mod timeouts;

/// Long enough to be noticed if somebody waits for it.
const LONG: Duration = Duration::from_secs(3600);
/// Short, and long enough for the clock to see.
const SHORT: Duration = Duration::from_millis(10);

/// Runs a test on a green thread of a runtime of one worker.
fn case(body: impl FnOnce()) {
    alarm::watch(|| sward::Builder::new().workers(1).run(body));
}

/// Lets all others run until they wait. On one worker each turn runs everybody who can.
fn settle() {
    for _ in 0..10 {
        thread::yield_now();
    }
}
