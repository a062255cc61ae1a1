//! The values of `green_local!` of one thread, by key. Pure data; both kinds of thread keep one.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// A thread's values. A handful at most, so a search beats a hash.
pub(crate) struct Locals {
    values: RefCell<Vec<(usize, Rc<dyn Any>)>>,
}

impl Locals {
    pub(crate) const fn new() -> Self {
        Locals { values: RefCell::new(Vec::new()) }
    }

    /// The value under `key`. Shared, so that the store is not borrowed while the caller uses it.
    pub(crate) fn get(&self, key: usize) -> Option<Rc<dyn Any>> {
        let values = self.values.borrow();
        values.iter().find(|(k, _)| *k == key).map(|(_, value)| value.clone())
    }

    pub(crate) fn set(&self, key: usize, value: Rc<dyn Any>) {
        self.values.borrow_mut().push((key, value));
    }

    /// Whether there is anything to clear.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.borrow().is_empty()
    }

    /// Drops the values, the last one made first; a destructor may make new ones, those go too.
    pub(crate) fn clear(&self) {
        loop {
            // A statement of its own: the store must not be borrowed while a destructor runs.
            let last = self.values.borrow_mut().pop();
            match last {
                Some(value) => drop(value),
                None => return,
            }
        }
    }
}
