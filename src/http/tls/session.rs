//! TLS of one connection: ciphertext in and out, and what of it is kept between two turns. It moves no byte itself:
//! `link.rs` does, and `handshake.rs` before there are requests.
//!
//! rustls's unbuffered interface, because the other one keeps 4 KiB per connection for good. Here a connection that
//! waits has keys, and no buffer.
//!
//! Two threads may use it, one that reads and one that sends, as the halves of a WebSocket do. The lock on the state is
//! never held across a wait. What is encrypted must go out in that order, so a sender holds `sending` from encrypting to
//! the end of its send; the reader does not need it.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};

use rustls::server::ServerConfig;

use super::client::TlsClient;
use super::records::{RECORD, State};
use super::resolve;
use crate::http::buffer;
use crate::sync::{Mutex, MutexGuard};
use crate::sys::Lock;

/// Most bytes that a client may send before its handshake is done. A chain of certificates is a few KiB.
const HANDSHAKE: usize = 64 << 10;

/// TLS of one connection.
pub(crate) struct Session {
    state: Lock<State>,
    sending: Mutex<Sending>,
    /// Set by the handshake.
    client: OnceLock<TlsClient>,
}

/// How far sending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// We have said that nothing follows.
    Closed,
    /// A record may have been sent half.
    Broken,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        Ok(Session {
            state: Lock::new(State::new(config)?),
            sending: Mutex::new(Sending::Open),
            client: OnceLock::new(),
        })
    }

    /// What the handshake said.
    pub(crate) fn client(&self) -> Option<&TlsClient> {
        self.client.get()
    }

    /// Whether a read would not have to wait: bytes that were decrypted already, or the end.
    pub(crate) fn has_more(&self) -> bool {
        let state = self.state.lock();
        state.taken < state.plain.len() || state.ended
    }

    /// Whether a record has begun whose rest is not here.
    pub(crate) fn has_begun(&self) -> bool {
        !self.state.lock().rest.is_empty()
    }

    /// What was decrypted already: `None` if there is nothing, 0 if nothing follows.
    pub(crate) fn take(&self, buf: &mut [u8]) -> Option<usize> {
        self.state.lock().take(buf)
    }

    /// Decrypts what was received; the first of it goes to `buf`, if that is given. `None` if no byte came of it yet.
    pub(crate) fn decrypt(&self, received: &mut [u8], buf: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.state.lock();
        let mut filled = 0;
        state.receive(received, |plain, payload| {
            // In order: nothing goes past what waits already.
            let n = if plain.is_empty() { payload.len().min(buf.len() - filled) } else { 0 };
            buf[filled..filled + n].copy_from_slice(&payload[..n]);
            filled += n;
            plain.extend_from_slice(&payload[n..]);
        })?;
        if filled > 0 { Ok(Some(filled)) } else { Ok(state.take(buf)) }
    }

    /// A step of the handshake. True when it is done.
    pub(super) fn shake(&self, received: &mut [u8]) -> io::Result<bool> {
        let mut state = self.state.lock();
        state.shaken += received.len();
        if state.shaken > HANDSHAKE {
            return Err(io::Error::new(ErrorKind::InvalidData, "the handshake is too long"));
        }
        drop(resolve::take_name());
        state.receive(received, |plain, payload| plain.extend_from_slice(payload))?;
        if let Some(name) = resolve::take_name() {
            state.asked_for = Some(name);
        }
        if state.tls.is_handshaking() {
            return Ok(false);
        }
        let name = state.asked_for.take();
        // OK to ignore: it is set once, here.
        let _ = self.client.set(TlsClient::new(name, &state.tls));
        Ok(true)
    }

    /// Takes the records that rustls wants to be sent.
    pub(super) fn take_outgoing(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().outgoing)
    }

    /// Encrypts `bytes`, which are few, and sends what `send` takes; the rest goes with what is sent next. `WouldBlock` if
    /// somebody is sending.
    pub(crate) fn try_send(
        &self,
        bytes: &[u8],
        send: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Ok(mut sending) = self.sending.try_lock() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        sending.check()?;
        *sending = Sending::Broken;
        let mut out = buffer::record();
        let n = self.state.lock().encrypt(bytes, &mut out)?;
        let sent = match send(&out[..n]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        if sent < n {
            let mut state = self.state.lock();
            let later = std::mem::take(&mut state.outgoing);
            state.outgoing = [&out[sent..n], &later[..]].concat();
        }
        buffer::give_record(out);
        *sending = Sending::Open;
        Ok(bytes.len())
    }

    /// Encrypts all of `parts`, one behind the other, and sends it by `send`, record by record.
    pub(crate) fn send(
        &self,
        parts: [&[u8]; 2],
        mut send: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sending = self.lock_sending();
        sending.check()?;
        // A send that fails or unwinds half-way must be the last one.
        *sending = Sending::Broken;
        let mut out = buffer::record();
        let [mut first, mut second] = parts;
        // A short head does not go alone.
        if !first.is_empty() && first.len() < RECORD && !second.is_empty() {
            let (with_first, rest) = second.split_at(second.len().min(RECORD - first.len()));
            let joined = [first, with_first].concat();
            (first, second) = (&[], rest);
            let n = self.state.lock().encrypt(&joined, &mut out)?;
            send(&out[..n])?;
        }
        for bytes in first.chunks(RECORD).chain(second.chunks(RECORD)) {
            let n = self.state.lock().encrypt(bytes, &mut out)?;
            send(&out[..n])?;
        }
        buffer::give_record(out);
        *sending = Sending::Open;
        Ok(())
    }

    /// Says by `send` that nothing follows, unless that was said, or something was sent half, or is being sent.
    pub(crate) fn close(&self, send: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Ok(mut sending) = self.sending.try_lock() else { return Ok(()) };
        if *sending != Sending::Open {
            return Ok(());
        }
        *sending = Sending::Closed;
        let last = self.state.lock().close();
        if last.is_empty() { Ok(()) } else { send(&last) }
    }

    /// Nothing more is to be sent, not even that.
    pub(crate) fn break_off(&self) {
        *self.lock_sending() = Sending::Broken;
    }

    /// An alert for the client whose bytes were no TLS. Best effort: it goes only if nobody is sending.
    pub(crate) fn take_alert(&self) -> Vec<u8> {
        let Ok(mut sending) = self.sending.try_lock() else { return Vec::new() };
        if *sending != Sending::Open {
            return Vec::new();
        }
        *sending = Sending::Broken;
        self.take_outgoing()
    }

    fn lock_sending(&self) -> MutexGuard<'_, Sending> {
        // A send that unwound has left `Broken` behind, which says it all.
        self.sending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sending {
    fn check(self) -> io::Result<()> {
        let text = match self {
            Sending::Open => return Ok(()),
            Sending::Closed => "TLS was closed",
            Sending::Broken => "an earlier send failed",
        };
        Err(io::Error::new(ErrorKind::BrokenPipe, text))
    }
}
