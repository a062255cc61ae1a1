//! Kinds of bytes, as tables: which may stand in a name. Who asks for each byte of a head asks here.

#![forbid(unsafe_code)]

/// Letters, digits, and `marks`, which are ASCII.
pub(crate) const fn letters_digits_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether a byte may stand in a token, as the name of a field is (RFC 9110, 5.6.2).
pub(crate) fn is_token_byte(b: u8) -> bool {
    const TABLE: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");
    TABLE[usize::from(b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for b in 0..=255_u8 {
            let is_token = b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&b);
            assert_eq!(is_token_byte(b), is_token, "{b}");
        }
    }
}
