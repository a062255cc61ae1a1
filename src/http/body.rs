//! The body of a request, as `Read`. Takes what came with the head first, then reads from the socket; asks the
//! client for the body (100 Continue) only when the handler reads it.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind, Read};

use http::StatusCode;

use super::buffer;
use super::chunked::Decoder;
use super::error::Error;
use super::head::Framing;
use super::link::Link;

/// The body of a request: what [`Request::body`](super::Request::body) returns.
///
/// # Errors
///
/// Reads fail if the body is over its limit, malformed or cut off, or if the client is too slow. As an
/// [`Error`], which `?` makes of it, that is 413, 400 and 408.
pub struct Body<'r> {
    /// The socket.
    link: &'r Link<'r>,
    /// Responses that are not sent yet; the client may wait for them before it sends more.
    out: &'r mut Vec<u8>,
    /// What came together with the head.
    ahead: &'r [u8],
    /// What was read after that.
    extra: Extra,
    /// Where in the body we are.
    coding: Coding,
    /// Bytes that the handler may still read.
    allowance: u64,
    /// The client waits for a 100.
    owes_continue: bool,
    /// An earlier read failed; the rest of the connection cannot be understood.
    broken: bool,
}

/// Bytes read from the socket after those that came with the head.
#[derive(Default)]
struct Extra {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// How the end is found.
enum Coding {
    /// So many bytes left.
    Length(u64),
    /// In chunks.
    Chunked(Decoder),
}

/// What the connection goes on with after a body: how many bytes of `ahead` belong to the next request, and what was read
/// later, of which some may.
pub(crate) type Remains = (usize, Option<(Vec<u8>, usize, usize)>);

/// A body that no handler wanted is read and dropped up to this size to keep the connection.
const SKIP: u64 = 256 << 10;

impl<'r> Body<'r> {
    /// The body that starts in `ahead`.
    pub(crate) fn new(
        link: &'r Link<'r>,
        out: &'r mut Vec<u8>,
        ahead: &'r [u8],
        framing: Framing,
        expects_continue: bool,
    ) -> Body<'r> {
        let coding = match framing {
            Framing::Length(n) => Coding::Length(n),
            Framing::Chunked => Coding::Chunked(Decoder::new()),
        };
        Body {
            link,
            out,
            ahead,
            extra: Extra::default(),
            coding,
            allowance: link.config.max_body,
            owes_continue: expects_continue && framing != Framing::Length(0),
            broken: false,
        }
    }

    /// The connection that it comes on.
    pub(crate) fn link(&self) -> &'r Link<'r> {
        self.link
    }

    /// Bytes of the body, if the client said how many.
    pub(crate) fn length_hint(&self) -> Option<u64> {
        match self.coding {
            Coding::Length(n) => Some(n),
            Coding::Chunked(_) => None,
        }
    }

