//! The owner's flags of a fiber, all on one page. Nobody else reads or writes them.
//!
//! ```text
//!                    park: parked                     wake: queued
//!   running ───────────────────────────► parked ───────────────────────► in the run queue ──► running
//!      │  ▲                                                                      ▲
//!      │  └── wake while running: notified, the next park returns at once        │
//!      └───────────────────────── yield_now: queued ─────────────────────────────┘
//! ```
#![forbid(unsafe_code)]

use std::cell::Cell;

/// What a parked fiber waits for, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A lock, a channel, an event, the end of another thread.
    Other,
    /// A deadline and nothing else.
    Sleep,
    /// Its token: `thread::park`.
    Token,
    /// Bytes (or room for bytes) in this descriptor.
    Readable(i32),
    Writable(i32),
}

/// The flags.
#[derive(Debug)]
pub(crate) struct State {
    /// Set while the fiber is suspended in `park`. Never together with `queued`.
    pub(crate) parked: Cell<bool>,
    /// Set while the fiber is in the run queue.
    pub(crate) queued: Cell<bool>,
    /// Set by a wake-up; consumed by the park that it ends, or that it prevents.
    pub(crate) notified: Cell<bool>,
    /// Set when the deadline of the present park passed; cleared when a park begins.
    pub(crate) timed_out: Cell<bool>,
    /// Set when the fiber has ended.
    pub(crate) done: Cell<bool>,
    /// What the present or the next park waits for; back to `Other` when it is over.
    pub(crate) waiting: Cell<Waiting>,
    /// Whether the present park is deaf to cancellation.
    pub(crate) masked: Cell<bool>,
    /// Set when a report wants to know where it is parked: it says so and parks again.
    pub(crate) asked: Cell<bool>,
    /// When it came to its worker, on the hub's clock, as of the last look at it.
    pub(crate) since: Cell<u64>,
    /// How many waits have been refused because of cancellation or an elapsed scope, that scope still open.
    pub(crate) refused: Cell<u32>,
    /// Set while an unwind by timeout or cancel is under way; guards do not poison then.
    pub(crate) quiet: Cell<bool>,
    /// How often in a row std's `thread::park` has returned for no reason.
    pub(crate) parks: Cell<u32>,
    /// While it is not 0, patched calls of this fiber do not switch: they block the worker.
    pub(crate) unswitchable: Cell<u32>,
}

impl State {
    /// From now on patched calls of this fiber block the worker; undone by as many calls of `allow_switching`.
    pub(crate) fn forbid_switching(&self) {
        self.unswitchable.set(self.unswitchable.get() + 1);
    }

    pub(crate) fn allow_switching(&self) {
        self.unswitchable.set(self.unswitchable.get().saturating_sub(1));
    }

    pub(crate) const fn new() -> Self {
        State {
            parked: Cell::new(false),
            queued: Cell::new(false),
            notified: Cell::new(false),
            timed_out: Cell::new(false),
            done: Cell::new(false),
            waiting: Cell::new(Waiting::Other),
            masked: Cell::new(false),
            asked: Cell::new(false),
            since: Cell::new(0),
            refused: Cell::new(0),
            quiet: Cell::new(false),
            parks: Cell::new(0),
            unswitchable: Cell::new(0),
        }
    }
}
