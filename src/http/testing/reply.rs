//! What the testing client got: the head of a response, and its body whole or as it comes.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind, Read};

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::http::chunked::Decoder;
use crate::os::unix::net::UnixStream;

/// Headers that a response may have here.
const MOST_HEADERS: usize = 200;

/// How the end of the body is found.
enum Framing {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

/// A response whose body is read as it comes, by [`Read`]. To drop it is to hang up.
pub struct Open {
    status: StatusCode,
    headers: Vec<(String, Vec<u8>)>,
    stream: UnixStream,
    /// Received, not yet read.
    ahead: Vec<u8>,
    framing: Framing,
}

impl Open {
    /// Reads the head; interim ones (100 Continue) are skipped.
    pub(crate) fn read_head(mut stream: UnixStream, is_head: bool) -> io::Result<Open> {
        let mut ahead = Vec::new();
        loop {
            let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut slots);
            let status = parsed.parse(&ahead).map_err(bad)?;
            let httparse::Status::Complete(len) = status else {
                if receive(&mut stream, &mut ahead)? == 0 {
                    return Err(cut_off());
                }
                continue;
            };
            let status = StatusCode::from_u16(parsed.code.unwrap_or(0)).map_err(bad)?;
            let own =
                |header: &httparse::Header<'_>| (header.name.to_string(), header.value.to_vec());
            let headers: Vec<_> = parsed.headers.iter().map(own).collect();
            ahead.drain(..len);
            if status == StatusCode::CONTINUE {
                continue;
            }
            let framing = Framing::of(status, &headers, is_head)?;
            return Ok(Open { status, headers, stream, ahead, framing });
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first header with this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Reads the rest.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if it was cut off.
    pub fn read_all(mut self) -> io::Result<Reply> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(Reply { status: self.status, headers: self.headers, body })
    }

    /// Reads chunk coding until there is data, or the end (false).
    fn find_data(&mut self) -> io::Result<bool> {
        loop {
            let Framing::Chunked(decoder) = &mut self.framing else { return Ok(true) };
            let used = decoder.advance(&self.ahead).map_err(|_| bad("malformed chunks"))?;
            self.ahead.drain(..used);
            if decoder.is_done() {
                return Ok(false);
            }
            if decoder.data_left() > 0 {
                return Ok(true);
            }
            if receive(&mut self.stream, &mut self.ahead)? == 0 {
                return Err(cut_off());
            }
        }
    }
}

impl Framing {
    fn of(status: StatusCode, headers: &[(String, Vec<u8>)], is_head: bool) -> io::Result<Framing> {
        let no_body = is_head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if no_body {
            return Ok(Framing::Length(0));
        }
        if find(headers, "transfer-encoding").is_some() {
            return Ok(Framing::Chunked(Decoder::new()));
        }
        match find(headers, "content-length") {
            Some(length) => Ok(Framing::Length(length.parse().map_err(bad)?)),
            None => Ok(Framing::UntilClose),
        }
    }
}

impl Read for Open {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.find_data()? || buf.is_empty() {
            return Ok(0);
        }
        let left = match &self.framing {
            Framing::Length(0) => return Ok(0),
            Framing::Length(left) => *left,
            Framing::Chunked(decoder) => decoder.data_left(),
            Framing::UntilClose => u64::MAX,
        };
        if self.ahead.is_empty() && receive(&mut self.stream, &mut self.ahead)? == 0 {
            return match self.framing {
                Framing::UntilClose => Ok(0),
                _ => Err(cut_off()),
            };
        }
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let n = left.min(buf.len()).min(self.ahead.len());
        buf[..n].copy_from_slice(&self.ahead[..n]);
        self.ahead.drain(..n);
        match &mut self.framing {
            Framing::Length(left) => *left -= n as u64,
            Framing::Chunked(decoder) => decoder.took(n),
            Framing::UntilClose => {}
        }
        Ok(n)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Reply {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first header with this name (in any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body that is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none, or does not fit.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)),
        }
    }
}

fn find<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

fn receive(stream: &mut UnixStream, ahead: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 4096];
    let n = stream.read(&mut piece)?;
    ahead.extend_from_slice(&piece[..n]);
    Ok(n)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the response was cut off")
}

fn bad(why: impl fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_string())
}
