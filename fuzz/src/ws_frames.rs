//! Frames of a WebSocket: cut anywhere they are the same messages and the same fault, limits hold, and what was read can
//! be sent and read again.

use sward::http::fuzzing::ws::{Event, frames};
use sward::http::ws::Message;

const MAX_MESSAGE: usize = 300;
const MAX_FRAME: usize = 200;

pub fn check(bytes: &[u8]) {
    for deflate in [false, true] {
        let whole = frames(&[bytes], deflate, MAX_MESSAGE, MAX_FRAME);
        crate::cut_up(bytes, |pieces| {
            assert_eq!(frames(pieces, deflate, MAX_MESSAGE, MAX_FRAME), whole, "in pieces");
        });
        let (events, fault) = whole;
        assert!(fault.is_none_or(|code| [1002, 1007, 1009].contains(&code)), "{fault:?}");
        let mut again = Vec::new();
        for event in &events {
            write(&mut again, event);
        }
        let (read, fault) = frames(&[&again], false, MAX_MESSAGE, MAX_MESSAGE);
        assert_eq!((read, fault), (events, None), "sent again");
    }
}

/// As a client sends it.
fn write(out: &mut Vec<u8>, event: &Event) {
    let (first, payload) = match event {
        Event::Message(message) => {
            assert!(message.as_bytes().len() <= MAX_MESSAGE, "the limit does not hold");
            let first = if matches!(message, Message::Text(_)) { 0x81 } else { 0x82 };
            (first, message.as_bytes().to_vec())
        }
        Event::Ping(payload) => (0x89, payload.clone()),
        Event::Pong => (0x8a, Vec::new()),
        Event::Close(None, _) => (0x88, Vec::new()),
        Event::Close(Some(code), reason) => {
            // Codes that stand for what never is on the wire (RFC 6455, 7.4.1).
            assert!(
                (1000..5000).contains(code) && ![1004, 1005, 1006, 1015].contains(code),
                "{code}"
            );
            (0x88, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
        }
    };
    assert!(first < 0x88 || payload.len() <= 125, "a control frame is short");
    out.push(first);
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
    }
    let mask = [0x12, 0x00, 0xff, 0x80];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
