//! The sending half of a WebSocket: one frame at a time, from any thread that shares it. It never reads.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::deflate;
use super::frame::{self, Fault, HEADER_ROOM, MAX_CONTROL, Opcode};
use crate::http::buffer;
use crate::http::link::Link;
use crate::sync::{Mutex, MutexGuard};

/// What both halves of a WebSocket share.
pub(crate) struct Shared<'c> {
    pub(crate) link: &'c Link<'c>,
    /// The server wants to stop.
    stopping: &'c AtomicBool,
    pub(crate) terms: Terms,
    state: Mutex<State>,
}

/// What was agreed on, and what the configuration says of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The client's window, if messages may be compressed.
    pub(crate) window_bits: Option<u8>,
    pub(crate) ping_after: Duration,
    pub(crate) pong_timeout: Duration,
}

/// How far sending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Our Close is sent.
    Closed,
    /// A frame may have been sent half.
    Broken,
}

/// Longer payloads are not copied behind their header, but sent from where they are.
const COPY: usize = 16 << 10;

impl<'c> Shared<'c> {
    pub(crate) fn new(link: &'c Link<'c>, stopping: &'c AtomicBool, terms: Terms) -> Shared<'c> {
        Shared { link, stopping, terms, state: Mutex::new(State::Open) }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether more may be sent.
    pub(crate) fn is_open(&self) -> bool {
        *self.lock() == State::Open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A send that unwound has left `Broken` behind, which says it all.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sends a message, compressed if that was agreed on and is worth it.
    pub(crate) fn message(&self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let packed = match self.terms.window_bits {
            Some(bits) if payload.len() >= deflate::WORTH_IT => deflate::deflate(payload, bits),
            _ => None,
        };
        match packed {
            Some(packed) => self.frame(opcode, true, &packed, State::Open),
            None => self.frame(opcode, false, payload, State::Open),
        }
    }

    /// Sends whole frames that are encoded already.
    pub(crate) fn raw(&self, frames: &[u8]) -> io::Result<()> {
        self.send(State::Open, |link| link.send(frames, false))
    }

    pub(crate) fn ping(&self, payload: &[u8]) -> io::Result<()> {
        self.control(Opcode::Ping, payload, State::Open)
    }

    /// Answers a ping; not after our Close.
    pub(crate) fn pong(&self, payload: &[u8]) -> io::Result<()> {
        match self.is_open() {
            true => self.control(Opcode::Pong, payload, State::Open),
            false => Ok(()),
        }
    }

    /// Sends a Close, unless one was sent.
    pub(crate) fn close(&self, code: Option<u16>, reason: &str) -> io::Result<()> {
        if *self.lock() == State::Closed {
            return Ok(());
        }
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        self.control(Opcode::Close, &payload, State::Closed)
    }

    /// The same, with a code that the handler chose.
    pub(crate) fn close_by_handler(&self, code: u16, reason: &str) -> io::Result<()> {
        if !frame::is_close_code(code) {
            let text = format!("{code} may not be sent in a Close");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        self.close(Some(code), reason)
    }

    /// Says why the connection fails.
    pub(crate) fn fail(&self, fault: Fault) {
        // OK to ignore: it fails anyway.
        let _ = self.close(Some(fault.code), fault.why);
    }

    fn control(&self, opcode: Opcode, payload: &[u8], then: State) -> io::Result<()> {
        if payload.len() > MAX_CONTROL {
            let text = "a control frame holds 125 bytes, 2 of which are a close code";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        self.frame(opcode, false, payload, then)
    }

    fn frame(
        &self,
        opcode: Opcode,
        compressed: bool,
        payload: &[u8],
        then: State,
    ) -> io::Result<()> {
        let mut room = [0; HEADER_ROOM];
        let n = frame::header(&mut room, opcode, compressed, payload.len());
        let header = &room[..n];
        self.send(then, |link| {
            if payload.len() > COPY {
                return link.send_both(header, payload);
            }
            let mut out = buffer::output();
            out.extend_from_slice(header);
            out.extend_from_slice(payload);
            let sent = link.send(&out, false);
            buffer::give_output(out);
            sent
        })
    }

    /// A send that fails or unwinds half-way must be the last one.
    fn send(&self, then: State, send: impl FnOnce(&Link<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        match *state {
            State::Open => {}
            State::Closed => {
                return Err(io::Error::new(ErrorKind::BrokenPipe, "the WebSocket is closed"));
            }
            State::Broken => {
                return Err(io::Error::new(ErrorKind::BrokenPipe, "an earlier send failed"));
            }
        }
        *state = State::Broken;
        send(self.link)?;
        *state = then;
        Ok(())
    }
}
