//! Parsing of a request head: bytes in, a borrowed [`Head`] out. No sockets, no allocation.
//!
//! `httparse` finds the pieces; this file adds the strictness of RFC 9112 that keeps two servers in a row
//! from reading one byte stream as two different sequences of requests (request smuggling). It does not
//! read bodies (`body.rs`), only says how long they are.

#![forbid(unsafe_code)]

use std::mem::MaybeUninit;

use http::{Method, StatusCode};
use httparse::Header;

use super::config::Config;
use super::target::{Target, is_authority};

/// A request head; everything borrows from the connection's buffer.
#[derive(Debug)]
pub(crate) struct Head<'b, 'h> {
    /// The method.
    pub(crate) method: Method,
    /// The request target as sent.
    pub(crate) target: &'b str,
    /// Path of the target, still percent-encoded; `*` for `OPTIONS *`.
    pub(crate) path: &'b str,
    /// What follows the `?`.
    pub(crate) query: Option<&'b str>,
    /// HTTP/1.1 rather than 1.0.
    pub(crate) is_11: bool,
    /// The header lines in order.
    pub(crate) headers: &'h [Header<'b>],
    /// How the body is delimited.
    pub(crate) framing: Framing,
    /// The client is willing to send another request afterwards.
    pub(crate) keep_alive: bool,
    /// The client waits for a 100 before it sends the body.
    pub(crate) expects_continue: bool,
    /// It has credentials in it.
    pub(crate) is_private: bool,
    /// Bytes of the head, blank line included.
    pub(crate) len: usize,
}

impl<'b> Head<'b, '_> {
    /// The same with other header lines.
    #[inline]
    pub(crate) fn with_headers<'h>(&self, headers: &'h [Header<'b>]) -> Head<'b, 'h> {
        Head { method: self.method.clone(), headers, ..*self }
    }
}

/// How a request body is delimited (RFC 9112, 6.3: a request never ends by closing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0 when nothing was said.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
}

/// A head that is answered with an error, after which the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What to answer.
    pub(crate) status: StatusCode,
    /// Why, for the client.
    pub(crate) why: &'static str,
}

/// What [`parse`] found.
#[derive(Debug)]
pub(crate) enum Parsed<'b, 'h> {
    /// More bytes are needed, and none of the limits is passed yet.
    Partial,
    /// More header lines than slots were given, but not more than the limit: call again with more.
    Slots,
    /// A whole head.
    Head(Head<'b, 'h>),
}

/// Header slots that live on the stack; a head with more gets a larger array from the heap.
pub(crate) const SLOTS: usize = 24;

/// Those of a short head: a handler that waits keeps them.
pub(crate) const FEW: usize = 8;

/// A head of up to so many bytes is a short one. Should it have more lines than that, it is parsed twice.
pub(crate) const SHORT: usize = 256;

pub(crate) const fn refuse(status: StatusCode, why: &'static str) -> Refused {
    Refused { status, why }
}

pub(crate) const fn bad(why: &'static str) -> Refused {
    refuse(StatusCode::BAD_REQUEST, why)
}

/// Parses the head at the start of `buf`.
pub(crate) fn parse<'b, 'h>(
    buf: &'b [u8],
    slots: &'h mut [MaybeUninit<Header<'b>>],
    config: &Config,
) -> Result<Parsed<'b, 'h>, Refused> {
    let slot_count = slots.len();
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(buf, slots) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return partial(buf, config),
        Err(httparse::Error::TooManyHeaders) if slot_count < config.max_headers => {
            return Ok(Parsed::Slots);
        }
        Err(error) => return Err(explain(error, buf)),
    };
    let head = &buf[..len];
    if len > config.max_head {
        return Err(refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large"));
    }
    // OK to expect: httparse sets all of them on a complete head.
    let method = request.method.expect("a complete head has a method");
    let target = request.path.expect("a complete head has a target");
    let is_11 = request.version == Some(1);
    let headers: &'h [Header<'b>] = request.headers;
    if has_bare_newline(head, method, headers) {
        return Err(bad("lines end with CR LF"));
    }
    check_lines(head, config)?;

    if headers.len() > config.max_headers {
        return Err(too_many_headers());
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("not a method"))?;
    let Target { path, query, host } = Target::parse(&method, target)?;
    let fields = Fields::collect(headers, is_11)?;
    if let (Some(host), Some(header)) = (host, fields.host)
        && !host.is(header)
    {
        return Err(bad("the Host is not the one of the request target"));
    }
    Ok(Parsed::Head(Head {
        method,
        target,
        path,
        query,
        is_11,
        headers,
        framing: fields.framing(is_11)?,
        keep_alive: if is_11 { !fields.close } else { fields.keep_alive && !fields.close },
        expects_continue: is_11 && fields.expects_continue,
        is_private: fields.is_private,
        len,
    }))
}

/// What the headers say about the message itself.
#[derive(Default)]
struct Fields<'b> {
    hosts: usize,
    host: Option<&'b [u8]>,
    lengths: usize,
    length: Option<u64>,
    codings: usize,
    coding: &'b [u8],
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    is_private: bool,
}

