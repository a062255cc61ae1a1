//! permessage-deflate (RFC 7692) on whole messages. Each message stands for itself (no context is taken over), so a
//! connection keeps no compressor: every OS thread has one of each kind, and lends it for one message.

#![forbid(unsafe_code)]

use std::cell::Cell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::Fault;
use super::message::TOO_LARGE;

/// Shorter messages are sent as they are: there is little to win.
pub(crate) const WORTH_IT: usize = 256;

/// What ends each message, and is left away on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

thread_local! {
    static COMPRESS: Cell<Option<Compress>> = const { Cell::new(None) };
    static DECOMPRESS: Cell<Option<Decompress>> = const { Cell::new(None) };
}

/// Compresses a message for a receiver with a window of 2 to the power of `window_bits`. `None` if that is not
/// shorter.
pub(crate) fn deflate(bytes: &[u8], window_bits: u8) -> Option<Vec<u8>> {
    // Making one takes more stack than a green thread may have left.
    let mut compress = COMPRESS
        .take()
        .unwrap_or_else(|| crate::blocking::run(|| Compress::new(Compression::fast(), false)));
    compress.reset();
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    // A full flush forgets what came before it, so that no distance is longer than a piece.
    let (piece, flush) = match window_bits {
        15.. => (bytes.len(), FlushCompress::Sync),
        bits => (1 << bits, FlushCompress::Full),
    };
    for piece in bytes.chunks(piece.max(1)) {
        let end = compress.total_in() + piece.len() as u64;
        loop {
            // OK to cast: it is at most the length of `piece`.
            let left = &piece[piece.len() - (end - compress.total_in()) as usize..];
            compress.compress_vec(left, &mut out, flush).ok()?;
            if compress.total_in() == end && out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len().max(64));
        }
    }
    COMPRESS.set(Some(compress));
    out.truncate(out.strip_suffix(&TAIL)?.len());
    (out.len() < bytes.len()).then_some(out)
}

/// Decompresses a message that may have `max` bytes.
pub(crate) fn inflate(bytes: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
    const MALFORMED: Fault = Fault { code: 1007, why: "the message is not compressed properly" };

    let mut decompress =
        DECOMPRESS.take().unwrap_or_else(|| crate::blocking::run(|| Decompress::new(false)));
    decompress.reset(false);
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(4).clamp(64, 64 << 10));
    for mut piece in [bytes, &TAIL] {
        loop {
            if out.len() > max {
                return Err(TOO_LARGE);
            }
            if out.len() == out.capacity() {
                out.reserve(out.len());
            }
            let before = (decompress.total_in(), out.len());
            let status = decompress
                .decompress_vec(piece, &mut out, FlushDecompress::Sync)
                .map_err(|_| MALFORMED)?;
            // OK to cast: it is at most the length of `piece`.
            let taken = (decompress.total_in() - before.0) as usize;
            piece = &piece[taken..];
            if status == Status::StreamEnd {
                // The sender marked a block as the last one. It is not: the tail follows.
                decompress.reset(false);
            } else if taken == 0 && out.len() == before.1 && !piece.is_empty() {
                return Err(MALFORMED);
            }
            // With room left in `out`, nothing more of it is inside.
            if piece.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
    }
    DECOMPRESS.set(Some(decompress));
    if out.len() > max { Err(TOO_LARGE) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that compress, with repetitions near and far.
    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i % 700) * (i / 9000 + 1)) as u8).collect()
    }

    #[test]
    fn there_and_back() {
        for len in [1, 100, 256, 1000, 70_000, 300_000] {
            let plain = sample(len);
            for bits in [9, 12, 15] {
                let Some(packed) = deflate(&plain, bits) else {
                    assert!(len < 1000, "{len}");
                    continue;
                };
                assert!(packed.len() < len, "{len}");
                assert_eq!(inflate(&packed, len).unwrap(), plain);
                assert_eq!(inflate(&packed, len - 1), Err(TOO_LARGE), "{len}");
            }
        }
        let noise: Vec<u8> =
            (0..4000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert!(deflate(&noise, 15).is_none_or(|packed| packed.len() < noise.len()));
    }

    /// RFC 7692, 7.2.3: the same text in each way of writing it.
    #[test]
    fn the_examples_of_the_standard() {
        for packed in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(packed, 5).unwrap(), b"Hello", "{packed:x?}");
        }
        assert_eq!(inflate(&[0], 0).unwrap(), b"");
        assert_eq!(inflate(&[0xff; 20], 1000).unwrap_err().code, 1007);
    }

    /// A distance that reaches before the beginning finds zeros, not somebody else's message.
    #[test]
    fn nothing_of_an_earlier_message() {
        let secret = deflate(&[b's'; 100_000], 15).unwrap();
        assert_eq!(inflate(&secret, 100_000).unwrap().len(), 100_000);
        let reaching = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&reaching, 1000).unwrap(), b"H\0\0\0\0");
    }

    #[test]
    fn little_that_becomes_much() {
        let packed = deflate(&vec![0; 10 << 20], 15).unwrap();
        assert!(packed.len() < 100_000);
        assert_eq!(inflate(&packed, 1 << 20), Err(TOO_LARGE));
    }

    #[test]
    fn on_a_green_thread() {
        let same = crate::hub::runtime::Builder::new().workers(1).run(|| {
            let plain = sample(50_000);
            inflate(&deflate(&plain, 15).unwrap(), 50_000).unwrap() == plain
        });
        assert!(same);
    }
}
