//! Who may pass: one word and two queues, without data and without poison.
//!
//! ```text
//!   bits   63 ......... 2 |    1    |   0
//!          readers inside | QUEUED  | WRITER
//! ```
//!
//! QUEUED is set and cleared with the monitor locked. While it is set every fast path fails but one, a reader leaving, and
//! only the last of those then looks at the queues. So "QUEUED, nobody inside" means that somebody is on the way to hand
//! the lock over, and nobody else takes it meanwhile.

#![forbid(unsafe_code)]

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::hub::Interrupt;
use crate::sync::granted;
use crate::wait::{Guard, Monitor};

/// A writer is inside. Never with readers.
const WRITER: usize = 1;
/// Leaving must look at the queues. They may be empty (a waiter that gave up need not tidy).
const QUEUED: usize = 2;
/// One reader inside.
const READER: usize = 4;

/// The queues.
const READERS: usize = 0;
const WRITERS: usize = 1;

pub(super) struct RawRwLock {
    state: AtomicUsize,
    queues: Monitor<(), 2>,
}

impl RawRwLock {
    pub(super) const fn new() -> RawRwLock {
        RawRwLock { state: AtomicUsize::new(0), queues: Monitor::new(()) }
    }

    #[inline]
    pub(super) fn try_read(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & (WRITER | QUEUED) == 0 {
            // Guards can be leaked, so the count can run over, and a lock that looks free would be unsound.
            let more = state.checked_add(READER).expect("too many readers of one RwLock");
            match self.state.compare_exchange_weak(state, more, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    #[inline]
    pub(super) fn try_write(&self) -> bool {
        self.state.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok()
    }

    /// Unwinds, without the lock, when interrupted while it waits.
    #[inline]
    pub(super) fn read(&self) {
        if !self.try_read() {
            granted(self.read_contended());
        }
    }

    /// Unwinds, without the lock, when interrupted while it waits.
    #[inline]
    pub(super) fn write(&self) {
        if !self.try_write() {
            granted(self.write_contended());
        }
    }

    #[inline]
    pub(super) fn read_unlock(&self) {
        if self.state.fetch_sub(READER, Release) == (READER | QUEUED) {
            self.pass_on(WRITERS);
        }
    }

    #[inline]
    pub(super) fn write_unlock(&self) {
        if self.state.compare_exchange(WRITER, 0, Release, Relaxed).is_err() {
            self.pass_on(READERS);
        }
    }

    pub(super) fn downgrade(&self) {
        if self.state.compare_exchange(WRITER, READER, Release, Relaxed).is_err() {
            let mut queues = self.queues.lock();
            self.admit_readers(READER, &mut queues);
        }
    }

    #[cold]
    fn read_contended(&self) -> Result<(), Interrupt> {
        let queues = self.queues.lock();
        loop {
            let state = self.state.load(Relaxed);
            if state & QUEUED != 0 {
                break;
            }
            if state & WRITER == 0 {
                if self.try_read() {
                    return Ok(());
                }
            } else if self.mark(state) {
                break;
            }
        }
        queues.wait(READERS, None)
    }

    #[cold]
    fn write_contended(&self) -> Result<(), Interrupt> {
        let queues = self.queues.lock();
        loop {
            let state = self.state.load(Relaxed);
            if state & QUEUED != 0 {
                break;
            }
            if state == 0 {
                if self.try_write() {
                    return Ok(());
                }
            } else if self.mark(state) {
                break;
            }
        }
        queues.wait(WRITERS, None).inspect_err(|_| self.writer_gave_up())
    }

    /// Sets QUEUED on a lock that is held. With the monitor locked, for a thread that is about to wait.
    fn mark(&self, state: usize) -> bool {
        self.state.compare_exchange(state, state | QUEUED, Relaxed, Relaxed).is_ok()
    }

    /// Hands the lock over when the last one has left: to `first` if any of that kind wait, else to the other kind.
    #[cold]
    fn pass_on(&self, first: usize) {
        let mut queues = self.queues.lock();
        // Pairs with the other readers' leaving: what they read must be read before the next writer writes.
        let left = self.state.load(Acquire);
        debug_assert!(left == QUEUED || left == WRITER | QUEUED);
        let waiting = (queues.waiting(READERS), queues.waiting(WRITERS));
        if waiting.1 > 0 && (first == WRITERS || waiting.0 == 0) {
            let queued = if waiting.0 > 0 || waiting.1 > 1 { QUEUED } else { 0 };
            self.state.store(WRITER | queued, Release);
            let woken = queues.wake_one(WRITERS);
            debug_assert!(woken);
        } else {
            self.admit_readers(0, &mut queues);
        }
    }

    /// Lets in all readers that wait, beside `inside`. They are counted first: once woken they may leave at any time.
    ///
    /// Only while nobody else can change the state: QUEUED is set, and nobody is inside but the caller.
    fn admit_readers(&self, inside: usize, queues: &mut Guard<'_, (), 2>) {
        let readers = queues.waiting(READERS);
        let queued = if queues.waiting(WRITERS) > 0 { QUEUED } else { 0 };
        self.state.store((inside + readers * READER) | queued, Release);
        let woken = queues.wake_all(READERS);
        debug_assert_eq!(woken, readers);
    }

    /// A writer that gave up may have been all that kept readers out.
    #[cold]
    fn writer_gave_up(&self) {
        let mut queues = self.queues.lock();
        if queues.waiting(WRITERS) > 0 {
            return;
        }
        let readers = queues.waiting(READERS);
        let mut state = self.state.load(Relaxed);
        // With a writer inside, or with nobody inside and so a hand-over on the way, they are let in when that one is done.
        while state >= READER {
            let more = (state + readers * READER) & !QUEUED;
            match self.state.compare_exchange_weak(state, more, Relaxed, Relaxed) {
                Ok(_) => {
                    queues.wake_all(READERS);
                    return;
                }
                Err(now) => state = now,
            }
        }
    }
}
