//! Buffers for input and output, kept per OS thread and lent to connections while they have work. An idle
//! connection and a stream that waits for news hold none.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

/// Sizes of the buffers that requests are received into. A handler that waits holds one, so that it should not be larger than it
/// must.
const SIZES: [usize; 4] = [256, 1 << 10, 2 << 10, INPUT];

/// Size of a fresh input buffer. One `recv` takes up to this much.
const INPUT: usize = 8 << 10;

/// Capacity of a fresh output buffer.
const OUTPUT: usize = 4 << 10;

/// Size of a buffer for ciphertext: the largest record, and what makes plaintext longer.
#[cfg(feature = "tls")]
const RECORD: usize = (16 << 10) + 512;

/// Larger ones go back to the allocator rather than here.
const KEEP: usize = 64 << 10;

/// Most buffers of a kind that are kept. More are in use at once only while that many handlers wait.
const MOST: usize = 64;

struct Pool {
    /// By size; among the last are larger ones too.
    inputs: [Vec<Vec<u8>>; SIZES.len()],
    outputs: Vec<Vec<u8>>,
    #[cfg(feature = "tls")]
    records: Vec<Vec<u8>>,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            inputs: [const { Vec::new() }; SIZES.len()],
            outputs: Vec::new(),
            #[cfg(feature = "tls")]
            records: Vec::new(),
        })
    };
}

thread_local! {
    /// Which size the next request is expected to need, and how many would have fit into a smaller one.
    static GUESS: Cell<(usize, u8)> = const { Cell::new((0, 0)) };
}

/// So many requests that are smaller than expected change what is expected.
const SMALLER: u8 = 16;

/// The smallest size with room for `n` bytes and some more, if there is one.
fn size_for(n: usize) -> usize {
    SIZES.iter().position(|size| n < *size).unwrap_or(SIZES.len() - 1)
}

/// An input buffer for the beginning of a request, as large as those before suggest.
pub(crate) fn head() -> Vec<u8> {
    let (size, _) = GUESS.get();
    POOL.with_borrow_mut(|pool| pool.inputs[size].pop()).unwrap_or_else(|| vec![0; SIZES[size]])
}

/// `n` bytes came into what [`head`] gave: the same, or a smaller one with room for them and some more.
#[inline]
pub(crate) fn fitted(buffer: Vec<u8>, n: usize) -> Vec<u8> {
    // Most come as expected: not full, and not into a smaller one.
    let (size, _) = GUESS.get();
    let least = if size == 0 { 0 } else { SIZES[size - 1] };
    match n >= least && n < buffer.len() {
        true => buffer,
        false => other_size(buffer, n),
    }
}

#[cold]
fn other_size(buffer: Vec<u8>, n: usize) -> Vec<u8> {
    let (guess, smaller) = GUESS.get();
    let size = size_for(n);
    GUESS.set(match smaller + 1 {
        // At once, as there may be more to read of this one, for another call to the system.
        _ if size >= guess => (size, 0),
        SMALLER => (size, 0),
        smaller => (guess, smaller),
    });
    if n >= SIZES[size] || SIZES[size] >= buffer.len() {
        return buffer; // of the last size there are larger ones
    }
    let kept = POOL.with_borrow_mut(|pool| pool.inputs[size].pop());
    let mut fitted = kept.unwrap_or_else(|| vec![0; SIZES[size]]);
    fitted[..n].copy_from_slice(&buffer[..n]);
    give_input(buffer);
    fitted
}

/// An input buffer: all of its length may be received into; what is in it means nothing.
pub(crate) fn input() -> Vec<u8> {
    const LAST: usize = SIZES.len() - 1;
    POOL.with_borrow_mut(|pool| pool.inputs[LAST].pop()).unwrap_or_else(|| vec![0; INPUT])
}

/// A larger one with the same bytes.
pub(crate) fn larger(buffer: Vec<u8>) -> Vec<u8> {
    const HEAD: usize = SIZES[2];
    let mut larger = match buffer.len() {
        ..HEAD => vec![0; HEAD],
        HEAD..INPUT => input(),
        len => vec![0; len * 2],
    };
    larger[..buffer.len()].copy_from_slice(&buffer);
    give_input(buffer);
    larger
}

