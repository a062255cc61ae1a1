//! The driver: tells a worker which descriptors became ready, by token.
//!
//! It knows descriptors and tokens, not green threads; `hub` decides who is woken. One driver exists so far,
//! [`epoll`]. The second one, io_uring, will differ above this line too: there the operation itself is submitted
//! and its completion carries the result. Callers of `io` cannot tell, as they are parked either way
//! (DESIGN.md, D12); that is why `io` offers operations and not readiness.
#![forbid(unsafe_code)]

mod epoll;

pub(crate) use epoll::Driver;

/// Names a registration: the descriptor's number and the generation of that number on this worker.
///
/// A closed number is given out again by the kernel; the generation tells its old events from its new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) fd: u32,
    pub(crate) generation: u32,
}

impl Token {
    fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.fd)
    }

    fn unpack(word: u64) -> Self {
        Token { fd: word as u32, generation: (word >> 32) as u32 }
    }
}
