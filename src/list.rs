//! An intrusive doubly linked FIFO: the run queue, the waiters of a descriptor, the waiters of a lock.
//!
//! The links live inside the items, so joining and leaving a queue allocates nothing and takes O(1), also from
//! the middle (a waiter that timed out). What it is not: safe by itself. It borrows nothing and owns nothing;
//! whoever links an item promises that the item stays where it is until it is unlinked.
//!
//! ```text
//!   List { head ──► A ⇄ B ⇄ C ◄── tail }      A.prev and C.next are null
//! ```
//!
//! An item that is in several lists at once has one `Links` for each, told apart by the `Tag` type.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

/// The place of an item in one list.
pub(crate) struct Links<T> {
    prev: Cell<*const T>,
    next: Cell<*const T>,
    /// Set while the item is in a list. An only item has null neighbours too, hence the flag.
    linked: Cell<bool>,
}

impl<T> Links<T> {
    pub(crate) const fn new() -> Self {
        Links {
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            linked: Cell::new(false),
        }
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.linked.get()
    }
}

/// An item with links for the lists of kind `Tag`.
///
/// # Safety
/// `links` always returns the same field of the same item.
pub(crate) unsafe trait Linked<Tag>: Sized {
    fn links(&self) -> &Links<Self>;
}

/// A FIFO of items that it does not own.
pub(crate) struct List<T, Tag = ()> {
    head: Cell<*const T>,
    tail: Cell<*const T>,
    len: Cell<usize>,
    tag: PhantomData<Tag>,
}

impl<T: Linked<Tag>, Tag> List<T, Tag> {
    pub(crate) const fn new() -> Self {
        List {
            head: Cell::new(ptr::null()),
            tail: Cell::new(ptr::null()),
            len: Cell::new(0),
            tag: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Puts `item` at the end.
    ///
    /// # Safety
    /// `item` is valid and stays put until it leaves the list, it is in no list of this kind, and no other
    /// thread touches the list or the links of its items meanwhile (the owner's thread or lock sees to that).
    #[inline]
    pub(crate) unsafe fn push_back(&self, item: *const T) {
        // SAFETY: valid, as the caller promises.
        let links = unsafe { (*item).links() };
        debug_assert!(!links.linked.get(), "item is in a list already");
        let tail = self.tail.get();
        links.prev.set(tail);
        links.next.set(ptr::null());
        links.linked.set(true);
        if tail.is_null() {
            self.head.set(item);
        } else {
            // SAFETY: the tail is in the list, hence valid.
            unsafe { (*tail).links() }.next.set(item);
        }
        self.tail.set(item);
        self.len.set(self.len.get() + 1);
    }

    /// Takes the first item out.
    #[inline]
    pub(crate) fn pop_front(&self) -> Option<*const T> {
        let head = self.head.get();
        if head.is_null() {
            return None;
        }
        // SAFETY: the head is in the list.
        unsafe { self.unlink(head) };
        Some(head)
    }

    /// Takes `item` out if it is in the list; true if it was.
    ///
    /// # Safety
    /// `item` is valid and in this list or in none of this kind; threads as for `push_back`.
    #[inline]
    pub(crate) unsafe fn remove(&self, item: *const T) -> bool {
        // SAFETY: valid, as the caller promises.
        let linked = unsafe { (*item).links() }.linked.get();
        if linked {
            // SAFETY: it is in a list, and by the caller's promise in this one.
            unsafe { self.unlink(item) };
        }
        linked
    }

    /// # Safety
    /// `item` is in this list.
    #[inline]
    unsafe fn unlink(&self, item: *const T) {
        // SAFETY: items of the list are valid.
        let links = unsafe { (*item).links() };
        let (prev, next) = (links.prev.get(), links.next.get());
        if prev.is_null() {
            self.head.set(next);
        } else {
            // SAFETY: a neighbour is in the list too.
            unsafe { (*prev).links() }.next.set(next);
        }
        if next.is_null() {
            self.tail.set(prev);
        } else {
            // SAFETY: a neighbour is in the list too.
            unsafe { (*next).links() }.prev.set(prev);
        }
        links.prev.set(ptr::null());
        links.next.set(ptr::null());
        links.linked.set(false);
        self.len.set(self.len.get() - 1);
    }

    /// The first item that is `wanted`.
    #[inline]
    pub(crate) fn find(&self, mut wanted: impl FnMut(*const T) -> bool) -> Option<*const T> {
        let mut at = self.head.get();
        while !at.is_null() && !wanted(at) {
            // SAFETY: items of the list are valid.
            at = unsafe { (*at).links() }.next.get();
        }
        (!at.is_null()).then_some(at)
    }

    /// Visits every item, first to last. `each` must not change the list.
    pub(crate) fn for_each(&self, mut each: impl FnMut(*const T)) {
        let mut at = self.head.get();
        while !at.is_null() {
            // SAFETY: items of the list are valid, and `each` leaves it as it is.
            let next = unsafe { (*at).links() }.next.get();
            each(at);
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item {
        links: Links<Item>,
        id: u32,
    }

    // SAFETY: one field.
    unsafe impl Linked<()> for Item {
        fn links(&self) -> &Links<Self> {
            &self.links
        }
    }

    #[allow(clippy::vec_box, reason = "items must not move")]
    fn items(n: u32) -> Vec<Box<Item>> {
        (0..n).map(|id| Box::new(Item { links: Links::new(), id })).collect()
    }

    fn ids(list: &List<Item>) -> Vec<u32> {
        let mut ids = vec![];
        // SAFETY: the items outlive the list in every test.
        list.for_each(|item| ids.push(unsafe { (*item).id }));
        ids
    }

    #[test]
    fn first_in_first_out() {
        let items = items(3);
        let list = List::new();
        for item in &items {
            // SAFETY: boxed, and linked once.
            unsafe { list.push_back(&**item) };
        }
        assert_eq!(ids(&list), [0, 1, 2]);
        assert_eq!(list.len(), 3);
        for expected in 0..3 {
            // SAFETY: as above.
            assert_eq!(unsafe { (*list.pop_front().unwrap()).id }, expected);
        }
        assert!(list.pop_front().is_none() && list.is_empty());
    }

    #[test]
    fn finds_the_first() {
        let items = items(4);
        let list = List::new();
        for item in &items {
            // SAFETY: boxed, and linked once.
            unsafe { list.push_back(&**item) };
        }
        // SAFETY: the items are alive.
        let odd = list.find(|item| unsafe { (*item).id } % 2 == 1);
        assert!(std::ptr::eq(odd.unwrap(), &*items[1]));
        assert!(list.find(|_| false).is_none());
    }

    #[test]
    fn leaves_from_anywhere() {
        for gone in 0..4 {
            let items = items(4);
            let list = List::new();
            for item in &items {
                // SAFETY: boxed, and linked once.
                unsafe { list.push_back(&**item) };
            }
            // SAFETY: it is in this list.
            assert!(unsafe { list.remove(&*items[gone]) });
            // SAFETY: it is in no list now.
            assert!(!unsafe { list.remove(&*items[gone]) });
            let rest: Vec<u32> = (0..4).filter(|id| *id != gone as u32).collect();
            assert_eq!(ids(&list), rest);
            // SAFETY: unlinked just above.
            unsafe { list.push_back(&*items[gone]) };
            assert_eq!(ids(&list).last(), Some(&(gone as u32)));
        }
    }
}
