//! The chunked transfer coding (RFC 9112, 7.1), both ways. Bytes in, bytes out; no sockets.
//!
//! The decoder is a state machine that may be fed any split of its input. It is strict: CR LF only,
//! plain hex sizes, bounded extensions and trailers (both are read and dropped, whatever they are called).

#![forbid(unsafe_code)]

use super::token::is_token_byte;

/// Bytes of chunk extensions and trailers that one body may carry before it is refused.
const MAX_OVERHEAD: usize = 8 << 10;

/// Room that [`write_size`] needs: 16 hex digits, CR, LF.
pub(crate) const SIZE_ROOM: usize = 18;

/// What ends a chunked body (no trailers).
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Decoder state. One letter in the grammar of 7.1 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the hex digits of a size; how many there were.
    Size(u8),
    /// In the blanks before an extension; without one there may be none.
    Blanks,
    /// Behind its semicolon.
    Extension,
    /// In its name, skipped.
    ExtensionName,
    /// In the blanks behind its name.
    NameBlanks,
    /// Behind the `=`.
    Equals,
    /// In a value that is a token, skipped.
    Value,
    /// In a value in quotes, skipped.
    Quoted,
    /// Behind a backslash in there.
    Escaped,
    /// Behind the closing quote.
    Unquoted,
    /// After the CR that ends the size line.
    SizeLf,
    /// In the data of a chunk.
    Data,
    /// At the CR after the data.
    DataCr,
    /// At the LF after the data.
    DataLf,
    /// At the start of a trailer line, or of the blank line that ends the body.
    TrailerStart,
    /// In the name of a trailer, skipped.
    TrailerName,
    /// In its value, skipped.
    TrailerValue,
    /// After the CR of a trailer line.
    TrailerLf,
    /// After the CR of the blank line.
    EndLf,
    /// The body is whole.
    Done,
}

/// The body breaks the grammar; the connection cannot be used further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// One chunked body being decoded.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    /// Where in the grammar we are.
    state: State,
    /// Size being read, then bytes left of the chunk's data.
    left: u64,
    /// Extension and trailer bytes still allowed.
    overhead: usize,
}

impl Decoder {
    /// At the start of a body.
    pub(crate) const fn new() -> Decoder {
        Decoder { state: State::Size(0), left: 0, overhead: MAX_OVERHEAD }
    }

    /// The whole body was decoded.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of data that come next, with no coding between them. They may be taken from the socket
    /// directly, if [`Decoder::took`] is told.
    pub(crate) fn data_left(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Says that `n` bytes of the data were taken.
    pub(crate) fn took(&mut self, n: usize) {
        debug_assert!(n as u64 <= self.data_left());
        self.left -= n as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
    }

    /// Reads coding from `input` up to the next data or the end of the body. Returns how many bytes
    /// that was; afterwards `is_done()`, or `data_left() > 0`, or the input was used up.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<usize, BadChunk> {
        for (at, &byte) in input.iter().enumerate() {
            if matches!(self.state, State::Data | State::Done) {
                return Ok(at);
            }
            self.step(byte)?;
        }
        Ok(input.len())
    }

    fn step(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.state = match (self.state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() => {
                // 15 digits: far above any limit, far below overflow.
                if digits == 15 {
                    return Err(BadChunk);
                }
                // OK to expect: the guard says that it is a hex digit.
                let value = char::from(byte).to_digit(16).expect("a hex digit has a value");
                self.left = self.left << 4 | u64::from(value);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') => State::SizeLf,
            (State::Size(1..) | State::Blanks, b';') => self.skip(byte, State::Extension)?,
            (State::Size(1..) | State::Blanks, b' ' | b'\t') => self.skip(byte, State::Blanks)?,
            // A name, and perhaps a value, by the letter of 7.1.1.
            (State::Extension, b' ' | b'\t') => self.skip(byte, State::Extension)?,
            (State::Extension | State::ExtensionName, _) if is_token_byte(byte) => {
                self.skip(byte, State::ExtensionName)?
            }
            (State::ExtensionName | State::NameBlanks, b' ' | b'\t') => {
                self.skip(byte, State::NameBlanks)?
            }
            (State::ExtensionName | State::NameBlanks, b'=') => self.skip(byte, State::Equals)?,
            (State::Equals, b' ' | b'\t') => self.skip(byte, State::Equals)?,
            (State::Equals, b'"') => self.skip(byte, State::Quoted)?,
            (State::Equals | State::Value, _) if is_token_byte(byte) => {
                self.skip(byte, State::Value)?
            }
            (State::Quoted, b'"') => self.skip(byte, State::Unquoted)?,
            (State::Quoted, b'\\') => self.skip(byte, State::Escaped)?,
            (State::Quoted | State::Escaped, _) => self.skip(byte, State::Quoted)?,
            (State::Value | State::Unquoted, b' ' | b'\t') => self.skip(byte, State::Blanks)?,
            (State::ExtensionName | State::NameBlanks | State::Value | State::Unquoted, b';') => {
                self.skip(byte, State::Extension)?
            }
            (State::ExtensionName | State::Value | State::Unquoted, b'\r') => State::SizeLf,
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.skip(byte, State::TrailerName)?
            }
            (State::TrailerName, b':') => self.skip(byte, State::TrailerValue)?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) => self.skip(byte, State::TrailerValue)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(BadChunk),
        };
        Ok(())
    }

    fn skip(&mut self, byte: u8, to: State) -> Result<State, BadChunk> {
        let control = byte != b'\t' && byte.is_ascii_control();
        if control || self.overhead == 0 {
            return Err(BadChunk);
        }
        self.overhead -= 1;
        Ok(to)
    }
}

