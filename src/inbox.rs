//! Wake-ups from other threads: a queue that many push to and one drains, and that knows whether the owner sleeps.
//!
//! One word says it all, so there is no window between "is there mail?" and "I go to sleep":
//!
//! ```text
//!   head = null      no mail, the owner is awake
//!   head = ASLEEP    no mail, the owner sleeps (or is about to): who pushes next must ring the bell
//!   head = item      mail, newest first; the owner is awake, or was rung for by whoever found ASLEEP
//! ```
//!
//! The owner: `drain`, and when there is nothing to do `try_sleep`, then wait for the bell, then `drain`.
//! Others: `push`, and ring if it says so. The bell itself (an eventfd) is not here: this file is plain memory,
//! so that loom can check it (`tests/loom_inbox`).

use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use crate::sys::atomic::{AtomicPtr, Ordering};

/// An item that can be in one inbox at a time.
///
/// # Safety
/// `next` always returns the same field, and nobody but the inbox uses it.
pub(crate) unsafe trait Mail: Sized {
    fn next(&self) -> &AtomicPtr<Self>;
}

/// The queue. It owns a count of each item's `Arc` while the item is inside.
pub(crate) struct Inbox<T: Mail> {
    head: AtomicPtr<T>,
    owns: PhantomData<Arc<T>>,
}

/// Never dereferenced: no item lives at address 1.
fn asleep<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

impl<T: Mail> Inbox<T> {
    pub(crate) fn new() -> Self {
        Inbox { head: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// Puts `item` in; true if the owner sleeps and the caller must ring. Safe from any thread; takes no lock.
    ///
    /// The caller makes sure that the item is in no inbox already (`Fiber` has a flag for that).
    #[must_use = "true means: ring the bell"]
    pub(crate) fn push(&self, item: Arc<T>) -> bool {
        let item = Arc::into_raw(item).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let next = if head == asleep() { ptr::null_mut() } else { head };
            // SAFETY: we own a count of the item until the exchange succeeds, and nobody else uses `next`.
            unsafe { (*item).next() }.store(next, Ordering::Relaxed);
            // Release: what the pusher did before is visible to the owner. Pairs with the swap in `drain`.
            match self.head.compare_exchange_weak(head, item, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return head == asleep(),
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything out, oldest first. Owner only. Ends a sleep.
    pub(crate) fn drain(&self) -> Drain<T> {
        // A plain look first: the hub calls this on every turn.
        if self.head.load(Ordering::Relaxed).is_null() {
            return Drain { next: ptr::null_mut() };
        }
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        if newest == asleep() {
            newest = ptr::null_mut();
        }
        let mut oldest = ptr::null_mut();
        while !newest.is_null() {
            // SAFETY: the item is ours since the swap.
            let next = unsafe { (*newest).next() };
            let older = next.load(Ordering::Relaxed);
            next.store(oldest, Ordering::Relaxed);
            oldest = newest;
            newest = older;
        }
        Drain { next: oldest }
    }

    /// Says that the owner goes to sleep; false if there is mail, then it must not. Owner only.
    #[must_use = "false means: there is mail"]
    pub(crate) fn try_sleep(&self) -> bool {
        // SeqCst: whoever put work elsewhere (a deque) and then looks for sleepers with `rouse` either sees us
        // asleep, or we see the work when we look once more after this.
        self.head
            .compare_exchange(ptr::null_mut(), asleep(), Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether the owner has said that it sleeps and nobody has pushed or roused it since.
    pub(crate) fn is_asleep(&self) -> bool {
        self.head.load(Ordering::Acquire) == asleep()
    }

    /// Wakes the owner without mail, if it sleeps; true if the caller must ring. Safe from any thread.
    #[must_use = "true means: ring the bell"]
    pub(crate) fn rouse(&self) -> bool {
        self.head
            .compare_exchange(asleep(), ptr::null_mut(), Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }
}

impl<T: Mail> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.drain().for_each(drop);
    }
}

/// The items of one `drain`.
pub(crate) struct Drain<T: Mail> {
    next: *mut T,
}

impl<T: Mail> Iterator for Drain<T> {
    type Item = Arc<T>;

    fn next(&mut self) -> Option<Arc<T>> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: the chain is ours alone, and `push` made the pointer with `Arc::into_raw`.
        let item = unsafe { Arc::from_raw(self.next.cast_const()) };
        // Read before the item is handed on: from then on it may be pushed again.
        self.next = item.next().load(Ordering::Relaxed);
        Some(item)
    }
}

impl<T: Mail> Drop for Drain<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct Letter {
        next: AtomicPtr<Letter>,
        id: usize,
    }

    // SAFETY: one field, used by nobody else.
    unsafe impl Mail for Letter {
        fn next(&self) -> &AtomicPtr<Self> {
            &self.next
        }
    }

    fn letter(id: usize) -> Arc<Letter> {
        Arc::new(Letter { next: AtomicPtr::new(ptr::null_mut()), id })
    }

    #[test]
    fn oldest_first() {
        let inbox = Inbox::new();
        for id in 0..3 {
            assert!(!inbox.push(letter(id)), "nobody sleeps");
        }
        assert_eq!(inbox.drain().map(|l| l.id).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(inbox.drain().count(), 0);
    }

    #[test]
    fn rings_only_a_sleeper() {
        let inbox = Inbox::new();
        assert!(inbox.try_sleep());
        assert!(inbox.push(letter(1)), "the first one rings");
        assert!(!inbox.push(letter(2)), "the second finds it rung");
        assert!(!inbox.try_sleep(), "not with mail inside");
        assert_eq!(inbox.drain().count(), 2);
        assert!(!inbox.rouse(), "nobody sleeps");
        assert!(inbox.try_sleep());
        assert!(inbox.rouse());
        assert!(!inbox.rouse(), "once is enough");
        assert_eq!(inbox.drain().count(), 0);
    }

    #[test]
    fn every_letter_arrives_once() {
        let inbox = Arc::new(Inbox::new());
        let writers: Vec<_> = (0..4)
            .map(|w| {
                let inbox = inbox.clone();
                std::thread::spawn(move || {
                    for n in 0..5_000 {
                        let _ = inbox.push(letter(w * 5_000 + n));
                    }
                })
            })
            .collect();
        let mut seen = HashSet::new();
        while seen.len() < 20_000 {
            for letter in inbox.drain() {
                assert!(seen.insert(letter.id));
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
    }

    #[test]
    fn drops_what_is_left() {
        let (a, inbox) = (letter(1), Inbox::new());
        let _ = inbox.push(a.clone());
        drop(inbox);
        assert_eq!(Arc::strong_count(&a), 1);
    }
}
