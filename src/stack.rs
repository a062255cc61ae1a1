//! Stacks for green threads: large mappings cut into equal slots, a guard below each, reused last in, first out.
//!
//! ```text
//!   one region (MAP_NORESERVE), slots of 256 KiB by default, addresses grow to the right:
//!
//!   |guard 64K|......stack......|c|guard 64K|......stack......|c|guard 64K| ...
//!             ^limit of slot 0  ^base: where the stack starts and grows to the left; `c` is the colour
//! ```
//!
//! - Only touched pages cost memory: a green thread that waits in a shallow frame costs one page.
//! - The guard is a page-table marker (`MADV_GUARD_INSTALL`, Linux 6.13), which needs no mapping of its own, so a
//!   million stacks stay far below `vm.max_map_count`. On older kernels it is page protection, which splits the
//!   mapping: two mappings a stack, about 32,000 stacks with the default `vm.max_map_count` of 65,530.
//! - Colour: slot tops would all fall into the same cache sets, as slots are a power of two apart; each top is
//!   moved down by a multiple of a cache line.
//! - A freed slot keeps its hot page. Pages that a deep call left behind are given back by [`Arena::trim`].
//!
//! One arena per worker and no lock: a stack is taken and given back by the worker that runs on it.

use std::io;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use corosensei::stack::StackPointer;

use crate::sys::memory::{self, Mapping};

/// What lies below each stack. 64 KiB, because compilers probe large frames in steps of up to that size.
pub(crate) const GUARD_SIZE: usize = 64 * 1024;
/// The least that is left of a slot beside its guard.
const MIN_USABLE: usize = 16 * 1024;
/// Number of different tops, one cache line apart. 8 lines are an eighth of a page: the rest is to hold all frames of a
/// handler that waits.
const COLOURS: usize = 8;
const CACHE_LINE: usize = 64;
/// The first region of a size; each further one is twice as large.
const FIRST_REGION: usize = 16 << 20;
const LARGEST_REGION: usize = 8 << 30;
/// What a freed stack may keep resident: anything deeper is given back by `trim`.
const WATERMARK: usize = 16 * 1024;
/// How many freed slots (the ones used last) keep their pages over a `trim`.
const KEEP_HOT: usize = 64;
/// How many slots one `trim` looks at, so that it never holds up the hub for long.
const TRIM_STEP: usize = 128;

/// How the guard below a stack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Page-table markers where the kernel has them (Linux 6.13), page protection elsewhere. The default.
    Auto,
    /// Page-table markers; starting a runtime fails where the kernel has none.
    Marker,
    /// Page protection: works everywhere, costs two mappings a stack (`vm.max_map_count` caps it near 32,000).
    Protection,
}

impl Guard {
    /// `Auto` made definite by asking the kernel once.
    fn resolve(self) -> Self {
        static BEST: OnceLock<Guard> = OnceLock::new();
        match self {
            Guard::Auto => *BEST.get_or_init(|| {
                let page = memory::page_size();
                let works = Mapping::reserve(page).is_ok_and(|mapping| {
                    // SAFETY: a mapping of our own that nobody uses.
                    unsafe { mapping.guard_by_marker(0, page) }.is_ok()
                });
                if works { Guard::Marker } else { Guard::Protection }
            }),
            definite => definite,
        }
    }
}

/// One slot, in use. Moved into the coroutine that runs on it; goes back by [`Arena::give_back`].
#[derive(Debug)]
pub(crate) struct Stack {
    base: NonZeroUsize,
    limit: NonZeroUsize,
    class: u32,
    region: u32,
    slot: u32,
}

impl Stack {
    /// The addresses that belong to the guard: a fault there is an overflow of this stack.
    pub(crate) fn guard(&self) -> std::ops::Range<usize> {
        self.limit.get()..self.limit.get() + GUARD_SIZE
    }

    /// Bytes that can be used, guard excluded.
    #[cfg(test)]
    pub(crate) fn usable(&self) -> usize {
        self.base.get() - self.limit.get() - GUARD_SIZE
    }
}

// SAFETY: base and limit are page- or line-aligned ends of a slot that is ours alone until it is given back, it
// never moves, and below the usable part lies the guard.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.limit
    }
}

struct Region {
    mapping: Mapping,
    /// Slots that have been handed out at least once; they have their guard.
    fresh: u32,
    slots: u32,
}

/// All slots of one size.
struct Class {
    slot_size: usize,
    regions: Vec<Region>,
    /// Freed slots (region, slot), the last used at the end.
    free: Vec<(u32, u32)>,
    /// How many at the start of `free` hold no pages.
    clean: usize,
    /// How many at the end of `free` have been looked at since they were last given back.
    checked: usize,
}

/// The stacks of one worker.
pub(crate) struct Arena {
    guard: Guard,
    classes: Vec<Class>,
    in_use: usize,
    pages: Vec<u8>,
}

