//! Messages out of frames: bytes in, messages and control frames out. No sockets; what cannot be right fails at the
//! first byte that shows it.

#![forbid(unsafe_code)]

use std::fmt;

use super::deflate;
use super::frame::{self, Fault, Header, MAX_CONTROL, Opcode, bad};

/// A message of a [`WebSocket`](super::WebSocket).
///
/// ```
/// use sward::http::ws::Message;
///
/// assert_eq!(Message::from("hi"), Message::Text("hi".to_string()));
/// assert_eq!(Message::from(vec![1, 2]).as_bytes(), [1, 2]);
/// assert_eq!(Message::from("hi").encode(), [0x81, 2, b'h', b'i']);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The bytes of either.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The message as it goes on the wire, for [`WebSocket::send_raw`](super::WebSocket::send_raw): to send one
    /// message to many clients, encode it once.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = self.as_bytes();
        let mut room = [0; frame::HEADER_ROOM];
        let n = frame::header(&mut room, self.opcode(), false, bytes.len());
        [&room[..n], bytes].concat()
    }

    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Message::Text(_) => Opcode::Text,
            Message::Binary(_) => Opcode::Binary,
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::Text(text.to_string())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::Binary(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Message {
        Message::Binary(bytes.to_vec())
    }
}

/// Why the other side closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455, 7.4), if one was sent: 1000 is a normal end, 1001 a page that was left.
    pub code: Option<u16>,
    /// Words for it, often none.
    pub reason: String,
}

/// What the frames so far add up to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A whole message.
    Message(Message),
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// An answer to a ping, or unasked.
    Pong,
    /// The other side sends nothing more.
    Close(Close),
}

/// What is accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes in a message.
    pub(crate) max_message: usize,
    /// Bytes in a frame.
    pub(crate) max_frame: usize,
    /// permessage-deflate was negotiated.
    pub(crate) deflate: bool,
}

/// Puts messages together.
pub(crate) struct Assembler {
    limits: Limits,
    /// The start of a header whose rest has not come yet.
    head: [u8; 14],
    head_len: u8,
    /// The frame that is being received, and how much of its payload has come.
    frame: Option<(Header, u64)>,
    /// The payload of a control frame.
    control: [u8; MAX_CONTROL],
    /// The message that is being received: its opcode, and whether it is compressed.
    kind: Option<(Opcode, bool)>,
    message: Vec<u8>,
    /// Bytes of `message` that are known to be UTF-8.
    checked: usize,
}

/// What a length in a header is believed before its bytes come.
const BELIEVED: usize = 64 << 10;

impl Assembler {
    pub(crate) fn new(limits: Limits) -> Assembler {
        Assembler {
            limits,
            head: [0; 14],
            head_len: 0,
            frame: None,
            control: [0; MAX_CONTROL],
            kind: None,
            message: Vec::new(),
            checked: 0,
        }
    }

