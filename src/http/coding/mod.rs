//! How responses are compressed: gzip, and with their features Brotli and Zstandard. Bytes only; who gets what is decided
//! in `middleware/compression.rs`.
//!
//! All of them work in pieces that stand for themselves. A piece is compressed without knowing those before it, so nobody
//! holds a compressor (300 KiB and more) while he waits. It is as long as what is written between two flushes, up to
//! [`PIECE`]; beyond that the next one would hardly be shorter for knowing the last.

#![forbid(unsafe_code)]

#[cfg(feature = "brotli")]
mod br;
mod gzip;
#[cfg(feature = "zstd")]
mod zstd;

use super::accept_encoding::Coding;
use super::stream::Coder;

/// What is compressed at once.
pub(crate) const PIECE: usize = 64 << 10;

/// A coding that this build can do.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) coding: Coding,
    /// All of it at once.
    pub(crate) whole: fn(&[u8]) -> Vec<u8>,
    /// Bit by bit.
    pub(crate) stream: fn() -> Box<dyn Coder>,
}

/// A client that likes several the same gets the first: Zstandard takes a sixth of gzip's time for the same length, Brotli
/// half as long again as gzip for a twentieth less.
pub(crate) static BUILT: &[Built] = &[
    #[cfg(feature = "zstd")]
    Built { coding: Coding::Zstd, whole: zstd::whole, stream: InPieces::<zstd::Zstd>::boxed },
    #[cfg(feature = "brotli")]
    Built { coding: Coding::Brotli, whole: br::whole, stream: InPieces::<br::Brotli>::boxed },
    Built { coding: Coding::Gzip, whole: gzip::whole, stream: InPieces::<gzip::Gzip>::boxed },
];

/// What remembers of a stream the little that its next piece or its end needs.
trait Pieces: Default {
    /// What can stand between two pieces and means nothing; and the same as a chunk.
    const NOTHING: (&'static [u8], &'static [u8]);

    /// Appends `bytes` compressed, in a form that can be read at once. Never empty.
    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>);

    /// Appends the end.
    fn end(&mut self, out: &mut Vec<u8>);
}

/// Collects what is written until it makes a piece.
#[derive(Default)]
struct InPieces<P> {
    /// Not compressed yet.
    plain: Vec<u8>,
    done: P,
}

impl<P: Pieces + 'static> InPieces<P> {
    fn boxed() -> Box<dyn Coder> {
        Box::new(InPieces::<P>::default())
    }
}

impl<P: Pieces> Coder for InPieces<P> {
    fn nothing(&self, chunked: bool) -> &'static [u8] {
        let (plain, chunk) = P::NOTHING;
        if chunked { chunk } else { plain }
    }

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
            self.done.piece(&plain, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.done.end(out);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// What reads `packed`, and says at the end whether something follows.
    fn reader<'p>(coding: Coding, packed: &'p [u8]) -> Box<dyn Read + 'p> {
        match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
            #[cfg(feature = "brotli")]
            Coding::Brotli => Box::new(::brotli::Decompressor::new(packed, 4096)),
            #[cfg(feature = "zstd")]
            Coding::Zstd => Box::new(::zstd::stream::read::Decoder::new(packed).unwrap()),
            #[allow(unreachable_patterns, reason = "with all features it is")]
            other => panic!("{other:?} is not built"),
        }
    }

    fn unpacked(coding: Coding, packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        reader(coding, packed).read_to_end(&mut plain).unwrap();
        // One byte less is not enough: nothing stands behind the end.
        let mut less = Vec::new();
        let cut = reader(coding, &packed[..packed.len() - 1]).read_to_end(&mut less);
        assert!(cut.is_err(), "{coding:?}: cut off, it looks whole");
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

    fn noise(len: usize) -> Vec<u8> {
        let mut word = 7_u64;
        let next = || {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 56) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    #[test]
    fn whole_bodies() {
        for Built { coding, whole, .. } in BUILT {
            for len in [0, 1, 2, 3, 100, 5000, PIECE - 1, PIECE, PIECE + 1, 400_000, 3_000_000] {
                let plain = sample(len);
                let packed = whole(&plain);
                assert!(unpacked(*coding, &packed) == plain, "{coding:?}: {len}");
                assert!(
                    len < 5000 || packed.len() < len * 2 / 3,
                    "{coding:?}: {len}: {}",
                    packed.len()
                );
            }
            // What does not compress hardly grows.
            let plain = noise(300_000);
            let packed = whole(&plain);
            assert!(packed.len() < 300_500, "{coding:?}: {}", packed.len());
            assert!(unpacked(*coding, &packed) == plain, "{coding:?}");
        }
    }

    /// Whatever was flushed can be read before anything follows.
    #[test]
    fn flushed_pieces() {
        for Built { coding, stream, .. } in BUILT {
            let mut coder = stream();
            let mut out = Vec::new();
            coder.flush(&mut out);
            assert!(out.is_empty(), "nothing to flush");
            let mut expected = Vec::new();
            for (n, len) in [1, 2, 500, 500, 90_000, 3, 0, 200_000, 70_000].into_iter().enumerate()
            {
                let piece = if n == 8 { noise(len) } else { sample(len) };
                expected.extend_from_slice(&piece);
                for part in piece.chunks(7000) {
                    coder.write(part, &mut out);
                }
                coder.flush(&mut out);
                let nothing = coder.nothing(false);
                let chunk =
                    [format!("{:x}\r\n", nothing.len()).as_bytes(), nothing, b"\r\n"].concat();
                assert_eq!(coder.nothing(true), chunk, "{coding:?}");
                (0..n % 3).for_each(|_| out.extend_from_slice(nothing));
                let mut so_far = vec![0; expected.len()];
                reader(*coding, &out).read_exact(&mut so_far).unwrap();
                assert!(so_far == expected, "{coding:?}, piece {n}");
            }
            coder.finish(&mut out);
            assert!(unpacked(*coding, &out) == expected, "{coding:?}");
            let mut empty = Vec::new();
            stream().finish(&mut empty);
            assert_eq!(unpacked(*coding, &empty), b"", "{coding:?}");
        }
    }
}