    /// Sets how many more bytes the handler may read.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.allowance = limit;
    }

    /// All of the rest.
    pub(crate) fn read_all(&mut self) -> Result<Vec<u8>, Error> {
        // What the client claims is not believed further than this before it comes.
        let hint = self.length_hint().unwrap_or(0).min(64 << 10) as usize;
        let mut bytes = Vec::with_capacity(hint + usize::from(hint > 0));
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn is_done(&self) -> bool {
        match &self.coding {
            Coding::Length(n) => *n == 0,
            Coding::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Bytes of data that come next without any coding between them.
    fn data_left(&self) -> u64 {
        match &self.coding {
            Coding::Length(n) => *n,
            Coding::Chunked(decoder) => decoder.data_left(),
        }
    }

    fn took(&mut self, n: usize) {
        self.allowance -= n as u64;
        match &mut self.coding {
            Coding::Length(left) => *left -= n as u64,
            Coding::Chunked(decoder) => decoder.took(n),
        }
    }

    fn buffered(&self) -> &[u8] {
        if self.ahead.is_empty() {
            &self.extra.bytes[self.extra.start..self.extra.end]
        } else {
            self.ahead
        }
    }

    fn consume(&mut self, n: usize) {
        if self.ahead.is_empty() {
            self.extra.start += n;
        } else {
            self.ahead = &self.ahead[n..];
        }
    }

    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_done() || buf.is_empty() {
                return Ok(0);
            }
            let left = self.data_left();
            if left > self.allowance {
                let text = "the body is too large";
                let error = Error::new(StatusCode::PAYLOAD_TOO_LARGE, text);
                return Err(error.into_io(ErrorKind::FileTooLarge));
            }
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            if self.buffered().is_empty() {
                if want >= EXTRA {
                    let n = self.recv_into(&mut buf[..want])?;
                    self.took(n);
                    return Ok(n);
                }
                self.fill()?;
            } else if left > 0 {
                let n = want.min(self.buffered().len());
                buf[..n].copy_from_slice(&self.buffered()[..n]);
                self.consume(n);
                self.took(n);
                return Ok(n);
            } else {
                self.advance()?;
            }
        }
    }

    /// Reads chunk coding from the buffer.
    fn advance(&mut self) -> io::Result<()> {
        let ahead = !self.ahead.is_empty();
        let Coding::Chunked(decoder) = &mut self.coding else {
            return Ok(());
        };
        let input =
            if ahead { self.ahead } else { &self.extra.bytes[self.extra.start..self.extra.end] };
        match decoder.advance(input) {
            Ok(n) => {
                self.consume(n);
                Ok(())
            }
            Err(_) => {
                let error = Error::new(StatusCode::BAD_REQUEST, "the chunked body is malformed");
                Err(error.into_io(ErrorKind::InvalidData))
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut extra = std::mem::take(&mut self.extra);
        if extra.bytes.is_empty() {
            extra.bytes = buffer::input();
        }
        let received = self.recv_into(&mut extra.bytes);
        (extra.start, extra.end) = (0, *received.as_ref().unwrap_or(&0));
        self.extra = extra;
        received.map(drop)
    }

    /// The one place that waits for the client.
    fn recv_into(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.owes_continue {
            self.owes_continue = false;
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !self.out.is_empty() {
            self.link.send(self.out, false)?;
            self.out.clear();
        }
        match self.link.recv_body(buf) {
            Ok(Some(0)) => {
                let error = Error::new(StatusCode::BAD_REQUEST, "the body was cut off");
                Err(error.into_io(ErrorKind::UnexpectedEof))
            }
            Ok(Some(n)) => Ok(n),
            Ok(None) => {
                let error = Error::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
                Err(error.into_io(ErrorKind::TimedOut))
            }
            Err(error) => Err(error),
        }
    }

    /// Where responses are collected.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Whether the rest is small enough to be skipped after the response. Says it before the response
    /// is written, so that the response can tell the client.
    pub(crate) fn can_be_skipped(&self) -> bool {
        let waiting_client = self.owes_continue && !self.is_done();
        !self.broken && !waiting_client && self.length_hint().is_none_or(|n| n <= SKIP)
    }

    /// Skips what is buffered, then what is not, if `wait`.
    pub(crate) fn skip(&mut self, wait: bool) {
        if self.is_done() {
            return; // as it is after most requests: no scratch to be cleared
        }
        self.allowance = SKIP;
        let mut scratch = [0; 512];
        while !self.broken && !self.is_done() && (wait || !self.buffered().is_empty()) {
            let _ = self.read(&mut scratch);
        }
    }

    /// It was read, or is in the buffer, to its end, and what follows can be understood.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_done() && !self.broken
    }

    /// The end of its use.
    pub(crate) fn remains(&mut self) -> Remains {
        let Extra { bytes, start, end } = std::mem::take(&mut self.extra);
        (self.ahead.len(), (!bytes.is_empty()).then_some((bytes, start, end)))
    }
}

/// Reads of at least this size go straight into the reader's buffer.
const EXTRA: usize = 8 << 10;

impl Read for Body<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let result = self.read_some(buf);
        self.broken = result.is_err();
        result
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("length", &self.length_hint())
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}