    /// Takes bytes until one item is complete or all are taken. Says how many it took.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), Fault> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let Some((header, done)) = self.frame else {
                let (n, header) = self.take_head(rest)?;
                at += n;
                let Some(header) = header else {
                    return Ok((at, None));
                };
                self.begin(&header)?;
                self.frame = Some((header, 0));
                continue;
            };
            let left = header.len - done;
            // OK to cast: it is at most the length of a slice.
            let n = left.min(rest.len() as u64) as usize;
            self.take_payload(&header, done, &rest[..n])?;
            at += n;
            if (n as u64) < left {
                self.frame = Some((header, done + n as u64));
                return Ok((at, None));
            }
            self.frame = None;
            if let Some(item) = self.end(&header)? {
                return Ok((at, Some(item)));
            }
        }
    }

    fn take_head(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), Fault> {
        let before = usize::from(self.head_len);
        let n = input.len().min(self.head.len() - before);
        let parsed = if before == 0 {
            frame::parse(input)?
        } else {
            self.head[before..before + n].copy_from_slice(&input[..n]);
            frame::parse(&self.head[..before + n])?
        };
        match parsed {
            Some((header, len)) => {
                self.head_len = 0;
                Ok((len - before, Some(header)))
            }
            None => {
                self.head[before..before + n].copy_from_slice(&input[..n]);
                // OK to cast: a header has at most 14 bytes.
                self.head_len = (before + n) as u8;
                Ok((n, None))
            }
        }
    }

    fn begin(&mut self, header: &Header) -> Result<(), Fault> {
        match (header.opcode, self.kind) {
            (opcode, _) if opcode.is_control() => return Ok(()),
            (Opcode::Continuation, None) => return Err(bad("a continuation of nothing")),
            (Opcode::Continuation, Some(_)) => {}
            (_, Some(_)) => return Err(bad("a message begins inside another")),
            (opcode, None) => {
                if header.compressed && !self.limits.deflate {
                    return Err(bad("RSV1 is set, but no extension was agreed on"));
                }
                self.kind = Some((opcode, header.compressed));
            }
        }
        let room = self.limits.max_message - self.message.len().min(self.limits.max_message);
        if header.len > self.limits.max_frame as u64 || header.len > room as u64 {
            return Err(TOO_LARGE);
        }
        // OK to cast: it is at most a limit that is a usize.
        self.message.reserve_exact((header.len as usize).min(BELIEVED));
        Ok(())
    }

    fn take_payload(&mut self, header: &Header, done: u64, piece: &[u8]) -> Result<(), Fault> {
        // OK to cast: only its two lowest bits matter for the mask, and a control frame is short.
        let at = done as usize;
        if header.opcode.is_control() {
            let room = &mut self.control[at..at + piece.len()];
            room.copy_from_slice(piece);
            frame::unmask(room, header.mask, at);
            return Ok(());
        }
        let before = self.message.len();
        self.message.extend_from_slice(piece);
        frame::unmask(&mut self.message[before..], header.mask, at);
        let whole = header.fin && done + piece.len() as u64 == header.len;
        if !whole && self.kind == Some((Opcode::Text, false)) {
            self.check_text()?;
        }
        Ok(())
    }

    /// Looks at the text that came last, so that what is no text fails before the message is complete.
    fn check_text(&mut self) -> Result<(), Fault> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }

    /// At the end of a frame.
    fn end(&mut self, header: &Header) -> Result<Option<Item>, Fault> {
        // OK to cast: this is used for control frames only, which are short.
        let control = &self.control[..(header.len as usize).min(MAX_CONTROL)];
        Ok(match header.opcode {
            Opcode::Ping => Some(Item::Ping(control.to_vec())),
            Opcode::Pong => Some(Item::Pong),
            Opcode::Close => Some(Item::Close(close(control)?)),
            _ if !header.fin => None,
            _ => Some(Item::Message(self.finish()?)),
        })
    }

    fn finish(&mut self) -> Result<Message, Fault> {
        self.checked = 0;
        let mut bytes = std::mem::take(&mut self.message);
        // OK to expect: `begin` lets no frame of data pass without.
        let (opcode, compressed) = self.kind.take().expect("a message was begun");
        if compressed {
            bytes = deflate::inflate(&bytes, self.limits.max_message)?;
        }
        match opcode {
            Opcode::Text => String::from_utf8(bytes).map(Message::Text).map_err(|_| NOT_UTF8),
            _ => Ok(Message::Binary(bytes)),
        }
    }
}

pub(crate) const TOO_LARGE: Fault = Fault { code: 1009, why: "the message is too large" };
const NOT_UTF8: Fault = Fault { code: 1007, why: "the text is not UTF-8" };

fn close(payload: &[u8]) -> Result<Close, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(Close { code: None, reason: String::new() }),
            _ => Err(bad("half a close code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !frame::is_close_code(code) {
        return Err(bad("not a close code"));
    }
    let reason = String::from_utf8(reason.to_vec()).map_err(|_| NOT_UTF8)?;
    Ok(Close { code: Some(code), reason })
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler")
            .field("frame", &self.frame)
            .field("received", &self.message.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
