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

use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::client::TlsClient;
use super::resolve;
use crate::http::buffer;
use crate::sync::{Mutex, MutexGuard};
use crate::sys::Lock;

/// Most bytes of plaintext in one record.
pub(super) const RECORD: usize = 16 << 10;

/// Most bytes that a client may send before its handshake is done. A chain of certificates is a few KiB.
const HANDSHAKE: usize = 64 << 10;

/// TLS of one connection.
pub(crate) struct Session {
    state: Lock<State>,
    sending: Mutex<Sending>,
    /// Set by the handshake.
    client: OnceLock<TlsClient>,
}

struct State {
    tls: UnbufferedServerConnection,
    /// The beginning of a record whose rest is to come.
    rest: Vec<u8>,
    /// Decrypted, and not taken yet, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Records of rustls's own that are to be sent before any other: of the handshake, key updates, alerts.
    outgoing: Vec<u8>,
    /// The client has said that nothing follows.
    ended: bool,
    /// Bytes that the handshake has taken.
    shaken: usize,
    /// The host that the client has asked for.
    asked_for: Option<Box<str>>,
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
            state: Lock::new(State {
                tls: UnbufferedServerConnection::new(config)?,
                rest: Vec::new(),
                plain: Vec::new(),
                taken: 0,
                outgoing: Vec::new(),
                ended: false,
                shaken: 0,
                asked_for: None,
            }),
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

impl State {
    fn take(&mut self, buf: &mut [u8]) -> Option<usize> {
        let left = &self.plain[self.taken..];
        if left.is_empty() {
            return self.ended.then_some(0);
        }
        let n = left.len().min(buf.len());
        buf[..n].copy_from_slice(&left[..n]);
        self.taken += n;
        if self.taken == self.plain.len() {
            (self.plain, self.taken) = (Vec::new(), 0);
        }
        Some(n)
    }

    /// Processes what came, behind what had come. Whole records are decrypted where they are; the rest is kept.
    fn receive(
        &mut self,
        received: &mut [u8],
        mut take: impl FnMut(&mut Vec<u8>, &[u8]),
    ) -> io::Result<()> {
        if self.taken > 0 {
            self.plain.drain(..self.taken);
            self.taken = 0;
        }
        let mut plain = std::mem::take(&mut self.plain);
        let mut rest = std::mem::take(&mut self.rest);
        let processed;
        if rest.is_empty() {
            let used;
            (used, processed) = self.process(received, |payload| take(&mut plain, payload));
            rest = received[used..].to_vec();
        } else {
            rest.extend_from_slice(received);
            let used;
            (used, processed) = self.process(&mut rest, |payload| take(&mut plain, payload));
            rest.drain(..used);
            if rest.capacity() > 2 * rest.len() {
                rest.shrink_to_fit();
            }
        }
        (self.plain, self.rest) = (plain, rest);
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Lets rustls go on until it needs more bytes. Returns how many it has used.
    fn process(
        &mut self,
        bytes: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> (usize, Result<(), rustls::Error>) {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut bytes[used..]);
            let mut result = Ok(());
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                take(record.payload);
                            }
                            Err(error) => result = Err(error),
                        }
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, &mut self.outgoing);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It will be, before anything else: it is in `outgoing`.
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    true
                }
                Err(error) => {
                    result = Err(error);
                    false
                }
                // Needs more bytes, or could send: all that could be done is done.
                Ok(_) => false,
            };
            used += discard;
            if result.is_err() {
                self.encode_alert();
            }
            if result.is_err() || !more {
                return (used, result);
            }
        }
    }

    /// After an error rustls may have an alert to be sent.
    fn encode_alert(&mut self) {
        loop {
            match self.tls.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return,
            }
        }
    }

    /// Encrypts up to a record's worth into `out`, behind what rustls wants to be sent first. Returns its length.
    fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        self.write(out, |traffic, room| traffic.encrypt(plain, room))
    }

    /// What is left to be sent when nothing follows: that, last of all. Empty if it cannot be said.
    fn close(&mut self) -> Vec<u8> {
        let mut out = vec![0; 64];
        let n = self.write(&mut out, |traffic, room| traffic.queue_close_notify(room)).unwrap_or(0);
        out.truncate(n);
        out
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        mut how: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        let mut rest = std::mem::take(&mut self.rest);
        let written = loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut rest);
            debug_assert_eq!(discard, 0, "whole records are used when they come");
            match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let at = self.outgoing.len();
                    if out.len() <= at {
                        out.resize(at + RECORD, 0);
                    }
                    match how(&mut traffic, &mut out[at..]) {
                        Ok(n) => {
                            out[..at].copy_from_slice(&self.outgoing);
                            self.outgoing = Vec::new();
                            break Ok(at + n);
                        }
                        Err(EncryptError::InsufficientSize(size)) => {
                            out.resize(at + size.required_size, 0);
                        }
                        Err(error) => break Err(io::Error::other(error)),
                    }
                }
                Err(error) => break Err(io::Error::new(ErrorKind::InvalidData, error)),
                Ok(state) => break Err(io::Error::other(format!("TLS cannot send: {state:?}"))),
            }
        };
        self.rest = rest;
        written
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) {
    let at = outgoing.len();
    // The first call says how much room it takes.
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        outgoing.resize(at + size.required_size, 0);
        // OK to ignore: it has that room.
        let _ = data.encode(&mut outgoing[at..]);
    }
}
