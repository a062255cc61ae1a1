//! Which fibers wait for which descriptor on this worker.
//!
//! What waits without a stack, and starts when its descriptor becomes readable, is in `idle.rs`.
//!
//! A table by descriptor number. A number is registered with the driver once per *source* (an `io::Descriptor`,
//! told apart by an id that is never used again): when the number comes back with another source, its slot gets
//! a new generation and events of the old one are recognised and dropped. A number that belongs to nobody we know
//! ([`Watch::Number`]) may change its meaning unseen, so it is armed anew for every wait.
//!
//! Readiness is edge-triggered and nobody remembers it: callers try first and wait on EAGAIN, and events are read
//! only between fibers, so no edge can fall between the try and the wait. The one exception is `unclaimed`: an
//! edge that came while nobody waited matters to who waits *without* trying first (`idle.rs`).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::idle::Idle;
use super::{Hub, Interrupt};
use crate::driver::{Driver, Token};
use crate::fiber::scopes::ScopeId;
use crate::fiber::state::Waiting;
use crate::fiber::{Fiber, Wait, Woken};
use crate::list::List;
use crate::sys::epoll::Readiness;
use crate::timer::grow_slowly;

/// What a waiter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What a registration stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// An open file that keeps its number until its source is gone. With `shared`, a listener of several workers.
    Source {
        /// Never used again.
        id: u64,
        /// One worker is woken per connection.
        shared: bool,
    },
    /// Whatever has this number now.
    Number,
}

/// The source of slots that were registered by number alone. Ids begin at 1 and never get here.
const BY_NUMBER: u64 = u64::MAX;

/// A number in the table. One cache line: there may be a hundred thousand, and each request looks at one.
pub(super) struct Slot {
    /// The source that is registered under this number; 0: none yet.
    source: u64,
    pub(super) generation: u32,
    /// It is registered for writing too: from the first wait for that. Most never wait, and each new connection would
    /// report at once that it can be written to.
    writes: bool,
    /// A readable edge came while nobody waited for one.
    pub(super) unclaimed: bool,
    /// The end of the stream was announced. It may have come under the same edge as the last bytes, and is
    /// still to be read when these have been.
    pub(super) ended: bool,
    /// None until somebody waits.
    waiters: Option<Box<Waiters>>,
    pub(super) idle: Idle,
}

/// Fibers that are parked until the descriptor is ready.
struct Waiters {
    readers: List<Fiber, Wait>,
    writers: List<Fiber, Wait>,
}

/// Whose scope ends when the peer of a descriptor has ended its sending side, or the connection broke.
struct Watcher {
    fiber: *const Fiber,
    scope: ScopeId,
}

/// The table of one worker.
pub(crate) struct Descriptors {
    pub(super) slots: Vec<Slot>,
    /// In how many of them something is idle.
    pub(super) idle: usize,
    /// By number. Apart from the slots, as most descriptors are not watched.
    watchers: HashMap<usize, Vec<Watcher>>,
}

impl Descriptors {
    pub(crate) fn new() -> Self {
        Descriptors { slots: Vec::new(), idle: 0, watchers: HashMap::new() }
    }

    /// The slot of `fd`, registered for `watch`.
    pub(super) fn slot(
        &mut self,
        fd: BorrowedFd<'_>,
        watch: Watch,
        direction: Direction,
        driver: &mut Driver,
    ) -> io::Result<&mut Slot> {
        let at = fd.as_raw_fd() as usize;
        while self.slots.len() <= at {
            grow_slowly(&mut self.slots);
            self.slots.push(Slot {
                source: 0,
                generation: 0,
                writes: false,
                unclaimed: false,
                ended: false,
                waiters: None,
                idle: Idle::NOTHING,
            });
        }
        let slot = &mut self.slots[at];
        let Watch::Source { id, shared } = watch else {
            slot.arm(fd, direction, driver)?;
            return Ok(slot);
        };
        let write = direction == Direction::Write;
        if slot.source != id {
            slot.generation = slot.generation.wrapping_add(1);
            let token = Token { fd: at as u32, generation: slot.generation };
            if shared {
                driver.register_exclusive(fd, token)?;
            } else {
                driver.register_for(fd, token, true, write)?;
            }
            slot.source = id;
            slot.writes = write;
            slot.unclaimed = false;
            slot.ended = false;
        } else if write && !slot.writes {
            // What is ready by now is reported too, so that nothing is missed between the try and this.
            let token = Token { fd: at as u32, generation: slot.generation };
            if !driver.arm(fd, token, true, true)? {
                driver.register_for(fd, token, true, true)?;
            }
            slot.writes = true;
        }
        Ok(slot)
    }

