//! Pins: times a call blocked its whole worker because switching there would be unsound. Counted by kind, and for
//! the first of each kind it is known where.
//!
//! Not an error: a pinned call is correct, others merely wait meanwhile. It is what to look at when a patched
//! program is slower than it should be.

use std::backtrace::Backtrace;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::Lock;

/// Why a call blocked its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinKind {
    /// The thread was unwinding: `std::thread::panicking()` belongs to the OS thread.
    Unwinding,
    /// Inside [`pinned`](super::pinned), or an initialiser of `pthread_once`.
    Asked,
    /// In a signal handler, or with signals blocked behind the patch's back.
    SignalHandler,
    /// In the middle of sward's own bookkeeping (an allocator that waits).
    Inside,
    /// A futex in this OS thread's thread-local memory: parking_lot's queue nodes, rayon's latch.
    ThreadLocal,
    /// A write to standard output or error, or to a terminal, that had to wait.
    Stdio,
    /// A call that the patch does not know how to make cooperative, with these arguments.
    Unsupported,
}

const KINDS: [PinKind; 7] = [
    PinKind::Unwinding,
    PinKind::Asked,
    PinKind::SignalHandler,
    PinKind::Inside,
    PinKind::ThreadLocal,
    PinKind::Stdio,
    PinKind::Unsupported,
];

/// The pins of one kind.
#[non_exhaustive]
pub struct Pin {
    /// Why.
    pub kind: PinKind,
    /// How often, since the program started.
    pub count: u64,
    /// Where the first one was, frame by frame; empty for kinds at which no backtrace can be taken.
    pub first: String,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("kind", &self.kind).field("count", &self.count).finish()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} times, first at\n{}", self.kind, self.count, self.first)
    }
}

static COUNTS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];
static FIRST: Lock<[Option<Backtrace>; KINDS.len()]> = Lock::new([const { None }; KINDS.len()]);

fn index(kind: PinKind) -> usize {
    KINDS.iter().position(|other| *other == kind).unwrap_or(0)
}

/// Counts a pin of the calling thread.
pub(super) fn count(kind: PinKind) {
    let at = index(kind);
    let Some(counter) = COUNTS.get(at) else { return };
    let first = counter.fetch_add(1, Ordering::Relaxed) == 0;
    // A backtrace allocates and takes locks: not in a signal handler, and not where an allocator may be the caller.
    if first && !matches!(kind, PinKind::SignalHandler | PinKind::Inside) {
        let backtrace = super::gate::without_switching(Backtrace::force_capture);
        if let Some(slot) = FIRST.lock().get_mut(at) {
            *slot = Some(backtrace);
        }
    }
}

/// The pins so far, by kind; kinds that have not occurred are left out.
///
/// ```no_run
/// for pin in sward::patch::pins() {
///     eprintln!("{pin}");
/// }
/// ```
pub fn pins() -> Vec<Pin> {
    let of = |(at, kind): (usize, &PinKind)| {
        let count = COUNTS.get(at)?.load(Ordering::Relaxed);
        let backtrace = FIRST.lock().get_mut(at).and_then(Option::take);
        // Outside the lock: finding the names of frames takes milliseconds and locks of its own.
        let first = backtrace.as_ref().map_or_else(String::new, |at| at.to_string());
        if let Some(slot) = FIRST.lock().get_mut(at)
            && slot.is_none()
        {
            *slot = backtrace;
        }
        (count > 0).then_some(Pin { kind: *kind, count, first })
    };
    KINDS.iter().enumerate().filter_map(of).collect()
}
