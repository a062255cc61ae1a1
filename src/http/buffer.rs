//! Buffers for input and output, kept per OS thread and lent to connections while they have work. An idle
//! connection and a stream that waits for news hold none.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

/// Size of the buffer that a request is received into, at first. Most requests fit.
const HEAD: usize = 2 << 10;

/// Sizes of the buffers that a request is moved into before its handler runs, if it fits: a handler that waits holds it.
const FITTED: [usize; 2] = [256, 1 << 10];

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
    heads: Vec<Vec<u8>>,
    fitted: [Vec<Vec<u8>>; 2],
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    #[cfg(feature = "tls")]
    records: Vec<Vec<u8>>,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            heads: Vec::new(),
            fitted: [Vec::new(), Vec::new()],
            inputs: Vec::new(),
            outputs: Vec::new(),
            #[cfg(feature = "tls")]
            records: Vec::new(),
        })
    };
}

thread_local! {
    /// More came for the last turn than a small buffer takes: clients send many requests at once, it seems.
    static MUCH: Cell<bool> = const { Cell::new(false) };
}

/// For the next turn to know: `n` bytes came for this one.
pub(crate) fn came(n: usize) {
    MUCH.set(n >= HEAD);
}

/// An input buffer for the beginning of a request, as small as will do.
pub(crate) fn head() -> Vec<u8> {
    if MUCH.get() {
        return input();
    }
    POOL.with_borrow_mut(|pool| pool.heads.pop()).unwrap_or_else(|| vec![0; HEAD])
}

/// The first `n` bytes, and room for some more, in a smaller buffer if there is one that will do.
pub(crate) fn fitted(buffer: Vec<u8>, n: usize) -> Vec<u8> {
    let class = match FITTED.iter().position(|size| n < *size) {
        Some(class) if buffer.len() == HEAD => class,
        _ => return buffer,
    };
    POOL.with_borrow_mut(|pool| {
        let mut fitted = pool.fitted[class].pop().unwrap_or_else(|| vec![0; FITTED[class]]);
        fitted[..n].copy_from_slice(&buffer[..n]);
        pool.heads.push(buffer); // there is room: it came from there
        fitted
    })
}

/// An input buffer: all of its length may be received into; what is in it means nothing.
pub(crate) fn input() -> Vec<u8> {
    POOL.with_borrow_mut(|pool| pool.inputs.pop()).unwrap_or_else(|| vec![0; INPUT])
}

/// A larger one with the same bytes.
pub(crate) fn larger(buffer: Vec<u8>) -> Vec<u8> {
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
pub(crate) fn give_input(buffer: Vec<u8>) {
    if buffer.len() == FITTED[0] {
        keep(buffer, |pool| &mut pool.fitted[0]);
    } else if buffer.len() == FITTED[1] {
        keep(buffer, |pool| &mut pool.fitted[1]);
    } else if buffer.len() == HEAD {
        keep(buffer, |pool| &mut pool.heads);
    } else if (INPUT..=KEEP).contains(&buffer.len()) {
        keep(buffer, |pool| &mut pool.inputs);
    }
}

/// An empty output buffer.
pub(crate) fn output() -> Vec<u8> {
    POOL.with_borrow_mut(|pool| pool.outputs.pop()).unwrap_or_else(|| Vec::with_capacity(OUTPUT))
}

/// Takes an output buffer back.
pub(crate) fn give_output(mut buffer: Vec<u8>) {
    if (OUTPUT..=KEEP).contains(&buffer.capacity()) {
        buffer.clear();
        keep(buffer, |pool| &mut pool.outputs);
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
        keep(buffer, |pool| &mut pool.records);
    }
}

fn keep(buffer: Vec<u8>, which: fn(&mut Pool) -> &mut Vec<Vec<u8>>) {
    // OK to ignore the error: at the end of the OS thread the pool is gone, and the buffer goes too.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let kept = which(&mut pool);
        if kept.len() < MOST {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_moves_into_the_smallest_buffer_that_has_room() {
        for (n, len) in
            [(1, 256), (255, 256), (256, 1024), (1023, 1024), (1024, HEAD), (HEAD, HEAD)]
        {
            let mut buffer = vec![0; HEAD];
            buffer[n - 1] = 7;
            let fitted = fitted(buffer, n);
            assert_eq!((fitted.len(), fitted[n - 1]), (len, 7), "{n}");
            let grown = larger(fitted);
            assert!(grown.len() > len && grown[n - 1] == 7, "{n}");
            give_input(grown);
        }
        // More was expected to come than fits into a small one.
        assert_eq!(fitted(vec![0; INPUT], 10).len(), INPUT);
        POOL.with_borrow(|pool| assert!(pool.heads.len() <= MOST));
    }
}
