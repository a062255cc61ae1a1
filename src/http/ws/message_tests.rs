//! Tests of `message.rs`: every sequence of frames again with the input split at every byte.

#![forbid(unsafe_code)]

use super::*;

const LIMITS: Limits = Limits { max_message: 1000, max_frame: 600, deflate: true };

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0xde, 0xad, 0xbe, 0xef];
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(0x80 | n as u8),
        n => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

/// All items in these pieces, and the fault at the end if there is one. It must not matter where the pieces begin.
fn items(pieces: &[&[u8]]) -> (Vec<Item>, Option<Fault>) {
    let mut assembler = Assembler::new(LIMITS);
    let mut items = Vec::new();
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            match assembler.take(piece) {
                Ok((n, item)) => {
                    assert!(n > 0, "no progress");
                    piece = &piece[n..];
                    items.extend(item);
                }
                Err(fault) => return (items, Some(fault)),
            }
        }
    }
    (items, None)
}

#[track_caller]
fn check(bytes: &[u8], expected: &[Item], fault: Option<u16>) {
    let whole = items(&[bytes]);
    assert_eq!(whole.0, expected);
    assert_eq!(whole.1.map(|fault| fault.code), fault);
    for at in 0..=bytes.len() {
        assert_eq!(items(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(items(&single), whole, "byte by byte");
}

fn text(text: &str) -> Item {
    Item::Message(Message::from(text))
}

#[test]
fn whole_messages() {
    check(&frame(0x81, b""), &[text("")], None);
    check(&frame(0x81, "é!".as_bytes()), &[text("é!")], None);
    check(&frame(0x82, &[0xff; 126]), &[Item::Message(Message::Binary(vec![0xff; 126]))], None);
    let two = [frame(0x81, b"one"), frame(0x81, b"two")].concat();
    check(&two, &[text("one"), text("two")], None);
}

#[test]
fn messages_in_pieces() {
    let pieces = [
        frame(0x01, b"a\xc3"), // half a letter
        frame(0x89, b"ping"),  // between the pieces
        frame(0x00, b"\xa9"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"b"),
        frame(0x81, b"next"),
    ];
    let expected = [Item::Ping(b"ping".to_vec()), Item::Pong, text("aéb"), text("next")];
    check(&pieces.concat(), &expected, None);
    check(&[frame(0x80, b"x")].concat(), &[], Some(1002));
    check(&[frame(0x01, b"x"), frame(0x81, b"y")].concat(), &[], Some(1002));
    check(&[frame(0x81, b"x"), frame(0x00, b"y")].concat(), &[text("x")], Some(1002));
}

#[test]
fn text_is_utf8() {
    for bytes in
        [&b"\xff"[..], b"ok\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82"]
    {
        check(&frame(0x81, bytes), &[], Some(1007));
        check(&[frame(0x01, bytes), frame(0x80, b"")].concat(), &[], Some(1007));
        check(&[frame(0x01, b""), frame(0x80, bytes)].concat(), &[], Some(1007));
    }
    // Seen before the message is complete.
    let early =
        [&frame(0x01, b"ok")[..], &frame(0x00, b"\xf4\x90\x80\x80 and much more")[..8]].concat();
    check(&early, &[], Some(1007));
}

#[test]
fn limits() {
    let full = vec![b'x'; 600];
    let rest = vec![b'x'; 400];
    let whole = Item::Message(Message::Binary(vec![b'x'; 1000]));
    check(&[frame(0x02, &full), frame(0x80, &rest)].concat(), &[whole], None);
    // Refused when the header is there, not when the payload is.
    check(&frame(0x82, &vec![0; 601])[..8], &[], Some(1009));
    let over = [&frame(0x02, &full)[..], &frame(0x80, &vec![0; 401])[..8]].concat();
    check(&over, &[], Some(1009));
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    check(&huge, &[], Some(1009));
}

#[test]
fn closing() {
    let close = |code, reason: &str| Item::Close(Close { code, reason: reason.into() });
    check(&frame(0x88, b""), &[close(None, "")], None);
    check(&frame(0x88, b"\x03\xe8"), &[close(Some(1000), "")], None);
    check(&frame(0x88, b"\x03\xe9bye \xc3\xa9"), &[close(Some(1001), "bye é")], None);
    check(&frame(0x88, b"\x0f\xa0"), &[close(Some(4000), "")], None);
    check(&frame(0x88, b"\x03"), &[], Some(1002));
    check(&frame(0x88, b"\x03\xe8\xff"), &[], Some(1007));
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        check(&frame(0x88, &code.to_be_bytes()), &[], Some(1002));
    }
}

#[test]
fn compressed_messages() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    check(&frame(0xc1, &hello), &[text("Hello")], None);
    // In pieces; only the first says that it is compressed.
    let pieces = [frame(0x41, &hello[..3]), frame(0x89, b""), frame(0x80, &hello[3..])].concat();
    check(&pieces, &[Item::Ping(vec![]), text("Hello")], None);
    check(&frame(0xc1, &[0xff; 9]), &[], Some(1007));
    let not_text = deflate::deflate(&[0xff; 500], 15).unwrap();
    check(&frame(0xc1, &not_text), &[], Some(1007));
    let too_much = deflate::deflate(&[b'x'; 1001], 15).unwrap();
    check(&frame(0xc1, &too_much), &[], Some(1009));

    let mut plain = Assembler::new(Limits { deflate: false, ..LIMITS });
    assert_eq!(plain.take(&frame(0xc1, &hello)).unwrap_err().code, 1002);
}

/// Small numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Whatever comes, in whatever pieces: the same items, the same fault, no panic, and never more than the limit.
#[test]
fn seeded_garbage() {
    let (mut faults, mut messages) = (0, 0);
    for seed in 0..3000 {
        let mut dice = Dice(seed);
        let mut bytes = Vec::new();
        for _ in 0..dice.roll(12) {
            let payload: Vec<u8> = match dice.roll(4) {
                0 => (0..dice.roll(200)).map(|_| dice.roll(256) as u8).collect(),
                1 => {
                    deflate::deflate(&vec![b'z'; dice.roll(2000) as usize], 15).unwrap_or_default()
                }
                _ => "é€𝄞x".repeat(dice.roll(20) as usize).into_bytes(),
            };
            let opcode = [0, 1, 1, 2, 8, 9, 10, 0, 0, 0, 0, 3][dice.roll(12) as usize];
            let first = opcode
                | if dice.roll(3) > 0 { 0x80 } else { 0 }
                | [0, 0, 0, 0x40][dice.roll(4) as usize];
            bytes.extend(frame(first, &payload));
        }
        if dice.roll(3) == 0 && !bytes.is_empty() {
            let at = dice.roll(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << dice.roll(8);
        }
        let whole = items(&[&bytes]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + dice.roll(40) as usize).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(items(&pieces), whole, "seed {seed}");
        faults += usize::from(whole.1.is_some());
        for item in &whole.0 {
            if let Item::Message(message) = item {
                assert!(message.as_bytes().len() <= LIMITS.max_message);
                messages += 1;
            }
        }
    }
    // It reached both ends.
    assert!(faults > 300 && messages > 300, "{faults} faults, {messages} messages");
}
