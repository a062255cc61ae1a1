//! Forms with files, `multipart/form-data` (RFC 7578): read part by part as they come, never as a whole.
//!
//! `delimiter` finds the boundaries and `head` reads a part's headers, both in bytes; here is what waits for more.

#![forbid(unsafe_code)]

mod delimiter;
mod head;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, ErrorKind, Read};

use http::StatusCode;

use super::buffer;
use super::error::Error;
use super::request::Request;
use delimiter::{Delimiter, Found};
use head::Head;

impl Request<'_> {
    /// The body as a form with files, to be read part by part.
    ///
    /// The body's own limit holds for all parts together: [`Request::set_body_limit`].
    ///
    /// ```
    /// use sward::http::{Error, Request, Router};
    ///
    /// let app = Router::new().post("/upload", |req: &mut Request| {
    ///     req.set_body_limit(1 << 30);
    ///     let mut form = req.multipart()?;
    ///     let mut sizes = Vec::new();
    ///     while let Some(mut part) = form.next_part()? {
    ///         let size = std::io::copy(&mut part, &mut std::io::sink())?;
    ///         sizes.push(format!("{}: {size}\n", part.file_name().unwrap_or(part.name())));
    ///     }
    ///     Ok::<_, Error>(sizes.concat())
    /// });
    /// # drop(app);
    /// ```
    ///
    /// # Errors
    ///
    /// 415 for another Content-Type, 400 if it has no boundary.
    pub fn multipart(&mut self) -> Result<Multipart<'_>, Error> {
        let mime = self.header("content-type").unwrap_or("");
        let (kind, parameters) = mime.split_once(';').unwrap_or((mime, ""));
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            let text = "the Content-Type must be multipart/form-data";
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        let boundary = head::parameter(parameters, "boundary");
        let Some(boundary) = boundary.filter(|boundary| delimiter::is_boundary(boundary)) else {
            return Err(bad("the multipart form has no boundary"));
        };
        Ok(Multipart::new(self.body(), &boundary))
    }
}

/// A form with files; what [`Request::multipart`] returns.
pub struct Multipart<'q> {
    source: &'q mut (dyn Read + 'q),
    delimiter: Delimiter,
    /// Received bytes; those that are not used yet are `start..end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// So many of them are data of the part that we are in.
    data: usize,
    state: State,
    parts: usize,
    max_parts: usize,
    max_part: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the data of a part, or in what precedes the first one.
    Data,
    /// Behind a delimiter.
    Between,
    /// Behind the last one.
    Done,
    /// An earlier read failed.
    Broken,
}

/// Bytes of a part's headers.
const MAX_HEAD: usize = 4 << 10;

