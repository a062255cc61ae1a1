//! Receiving what a proxy announces (`announced`), without a byte of what follows: that is TLS, or a request.
//!
//! What came is looked at first. As long as the header is not whole, all of it is the header's and is taken; then just
//! the rest of it.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Instant;

use super::announced::{self, Client, LONGEST};
use super::buffer;
use crate::io::{self as calls, Descriptor};
use crate::sys::{RecvFlags, message};

/// What came of a header so far.
#[derive(Default)]
pub(crate) struct Announcing(Vec<u8>);

impl Announcing {
    /// Takes what is there. `None`: the rest has to come. An error: this is no proxy, or it is gone.
    pub(crate) fn step(&mut self, socket: &Descriptor) -> io::Result<Option<Client>> {
        loop {
            let look = |buf: &mut [u8]| {
                message::recv(socket.as_fd(), buf, RecvFlags::PEEK | RecvFlags::DONTWAIT)
            };
            match self.take(socket, look) {
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                ended => return ended,
            }
        }
    }

    /// Waits for all of it.
    pub(crate) fn wait(socket: &Descriptor, deadline: Option<Instant>) -> io::Result<Client> {
        let mut announcing = Announcing::default();
        loop {
            let look = |buf: &mut [u8]| calls::recv(socket, buf, RecvFlags::PEEK, deadline);
            if let Some(client) = announcing.take(socket, look)? {
                return Ok(client);
            }
        }
    }

    fn take(
        &mut self,
        socket: &Descriptor,
        look: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<Client>> {
        let mut buf = buffer::input();
        let taken = self.take_with(socket, look, &mut buf);
        buffer::give_input(buf);
        taken
    }

    fn take_with(
        &mut self,
        socket: &Descriptor,
        look: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        buf: &mut [u8],
    ) -> io::Result<Option<Client>> {
        let most = buf.len().min(LONGEST);
        let seen = look(&mut buf[..most])?;
        if seen == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let before = self.0.len();
        self.0.extend_from_slice(&buf[..seen]);
        let found = announced::parse(&self.0).map_err(|_| ErrorKind::InvalidData)?;
        let used = found.map_or(seen, |(_, length)| length - before);
        // It is there: this waits for nothing.
        let took = message::recv(socket.as_fd(), &mut buf[..used], RecvFlags::DONTWAIT)?;
        if took != used {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(found.map(|(client, _)| client))
    }
}
