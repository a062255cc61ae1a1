//! As much of an HTTP client as a comparison needs: one request at a time on a connection, of any kind of stream.

use std::io::{self, ErrorKind, Read, Write};

/// A connection to a server.
pub(crate) struct Http<S> {
    stream: S,
    /// Received bytes; those in `..end` count.
    buf: Vec<u8>,
    end: usize,
}

impl<S: Read + Write> Http<S> {
    pub(crate) fn new(stream: S) -> Http<S> {
        Http { stream, buf: Vec::new(), end: 0 }
    }

    /// Asks, and takes the whole answer. Anything but 200 is an error.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<()> {
        self.ask(path)?;
        self.answer()
    }

    /// Only asks.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: compare\r\n\r\n");
        self.stream.write_all(request.as_bytes())
    }

    /// Takes the answer to what was asked, and forgets it.
    pub(crate) fn answer(&mut self) -> io::Result<()> {
        self.text().map(drop)
    }

    /// The body of the answer.
    pub(crate) fn text(&mut self) -> io::Result<String> {
        let head = self.head()?;
        let length = length(&self.buf[..head]).ok_or_else(|| bad("an answer without a length"))?;
        while self.end < head + length {
            self.fill()?;
        }
        let body = String::from_utf8_lossy(&self.buf[head..head + length]).into_owned();
        self.forget(head + length);
        Ok(body)
    }

    /// Takes the head of the answer and leaves the body; says how long it was.
    pub(crate) fn head(&mut self) -> io::Result<usize> {
        loop {
            if let Some(at) = find(&self.buf[..self.end], b"\r\n\r\n") {
                return match self.buf.starts_with(b"HTTP/1.1 200") {
                    true => Ok(at + 4),
                    false => Err(bad("an answer other than 200")),
                };
            }
            self.fill()?;
        }
    }

    /// Takes an event of a stream, whatever it says. The end of the head counts as one.
    pub(crate) fn event(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = find(&self.buf[..self.end], b"\n\n") {
                self.forget(at + 2);
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// `n` bytes were used.
    pub(crate) fn forget(&mut self, n: usize) {
        self.buf.copy_within(n..self.end, 0);
        self.end -= n;
        if self.end == 0 {
            // Thousands of connections wait at a time: who waits holds no buffer.
            self.buf = Vec::new();
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        // On the stack first, so that a connection that waits holds no buffer.
        let mut some = [0; 2048];
        let n = self.stream.read(&mut some)?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buf.truncate(self.end);
        self.buf.extend_from_slice(&some[..n]);
        self.end += n;
        Ok(())
    }
}

fn length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out its bytes one by one.
    struct Slow(&'static [u8]);

    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buf[..1])
        }
    }

    impl Write for Slow {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn answers_in_pieces() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
        let mut http = Http::new(Slow(text));
        assert_eq!(http.text().unwrap(), "hi");
        assert_eq!(http.answer().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn events() {
        let mut http =
            Http::new(Slow(b"HTTP/1.1 200 OK\r\n\r\n7\r\ndata: x\n\n\r\n7\r\ndata: y\n\n\r\n"));
        let head = http.head().unwrap();
        http.forget(head);
        http.event().unwrap();
        http.event().unwrap();
        assert_eq!(http.event().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
