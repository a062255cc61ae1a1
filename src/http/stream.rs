//! Writing a streamed body: chunked to HTTP/1.1, until the connection closes to HTTP/1.0. Holds a buffer only
//! between a write and the flush after it, so a stream that waits costs its stack and nothing else.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::buffer;
use super::chunked::{LAST_CHUNK, SIZE_ROOM, write_size};
use super::heartbeat::Beat;
use super::link::Link;
use crate::hub::trim;
use crate::lent::Lent;

/// Changes what a body's producer writes into what is sent.
pub(crate) trait Coder {
    /// Bytes that mean nothing, between a flush of something and the next write; as a chunk if asked for.
    fn nothing(&self, chunked: bool) -> &'static [u8];

    /// Takes bytes, and appends what is ready to `out`.
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>);

    /// Appends everything that was written and is not out yet.
    fn flush(&mut self, out: &mut Vec<u8>);

    /// The same, and the end.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Writes the body of [`Response::stream`](super::Response::stream).
///
/// Writes are collected and sent by `flush`, or when about 16 KiB have come together.
///
/// # Errors
///
/// A write or flush fails when the client went away, takes nothing for the write time-out, or when the
/// server has stopped. Return that error: `?` is enough.
pub struct BodyWriter<'c> {
    /// The socket.
    link: &'c Link<'c>,
    /// The server wants to stop.
    stopping: &'c AtomicBool,
    /// The head, if it was not sent yet; then the chunk that is being collected.
    out: Vec<u8>,
    /// Where the chunk in `out` begins: room for its size, then its data.
    chunk: Option<usize>,
    /// Stands between what is written and what is collected.
    coder: Option<Box<dyn Coder>>,
    /// Chunked, rather than until the connection closes.
    chunked: bool,
    /// Who sends a comment when there has been nothing for a while.
    beat: Option<Arc<Beat>>,
    /// Something is written that is not sent yet, or there is no `beat` to be told.
    busy: bool,
    /// Something was sent: what fails from now on can no longer become a 500.
    pub(crate) begun: bool,
}

/// Collected bytes that are sent without waiting for a flush.
const COLLECT: usize = 16 << 10;

impl<'c> BodyWriter<'c> {
    /// A writer that sends `out`, the head, before anything else.
    pub(crate) fn new(
        link: &'c Link<'c>,
        stopping: &'c AtomicBool,
        out: Vec<u8>,
        chunked: bool,
    ) -> BodyWriter<'c> {
        BodyWriter {
            link,
            stopping,
            out,
            chunk: None,
            coder: None,
            chunked,
            beat: None,
            busy: true,
            begun: false,
        }
    }

    /// True once the server was told to stop: a stream without an end should end now. It has
    /// [`Config::shutdown_timeout`](super::Config::shutdown_timeout) before it is cut.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What is written from now on passes through `coder`.
    #[cfg_attr(not(feature = "compression"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn encode_with(&mut self, coder: Box<dyn Coder>) {
        self.coder = Some(coder);
    }

    /// Runs `produce`. When it has flushed what it wrote, and then nothing is written for `every` so long, a comment of
    /// an event stream is sent.
    pub(crate) fn with_heartbeat(
        &mut self,
        every: Duration,
        produce: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.coder.is_some() {
            // The beginning of a compressed body comes with the first bytes of it.
            self.write_all(b":\n\n")?;
        }
        self.flush()?;
        let comment = match (&self.coder, self.chunked) {
            (None, true) => &b"3\r\n:\n\n\r\n"[..],
            (None, false) => b":\n\n",
            (Some(coder), chunked) => coder.nothing(chunked),
        };
        let link = self.link;
        let send = move |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => link.try_send(bytes),
            None => {
                link.hang_up();
                Ok(0)
            }
        };
        Lent::scope(&send, |lent| {
            let beat = Beat::join(lent, comment, every, link.config.write_timeout);
            beat.end();
            (self.beat, self.busy) = (Some(beat), false);
            let produced = produce(self);
            self.begin();
            self.beat = None;
            produced
        })
    }

    /// Something is written: no comment may come in between.
    #[inline]
    fn begin(&mut self) {
        if self.busy {
            return;
        }
        self.busy = true;
        let owed = self.beat.as_ref().map_or(&b""[..], |beat| beat.begin());
        if !owed.is_empty() {
            if self.out.capacity() == 0 {
                self.out = buffer::output();
            }
            self.out.extend_from_slice(owed);
        }
    }

    /// Ends the body properly.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.encode(|coder, out| coder.finish(out));
        let from = self.close_chunk();
        if self.chunked {
            self.out.extend_from_slice(LAST_CHUNK);
        }
        self.send(from)
    }

    /// Makes what was collected into a chunk. Returns where in `out` the bytes to send begin.
    fn close_chunk(&mut self) -> usize {
        let Some(at) = self.chunk.take() else {
            return 0;
        };
        let mut room = [0; SIZE_ROOM];
        let used = write_size(self.out.len() - at - SIZE_ROOM, &mut room);
        let gap = SIZE_ROOM - used;
        // The size is shorter than its room: what stands before it (the head, once) moves up.
        self.out.copy_within(..at, gap);
        self.out[at + gap..at + SIZE_ROOM].copy_from_slice(&room[gap..]);
        self.out.extend_from_slice(b"\r\n");
        gap
    }

    fn send_collected(&mut self) -> io::Result<()> {
        let from = self.close_chunk();
        self.send(from)
    }

    /// Collects what the coder, if there is one, makes of it.
    fn encode(&mut self, how: impl FnOnce(&mut dyn Coder, &mut Vec<u8>)) {
        if let Some(coder) = &mut self.coder {
            let mut encoded = buffer::output();
            how(&mut **coder, &mut encoded);
            if !encoded.is_empty() {
                self.collect(&encoded);
            }
            buffer::give_output(encoded);
        }
    }

    fn send(&mut self, from: usize) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        if out.len() > from {
            self.begun = true;
        }
        let sent = self.link.send(&out[from..], false);
        buffer::give_output(out);
        sent
    }

    fn collect(&mut self, bytes: &[u8]) {
        if self.out.capacity() == 0 {
            self.out = buffer::output();
        }
        if self.chunked && self.chunk.is_none() {
            self.chunk = Some(self.out.len());
            self.out.extend_from_slice(&[0; SIZE_ROOM]);
        }
        self.out.extend_from_slice(bytes);
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A chunk of size 0 would end the body.
        if !bytes.is_empty() {
            self.begin();
            let n = bytes.len().min(COLLECT);
            match self.coder {
                Some(_) => self.encode(|coder, out| coder.write(&bytes[..n], out)),
                None => self.collect(&bytes[..n]),
            }
            if self.out.len() >= COLLECT {
                self.send_collected()?;
            }
            return Ok(n);
        }
        Ok(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.busy {
            return Ok(()); // nothing was written since the last time
        }
        self.encode(|coder, out| coder.flush(out));
        self.send_collected()?;
        if let Some(beat) = &self.beat {
            beat.end();
            self.busy = false;
        }
        if self.coder.is_some() {
            // Compressing takes pages of the stack that a stream which waits now does not need.
            trim::trim_stack();
        }
        Ok(())
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter")
            .field("chunked", &self.chunked)
            .field("collected", &self.out.len())
            .finish_non_exhaustive()
    }
}