impl Arena {
    pub(crate) fn new(guard: Guard) -> Self {
        Arena { guard: guard.resolve(), classes: Vec::new(), in_use: 0, pages: Vec::new() }
    }

    /// The stacks that are out now.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Takes a stack of `size` bytes, guard included; rounded up to a power of two.
    ///
    /// # Errors
    /// ENOMEM when the address space or the number of mappings is exhausted.
    pub(crate) fn take(&mut self, size: usize) -> io::Result<Stack> {
        let slot_size = size.max(GUARD_SIZE + MIN_USABLE).next_power_of_two();
        let index = match self.classes.iter().position(|class| class.slot_size == slot_size) {
            Some(index) => index,
            None => {
                self.classes.push(Class {
                    slot_size,
                    regions: Vec::new(),
                    free: Vec::new(),
                    clean: 0,
                    checked: 0,
                });
                self.classes.len() - 1
            }
        };
        let class = &mut self.classes[index];
        let (region, slot) = match class.free.pop() {
            Some(slot) => {
                class.clean = class.clean.min(class.free.len());
                class.checked = class.checked.saturating_sub(1);
                slot
            }
            None => class.carve(self.guard)?,
        };
        self.in_use += 1;
        let start = class.regions[region as usize].mapping.start() + slot as usize * slot_size;
        let colour = (slot as usize % COLOURS) * CACHE_LINE;
        let address = |n| NonZeroUsize::new(n).expect("mappings are not at address 0");
        Ok(Stack {
            base: address(start + slot_size - colour),
            limit: address(start),
            class: index as u32,
            region,
            slot,
        })
    }

    /// Takes a stack back. Its pages stay for the next user, until `trim`.
    pub(crate) fn give_back(&mut self, stack: Stack) {
        let class = &mut self.classes[stack.class as usize];
        class.free.push((stack.region, stack.slot));
        class.checked = 0;
        self.in_use -= 1;
    }

    /// Whether there are freed stacks with pages that nobody has used lately: work for `trim`.
    pub(crate) fn is_cold(&self) -> bool {
        self.classes.iter().any(|class| class.clean + KEEP_HOT < class.free.len())
    }

    /// Gives back pages of freed stacks: all pages of those that have not been used lately, and of the hot ones
    /// what lies deeper than the watermark. Looks at a bounded number of slots; true if there is more to do.
    pub(crate) fn trim(&mut self) -> bool {
        let mut budget = TRIM_STEP;
        for class in &mut self.classes {
            let slot_size = class.slot_size;
            let cold = class.free.len().saturating_sub(KEEP_HOT);
            while class.clean < cold && budget > 0 {
                let (region, slot) = class.free[class.clean];
                let start = slot as usize * slot_size + GUARD_SIZE;
                // SAFETY: the slot is free: nobody needs what is in it.
                unsafe {
                    class.regions[region as usize].mapping.discard(start, slot_size - GUARD_SIZE)
                };
                class.clean += 1;
                budget -= 1;
            }
            let deep = slot_size - GUARD_SIZE - WATERMARK.min(slot_size - GUARD_SIZE);
            self.pages.resize(self.pages.len().max(deep.div_ceil(memory::page_size())), 0);
            while deep > 0 && class.checked < class.free.len() - class.clean && budget > 0 {
                let (region, slot) = class.free[class.free.len() - 1 - class.checked];
                let mapping = &class.regions[region as usize].mapping;
                let start = slot as usize * slot_size + GUARD_SIZE;
                if mapping.is_resident(start, deep, &mut self.pages) {
                    // SAFETY: the slot is free: nobody needs what is in it.
                    unsafe { mapping.discard(start, deep) };
                }
                class.checked += 1;
                budget -= 1;
            }
        }
        budget == 0
    }
}

impl Class {
    /// A slot that was never used, with its guard made.
    fn carve(&mut self, guard: Guard) -> io::Result<(u32, u32)> {
        if self.regions.last().is_none_or(|region| region.fresh == region.slots) {
            self.grow()?;
        }
        let index = self.regions.len() - 1;
        let region = &mut self.regions[index];
        let start = region.fresh as usize * self.slot_size;
        match guard {
            // SAFETY: the slot has never been handed out.
            Guard::Protection => unsafe { region.mapping.guard_by_protection(start, GUARD_SIZE)? },
            // SAFETY: as above.
            _ => unsafe { region.mapping.guard_by_marker(start, GUARD_SIZE)? },
        }
        region.fresh += 1;
        Ok((index as u32, region.fresh - 1))
    }