impl<'b> Fields<'b> {
    fn collect(headers: &[Header<'b>], is_11: bool) -> Result<Fields<'b>, Refused> {
        let mut fields = Fields::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            // By length first: most headers are none of these, and this runs for each of them.
            match name.len() {
                4 if is(name, "Host") => {
                    fields.hosts += 1;
                    fields.host = Some(value);
                    if !is_authority(value) {
                        return Err(bad("the Host is not a host"));
                    }
                }
                6 if is(name, "Expect") && is_11 => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(refuse(StatusCode::EXPECTATION_FAILED, "unknown Expect"));
                    }
                    fields.expects_continue = true;
                }
                6 if is(name, "Cookie") => fields.is_private = true,
                10 if is(name, "Connection") => {
                    if value == b"keep-alive" {
                        fields.keep_alive = true;
                        continue;
                    }
                    for token in value.split(|&b| b == b',') {
                        let token = token.trim_ascii();
                        fields.close |= token.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                13 if is(name, "Authorization") => fields.is_private = true,
                14 if is(name, "Content-Length") => {
                    let length = content_length(value)?;
                    fields.lengths += 1;
                    fields.length = Some(length);
                }
                17 if is(name, "Transfer-Encoding") => {
                    fields.codings += 1;
                    fields.coding = value;
                }
                19 if is(name, "Proxy-Authorization") => fields.is_private = true,
                _ => {}
            }
        }
        if fields.lengths > 1 {
            return Err(bad("more than one Content-Length"));
        }
        if fields.hosts > 1 || (is_11 && fields.hosts == 0) {
            return Err(bad("a request has one Host"));
        }
        Ok(fields)
    }

    fn framing(&self, is_11: bool) -> Result<Framing, Refused> {
        if self.codings == 0 {
            return Ok(Framing::Length(self.length.unwrap_or(0)));
        }
        if self.length.is_some() {
            return Err(bad("Content-Length with Transfer-Encoding"));
        }
        if !is_11 {
            return Err(bad("Transfer-Encoding in HTTP/1.0"));
        }
        if self.codings > 1 {
            return Err(bad("more than one Transfer-Encoding"));
        }
        if !self.coding.eq_ignore_ascii_case(b"chunked") {
            return Err(refuse_coding(self.coding));
        }
        Ok(Framing::Chunked)
    }
}

/// Whether a header has this name, in any case. Nearly everybody writes it as it is written here, and most others begin with
/// another letter.
#[inline]
fn is(name: &str, wanted: &str) -> bool {
    name == wanted
        || (name.as_bytes()[0] | 0x20 == wanted.as_bytes()[0] | 0x20
            && name.eq_ignore_ascii_case(wanted))
}

/// A body whose last coding is not chunked has no end (RFC 9112, 6.3). The others are good requests, to somebody else.
#[cold]
fn refuse_coding(value: &[u8]) -> Refused {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = value.split(|&b| b == b',').rev();
    if !codings.next().is_some_and(is_chunked) {
        return bad("the last transfer coding is not chunked");
    }
    if codings.any(|coding| is_chunked(coding) || coding.trim_ascii().is_empty()) {
        return bad("not a list of transfer codings");
    }
    refuse(StatusCode::NOT_IMPLEMENTED, "the only transfer coding is chunked")
}

/// `1*DIGIT` and nothing else: no sign, no list, no blank.
fn content_length(value: &[u8]) -> Result<u64, Refused> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad("the Content-Length is not a number"));
    }
    value
        .iter()
        .try_fold(0_u64, |n, &digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the Content-Length is too large"))
}

/// Whether a line of a complete head ends with a bare LF, which `httparse` lets pass. No LF is left but at the ends of lines, so only
/// they are looked at: before the request line, before each header, and at the end.
fn has_bare_newline(head: &[u8], method: &str, headers: &[Header<'_>]) -> bool {
    let place = |part: &str| part.as_ptr().addr() - head.as_ptr().addr();
    let (empty_lines, rest) = head.split_at(place(method));
    let ends_well = |at: usize| head[..at].ends_with(b"\r\n");
    !headers.iter().all(|header| ends_well(place(header.name)))
        || !(rest.ends_with(b"\r\n\r\n"))
        || !empty_lines.chunks(2).all(|line| line == b"\r\n")
}

fn too_many_headers() -> Refused {
    refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
}

/// The limits have to hold before the head is complete too.
#[cold]
fn partial<'b, 'h>(buf: &[u8], config: &Config) -> Result<Parsed<'b, 'h>, Refused> {
    check_lines(buf, config)?;
    if buf.len() > config.max_head {
        return Err(refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large"));
    }
    Ok(Parsed::Partial)
}

/// Refuses lines that are too long, blanks at their ends and all: the same ones, whether the head is complete or not.
fn check_lines(head: &[u8], config: &Config) -> Result<(), Refused> {
    // Nearly always. A line cannot be longer than the head.
    if head.len() <= config.max_line { Ok(()) } else { check_long_lines(head, config) }
}

#[cold]
fn check_long_lines(head: &[u8], config: &Config) -> Result<(), Refused> {
    let lines = head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // Empty lines before the request are skipped.
    for (at, line) in lines.skip_while(|line| line.is_empty()).enumerate() {
        if line.len() > config.max_line {
            return Err(match at {
                0 => refuse(StatusCode::URI_TOO_LONG, "the request line is too long"),
                _ => {
                    refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "a header line is too long")
                }
            });
        }
    }
    Ok(())
}

#[cold]
fn explain(error: httparse::Error, buf: &[u8]) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => too_many_headers(),
        httparse::Error::Version => {
            let line = buf.trim_ascii_start().split(|&b| b == b'\r' || b == b'\n').next();
            let version = line.and_then(|line| line.split(|&b| b == b' ').nth(2));
            match version.and_then(|version| version.strip_prefix(b"HTTP/")) {
                // By the first byte that is another, so that it does not matter how much has come.
                Some([b'0' | b'2'..=b'9', ..] | [b'1', b'.', b'2'..=b'9', ..]) => refuse(
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "the versions spoken here are 1.1 and 1.0",
                ),
                _ => bad("not an HTTP version"),
            }
        }
        httparse::Error::HeaderName => bad("not a header name"),
        httparse::Error::HeaderValue => bad("not a header value"),
        httparse::Error::NewLine => bad("lines end with CR LF"),
        _ => bad("not an HTTP request"),
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