    pub(super) fn find(&mut self, token: Token) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(token.fd as usize)?;
        (slot.generation == token.generation).then_some(slot)
    }
}

impl Slot {
    /// Registers the number for `direction` and for what others wait for on it. Present readiness is reported too.
    fn arm(
        &mut self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        driver: &mut Driver,
    ) -> io::Result<()> {
        let waits = |for_it: Direction| {
            for_it == direction || self.list(for_it).is_some_and(|list| !list.is_empty())
        };
        let (read, write) = (waits(Direction::Read), waits(Direction::Write));
        let at = fd.as_raw_fd() as u32;
        if self.source == BY_NUMBER {
            let token = Token { fd: at, generation: self.generation };
            if driver.arm(fd, token, read, write)? {
                return Ok(());
            }
        }
        // A new open file under this number: events of the old one are not its.
        self.generation = self.generation.wrapping_add(1);
        self.source = BY_NUMBER;
        let token = Token { fd: at, generation: self.generation };
        driver.register_for(fd, token, read, write)
    }

    /// Who waits in this direction; `None` if nobody ever has in either.
    fn list(&self, direction: Direction) -> Option<&List<Fiber, Wait>> {
        self.waiters.as_ref().map(|waiters| waiters.list(direction))
    }
}

impl Waiters {
    fn list(&self, direction: Direction) -> &List<Fiber, Wait> {
        match direction {
            Direction::Read => &self.readers,
            Direction::Write => &self.writers,
        }
    }
}

impl Default for Waiters {
    fn default() -> Self {
        Waiters { readers: List::new(), writers: List::new() }
    }
}

