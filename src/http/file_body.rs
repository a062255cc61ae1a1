//! The body of a response that is (a part of) a file: sent by the kernel from its page cache, never read into memory.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::link::Link;
use crate::sys::file::{self, Patience};
use crate::sys::signal;
use crate::{blocking, hub};

/// Stretches of one file, with text around them where there are several.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<OwnedFd>,
    /// What is sent, in order.
    parts: Vec<Part>,
    /// The length of it all.
    len: u64,
}

/// A piece of a [`FileBody`].
#[derive(Debug)]
pub(crate) enum Part {
    /// Of the file.
    Stretch { from: u64, len: u64 },
    /// What separates stretches.
    Text(Vec<u8>),
}

/// The same where it has to be read into memory.
const READ_STEP: u64 = 64 << 10;

/// At most so much at a time: others of the worker run in between, and a time-out counts anew.
const STEP: u64 = 256 << 10;

impl FileBody {
    pub(crate) fn new(file: OwnedFd, parts: Vec<Part>) -> FileBody {
        let len = parts.iter().map(Part::len).sum();
        FileBody { file: Arc::new(file), parts, len }
    }

    /// What Content-Length says.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Sends what is in `out`, the head, and the body behind it. Text at the end may stay in `out`.
    ///
    /// # Errors
    /// If the file has become shorter: then the client gets less than Content-Length says, and the connection must be
    /// closed, by which it sees that.
    pub(crate) fn send(&self, link: &Link<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        for part in &self.parts {
            match *part {
                Part::Text(ref text) => out.extend_from_slice(text),
                Part::Stretch { mut from, mut len } => {
                    if !out.is_empty() {
                        link.send_more(out)?;
                        out.clear();
                    }
                    while len > 0 {
                        let n = self.send_step(link, from, len.min(STEP))?;
                        if n == 0 {
                            return Err(shorter());
                        }
                        from += n as u64;
                        len -= n as u64;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends up to `len` bytes at `from`; 0 if the file ends before them.
    fn send_step(&self, link: &Link<'_>, from: u64, len: u64) -> io::Result<usize> {
        // Nor can the kernel encrypt.
        if signal::broken_pipe_kills() || !link.takes_files() {
            let bytes = self.read(from, len.min(READ_STEP) as usize)?;
            link.send(&bytes, false)?;
            return Ok(bytes.len());
        }
        self.fetch(from, len)?;
        link.send_file(self.file.as_fd(), from, len as usize)
    }

    /// Sees to it that sending these bytes will not wait for the disk, as long as it is a green thread that would: its
    /// whole worker would wait with it.
    fn fetch(&self, from: u64, len: u64) -> io::Result<()> {
        if !hub::is_green() {
            return Ok(());
        }
        let is_cached = |at| match file::read_at(self.file.as_fd(), &mut [0], at, Patience::Cached)
        {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            other => other.map(|_| true),
        };
        // The first and the last byte stand for what is between: files are read in long stretches.
        if is_cached(from)? && is_cached(from + len - 1)? {
            return Ok(());
        }
        let file = self.file.clone();
        blocking::run(move || {
            let mut buf = vec![0; 64 << 10];
            let (mut at, end) = (from, from + len);
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len());
                match file::read_at(file.as_fd(), &mut buf[..most], at, Patience::Blocks)? {
                    0 => break, // sending it will say so
                    n => at += n as u64,
                }
            }
            Ok(())
        })
    }
    /// Up to `len` bytes at `from`, read into memory: less only at the file's end. Waits for the disk if need be, but no
    /// worker does.
    pub(crate) fn read(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let read = move |file: &OwnedFd, patience| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; len];
            let mut filled = 0;
            while filled < len {
                match file::read_at(
                    file.as_fd(),
                    &mut bytes[filled..],
                    from + filled as u64,
                    patience,
                )? {
                    0 => break,
                    n => filled += n,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        };
        if hub::is_green() {
            match read(&self.file, Patience::Cached) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let file = self.file.clone();
                    return blocking::run(move || read(&file, Patience::Blocks));
                }
                done => return done,
            }
        }
        read(&self.file, Patience::Blocks)
    }

    /// Writes it to somebody who does more with it than pass it on.
    #[cfg_attr(not(feature = "compression"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        for part in &self.parts {
            match *part {
                Part::Text(ref text) => out.write_all(text)?,
                Part::Stretch { mut from, mut len } => {
                    while len > 0 {
                        let bytes = self.read(from, len.min(64 << 10) as usize)?;
                        if bytes.is_empty() {
                            return Err(shorter());
                        }
                        out.write_all(&bytes)?;
                        from += bytes.len() as u64;
                        len -= bytes.len() as u64;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Stretch { len, .. } => *len,
            Part::Text(text) => text.len() as u64,
        }
    }
}

fn shorter() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the file became shorter while it was sent")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::unix::net::UnixStream;

    /// Both kinds of caller, and an error too: the socket is in its own mode again afterwards.
    #[test]
    fn the_socket_stays_in_its_mode() {
        let check = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let socket = ours.0.into_descriptor();
            let file = std::fs::File::open("Cargo.toml").unwrap();
            let send = |count| {
                crate::io::send_file(
                    &socket,
                    file.as_fd(),
                    3,
                    count,
                    Link::after(std::time::Duration::from_millis(50)),
                )
            };
            assert_eq!(send(10).unwrap(), 10);
            assert!(!crate::sys::fd::is_nonblocking(socket.as_fd()));
            // Until nothing more fits.
            while send(4000).is_ok() {}
            assert_eq!(send(4000).unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(!crate::sys::fd::is_nonblocking(socket.as_fd()));
            drop(theirs);
        };
        crate::hub::runtime::run(check);
        check();
    }
}
