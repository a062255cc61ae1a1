//! What waits for a descriptor without a stack, and what is started with one (DESIGN.md D4).
//!
//! A box in the descriptor's slot is all that is held. When the descriptor becomes readable, at the deadline, or when its
//! group is ended, the box goes into a queue, and a green thread is made for it only when its turn comes. One that is done
//! takes the next from the queue: as long as nobody has to wait, one green thread serves a whole batch of events, on one
//! hot stack.
//!
//! Deadlines are lazy. Connections that are busy move theirs with every request, and hardly any deadline is ever met. So
//! a slot keeps one timer that passes at its deadline or earlier, and it is looked at only then whether it was too early.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::Moment;
use super::descriptors::{Direction, Slot, Watch};
use super::{Due, Hub, LOOK_EVERY, OPERATIONS, here_green};
use crate::driver::Token;
use crate::fiber::{Fiber, Job, Start, Woken};
use crate::timer::Key;

/// The part of a slot that this file is about.
pub(super) struct Idle {
    pub(super) start: Option<Box<dyn Start>>,
    /// When it is started at the latest, on the hub's clock.
    deadline: u64,
    /// The timer, which belongs to the number and may outlive what set it; and when it passes.
    timer: Key,
    passes: u64,
}

/// No deadline; no timer.
const NEVER: u64 = Moment::NEVER.as_nanos();

impl Idle {
    pub(super) const NOTHING: Idle =
        Idle { start: None, deadline: NEVER, timer: Key::NONE, passes: NEVER };
}

/// Records of green threads that have ended, kept for the next ones.
const SPARE: usize = 8;

impl Hub {
    /// Registers `fd` for [`wait_idle`](Hub::wait_idle).
    pub(crate) fn watch_idle(&self, fd: BorrowedFd<'_>, source: u64) -> io::Result<Token> {
        let mut descriptors = self.descriptors.borrow_mut();
        let mut driver = self.driver.borrow_mut();
        let watch = Watch::Source { id: source, shared: false };
        let slot = descriptors.slot(fd, watch, Direction::Read, &mut driver)?;
        Ok(Token { fd: fd.as_raw_fd() as u32, generation: slot.generation })
    }

    /// Lets `start` run on a fresh fiber of this worker when the descriptor is readable, or when the deadline passes.
    /// Nothing else is held until then.
    pub(crate) fn wait_idle(&self, token: Token, deadline: Moment, start: Box<dyn Start>) {
        let mut descriptors = self.descriptors.borrow_mut();
        let slot = descriptors.find(token).expect("registered by the caller just now");
        debug_assert!(slot.idle.start.is_none(), "two idle waits on one descriptor");
        if std::mem::take(&mut slot.unclaimed) || slot.ended {
            return self.start_soon(start, Woken::Ready);
        }
        slot.idle.deadline = deadline.as_nanos();
        slot.idle.start = Some(start);
        self.arm_idle(slot, token.fd);
        descriptors.idle += 1;
    }

    /// Sees to it that the timer of the number passes no later than the deadline.
    fn arm_idle(&self, slot: &mut Slot, fd: u32) {
        let idle = &mut slot.idle;
        if idle.deadline < idle.passes {
            let mut timers = self.timers.borrow_mut();
            timers.cancel(idle.timer);
            idle.timer = timers.insert(idle.deadline, Due::Idle(fd));
            idle.passes = idle.deadline;
        }
    }

    /// The timer of the number `fd` has passed.
    pub(super) fn idle_is_due(&self, fd: u32) {
        let mut descriptors = self.descriptors.borrow_mut();
        let slot = &mut descriptors.slots[fd as usize];
        (slot.idle.timer, slot.idle.passes) = (Key::NONE, NEVER);
        if slot.idle.deadline > self.clock.get() {
            if slot.idle.start.is_some() {
                self.arm_idle(slot, fd);
            }
        } else if let Some(start) = slot.idle.start.take() {
            descriptors.idle -= 1;
            self.start_soon(start, Woken::TimedOut);
        }
    }

    /// Starts every idle wait of `group` on this worker, with `Cancelled`. Returns how many there were.
    pub(crate) fn end_idle(&self, group: Option<usize>) -> usize {
        let mut descriptors = self.descriptors.borrow_mut();
        let mut ended = 0;
        for slot in &mut descriptors.slots {
            let wanted = |start: &mut Box<dyn Start>| group.is_none_or(|it| it == start.group());
            if let Some(start) = slot.idle.start.take_if(wanted) {
                self.start_soon(start, Woken::Cancelled);
                ended += 1;
            }
            if slot.idle.start.is_none() {
                self.timers.borrow_mut().cancel(slot.idle.timer);
                slot.idle = Idle::NOTHING;
            }
        }
        descriptors.idle -= ended;
        ended
    }

    /// Whether something waits on a descriptor without a stack.
    pub(super) fn has_idle(&self) -> bool {
        self.descriptors.borrow().idle > 0
    }

    /// Puts something into the queue of what is started next.
    pub(crate) fn start_soon(&self, start: Box<dyn Start>, why: Woken) {
        self.starts.borrow_mut().push_back((start, why));
    }

    /// A fiber of ours for the first in that queue.
    pub(super) fn next_start(&self) -> Option<*const Fiber> {
        let (start, why) = self.starts.borrow_mut().pop_front()?;
        let (stack_size, job) = (self.runtime.config.stack_size, Job::start(start, why, go_on));
        let fiber = match self.spare.borrow_mut().pop() {
            None => Fiber::new(None, stack_size, job),
            Some(mut fiber) => {
                // OK because only records that nobody else names are kept.
                let record = Arc::get_mut(&mut fiber).expect("nobody else names it");
                record.renew(stack_size, job);
                fiber
            }
        };
        Some(self.adopt(fiber))
    }

    /// The next in the queue, for a green thread that is done with another one. `None` also when the hub is to look
    /// around first, and if something may still be meant for the one before.
    fn next_on(&self, fiber: &Fiber) -> Option<(Box<dyn Start>, Woken)> {
        let since = self.since_look.get() + 1;
        if since >= LOOK_EVERY || fiber.cancelled.load(Ordering::Relaxed) {
            return None;
        }
        let next = self.starts.borrow_mut().pop_front()?;
        self.since_look.set(since);
        self.budget.set(OPERATIONS);
        fiber.state.since.set(self.clock.get());
        fiber.state.refused.set(0);
        fiber.token.store(false, Ordering::Relaxed);
        Some(next)
    }

    /// Keeps the record of a fiber that has ended, if nobody names it.
    pub(super) fn keep_spare(&self, mut fiber: Arc<Fiber>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && Arc::get_mut(&mut fiber).is_some() {
            spare.push(fiber);
        }
    }
}

/// What a green thread does when it is done with what it was started for.
fn go_on() {
    while let Some((start, why)) = here_green().and_then(|(hub, fiber)| hub.next_on(fiber)) {
        start.start(why);
    }
}
