//! Giving back the part of a running green thread's stack that only earlier, deeper calls needed.
//!
//! A connection that was parsed and routed two pages deep and then waits for days in a shallow frame would keep
//! both pages. [`trim_stack`] is for such turning points; it costs a system call and a page fault later.

use super::here_green;
use crate::sys::memory;

/// What stays below the caller's frame: room for the frames of the system call itself, unoptimised ones too.
const MARGIN: usize = 1024;

/// Gives back the pages below the calling green thread's frame. Does nothing on an OS thread.
#[inline(never)]
pub(crate) fn trim_stack() {
    let Some((_, fiber)) = here_green() else {
        return;
    };
    let here = 0_u8;
    let page = memory::page_size();
    let from = fiber.guard().end;
    let to = (std::ptr::from_ref(&here).addr() - MARGIN) & !(page - 1);
    if from < to {
        // SAFETY: the range lies on this very stack (the guard ends where it begins), and below every frame
        // that is live: `here` is in the deepest one but for those of the call, which `MARGIN` leaves room for.
        unsafe { memory::discard_range(from, to - from) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deep(levels: usize) -> usize {
        let room = std::hint::black_box([levels as u8; 2048]);
        if levels == 0 { 0 } else { deep(levels - 1) + usize::from(room[levels] > 0) }
    }

    #[test]
    fn frames_above_survive() {
        let sums = super::super::runtime::Builder::new().workers(1).run(|| {
            let kept = std::hint::black_box([7_u8; 3000]);
            let before = deep(20);
            trim_stack();
            let after = deep(20);
            (before, after, kept.iter().map(|&b| u64::from(b)).sum::<u64>())
        });
        assert_eq!(sums, (20, 20, 21_000));
        trim_stack(); // not on a green thread: nothing
    }
}
