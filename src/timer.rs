//! A store of deadlines. Pure: it has no clock, does no I/O and knows no green threads.
//!
//! A 4-ary heap whose entries know their slot and whose slots know their place in the heap, so that a deadline
//! can be cancelled for real in O(log n): most deadlines (every I/O time-out that did not happen) are cancelled,
//! and must leave nothing behind. Equal deadlines come out in the order in which they went in.
//!
//! ```text
//!   heap:  [(when, order, slot 7), (when, order, slot 2), ...]     slots:  7 -> heap index 0, 2 -> heap index 1
//! ```
#![forbid(unsafe_code)]

/// Names a deadline that was put in. Stale keys (of deadlines that passed or were cancelled) are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// Names nothing.
    pub(crate) const NONE: Key = Key { slot: NONE, generation: 0 };
}

struct Entry {
    /// Nanoseconds on the caller's clock.
    when: u64,
    /// Breaks ties first in, first out.
    order: u64,
    slot: u32,
}

struct Slot<T> {
    generation: u32,
    /// Index in the heap, or the next free slot.
    at: u32,
    value: Option<T>,
}

const NONE: u32 = u32::MAX;
const ARITY: usize = 4;

/// Deadlines with a value each.
pub(crate) struct Timers<T> {
    heap: Vec<Entry>,
    slots: Vec<Slot<T>>,
    free: u32,
    order: u64,
}

impl<T> Timers<T> {
    pub(crate) const fn new() -> Self {
        Timers { heap: Vec::new(), slots: Vec::new(), free: NONE, order: 0 }
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.when)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Puts a deadline in. O(log n), and O(1) when it is later than the others around it.
    pub(crate) fn insert(&mut self, when: u64, value: T) -> Key {
        let slot = if self.free == NONE {
            let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 deadlines");
            grow_slowly(&mut self.slots);
            self.slots.push(Slot { generation: 0, at: NONE, value: None });
            slot
        } else {
            let slot = self.free;
            self.free = self.slots[slot as usize].at;
            slot
        };
        self.order += 1;
        self.slots[slot as usize].value = Some(value);
        let at = self.heap.len();
        grow_slowly(&mut self.heap);
        self.heap.push(Entry { when, order: self.order, slot });
        self.slots[slot as usize].at = at as u32;
        self.sift_up(at);
        Key { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes a deadline out before it has passed; `None` if it has passed already.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation != key.generation || slot.value.is_none() {
            return None;
        }
        Some(self.remove_at(slot.at as usize))
    }

    /// Takes out the earliest deadline that is at or before `now`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<T> {
        if self.next()? <= now { Some(self.remove_at(0)) } else { None }
    }

    fn remove_at(&mut self, at: usize) -> T {
        let entry = self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.slots[self.heap[at].slot as usize].at = at as u32;
            // The entry that took the place came from the end: it may have to go either way.
            if !self.sift_up(at) {
                self.sift_down(at);
            }
        }
        let slot = &mut self.slots[entry.slot as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.at = self.free;
        self.free = entry.slot;
        slot.value.take().expect("an entry of the heap has a value")
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.heap[a], &self.heap[b]);
        (a.when, a.order) < (b.when, b.order)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.slots[self.heap[a].slot as usize].at = a as u32;
        self.slots[self.heap[b].slot as usize].at = b as u32;
    }

    fn sift_up(&mut self, mut at: usize) -> bool {
        let start = at;
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !self.before(at, parent) {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
        at != start
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let first = at * ARITY + 1;
            let last = (first + ARITY).min(self.heap.len());
            let Some(least) = (first..last).reduce(|a, b| if self.before(b, a) { b } else { a })
            else {
                return;
            };
            if !self.before(least, at) {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }
}

/// Makes room for one more by a quarter rather than by doubling: what is not used of a large table is still heap.
pub(crate) fn grow_slowly<T>(table: &mut Vec<T>) {
    if table.len() == table.capacity() {
        table.reserve_exact(64.max(table.len() / 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_in_order() {
        let mut timers = Timers::new();
        let mut random = 12345u64;
        for n in 0..2_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            timers.insert(random >> 54, n);
        }
        let mut last = (0, 0);
        let mut count = 0;
        while let Some(when) = timers.next() {
            let n = timers.pop_due(when).unwrap();
            assert!((when, n) > last || count == 0, "ties are first in, first out");
            last = (when, n);
            count += 1;
        }
        assert_eq!(count, 2_000);
    }

    #[test]
    fn not_before_its_time() {
        let mut timers = Timers::new();
        timers.insert(10, 'a');
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(10), Some('a'));
        assert_eq!(timers.pop_due(u64::MAX), None);
    }

    #[test]
    fn cancel_leaves_nothing() {
        let mut timers = Timers::new();
        let keys: Vec<Key> = (0..1_000u64).map(|n| timers.insert((n * 7919) % 1_000, n)).collect();
        for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
            assert_eq!(timers.cancel(*key), Some(n as u64));
            assert_eq!(timers.cancel(*key), None, "a stale key is recognised");
        }
        assert_eq!(timers.len(), 334);
        let mut last = 0;
        while let Some(when) = timers.next() {
            assert!(when >= last);
            last = when;
            assert_eq!(timers.pop_due(when).unwrap() % 3, 0);
        }
        let reused = timers.insert(5, 42);
        assert!(keys.iter().all(|key| *key != reused));
    }
}
