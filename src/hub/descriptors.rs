//! Which fibers wait for which descriptor on this worker, and what starts when a descriptor becomes readable.
//!
//! A table by descriptor number. A number is registered with the driver once per *source* (an `io::Descriptor`,
//! told apart by an id that is never used again): when the number comes back with another source, its slot gets
//! a new generation and events of the old one are recognised and dropped. A number that belongs to nobody we know
//! ([`Watch::Number`]) may change its meaning unseen, so it is armed anew for every wait.
//!
//! Readiness is edge-triggered and nobody remembers it: callers try first and wait on EAGAIN, and events are read
//! only between fibers, so no edge can fall between the try and the wait. The one exception is `unclaimed`: an
//! edge that came while nobody waited matters to who waits *without* trying first (`wait_idle`).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::{Due, Hub, Interrupt, clock};
use crate::driver::{Driver, Token};
use crate::fiber::scopes::ScopeId;
use crate::fiber::state::Waiting;
use crate::fiber::{Fiber, Wait};
use crate::list::List;
use crate::sys::epoll::Readiness;
use crate::timer::Key;

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

/// Starts when its descriptor is readable (`Ok`), at its deadline, or when its group is ended.
pub(crate) type Start = Box<dyn FnOnce(Result<(), Interrupt>)>;

/// Something that waits without a stack.
struct Idle {
    start: Start,
    timer: Option<Key>,
    group: usize,
}

struct Slot {
    /// The source that is registered under this number; 0: none yet.
    source: u64,
    generation: u32,
    /// A readable edge came while nobody waited for one.
    unclaimed: bool,
    /// The end of the stream was announced. It may have come under the same edge as the last bytes, and is
    /// still to be read when these have been.
    ended: bool,
    readers: List<Fiber, Wait>,
    writers: List<Fiber, Wait>,
    idle: Option<Box<Idle>>,
}

/// Whose scope ends when the peer of a descriptor has ended its sending side, or the connection broke.
struct Watcher {
    fiber: *const Fiber,
    scope: ScopeId,
}

/// The table of one worker.
pub(crate) struct Descriptors {
    slots: Vec<Slot>,
    idle: usize,
    /// By number. Apart from the slots, as most descriptors are not watched.
    watchers: HashMap<usize, Vec<Watcher>>,
}

impl Descriptors {
    pub(crate) fn new() -> Self {
        Descriptors { slots: Vec::new(), idle: 0, watchers: HashMap::new() }
    }

    /// The slot of `fd`, registered for `watch`.
    fn slot(
        &mut self,
        fd: BorrowedFd<'_>,
        watch: Watch,
        direction: Direction,
        driver: &mut Driver,
    ) -> io::Result<&mut Slot> {
        let at = fd.as_raw_fd() as usize;
        while self.slots.len() <= at {
            self.slots.push(Slot {
                source: 0,
                generation: 0,
                unclaimed: false,
                ended: false,
                readers: List::new(),
                writers: List::new(),
                idle: None,
            });
        }
        let slot = &mut self.slots[at];
        let Watch::Source { id, shared } = watch else {
            slot.arm(fd, direction, driver)?;
            return Ok(slot);
        };
        if slot.source != id {
            slot.generation = slot.generation.wrapping_add(1);
            let token = Token { fd: at as u32, generation: slot.generation };
            if shared {
                driver.register_exclusive(fd, token)?;
            } else {
                driver.register(fd, token)?;
            }
            slot.source = id;
            slot.unclaimed = false;
            slot.ended = false;
        }
        Ok(slot)
    }

