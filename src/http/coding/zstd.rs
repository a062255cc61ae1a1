//! Zstandard (RFC 8878) in pieces, each a frame of its own: a decoder takes one frame after the other.

#![forbid(unsafe_code)]

use ::zstd::bulk;

use super::Pieces;

/// The library's own default. Its window is 2 MiB at most, and the web allows 8 (RFC 9659).
const LEVEL: i32 = 3;

/// A Zstandard stream on its way.
#[derive(Debug, Default)]
pub(super) struct Zstd {
    /// There was a frame.
    begun: bool,
}

impl Pieces for Zstd {
    /// A frame with nothing in it.
    const NOTHING: (&'static [u8], &'static [u8]) =
        (b"\x28\xb5\x2f\xfd\x20\0\x01\0\0", b"9\r\n\x28\xb5\x2f\xfd\x20\0\x01\0\0\r\n");

    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.begun = true;
        // A compressor is made in no time, unlike those of the others, so nobody keeps one.
        out.extend_from_slice(&whole(bytes));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // The last frame has its own end; but there has to be one.
        if !self.begun {
            out.extend_from_slice(&whole(&[]));
        }
    }
}

pub(super) fn whole(bytes: &[u8]) -> Vec<u8> {
    bulk::compress(bytes, LEVEL).expect("compressing fails for want of memory only")
}