/// Takes an input buffer of any kind back.
#[inline]
pub(crate) fn give_input(buffer: Vec<u8>) {
    let len = buffer.len();
    let size = match SIZES.iter().position(|size| *size == len) {
        Some(size) => size,
        None if len > INPUT && len <= KEEP => SIZES.len() - 1,
        None => return,
    };
    // OK to ignore the error: at the end of the OS thread the pool is gone, and the buffer goes too.
    let _ = POOL.try_with(|pool| keep(&mut pool.borrow_mut().inputs[size], buffer));
}

/// An empty output buffer.
pub(crate) fn output() -> Vec<u8> {
    POOL.with_borrow_mut(|pool| pool.outputs.pop()).unwrap_or_else(|| Vec::with_capacity(OUTPUT))
}

/// Takes an output buffer back.
pub(crate) fn give_output(mut buffer: Vec<u8>) {
    if (OUTPUT..=KEEP).contains(&buffer.capacity()) {
        buffer.clear();
        // OK to ignore the error: as in `give_input`.
        let _ = POOL.try_with(|pool| keep(&mut pool.borrow_mut().outputs, buffer));
    }
}

/// A buffer for ciphertext, in or out; what is in it means nothing.
#[cfg(feature = "tls")]
pub(crate) fn record() -> Vec<u8> {
    POOL.with_borrow_mut(|pool| pool.records.pop()).unwrap_or_else(|| vec![0; RECORD])
}

/// Takes such a buffer back.
#[cfg(feature = "tls")]
pub(crate) fn give_record(buffer: Vec<u8>) {
    if (RECORD..=KEEP).contains(&buffer.len()) {
        // OK to ignore the error: as in `give_input`.
        let _ = POOL.try_with(|pool| keep(&mut pool.borrow_mut().records, buffer));
    }
}

fn keep(kept: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if kept.len() < MOST {
        kept.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of `n` bytes comes into what is expected. How large that was, and the buffer that it is in then.
    fn came(n: usize) -> (usize, Vec<u8>) {
        let mut buffer = head();
        let len = buffer.len();
        let n = n.min(len);
        buffer[n - 1] = 7;
        let fitted = fitted(buffer, n);
        assert_eq!(fitted[n - 1], 7);
        (len, fitted)
    }

    #[test]
    fn a_request_is_in_the_smallest_buffer_that_has_room() {
        for (n, len) in [
            (8000, 8192),
            (1, 256),
            (255, 256),
            (256, 1024),
            (1023, 1024),
            (1024, 2048),
            (2048, 8192),
        ] {
            GUESS.set((SIZES.len() - 1, 0));
            // Among the last size are larger ones, too.
            POOL.with_borrow_mut(|pool| pool.inputs = Default::default());
            let (_, buffer) = came(n);
            assert_eq!(buffer.len(), len, "{n}");
            let grown = larger(buffer);
            assert!(grown.len() > len && grown[n - 1] == 7, "{n}");
            give_input(grown);
        }
        POOL.with_borrow(|pool| assert!(pool.inputs.iter().all(|kept| kept.len() <= MOST)));
    }

    /// Of the last size, with whatever there is room for in them.
    #[test]
    fn larger_ones_may_be_filled() {
        for (n, len) in
            [(INPUT * 2, INPUT * 2), (INPUT + 1, INPUT * 2), (INPUT - 1, INPUT * 2), (10, 256)]
        {
            POOL.with_borrow_mut(|pool| pool.inputs = Default::default());
            GUESS.set((SIZES.len() - 1, 0));
            give_input(larger(input()));
            let (was, buffer) = came(n);
            assert_eq!((was, buffer.len()), (INPUT * 2, len), "{n}");
        }
    }

    #[test]
    fn the_next_is_expected_to_be_as_large() {
        GUESS.set((0, 0));
        // Larger ones at once: 256 bytes filled the buffer to its end, and there may be more.
        assert_eq!(
            [300, 300, 2000, 2000, 5000, 5000].map(|n| came(n).0),
            [256, 1024, 1024, 2048, 2048, 8192]
        );
        // Smaller ones only when they are many.
        let expected: Vec<usize> = (0..20).map(|_| came(100).0).collect();
        assert_eq!(expected[..16], [8192; 16]);
        assert_eq!(expected[16..], [256; 4]);
    }
}
