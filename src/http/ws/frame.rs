//! Frames of the WebSocket protocol (RFC 6455, section 5): bytes in, headers out, and the other way. No sockets, no
//! messages (`message.rs` puts those together).

#![forbid(unsafe_code)]

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A further piece of the message before it.
    Continuation = 0,
    /// Begins a message of text.
    Text = 1,
    /// Begins a message of bytes.
    Binary = 2,
    /// The last frame in its direction.
    Close = 8,
    /// To be answered with a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn new(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// Control frames may stand between the pieces of a message.
    pub(crate) fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// What comes before the payload of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The last piece of its message.
    pub(crate) fin: bool,
    /// RSV1: the message is compressed (RFC 7692).
    pub(crate) compressed: bool,
    /// What it is.
    pub(crate) opcode: Opcode,
    /// The payload is XORed with this.
    pub(crate) mask: [u8; 4],
    /// Bytes of the payload.
    pub(crate) len: u64,
}

/// Why a connection fails: the code for the Close frame, and words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Of RFC 6455, 7.4.1.
    pub(crate) code: u16,
    /// Why, for the client.
    pub(crate) why: &'static str,
}

/// A fault in the protocol itself.
pub(crate) const fn bad(why: &'static str) -> Fault {
    Fault { code: 1002, why }
}

/// The longest payload of a control frame.
pub(crate) const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// Parses the header at the start of `bytes`, and says how long it is. `None` if more bytes are needed; what can be
/// seen to be wrong is refused before that.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
    if first & 0x30 != 0 {
        return Err(bad("a reserved bit is set"));
    }
    let opcode = Opcode::new(first & 0x0f).ok_or(bad("unknown opcode"))?;
    if opcode.is_control() && !fin {
        return Err(bad("a control frame in pieces"));
    }
    if compressed && (opcode.is_control() || opcode == Opcode::Continuation) {
        return Err(bad("RSV1 is set where no message begins"));
    }
    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    if second & MASKED == 0 {
        return Err(bad("a client masks its frames"));
    }
    let short = second & 0x7f;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL {
        return Err(bad("a control frame is too long"));
    }
    let (len, at) = match short {
        126 => {
            let Some(&len) = bytes.get(2..).and_then(<[u8]>::first_chunk) else {
                return Ok(None);
            };
            let len = u64::from(u16::from_be_bytes(len));
            (Some(len).filter(|&len| len > 125), 4)
        }
        127 => {
            let Some(&len) = bytes.get(2..).and_then(<[u8]>::first_chunk) else {
                return Ok(None);
            };
            let len = u64::from_be_bytes(len);
            (Some(len).filter(|&len| len > 0xffff && len < 1 << 63), 10)
        }
        len => (Some(u64::from(len)), 2),
    };
    let len = len.ok_or(bad("the length is not written in the shortest form"))?;
    let Some(&mask) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
        return Ok(None);
    };
    Ok(Some((Header { fin, compressed, opcode, mask, len }, at + 4)))
}

/// Room for the header of any frame of ours.
pub(crate) const HEADER_ROOM: usize = 10;

/// Writes the header of a whole message or control frame as a server sends it, unmasked. Returns its length.
pub(crate) fn header(
    room: &mut [u8; HEADER_ROOM],
    opcode: Opcode,
    compressed: bool,
    len: usize,
) -> usize {
    room[0] = FIN | opcode as u8 | if compressed { RSV1 } else { 0 };
    // OK to cut off: each arm has looked whether it fits.
    match len {
        0..=125 => {
            room[1] = len as u8;
            2
        }
        126..=0xffff => {
            room[1] = 126;
            room[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            room[1] = 127;
            room[2..].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    }
}

/// Takes the mask off (or puts it on) a piece of a payload that begins `at` bytes into it.
pub(crate) fn unmask(piece: &mut [u8], mask: [u8; 4], at: usize) {
    let mut turned = mask;
    turned.rotate_left(at % 4);
    let word = u32::from_ne_bytes(turned);
    let wide = u64::from(word) << 32 | u64::from(word);
    let (words, rest) = piece.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Whether a Close frame may carry `code` (RFC 6455, 7.4).
pub(crate) fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn of(head: &[u8]) -> Vec<u8> {
        [head, &MASK].concat()
    }

    #[test]
    fn lengths_and_opcodes() {
        for (head, opcode, len) in [
            (vec![0x81, 0x80], Opcode::Text, 0),
            (vec![0x82, 0xfd], Opcode::Binary, 125),
            (vec![0x80, 0xfe, 0, 126], Opcode::Continuation, 126),
            (vec![0x82, 0xfe, 0xff, 0xff], Opcode::Binary, 0xffff),
            (vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], Opcode::Binary, 0x10000),
            (vec![0x88, 0x80], Opcode::Close, 0),
            (vec![0x89, 0xfd], Opcode::Ping, 125),
            (vec![0x8a, 0x81], Opcode::Pong, 1),
        ] {
            let bytes = of(&head);
            let header = Header { fin: true, compressed: false, opcode, mask: MASK, len };
            assert_eq!(parse(&bytes), Ok(Some((header, bytes.len()))), "{head:x?}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{head:x?} up to {end}");
            }
        }
        let (header, _) = parse(&of(&[0x41, 0x80])).unwrap().unwrap();
        assert!(!header.fin && header.compressed);
    }

    #[test]
    fn what_no_client_may_send() {
        for (head, seen_after) in [
            (&[0xa1, 0x80][..], 1), // RSV2
            (&[0x91, 0x80], 1),     // RSV3
            (&[0x83, 0x80], 1),     // reserved opcodes
            (&[0x8b, 0x80], 1),
            (&[0x8f, 0x80], 1),
            (&[0x09, 0x80], 1), // a ping in pieces
            (&[0xc9, 0x80], 1), // a compressed ping
            (&[0xc0, 0x80], 1), // a compressed continuation
            (&[0x81, 0x05], 2), // not masked
            (&[0x89, 0xfe], 2), // a ping of 126 bytes
            (&[0x88, 0xff], 2),
            (&[0x81, 0xfe, 0, 125], 4), // a longer form than needed
            (&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 10),
            (&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 10), // the top bit
        ] {
            let bytes = of(head);
            for end in 0..=bytes.len() {
                let fault = parse(&bytes[..end]).err().map(|fault| fault.code);
                assert_eq!(fault, (end >= seen_after).then_some(1002), "{head:x?} up to {end}");
            }
        }
    }

    #[test]
    fn written_headers() {
        let written = |opcode, compressed, len| {
            let mut room = [0; HEADER_ROOM];
            let n = header(&mut room, opcode, compressed, len);
            room[..n].to_vec()
        };
        assert_eq!(written(Opcode::Text, false, 0), [0x81, 0]);
        assert_eq!(written(Opcode::Ping, false, 125), [0x89, 125]);
        assert_eq!(written(Opcode::Binary, true, 126), [0xc2, 126, 0, 126]);
        assert_eq!(written(Opcode::Text, false, 0xffff), [0x81, 126, 0xff, 0xff]);
        assert_eq!(written(Opcode::Text, false, 0x10000), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn masks_from_any_place() {
        let plain: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = plain.iter().enumerate().map(|(i, b)| b ^ MASK[i % 4]).collect();
        for from in 0..20 {
            for to in from..plain.len() {
                let mut piece = masked[from..to].to_vec();
                unmask(&mut piece, MASK, from);
                assert_eq!(piece, plain[from..to], "{from}..{to}");
            }
        }
    }
}
