//! A way in for the fuzz targets of `fuzz/`: the parsers of this module, which are nobody else's business, as thin
//! functions over owned values. Built with `--cfg fuzzing` only; what is checked stands in the targets.

#![forbid(unsafe_code)]

use std::io::Read;
use std::mem::MaybeUninit;

use super::chunked;
use super::config::Config;
use super::head::{self, Framing, Parsed};
use super::multipart::Multipart;

/// A request head that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The target as sent.
    pub target: String,
    /// Its path.
    pub path: String,
    /// Its query.
    pub query: Option<String>,
    /// HTTP/1.1 rather than 1.0.
    pub is_11: bool,
    /// The header lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The length of the body; `None` if it is chunked.
    pub length: Option<u64>,
    /// Another request may follow.
    pub keep_alive: bool,
    /// The client waits for a 100.
    pub expects_continue: bool,
    /// Bytes of the head.
    pub len: usize,
}

/// What became of some bytes that may be a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// More bytes are needed.
    Partial,
    /// A whole head.
    Head(Head),
    /// Answered with this status.
    Refused(u16),
}

/// Small limits, so that short inputs get there too.
pub fn small() -> Config {
    Config { max_line: 48, max_head: 120, max_headers: 5, ..Config::default() }
}

/// Parses as the connection does: with a few slots first, then with as many as there may be.
pub fn head(bytes: &[u8], config: &Config) -> Verdict {
    let mut few = [const { MaybeUninit::uninit() }; 3];
    let mut many = Vec::new();
    let parsed = match head::parse(bytes, &mut few, config) {
        Ok(Parsed::Slots) => {
            many.resize_with(config.max_headers, MaybeUninit::uninit);
            head::parse(bytes, &mut many, config)
        }
        parsed => parsed,
    };
    match parsed {
        Ok(Parsed::Partial) => Verdict::Partial,
        Ok(Parsed::Slots) => panic!("asked for more slots than there may be lines"),
        Err(refused) => Verdict::Refused(refused.status.as_u16()),
        Ok(Parsed::Head(head)) => Verdict::Head(Head {
            method: head.method.to_string(),
            target: head.target.to_string(),
            path: head.path.to_string(),
            query: head.query.map(str::to_string),
            is_11: head.is_11,
            headers: head.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec())).collect(),
            length: match head.framing {
                Framing::Length(n) => Some(n),
                Framing::Chunked => None,
            },
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
            len: head.len,
        }),
    }
}

/// A chunked body, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked {
    /// The data so far.
    pub data: Vec<u8>,
    /// What follows the body.
    pub rest: Vec<u8>,
    /// It is whole.
    pub done: bool,
}

/// Decodes a chunked body that comes in these pieces. `None` if it is malformed.
pub fn chunked(pieces: &[&[u8]]) -> Option<Chunked> {
    let mut decoder = chunked::Decoder::new();
    let mut found = Chunked { data: Vec::new(), rest: Vec::new(), done: false };
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() && !decoder.is_done() {
            let used = decoder.advance(input).ok()?;
            input = &input[used..];
            // OK to cast: it is at most the length of a slice.
            let n = decoder.data_left().min(input.len() as u64) as usize;
            assert!(used + n > 0, "no progress");
            if n > 0 {
                found.data.extend_from_slice(&input[..n]);
                decoder.took(n);
                input = &input[n..];
            }
        }
        found.rest.extend_from_slice(input);
    }
    found.done = decoder.is_done();
    Some(found)
}

/// A chunked body of these chunks, as a response has it.
pub fn to_chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        let mut room = [0; chunked::SIZE_ROOM];
        let used = chunked::write_size(chunk.len(), &mut room);
        body.extend_from_slice(&room[chunked::SIZE_ROOM - used..]);
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(chunked::LAST_CHUNK);
    body
}

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The file's.
    pub file_name: Option<String>,
    /// What it is.
    pub content_type: Option<String>,
    /// Its data.
    pub data: Vec<u8>,
}

/// Reads a form with this boundary to its end: its parts, or the status of the answer.
pub fn multipart(
    source: &mut dyn Read,
    boundary: &str,
    max_parts: usize,
    max_part: u64,
) -> Result<Vec<Part>, u16> {
    let mut form = Multipart::new(source, boundary).max_parts(max_parts).max_part(max_part);
    let mut found = Vec::new();
    while let Some(mut part) = form.next_part().map_err(|error| error.status().as_u16())? {
        let data = part.data().map_err(|error| error.status().as_u16())?;
        found.push(Part {
            name: part.name().to_string(),
            file_name: part.file_name().map(str::to_string),
            content_type: part.content_type().map(str::to_string),
            data,
        });
    }
    Ok(found)
}

#[cfg(feature = "ws")]
pub use super::ws::fuzzing as ws;
