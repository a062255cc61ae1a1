//! The state of TLS on one connection, and the steps by which rustls is brought on: bytes in, bytes out, no I/O.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

/// Most bytes of plaintext in one record.
pub(super) const RECORD: usize = 16 << 10;

/// What only one thread at a time looks at.
pub(super) struct State {
    pub(super) tls: UnbufferedServerConnection,
    /// The beginning of a record whose rest is to come.
    pub(super) rest: Vec<u8>,
    /// Decrypted, and not taken yet, from `taken` on.
    pub(super) plain: Vec<u8>,
    pub(super) taken: usize,
    /// Records of rustls's own that are to be sent before any other: of the handshake, key updates, alerts.
    pub(super) outgoing: Vec<u8>,
    /// The client has said that nothing follows.
    pub(super) ended: bool,
    /// It sent what is no TLS, or not to be trusted; rustls is not to be asked again.
    failed: bool,
    /// Bytes that the handshake has taken.
    pub(super) shaken: usize,
    /// The host that the client has asked for.
    pub(super) asked_for: Option<Box<str>>,
}

impl State {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<State, rustls::Error> {
        Ok(State {
            tls: UnbufferedServerConnection::new(config)?,
            rest: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            ended: false,
            failed: false,
            shaken: 0,
            asked_for: None,
        })
    }

    pub(super) fn take(&mut self, buf: &mut [u8]) -> Option<usize> {
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

    fn check(&self) -> io::Result<()> {
        match self.failed {
            true => Err(io::Error::new(ErrorKind::InvalidData, "TLS has failed")),
            false => Ok(()),
        }
    }

    /// Processes what came, behind what had come. Whole records are decrypted where they are; the rest is kept.
    pub(super) fn receive(
        &mut self,
        received: &mut [u8],
        mut take: impl FnMut(&mut Vec<u8>, &[u8]),
    ) -> io::Result<()> {
        self.check()?;
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

    /// After an error rustls may have an alert to be sent. It must not be asked for more than that, as it would see the
    /// same wrong bytes again.
    fn encode_alert(&mut self) {
        self.failed = true;
        while self.tls.wants_write() {
            let state = self.tls.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(data)) = state else { return };
            encode(data, &mut self.outgoing);
        }
    }

    /// Encrypts up to a record's worth into `out`, behind what rustls wants to be sent first. Returns its length.
    pub(super) fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        self.write(out, |traffic, room| traffic.encrypt(plain, room))
    }

    /// What is left to be sent when nothing follows: that, last of all. Empty if it cannot be said.
    pub(super) fn close(&mut self) -> Vec<u8> {
        let mut out = vec![0; 64];
        let n = self.write(&mut out, |traffic, room| traffic.queue_close_notify(room)).unwrap_or(0);
        out.truncate(n);
        out
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        mut how: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        self.check()?;
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