    fn grow(&mut self) -> io::Result<()> {
        let last = self.regions.last().map(|region| region.slots as usize * self.slot_size);
        let mut len = last.map_or(FIRST_REGION, |len| (len * 2).min(LARGEST_REGION));
        len = len.max(self.slot_size);
        loop {
            match Mapping::reserve(len) {
                Ok(mapping) => {
                    let slots = (len / self.slot_size) as u32;
                    self.regions.push(Region { mapping, fresh: 0, slots });
                    return Ok(());
                }
                // Address space may be limited (ulimit -v): settle for less before giving up.
                Err(_) if len > self.slot_size => len = (len / 2).max(self.slot_size),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if self.in_use > 0 {
            // A green thread that would not end still stands on its stack: its memory must stay, for ever.
            std::mem::forget(std::mem::take(&mut self.classes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corosensei::stack::Stack as _;

    const SIZE: usize = 256 * 1024;

    fn touch(stack: &Stack, depth: usize) {
        // SAFETY: inside the usable part of a stack that nobody runs on.
        unsafe { *((stack.base().get() - depth) as *mut u8) = 1 };
    }

    fn resident_below_watermark(arena: &mut Arena, stack: &Stack) -> bool {
        let class = &arena.classes[stack.class as usize];
        let start = stack.slot as usize * class.slot_size + GUARD_SIZE;
        let len = class.slot_size - GUARD_SIZE - WATERMARK;
        let mut pages = vec![0; len / memory::page_size()];
        class.regions[stack.region as usize].mapping.is_resident(start, len, &mut pages)
    }

    #[test]
    fn both_guards_hand_out_disjoint_stacks() {
        for guard in [Guard::Auto, Guard::Protection] {
            let mut arena = Arena::new(guard);
            let stacks: Vec<Stack> = (0..300).map(|_| arena.take(SIZE).unwrap()).collect();
            for stack in &stacks {
                assert!(stack.usable() >= SIZE - GUARD_SIZE - COLOURS * CACHE_LINE);
                touch(stack, 1);
                touch(stack, stack.usable());
            }
            let mut ranges: Vec<_> =
                stacks.iter().map(|s| (s.limit().get(), s.base().get())).collect();
            ranges.sort_unstable();
            assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            for stack in stacks {
                arena.give_back(stack);
            }
            assert_eq!(arena.in_use(), 0);
        }
    }

    #[test]
    fn last_in_first_out() {
        let mut arena = Arena::new(Guard::Auto);
        let (a, b) = (arena.take(SIZE).unwrap(), arena.take(SIZE).unwrap());
        let (base_a, base_b) = (a.base(), b.base());
        arena.give_back(a);
        arena.give_back(b);
        assert_eq!(arena.take(SIZE).unwrap().base(), base_b);
        assert_eq!(arena.take(SIZE).unwrap().base(), base_a);
    }

    #[test]
    fn tops_have_colours() {
        let mut arena = Arena::new(Guard::Auto);
        let stacks: Vec<Stack> = (0..64).map(|_| arena.take(SIZE).unwrap()).collect();
        let offsets: std::collections::HashSet<usize> =
            stacks.iter().map(|s| s.base().get() % memory::page_size()).collect();
        assert_eq!(offsets.len(), COLOURS);
        stacks.into_iter().for_each(|stack| arena.give_back(stack));
    }

    #[test]
    fn trim_gives_deep_pages_back_and_keeps_hot_ones() {
        let mut arena = Arena::new(Guard::Auto);
        let stack = arena.take(SIZE).unwrap();
        touch(&stack, 8);
        touch(&stack, 100 * 1024);
        assert!(resident_below_watermark(&mut arena, &stack));
        arena.give_back(stack);
        assert!(!arena.trim());
        let stack = arena.take(SIZE).unwrap();
        assert!(!resident_below_watermark(&mut arena, &stack));
        // SAFETY: as in `touch`.
        let kept = unsafe { *((stack.base().get() - 8) as *const u8) };
        assert_eq!(kept, 1, "the hot page was kept");
        arena.give_back(stack);
    }

    #[test]
    fn trim_empties_what_is_cold() {
        let mut arena = Arena::new(Guard::Auto);
        let stacks: Vec<Stack> = (0..200).map(|_| arena.take(SIZE).unwrap()).collect();
        stacks.iter().for_each(|stack| touch(stack, 8));
        let cold = stacks[0].base().get() - 8;
        stacks.into_iter().for_each(|stack| arena.give_back(stack));
        assert!(arena.is_cold());
        while arena.trim() {}
        assert!(!arena.is_cold(), "what is hot is no work");
        // SAFETY: as in `touch`.
        assert_eq!(unsafe { *(cold as *const u8) }, 0, "the first given back is the coldest");
    }

    #[test]
    fn sizes_do_not_mix() {
        let mut arena = Arena::new(Guard::Auto);
        let (small, large) = (arena.take(1).unwrap(), arena.take(1 << 20).unwrap());
        assert!(small.usable() >= MIN_USABLE && large.usable() > 900 * 1024);
        arena.give_back(small);
        assert!(arena.take(1 << 20).unwrap().usable() > 900 * 1024);
        arena.give_back(large);
    }
}
