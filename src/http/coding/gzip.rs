//! gzip (RFC 1952) in pieces. An OS thread has one compressor, and lends it for the length of a call.

#![forbid(unsafe_code)]

use std::cell::Cell;

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::{PIECE, Pieces};
use crate::blocking;

/// Towards speed: the further levels take twice the time for some hundredths of the size.
const LEVEL: u32 = 5;

/// No name, no time, no system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty block that is the last one.
const END: [u8; 2] = [3, 0];

thread_local! {
    static COMPRESS: Cell<Option<Compress>> = const { Cell::new(None) };
}

/// A gzip stream on its way.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    /// Of what was compressed.
    crc: Crc,
    /// The head was written.
    begun: bool,
}

impl Gzip {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&HEAD);
        }
    }
}

impl Pieces for Gzip {
    /// An empty block that is stored.
    const NOTHING: (&'static [u8], &'static [u8]) = (b"\0\0\0\xff\xff", b"5\r\n\0\0\0\xff\xff\r\n");

    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        self.crc.update(bytes);
        deflate(bytes, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(&END);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

pub(super) fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 3 + 64);
    let mut gzip = Gzip::default();
    for piece in bytes.chunks(PIECE) {
        gzip.piece(piece, &mut out);
    }
    gzip.end(&mut out);
    out
}

/// Appends `bytes` as whole blocks, none of them the last, that end with a whole byte.
fn deflate(bytes: &[u8], out: &mut Vec<u8>) {
    // Making one takes more stack than a green thread has.
    let fresh = || blocking::run(|| Compress::new(Compression::new(LEVEL), false));
    let mut compress = COMPRESS.take().unwrap_or_else(fresh);
    compress.reset();
    loop {
        out.reserve(bytes.len() / 3 + 64);
        // OK to cast: it is at most the length of `bytes`.
        let left = &bytes[compress.total_in() as usize..];
        compress
            .compress_vec(left, out, FlushCompress::Sync)
            .expect("compressing fails for wrong arguments only");
        // With room left in `out`, nothing more of it is inside.
        if compress.total_in() == bytes.len() as u64 && out.len() < out.capacity() {
            break;
        }
    }
    COMPRESS.set(Some(compress));
}
