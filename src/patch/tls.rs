//! Is an address in the calling OS thread's own thread-local memory?
//!
//! A futex there belongs to the OS thread, not to the green thread that waits: parking_lot's queue nodes, rayon's
//! latch. Two green threads of one worker that wait on one at once would corrupt it (DESIGN.md section 5, rule 5).
//!
//! The dynamic linker knows: for each loaded object it tells where the calling thread's block is and how long. The
//! blocks of objects that were loaded at run time come and go, so what is remembered is checked against its counters.

use std::cell::Cell;
use std::ops::Range;

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// How many blocks are remembered one by one. Beyond that the last one grows to cover the rest, which is safe: to
/// take an address for thread-local by mistake costs a pin.
const BLOCKS: usize = 16;

#[derive(Clone, Copy)]
struct Blocks {
    /// Objects loaded and unloaded so far, when the blocks were found.
    loaded: (u64, u64),
    /// Whether an object had no block for this thread yet; it may get one any time.
    incomplete: bool,
    found: usize,
    from: [usize; BLOCKS],
    to: [usize; BLOCKS],
}

impl Blocks {
    const NONE: Blocks =
        Blocks { loaded: (0, 0), incomplete: true, found: 0, from: [0; BLOCKS], to: [0; BLOCKS] };

    fn add(&mut self, block: Range<usize>) {
        let at = self.found.min(BLOCKS - 1);
        let (Some(from), Some(to)) = (self.from.get_mut(at), self.to.get_mut(at)) else { return };
        if self.found < BLOCKS {
            (*from, *to) = (block.start, block.end);
            self.found += 1;
        } else {
            (*from, *to) = ((*from).min(block.start), (*to).max(block.end));
        }
    }

    fn contains(&self, address: usize) -> bool {
        let mut blocks = self.from.iter().zip(&self.to).take(self.found);
        blocks.any(|(from, to)| (*from..*to).contains(&address))
    }
}

thread_local! {
    static MINE: Cell<Blocks> = const { Cell::new(Blocks::NONE) };
}

/// Whether `address` is in a thread-local variable of the calling OS thread.
pub(super) fn contains(address: usize) -> bool {
    let mut blocks = MINE.get();
    if blocks.incomplete || blocks.loaded != loaded() {
        blocks = Blocks::NONE;
        blocks.incomplete = false;
        // SAFETY: `visit` takes the `Blocks` that it is given here.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut blocks).cast()) };
        MINE.set(blocks);
    }
    blocks.contains(address)
}

/// How many objects have been loaded and unloaded since the program started.
fn loaded() -> (u64, u64) {
    unsafe extern "C" fn first(info: *mut dl_phdr_info, _: size_t, counts: *mut c_void) -> c_int {
        // SAFETY: the linker's record, good during the call.
        let info = unsafe { &*info };
        // SAFETY: the pair below.
        unsafe { *counts.cast::<(u64, u64)>() = (info.dlpi_adds, info.dlpi_subs) };
        1 // the first record is enough
    }
    let mut counts = (0, 0);
    // SAFETY: `first` takes the pair that it is given here.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut counts).cast()) };
    counts
}

unsafe extern "C" fn visit(info: *mut dl_phdr_info, _: size_t, blocks: *mut c_void) -> c_int {
    // SAFETY: the linker's record, good during the call.
    let info = unsafe { &*info };
    // SAFETY: `contains` gives its own `Blocks`.
    let blocks = unsafe { &mut *blocks.cast::<Blocks>() };
    blocks.loaded = (info.dlpi_adds, info.dlpi_subs);
    for at in 0..usize::from(info.dlpi_phnum) {
        // SAFETY: the linker says that there are `dlpi_phnum` headers.
        let header = unsafe { info.dlpi_phdr.add(at) };
        // SAFETY: as above.
        let header = unsafe { &*header };
        if header.p_type != libc::PT_TLS {
            continue;
        }
        if info.dlpi_tls_data.is_null() {
            blocks.incomplete = true;
        } else {
            let start = info.dlpi_tls_data.addr();
            blocks.add(start..start + header.p_memsz as usize);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static HERE: u64 = const { 7 };
    }

    #[test]
    fn thread_locals_and_nothing_else() {
        let heap = Box::new(1);
        static STATIC: u64 = 1;
        let address = HERE.with(|here| std::ptr::from_ref(here).addr());
        assert!(contains(address));
        assert!(contains(super::super::errno::address()), "libc's own");
        assert!(!contains((&raw const *heap).addr()));
        assert!(!contains((&raw const heap).addr()), "the stack");
        assert!(!contains((&raw const STATIC).addr()));
        let others = std::thread::spawn(move || contains(address)).join();
        assert!(!others.expect("no panic"), "another thread's");
    }

    #[test]
    fn too_many_blocks_are_covered() {
        let mut blocks = Blocks::NONE;
        (0..BLOCKS + 4).for_each(|n| blocks.add(n * 100..n * 100 + 10));
        assert!((0..BLOCKS + 4).all(|n| blocks.contains(n * 100 + 5)));
        assert!(!blocks.contains(50));
    }
}
