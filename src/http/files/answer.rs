//! From a file that was found to the response: conditions, ranges, headers. What is read of it here is little; the rest
//! goes from the kernel to the socket.

#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use http::{Method, StatusCode};

use super::range::{self, Asked, Range};
use super::validator::{Conditions, Validator, Verdict};
use crate::http::accept_encoding::Coding;
use crate::http::file_body::{FileBody, Part};
use crate::http::into_response::IntoResponse;
use crate::http::request::Request;
use crate::http::response::{Body, Response};
use crate::sys::file::Stat;

/// A file that is there, and how it is to be sent.
pub(super) struct Chosen<'s> {
    pub(super) file: OwnedFd,
    pub(super) stat: Stat,
    pub(super) coding: Option<Coding>,
    pub(super) mime: &'static str,
    pub(super) cache_control: Option<&'s str>,
    /// Another Accept-Encoding might have got another form of it.
    pub(super) varies: bool,
}

/// Less than this is read into memory and sent together with its head.
const SMALL: u64 = 16 << 10;

impl Chosen<'_> {
    pub(super) fn answer(self, request: &Request<'_>) -> Response {
        let suffix = match self.coding {
            None => "",
            Some(Coding::Brotli) => "-br",
            Some(Coding::Zstd) => "-zst",
            Some(Coding::Gzip) => "-gz",
        };
        let Stat { size, modified, .. } = self.stat;
        let validator = Validator::new(size, modified, suffix, SystemTime::now());
        let (conditions, range) = read(request);
        match validator.judge(&conditions) {
            Verdict::Proceed => {}
            Verdict::Failed => return StatusCode::PRECONDITION_FAILED.into_response(),
            Verdict::NotModified => {
                return self.head(&validator, Response::new(StatusCode::NOT_MODIFIED));
            }
        }
        let asked = match range {
            // Of HEAD and others a Range means nothing.
            Some(value)
                if *request.method() == Method::GET
                    && validator.allows_range(conditions.if_range) =>
            {
                range::parse(value, size)
            }
            _ => Asked::All,
        };
        match asked {
            Asked::Nothing => StatusCode::RANGE_NOT_SATISFIABLE
                .into_response()
                .header("Content-Range", format!("bytes */{size}"))
                .header("Accept-Ranges", "bytes"),
            Asked::All => {
                let response = self.common(&validator, StatusCode::OK);
                let response = Response { content_type: Some(self.mime), ..response };
                let whole = Range { from: 0, len: size };
                self.stretch(whole, *request.method() == Method::GET, response)
            }
            Asked::Ranges(ranges) => {
                let response = self.common(&validator, StatusCode::PARTIAL_CONTENT);
                match ranges[..] {
                    [one] => {
                        let response = Response { content_type: Some(self.mime), ..response }
                            .header("Content-Range", content_range(one, size));
                        self.stretch(one, true, response)
                    }
                    _ => self.several(&ranges, response),
                }
            }
        }
    }

    /// What a 304 has too.
    fn head(&self, validator: &Validator, mut response: Response) -> Response {
        response = response
            .header("ETag", validator.etag())
            .header("Last-Modified", validator.last_modified());
        if let Some(value) = self.cache_control {
            response = response.header("Cache-Control", value);
        }
        if self.varies {
            response = response.header("Vary", "Accept-Encoding");
        }
        response
    }

    fn common(&self, validator: &Validator, status: StatusCode) -> Response {
        let mut response = self
            .head(validator, Response::new(status))
            .header("Accept-Ranges", "bytes")
            .header("X-Content-Type-Options", "nosniff");
        if let Some(coding) = self.coding {
            response = response.header("Content-Encoding", coding.name());
        }
        response
    }

    /// One stretch of the file as the body.
    fn stretch(self, range: Range, is_read: bool, response: Response) -> Response {
        let Range { from, len } = range;
        if len == 0 {
            return response;
        }
        let file = FileBody::new(self.file, vec![Part::Stretch { from, len }]);
        if !is_read || len > SMALL {
            return Response { body: Body::File(file), ..response };
        }
        match file.read(from, len as usize) {
            Ok(bytes) if bytes.len() as u64 == len => response.body(bytes),
            // It has become shorter since we looked: the client is to see that the body is cut off.
            Ok(_) => Response { body: Body::File(file), ..response },
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// `multipart/byteranges` (RFC 9110, 14.6).
    fn several(self, ranges: &[Range], response: Response) -> Response {
        let boundary = boundary();
        let mut parts = Vec::with_capacity(ranges.len() * 2 + 1);
        for (at, &range) in ranges.iter().enumerate() {
            let line = if at == 0 { "" } else { "\r\n" };
            let (mime, content_range) = (self.mime, content_range(range, self.stat.size));
            let head = format!(
                "{line}--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: {content_range}\r\n\r\n"
            );
            parts.push(Part::Text(head.into_bytes()));
            parts.push(Part::Stretch { from: range.from, len: range.len });
        }
        parts.push(Part::Text(format!("\r\n--{boundary}--\r\n").into_bytes()));
        let body = Body::File(FileBody::new(self.file, parts));
        let mime = format!("multipart/byteranges; boundary={boundary}");
        Response { body, ..response }.header("Content-Type", mime)
    }
}

/// The conditions of a request, and its Range if it has exactly one.
fn read<'r>(request: &Request<'r>) -> (Conditions<'r>, Option<&'r [u8]>) {
    let mut conditions = Conditions::default();
    let mut ranges = Vec::new();
    for (name, value) in request.headers() {
        // By length first: most headers are none of these.
        match name.len() {
            5 if name.eq_ignore_ascii_case("range") => ranges.push(value),
            8 if name.eq_ignore_ascii_case("if-match") => conditions.if_match.push(value),
            8 if name.eq_ignore_ascii_case("if-range") => conditions.if_range = Some(value),
            13 if name.eq_ignore_ascii_case("if-none-match") => {
                conditions.if_none_match.push(value);
            }
            17 if name.eq_ignore_ascii_case("if-modified-since") => {
                conditions.if_modified_since = Some(value);
            }
            19 if name.eq_ignore_ascii_case("if-unmodified-since") => {
                conditions.if_unmodified_since = Some(value);
            }
            _ => {}
        }
    }
    (conditions, if let [one] = ranges[..] { Some(one) } else { None })
}

fn content_range(Range { from, len }: Range, size: u64) -> String {
    format!("bytes {from}-{}/{size}", from + len - 1)
}

/// Nobody who wrote the file could know it.
fn boundary() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
