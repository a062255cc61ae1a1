//! What the fuzz targets check: properties that hold for any input. Each parser reads its input whole and in pieces, and
//! is compared with a second reading that was written for plainness rather than speed.
#![forbid(unsafe_code)]

pub mod chunked;
pub mod head;
pub mod multipart;
pub mod ws_frames;

/// Calls `each` with the input in pieces, cut in several ways. Random, but always the same ones for the same input.
fn cut_up(input: &[u8], mut each: impl FnMut(&[&[u8]])) {
    let mut seed = input.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }) | 1;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let single: Vec<&[u8]> = input.chunks(1).collect();
    each(&single);
    for most in [3, 8, input.len().max(1)] {
        let (mut pieces, mut rest) = (Vec::new(), input);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random(most)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        each(&pieces);
    }
}

/// What may be in a method or a field name (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
