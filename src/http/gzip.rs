//! gzip (RFC 1952) in pieces that stand for themselves. Bytes only.
//!
//! Each piece is compressed without knowing those before it, so nobody holds a compressor (300 KiB) while he waits: an OS
//! thread has one, and lends it for the length of a call. Pieces are as long as what is written between two flushes, up
//! to [`PIECE`]; beyond that the next one would hardly be shorter for knowing the last.

#![forbid(unsafe_code)]

use std::cell::Cell;

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::stream::Coder;
use crate::blocking;

/// What is compressed at once.
pub(crate) const PIECE: usize = 64 << 10;

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
#[derive(Debug)]
pub(crate) struct Gzip {
    /// Not compressed yet.
    plain: Vec<u8>,
    /// Of what was compressed.
    crc: Crc,
    /// The head was written.
    begun: bool,
}

impl Gzip {
    pub(crate) fn new() -> Gzip {
        Gzip { plain: Vec::new(), crc: Crc::new(), begun: false }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&HEAD);
        }
    }

    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        self.crc.update(bytes);
        deflate(bytes, out);
    }
}

impl Coder for Gzip {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.plain.extend_from_slice(bytes);
        if self.plain.len() >= PIECE {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.plain.is_empty() {
            // Not kept: between two flushes there may be days.
            let plain = std::mem::take(&mut self.plain);
            self.piece(&plain, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.begin(out);
        out.extend_from_slice(&END);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

/// All of it at once.
pub(crate) fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 3 + 64);
    let mut gzip = Gzip::new();
    for piece in bytes.chunks(PIECE) {
        gzip.piece(piece, &mut out);
    }
    gzip.finish(&mut out);
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(packed);
        reader.read_to_end(&mut plain).unwrap();
        assert!(reader.into_inner().is_empty(), "something follows");
        plain
    }

    /// Bytes that compress, and some that do not.
    fn sample(len: usize) -> Vec<u8> {
        let mut word = 1_u32;
        let noise = |word: &mut u32| {
            *word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*word >> 24) as u8
        };
        (0..len).map(|at| if at % 1000 < 300 { noise(&mut word) } else { (at / 7) as u8 }).collect()
    }

    #[test]
    fn whole_bodies() {
        for len in [0, 1, 100, 5000, PIECE - 1, PIECE, PIECE + 1, 400_000] {
            let plain = sample(len);
            let packed = whole(&plain);
            assert!(unpacked(&packed) == plain, "{len}");
            assert!(len < 5000 || packed.len() < len * 2 / 3, "{len}: {}", packed.len());
        }
        // What does not compress hardly grows.
        let mut word = 7_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 56) as u8
        })
        .take(300_000)
        .collect();
        let packed = whole(&noise);
        assert!(packed.len() < 300_500 && unpacked(&packed) == noise, "{}", packed.len());
    }

    /// Whatever was flushed can be read before anything follows.
    #[test]
    fn flushed_pieces() {
        let mut gzip = Gzip::new();
        let mut out = Vec::new();
        gzip.flush(&mut out);
        assert!(out.is_empty(), "nothing to flush");
        let mut expected = Vec::new();
        for len in [1, 2, 500, 90_000, 3, 0, 200_000] {
            let piece = sample(len);
            expected.extend_from_slice(&piece);
            for part in piece.chunks(7000) {
                gzip.write(part, &mut out);
            }
            gzip.flush(&mut out);
            let mut reader = flate2::read::GzDecoder::new(&out[..]);
            let mut so_far = vec![0; expected.len()];
            reader.read_exact(&mut so_far).unwrap();
            assert!(so_far == expected);
        }
        gzip.finish(&mut out);
        assert!(unpacked(&out) == expected);
        let mut empty = Vec::new();
        Gzip::new().finish(&mut empty);
        assert_eq!(unpacked(&empty), b"");
    }
}