/// Writes `size` in hex with CR LF, right-aligned, so that it ends where the data begins. Returns how
/// many bytes at the end of `room` it took.
pub(crate) fn write_size(mut size: usize, room: &mut [u8; SIZE_ROOM]) -> usize {
    room[SIZE_ROOM - 2..].copy_from_slice(b"\r\n");
    let mut at = SIZE_ROOM - 2;
    loop {
        at -= 1;
        room[at] = b"0123456789abcdef"[size & 15];
        size >>= 4;
        if size == 0 {
            return SIZE_ROOM - at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `pieces` one after the other. The decoded data, and the bytes left after the body.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), BadChunk> {
        let mut decoder = Decoder::new();
        let (mut data, mut rest) = (Vec::new(), Vec::new());
        for &piece in pieces {
            let mut input = piece;
            while !input.is_empty() {
                if decoder.is_done() {
                    rest.extend_from_slice(input);
                    break;
                }
                let used = decoder.advance(input)?;
                input = &input[used..];
                let n = decoder.data_left().min(input.len() as u64) as usize;
                if n > 0 {
                    data.extend_from_slice(&input[..n]);
                    decoder.took(n);
                    input = &input[n..];
                }
            }
        }
        Ok((data, rest, decoder.is_done()))
    }

    /// Whole, split at every byte, and byte by byte: always the same.
    fn decode_all_ways(input: &[u8]) -> Result<(Vec<u8>, Vec<u8>, bool), BadChunk> {
        let whole = decode(&[input]);
        for at in 0..=input.len() {
            assert_eq!(decode(&[&input[..at], &input[at..]]), whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(&bytes), whole, "byte by byte");
        whole
    }

    #[test]
    fn bodies() {
        for (input, data, rest) in [
            (&b"0\r\n\r\n"[..], &b""[..], &b""[..]),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
            (b"5\r\nhello\r\n00000\r\n\r\nGET /", b"hello", b"GET /"),
            (b"1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", b"a0123456789", b""),
            (b"1;x=\"y\"\r\na\r\n0;z\r\n\r\n", b"a", b""),
            (b"1 ; x = y ;z;q = \"\\\";\"\t;\tr\r\na\r\n0;s=\"\xff\"\r\n\r\n", b"a", b""),
            (b"1 ;x\r\na\r\n0\r\nDigest: 1\r\nX: y\r\n\r\nmore", b"a", b"more"),
            (b"3\r\n\r\n\n\r\n0\r\n\r\n", b"\r\n\n", b""),
        ] {
            let found = decode_all_ways(input);
            assert_eq!(found, Ok((data.to_vec(), rest.to_vec(), true)), "{input:?}");
        }
    }

    #[test]
    fn refused() {
        for input in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1\n",
            b"1\rx",
            b"1 \r\n",
            b"1 x\r\n",
            b"1 1\r\n",
            b"1_0\r\n",
            b";x\r\n",
            b"1;\r\n",
            b"1; \r\n",
            b"1;;x\r\n",
            b"1;=y\r\n",
            b"1;x=\r\n",
            b"1;x \r\n",
            b"1;x=y \r\n",
            b"1;x y\r\n",
            b"1;x=y z\r\n",
            b"1;x=\"y\r\n",
            b"1;x=\"y\"z\r\n",
            b"1;x=\"\\\r\n",
            b"1;\xff\r\n",
            b"1;a\0\r\n",
            b"1;a\nb\r\n",
            b"1;a\rb\r\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\rb",
            b"1000000000000000\r\n",
            b"0\r\n x: y\r\n\r\n",
            b"0\r\nx: y\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nx : y\r\n\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nx: y\r\n z\r\n\r\n",
            b"0\n\n",
            b"0\r\n\n",
            b"0\r\n\rx",
            b"0\r\nx: \0\r\n\r\n",
        ] {
            assert_eq!(decode_all_ways(input), Err(BadChunk), "{input:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = [b"1;", &[b'x'; MAX_OVERHEAD - 1][..], b"\r\na\r\n0\r\n\r\n"].concat();
        assert!(decode(&[&extension]).is_ok());
        let extension = [b"1;", &[b'x'; MAX_OVERHEAD][..], b"\r\na\r\n0\r\n\r\n"].concat();
        assert_eq!(decode(&[&extension]), Err(BadChunk));
        let trailer = [&b"0\r\n"[..], &b"x:y\r\n".repeat(MAX_OVERHEAD), b"\r\n"].concat();
        assert_eq!(decode(&[&trailer]), Err(BadChunk));
    }

    #[test]
    fn unfinished_is_not_done() {
        let body = b"5\r\nhello\r\n0\r\n\r\n";
        for at in 0..body.len() {
            assert!(!decode(&[&body[..at]]).unwrap().2, "cut at {at}");
        }
    }

    #[test]
    fn sizes_read_back() {
        for size in [1, 9, 10, 15, 16, 255, 4096, 1 << 20, 0xabc_def0_1234] {
            let mut room = [0; SIZE_ROOM];
            let used = write_size(size, &mut room);
            let mut decoder = Decoder::new();
            assert_eq!(decoder.advance(&room[SIZE_ROOM - used..]), Ok(used));
            assert_eq!(decoder.data_left(), size as u64);
        }
    }
}