impl Hub {
    /// This worker hears no more of `fd`, for which nobody waits here.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        if let Some(slot) = self.descriptors.borrow_mut().slots.get_mut(fd.as_raw_fd() as usize) {
            slot.source = 0;
        }
        self.driver.borrow_mut().forget(fd);
    }

    /// Parks the running fiber until `fd` may be ready; may return for no reason. Several fibers may wait for the
    /// same descriptor: all are woken, each tries again.
    pub(crate) fn wait_for(
        &self,
        fiber: &Fiber,
        fd: BorrowedFd<'_>,
        watch: Watch,
        direction: Direction,
        deadline: Option<Instant>,
    ) -> io::Result<Result<(), Interrupt>> {
        let at = fd.as_raw_fd() as usize;
        {
            let mut descriptors = self.descriptors.borrow_mut();
            let mut driver = self.driver.borrow_mut();
            let slot = descriptors.slot(fd, watch, direction, &mut driver)?;
            if direction == Direction::Read {
                slot.unclaimed = false; // the caller has tried
            }
            let list = slot.waiters.get_or_insert_default().list(direction);
            // SAFETY: the fiber stays alive and in this one list until it is taken out, below or by an event.
            unsafe { list.push_back(fiber) };
        }
        let number = fd.as_raw_fd();
        fiber.state.waiting.set(match direction {
            Direction::Read => Waiting::Readable(number),
            Direction::Write => Waiting::Writable(number),
        });
        self.outside.set(self.outside.get() + 1);
        let result = self.park_green(fiber, deadline, false);
        self.outside.set(self.outside.get() - 1);
        let descriptors = self.descriptors.borrow();
        if let Some(list) = descriptors.slots[at].list(direction) {
            // SAFETY: in that list, if the wake-up did not come from it.
            unsafe { list.remove(fiber) };
        }
        Ok(result)
    }

    /// From now until `unwatch`: `scope`, a watch of the running fiber, ends when the peer of `fd` ends its sending side
    /// or the connection breaks. If that has happened already, it has ended. Bytes that come do not matter, and
    /// whoever reads them is not disturbed.
    pub(crate) fn watch(
        &self,
        fiber: &Fiber,
        fd: BorrowedFd<'_>,
        source: u64,
        scope: ScopeId,
    ) -> io::Result<()> {
        let at = fd.as_raw_fd() as usize;
        let mut descriptors = self.descriptors.borrow_mut();
        let watch = Watch::Source { id: source, shared: false };
        let mut driver = self.driver.borrow_mut();
        let ended = descriptors.slot(fd, watch, Direction::Read, &mut driver)?.ended;
        if ended {
            fiber.scopes.borrow_mut().end(scope, Instant::now());
        }
        let watchers = descriptors.watchers.entry(at).or_insert_with(|| Vec::with_capacity(1));
        watchers.push(Watcher { fiber, scope });
        // What is waited for meanwhile may end from outside the process.
        self.outside.set(self.outside.get() + 1);
        Ok(())
    }

    /// The end of a watch that `watch` began.
    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>, scope: ScopeId) {
        let at = fd.as_raw_fd() as usize;
        let mut descriptors = self.descriptors.borrow_mut();
        if let Some(watchers) = descriptors.watchers.get_mut(&at) {
            watchers.retain(|watcher| watcher.scope != scope);
            if watchers.is_empty() {
                descriptors.watchers.remove(&at);
            }
        }
        self.outside.set(self.outside.get() - 1);
    }

    /// Waits for descriptors, the bell, or `timeout`, and wakes whom it concerns.
    pub(super) fn wait_for_events(&self, timeout: Option<Duration>) {
        let mut driver = self.driver.borrow_mut();
        // No fiber runs while the driver is borrowed: `on_event` only fills the run queue.
        let result = driver.wait(timeout, |token, readiness| self.on_event(token, readiness));
        if let Err(error) = result {
            // A broken epoll descriptor: no way to go on, and no sense in spinning.
            eprintln!(
                "sward: the event loop of worker {} failed: {error} (Linux 5.11 or later is needed)",
                self.index
            );
            std::process::abort();
        }
    }

    fn on_event(&self, token: Token, readiness: Readiness) {
        let mut descriptors = self.descriptors.borrow_mut();
        let Some(slot) = descriptors.find(token) else { return }; // of a number that was closed
        slot.ended |= readiness.ended;
        if readiness.write
            && let Some(writers) = slot.list(Direction::Write)
        {
            self.wake_all(writers);
        }
        if readiness.read {
            let readers = slot.list(Direction::Read).filter(|list| !list.is_empty());
            let awaited = readers.is_some();
            if let Some(readers) = readers {
                self.wake_all(readers);
            }
            if let Some(start) = slot.idle.start.take() {
                descriptors.idle -= 1;
                self.start_soon(start, Woken::Ready);
            } else {
                slot.unclaimed = !awaited;
            }
        }
        if readiness.ended {
            self.end_watches(&descriptors.watchers, token);
        }
    }

    #[cold]
    fn end_watches(&self, watchers: &HashMap<usize, Vec<Watcher>>, token: Token) {
        for watcher in watchers.get(&(token.fd as usize)).into_iter().flatten() {
            // SAFETY: its fiber is inside the scope, hence alive: it calls `unwatch` before it leaves.
            let fiber = unsafe { &*watcher.fiber };
            fiber.scopes.borrow_mut().end(watcher.scope, Instant::now());
            // It parks again, and finds that the scope has ended.
            self.wake_local(fiber);
        }
    }

    fn wake_all(&self, list: &List<Fiber, Wait>) {
        while let Some(fiber) = list.pop_front() {
            // SAFETY: a fiber in the list is parked, hence alive.
            self.wake_local(unsafe { &*fiber });
        }
    }
}
