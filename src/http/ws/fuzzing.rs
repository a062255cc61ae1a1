//! A way in for the fuzz target of WebSocket frames: see `fuzzing.rs` one folder up.

#![forbid(unsafe_code)]

use super::message::{Assembler, Item, Limits, Message};

/// What frames add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(Message),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A Close: its code and reason.
    Close(Option<u16>, String),
}

/// All that is in frames that come in these pieces, and the code with which the connection fails if it does.
pub fn frames(
    pieces: &[&[u8]],
    deflate: bool,
    max_message: usize,
    max_frame: usize,
) -> (Vec<Event>, Option<u16>) {
    let mut assembler = Assembler::new(Limits { max_message, max_frame, deflate });
    let mut events = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() {
            let (n, item) = match assembler.take(input) {
                Ok(taken) => taken,
                Err(fault) => return (events, Some(fault.code)),
            };
            assert!(n > 0, "no progress");
            input = &input[n..];
            events.extend(item.map(|item| match item {
                Item::Message(message) => Event::Message(message),
                Item::Ping(payload) => Event::Ping(payload),
                Item::Pong => Event::Pong,
                Item::Close(close) => Event::Close(close.code, close.reason),
            }));
        }
    }
    (events, None)
}
