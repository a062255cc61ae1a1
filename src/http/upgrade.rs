//! A connection that leaves HTTP after a 101: what took it over, the socket, and the bytes that came behind the
//! request. What is spoken from there on is somebody else's matter (`ws/`).

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::AtomicBool;

use super::buffer;
use super::link::Link;
use super::response::Takeover;
use crate::hub::trim;

/// What is left to do when the head of a 101 is sent.
pub(crate) struct Upgrade {
    takeover: Takeover,
    ahead: Ahead,
}

/// Bytes that were received and not used yet, or no buffer at all.
#[derive(Default)]
pub(crate) struct Ahead {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// A connection that has left HTTP.
#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who takes it is a feature"))]
pub(crate) struct Upgraded<'c> {
    /// The socket, with the server's time-outs.
    pub(crate) link: &'c Link<'c>,
    /// The server wants to stop; it has then ended the reading side of the socket.
    pub(crate) stopping: &'c AtomicBool,
    /// What the client sent behind its request.
    pub(crate) ahead: Ahead,
}

impl Upgrade {
    /// What came, `start..end` of `input`, goes along.
    pub(crate) fn new(takeover: Takeover, input: Vec<u8>, start: usize, end: usize) -> Upgrade {
        let mut ahead = Ahead::default();
        if start < end {
            ahead = Ahead { bytes: input, start, end };
        } else {
            buffer::give_input(input);
        }
        Upgrade { takeover, ahead }
    }

    /// Runs it, to the end of the connection.
    pub(crate) fn run(self, link: &Link<'_>, stopping: &AtomicBool) {
        // For long, as a rule: what parsing and the handler needed of the stack is not needed again.
        trim::trim_stack();
        (self.takeover)(Upgraded { link, stopping, ahead: self.ahead });
    }
}

#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who takes it is a feature"))]
impl Ahead {
    /// Takes a buffer whose first `len` bytes were received. There must be none before it.
    pub(crate) fn put(&mut self, bytes: Vec<u8>, len: usize) {
        debug_assert!(self.bytes.is_empty());
        *self = Ahead { bytes, start: 0, end: len };
        self.took(0);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// `n` bytes were used. With the last one the buffer goes back to its pool.
    pub(crate) fn took(&mut self, n: usize) {
        self.start += n;
        if self.start == self.end {
            buffer::give_input(std::mem::take(&mut self.bytes));
            (self.start, self.end) = (0, 0);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        buffer::give_input(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ahead").field(&self.bytes().len()).finish()
    }
}