    fn find(&mut self, token: Token) -> Option<&mut Slot> {
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
        let read = direction == Direction::Read || !self.readers.is_empty();
        let write = direction == Direction::Write || !self.writers.is_empty();
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

    fn list(&self, direction: Direction) -> &List<Fiber, Wait> {
        match direction {
            Direction::Read => &self.readers,
            Direction::Write => &self.writers,
        }
    }
}

impl Hub {
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
            // SAFETY: the fiber stays alive and in this one list until it is taken out, below or by an event.
            unsafe { slot.list(direction).push_back(fiber) };
        }
        let number = fd.as_raw_fd();
        fiber.state.waiting.set(match direction {
            Direction::Read => Waiting::Readable(number),
            Direction::Write => Waiting::Writable(number),
        });
        self.outside.set(self.outside.get() + 1);
        let result = self.park_green(fiber, deadline, false);
        self.outside.set(self.outside.get() - 1);
        let descriptors = self.descriptors.borrow_mut();
        let list = descriptors.slots[at].list(direction);
        // SAFETY: in that list, if the wake-up did not come from it.
        unsafe { list.remove(fiber) };
        Ok(result)
    }

    /// Lets `start` run on a fresh fiber of this worker when `fd` is readable, or when the deadline passes.
    /// Nothing but a small record is held until then.
    pub(crate) fn wait_idle(
        &self,
        fd: BorrowedFd<'_>,
        source: u64,
        group: usize,
        deadline: Option<Instant>,
        start: Start,
    ) -> Result<(), (io::Error, Start)> {
        let at = fd.as_raw_fd() as usize;
        let mut descriptors = self.descriptors.borrow_mut();
        let slot = {
            let mut driver = self.driver.borrow_mut();
            let watch = Watch::Source { id: source, shared: false };
            match descriptors.slot(fd, watch, Direction::Read, &mut driver) {
                Ok(slot) => slot,
                Err(error) => return Err((error, start)),
            }
        };
        debug_assert!(slot.idle.is_none(), "two idle waits on one descriptor");
        if std::mem::take(&mut slot.unclaimed) || slot.ended {
            drop(descriptors);
            self.start_idle(start, Ok(()));
            return Ok(());
        }
        let token = Token { fd: at as u32, generation: slot.generation };
        let timer =
            deadline.map(|at| self.timers.borrow_mut().insert(clock::nanos(at), Due::Idle(token)));
        slot.idle = Some(Box::new(Idle { start, timer, group }));
        descriptors.idle += 1;
        Ok(())
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

    fn start_idle(&self, start: Start, why: Result<(), Interrupt>) {
        let job = super::runtime::detached_local(move || start(why));
        let fiber = Fiber::new(None, self.runtime.config.stack_size, job);
        self.enqueue(self.adopt(fiber));
    }

    fn take_idle(&self, token: Token) -> Option<Box<Idle>> {
        let mut descriptors = self.descriptors.borrow_mut();
        let idle = descriptors.find(token)?.idle.take()?;
        descriptors.idle -= 1;
        Some(idle)
    }

    /// The deadline of an idle wait has passed.
    pub(super) fn idle_is_due(&self, token: Token) {
        if let Some(idle) = self.take_idle(token) {
            self.start_idle(idle.start, Err(Interrupt::TimedOut));
        }
    }

    /// Starts every idle wait of `group` on this worker, with `Cancelled`. Returns how many there were.
    pub(crate) fn end_idle(&self, group: Option<usize>) -> usize {
        if self.descriptors.borrow().idle == 0 {
            return 0;
        }
        let mut ended = Vec::new();
        {
            let mut descriptors = self.descriptors.borrow_mut();
            for slot in &mut descriptors.slots {
                let wanted = |idle: &Idle| group.is_none_or(|group| group == idle.group);
                ended.extend(slot.idle.take_if(|idle| wanted(idle)));
            }
            descriptors.idle -= ended.len();
        }
        let count = ended.len();
        for idle in ended {
            if let Some(key) = idle.timer {
                self.timers.borrow_mut().cancel(key);
            }
            self.start_idle(idle.start, Err(Interrupt::Cancelled));
        }
        count
    }

    /// What waits without a stack at the end of the runtime is dropped, here on its own worker.
    pub(super) fn end_all_idle(&self) {
        self.end_idle(None);
    }

    /// Whether something waits on a descriptor without a stack.
    pub(super) fn has_idle(&self) -> bool {
        self.descriptors.borrow().idle > 0
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
        if readiness.write {
            self.wake_all(&slot.writers);
        }
        if readiness.ended {
            self.end_watches(&descriptors.watchers, token);
        }
        let Some(slot) = descriptors.find(token) else { return };
        if !readiness.read {
            return;
        }
        let idle = slot.idle.take();
        slot.unclaimed = idle.is_none() && slot.readers.is_empty();
        self.wake_all(&slot.readers);
        if let Some(idle) = idle {
            descriptors.idle -= 1;
            drop(descriptors);
            if let Some(key) = idle.timer {
                self.timers.borrow_mut().cancel(key);
            }
            self.start_idle(idle.start, Ok(()));
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
