//! Where a worker receives wake-ups from other threads: the inbox, and the bell that ends its sleep.
//!
//! Mailboxes live for ever and are used again by later runtimes, so that a handle that outlives its runtime can
//! still be woken: the mail reaches a worker that finds the fiber ended, and drops it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::Fiber;
use crate::inbox::{Drain, Inbox};
use crate::sys::Lock;
use crate::sys::eventfd::EventFd;

/// The mailbox of one worker.
pub(crate) struct Mailbox {
    inbox: Inbox<Fiber>,
    bell: EventFd,
}

/// Mailboxes that no worker uses now.
static SPARE: Lock<Vec<&'static Mailbox>> = Lock::new(Vec::new());

impl Mailbox {
    /// A mailbox for a worker; it goes back with [`Mailbox::retire`].
    pub(crate) fn obtain() -> io::Result<&'static Mailbox> {
        if let Some(mailbox) = SPARE.lock().pop() {
            return Ok(mailbox);
        }
        Ok(Box::leak(Box::new(Mailbox { inbox: Inbox::new(), bell: EventFd::new()? })))
    }

    /// The worker has ended.
    pub(crate) fn retire(&'static self) {
        self.drain().for_each(drop);
        SPARE.lock().push(self);
    }

    /// Delivers `fiber` to the worker and wakes it if it sleeps. Safe from any thread; takes no lock.
    pub(crate) fn post(&self, fiber: &Arc<Fiber>) {
        if fiber.mail() && self.inbox.push(fiber.clone()) {
            self.bell.ring();
        }
    }

    /// Wakes the worker without mail if it sleeps; true if it did. Safe from any thread.
    pub(crate) fn rouse(&self) -> bool {
        let asleep = self.inbox.rouse();
        if asleep {
            self.bell.ring();
        }
        asleep
    }

    /// Takes the mail, oldest first. Owner only.
    #[inline]
    pub(crate) fn drain(&self) -> Drain<Fiber> {
        self.inbox.drain()
    }

    /// See [`Inbox::try_sleep`]. Owner only.
    pub(crate) fn try_sleep(&self) -> bool {
        self.inbox.try_sleep()
    }

    /// Whether the worker sleeps and nobody has written or called since. Owner only.
    pub(crate) fn is_asleep(&self) -> bool {
        self.inbox.is_asleep()
    }

    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