impl<'q> Multipart<'q> {
    pub(crate) fn new(source: &'q mut (dyn Read + 'q), boundary: &str) -> Multipart<'q> {
        // Every delimiter begins with the line end before it; the first one may lack it, so here is one.
        let mut buffer = buffer::input();
        buffer[..2].copy_from_slice(b"\r\n");
        Multipart {
            source,
            delimiter: Delimiter::new(boundary),
            buffer,
            start: 0,
            end: 2,
            data: 0,
            state: State::Data,
            parts: 0,
            max_parts: 1000,
            max_part: u64::MAX,
        }
    }

    /// Sets how many parts there may be; one more is a 413. Default 1000.
    pub fn max_parts(mut self, most: usize) -> Multipart<'q> {
        self.max_parts = most;
        self
    }

    /// Sets how many bytes each part may have; one more is a 413. Default: as many as the body may have.
    pub fn max_part(mut self, most: u64) -> Multipart<'q> {
        self.max_part = most;
        self
    }

    /// The next part, or `None` after the last. What was not read of the one before is skipped.
    ///
    /// # Errors
    ///
    /// 400 if the form is malformed or cut off, 413 if it is over a limit, 408 if it comes too slowly.
    pub fn next_part(&mut self) -> Result<Option<Part<'_, 'q>>, Error> {
        match self.advance() {
            Ok(None) => Ok(None),
            Ok(Some(head)) => {
                let left = self.max_part;
                Ok(Some(Part { form: self, head, left }))
            }
            Err(error) => {
                self.state = State::Broken;
                Err(error)
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Head>, Error> {
        while self.state == State::Data {
            let n = self.find_data()?;
            (self.start, self.data) = (self.start + n, 0);
        }
        match self.state {
            State::Done => return Ok(None),
            State::Broken => return Err(bad("the form could not be read")),
            State::Data | State::Between => {}
        }
        loop {
            match delimiter::after(&self.buffer[self.start..self.end]) {
                delimiter::After::More => self.fill()?,
                delimiter::After::Last => {
                    self.state = State::Done;
                    return Ok(None);
                }
                delimiter::After::Part(n) => {
                    self.start += n;
                    break;
                }
                delimiter::After::Malformed => return Err(bad("a malformed boundary in the form")),
            }
        }
        if self.parts == self.max_parts {
            return Err(too_large("the form has too many parts"));
        }
        self.parts += 1;
        loop {
            let window = &self.buffer[self.start..self.end];
            let end = head::end(window);
            if end.unwrap_or(window.len()) > MAX_HEAD {
                return Err(too_large("the headers of a part are too large"));
            }
            let Some(end) = end else {
                self.fill()?;
                continue;
            };
            let head = Head::parse(&window[..end]).map_err(bad)?;
            self.start += end;
            self.state = State::Data;
            return Ok(Some(head));
        }
    }

    /// How many bytes of data come next; 0 at the end of the part, which `state` says then.
    fn find_data(&mut self) -> io::Result<usize> {
        while self.data == 0 && self.state == State::Data {
            match self.delimiter.find(&self.buffer[self.start..self.end]) {
                Found::Data(0) => self.fill()?,
                Found::Data(n) => self.data = n,
                Found::Delimiter => {
                    self.start += self.delimiter.len();
                    self.state = State::Between;
                }
            }
        }
        Ok(self.data)
    }

    /// The one place that waits for more.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // OK because every caller leaves room: delimiters and heads are far shorter than the buffer.
        match self.source.read(&mut self.buffer[self.end..])? {
            0 => Err(bad("the form was cut off").into_io(ErrorKind::UnexpectedEof)),
            n => {
                self.end += n;
                Ok(())
            }
        }
    }
}

impl Drop for Multipart<'_> {
    fn drop(&mut self) {
        buffer::give_input(std::mem::take(&mut self.buffer));
    }
}

impl fmt::Debug for Multipart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("parts", &self.parts)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// One field or file of a form. Its data is read by [`Read`].
pub struct Part<'m, 'q> {
    form: &'m mut Multipart<'q>,
    head: Head,
    /// Bytes that may still be read.
    left: u64,
}

impl Part<'_, '_> {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The file's name on the client, if it is a file. It is what somebody wrote: never a path of yours.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name.as_deref()
    }

    /// What the client says it is.
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type.as_deref()
    }

    /// All of its data.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next_part`].
    pub fn data(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All of its data as text.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next_part`], and 400 if it is not UTF-8.
    pub fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.data()?).map_err(|_| bad("a field of the form is not UTF-8"))
    }
}

impl Read for Part<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let form = &mut *self.form;
        if form.state == State::Broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let data = form.find_data().inspect_err(|_| form.state = State::Broken)?;
        let n = data.min(buf.len());
        let Some(left) = self.left.checked_sub(n as u64) else {
            form.state = State::Broken;
            return Err(
                too_large("a part of the form is too large").into_io(ErrorKind::FileTooLarge)
            );
        };
        buf[..n].copy_from_slice(&form.buffer[form.start..form.start + n]);
        (form.start, form.data, self.left) = (form.start + n, form.data - n, left);
        Ok(n)
    }
}

impl fmt::Debug for Part<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("head", &self.head).finish_non_exhaustive()
    }
}

fn bad(why: &'static str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, why)
}

fn too_large(why: &'static str) -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}
