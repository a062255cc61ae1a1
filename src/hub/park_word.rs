//! The word on which std's `thread::park` waits: one per OS thread, hence shared by all green threads of a worker.
//!
//! std parks by subtracting 1 from it and sleeping while it is PARKED (-1), and unparks by storing NOTIFIED, with a
//! system call only if it was PARKED. A second parker would find -1, make it -2, and go round for ever without a
//! system call by which anybody could notice. So the hub keeps those who park in a list, and the word in order:
//!
//! - while green threads run it is EMPTY, whoever is parked, so that the next one to park does call the kernel;
//! - any wake-up wakes them all, and each finds NOTIFIED, so that its `park` returns. For all but one that is a return
//!   for no reason, which `park` may make: whoever waits for something looks again, and parks again;
//! - the hub looks at the word on every turn, and makes it PARKED for as long as it sleeps, so that an unpark then makes
//!   the system call, by which the patch hears of it and rouses the worker;
//! - a wake-up that one green thread consumes between two parks of its own may have been meant for another, and
//!   nothing shows that. So while the list is not empty everybody in it is woken every [`Hub::PARK_AGAIN`]: late, never lost.
//!
//! What it is not: `sward::thread::park`, whose token is each green thread's own.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Due, Hub, Interrupt, clock};
use crate::fiber::mailbox::Mailbox;
use crate::fiber::state::Waiting;
use crate::fiber::{Fiber, Wait};
use crate::list::List;

/// The values that std gives the word (they have not changed since 1.58; the patch's tests watch over them).
const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = u32::MAX;

/// The word of one worker and who is parked on it.
pub(super) struct ParkWord {
    word: Cell<*const AtomicU32>,
    parked: List<Fiber, Wait>,
    /// Whether a deadline for the next round is pending.
    armed: Cell<bool>,
    /// Whether the last broadcast was such a round, and nobody's wake-up.
    for_no_reason: Cell<bool>,
}

impl ParkWord {
    pub(super) const fn new() -> Self {
        ParkWord {
            word: Cell::new(ptr::null()),
            parked: List::new(),
            armed: Cell::new(false),
            for_no_reason: Cell::new(false),
        }
    }

    fn word(&self) -> Option<&AtomicU32> {
        // SAFETY: null, or the word of this OS thread, which outlives its hub (`wait_on_park_word`).
        unsafe { self.word.get().as_ref() }
    }

    fn notified(&self) -> bool {
        self.word().is_some_and(|word| word.load(Ordering::Acquire) == NOTIFIED)
    }
}

impl Hub {
    /// How late a wake-up that nobody could see may be.
    pub(crate) const PARK_AGAIN: Duration = Duration::from_millis(30);

    /// Where other threads reach this worker.
    pub(crate) fn mailbox(&self) -> &'static Mailbox {
        self.mailbox
    }

    /// Parks the running fiber, which is in `std::thread::park`, until the word is woken or the deadline passes.
    /// Deaf to cancellation, as `park` cannot report it. The first and the last fiber in the list are announced to
    /// `watch`, so that wake-ups of the word can be sent to this worker. True if nobody has unparked anybody: it was
    /// merely time for a look.
    ///
    /// # Safety
    /// `word` is the park word of the calling OS thread.
    pub(crate) unsafe fn wait_on_park_word(
        &self,
        fiber: &Fiber,
        word: *const AtomicU32,
        deadline: Option<Instant>,
        watch: impl Fn(bool),
    ) -> Result<bool, Interrupt> {
        let this = &self.park_word;
        this.word.set(word);
        if let Some(word) = this.word()
            && word.compare_exchange(PARKED, EMPTY, Ordering::AcqRel, Ordering::Acquire)
                == Err(NOTIFIED)
        {
            return Ok(false); // std takes it
        }
        if this.parked.is_empty() {
            watch(true);
        }
        // SAFETY: the fiber stays alive and in this one list until it is taken out, below or by a broadcast.
        unsafe { this.parked.push_back(fiber) };
        self.arm_park_word();
        fiber.state.waiting.set(Waiting::Token);
        let result = self.park_green(fiber, deadline, true);
        // SAFETY: in that list, if the wake-up did not come from a broadcast.
        unsafe { this.parked.remove(fiber) };
        if this.parked.is_empty() {
            watch(false);
        }
        if result.is_ok()
            && let Some(word) = this.word()
        {
            // std looks for this, and takes it, before anybody else runs here.
            word.swap(NOTIFIED, Ordering::AcqRel);
        }
        result.map(|()| this.for_no_reason.get())
    }

    fn arm_park_word(&self) {
        if !self.park_word.armed.replace(true) {
            let at = clock::nanos(Instant::now() + Self::PARK_AGAIN);
            self.timers.borrow_mut().insert(at, Due::ParkWord);
        }
    }

    /// Wakes everybody in the list.
    fn broadcast(&self, for_no_reason: bool) {
        self.park_word.for_no_reason.set(for_no_reason);
        while let Some(fiber) = self.park_word.parked.pop_front() {
            // SAFETY: a fiber in the list is parked, hence alive.
            self.wake_local(unsafe { &*fiber });
        }
    }

    /// It is time for the next round.
    pub(super) fn park_word_is_due(&self) {
        self.park_word.armed.set(false);
        self.broadcast(!self.park_word.notified());
    }

    /// Looks whether somebody has unparked this OS thread. On every turn.
    #[inline]
    pub(super) fn look_at_park_word(&self) {
        if !self.park_word.parked.is_empty() && self.park_word.notified() {
            self.broadcast(false);
        }
    }

    /// Makes the next unpark call the kernel, until `park_word_after_sleep`. True if one has come already.
    pub(super) fn park_word_before_sleep(&self) -> bool {
        if self.park_word.parked.is_empty() {
            return false;
        }
        let Some(word) = self.park_word.word() else { return false };
        word.compare_exchange(EMPTY, PARKED, Ordering::AcqRel, Ordering::Acquire) == Err(NOTIFIED)
    }

    /// Back to EMPTY, for whoever parks next.
    pub(super) fn park_word_after_sleep(&self) {
        if let Some(word) = self.park_word.word() {
            // Fails if it is NOTIFIED, which the next turn sees.
            let _ = word.compare_exchange(PARKED, EMPTY, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// As above, once more, now that the worker counts as asleep.
    pub(super) fn park_word_has_come(&self) -> bool {
        !self.park_word.parked.is_empty() && self.park_word.notified()
    }
}
