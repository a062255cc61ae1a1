//! Brotli (RFC 7932) in pieces: meta-blocks that end with a whole byte and look back at nothing before them.

#![forbid(unsafe_code)]

use ::brotli::BrotliCompress;
use ::brotli::enc::BrotliEncoderParams;

use super::Pieces;

/// The first level that beats gzip's length on pages and JSON; the next takes a quarter longer for a fiftieth less.
const QUALITY: i32 = 5;

/// The window of streams, as a power of two: a piece and what was written with its last byte fit into it.
const WINDOW: i32 = 18;

/// A last meta-block with nothing in it.
const END: u8 = 3;

/// The same behind the shortest head there is.
const NOTHING: u8 = 6;

/// A Brotli stream on its way.
#[derive(Debug, Default)]
pub(super) struct Brotli {
    /// The head was written.
    begun: bool,
}

impl Pieces for Brotli {
    /// Metadata of no bytes.
    const NOTHING: (&'static [u8], &'static [u8]) = (b"\x06", b"1\r\n\x06\r\n");

    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut params = params(bytes, WINDOW);
        params.bare_stream = true;
        params.appendable = true;
        // The first has the head. The further ones cannot use the dictionary, as they do not know how far back it begins.
        params.catable = self.begun;
        self.begun = true;
        compress(bytes, out, &params);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.push(if self.begun { END } else { NOTHING });
    }
}

pub(super) fn whole(bytes: &[u8]) -> Vec<u8> {
    // A window as large as what is in it; from 4 MiB on it takes more memory than it saves.
    let window = bytes.len().max(1).ilog2() as i32 + 1;
    let mut out = Vec::with_capacity(bytes.len() / 3 + 64);
    compress(bytes, &mut out, &params(bytes, window.clamp(16, 22)));
    out
}

fn params(bytes: &[u8], window: i32) -> BrotliEncoderParams {
    BrotliEncoderParams {
        quality: QUALITY,
        lgwin: window,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    }
}

fn compress(mut bytes: &[u8], out: &mut Vec<u8>, params: &BrotliEncoderParams) {
    BrotliCompress(&mut bytes, out, params).expect("memory can always be read and written");
}
