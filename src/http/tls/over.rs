//! A link over TLS: what `link.rs` does where there is a session. Who waits holds no buffer.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::handshake::{self, Shaken};
use super::{Session, Tls};
use crate::http::buffer;
use crate::http::link::Link;
use crate::hub;
use crate::io::{self as sys_io, Descriptor};
use crate::sys::{self, RecvFlags, SendFlags};

impl Link<'_> {
    /// [`Link::recv`].
    pub(crate) fn recv_tls(
        &self,
        session: &Session,
        buf: &mut [u8],
        mut deadline: Option<Instant>,
    ) -> io::Result<usize> {
        loop {
            if let Some(n) = session.take(buf) {
                return Ok(n);
            }
            let (received, n) = sys_io::recv_by(self.socket(), deadline, receive)?;
            self.received(n, received.len());
            if let Some(n) = self.decrypt(session, received, n, buf)? {
                return Ok(n);
            }
            // A record that has begun is to come to its end, even where a connection may be idle for longer.
            deadline = deadline.or_else(|| Link::after(self.config.header_timeout));
        }
    }

    /// The same without waiting: `None` if there is nothing.
    pub(crate) fn try_recv_tls(
        &self,
        session: &Session,
        buf: &mut [u8],
    ) -> io::Result<Option<usize>> {
        loop {
            if let Some(n) = session.take(buf) {
                return Ok(Some(n));
            }
            let (received, n) = match receive(self.socket().as_fd(), RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.received(0, 1);
                    return Ok(None);
                }
                received => received?,
            };
            self.received(n, received.len());
            if let Some(n) = self.decrypt(session, received, n, buf)? {
                return Ok(Some(n));
            }
            if let Some((hub, _)) = hub::here_green() {
                hub.spend(); // a client that always has sent something must not keep the worker
            }
        }
    }

    /// [`Link::recv_lent`].
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn recv_lent_tls(
        &self,
        session: &Session,
        deadline: Option<Instant>,
    ) -> io::Result<(Vec<u8>, usize)> {
        loop {
            if session.has_more() {
                return lend(|buf| session.take(buf));
            }
            let (mut received, n) = sys_io::recv_by(self.socket(), deadline, receive)?;
            // Nothing goes to a buffer yet, so that there is one only if something has come.
            let decrypted = self.decrypt_in_place(session, &mut received, n);
            buffer::give_record(received);
            if decrypted? {
                return lend(|_| Some(0));
            }
        }
    }

    /// [`Link::try_recv_lent`].
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn try_recv_lent_tls(&self, session: &Session) -> io::Result<(Vec<u8>, usize)> {
        let mut buf = buffer::input();
        match self.try_recv_tls(session, &mut buf) {
            Ok(Some(n)) => Ok((buf, n)),
            failed => {
                buffer::give_input(buf);
                Err(failed.err().unwrap_or_else(|| ErrorKind::WouldBlock.into()))
            }
        }
    }

    /// Decrypts the `n` bytes of `received`, which goes back to its pool. 0 if there are none.
    fn decrypt(
        &self,
        session: &Session,
        mut received: Vec<u8>,
        n: usize,
        buf: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let decrypted = match n {
            0 => Ok(Some(0)),
            n => session.decrypt(&mut received[..n], buf),
        };
        buffer::give_record(received);
        decrypted.inspect_err(|_| self.alert(session))
    }

    /// The same, but all of it stays in the session. True if nothing follows.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    fn decrypt_in_place(
        &self,
        session: &Session,
        received: &mut [u8],
        n: usize,
    ) -> io::Result<bool> {
        if n == 0 {
            return Ok(true);
        }
        session.decrypt(&mut received[..n], &mut []).inspect_err(|_| self.alert(session))?;
        Ok(false)
    }

    /// Sends all of `parts`, one behind the other; time-outs as those of [`Link::send`].
    pub(crate) fn send_tls(
        &self,
        session: &Session,
        parts: [&[u8]; 2],
        mut batch: bool,
    ) -> io::Result<()> {
        session.send(parts, |bytes| self.send_raw(bytes, std::mem::take(&mut batch)))
    }

    /// [`Link::try_send`].
    pub(crate) fn try_send_tls(&self, session: &Session, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.socket().as_fd();
        // What is encrypted must be sent, sooner or later: so the first look is at whether it can be.
        if !sys::fd::poll(fd, true, Some(Duration::ZERO))? {
            return Err(ErrorKind::WouldBlock.into());
        }
        session.try_send(bytes, |bytes| sys::message::send(fd, bytes, SendFlags::DONTWAIT))
    }

    /// The client hears that nothing follows, so that it cannot be cut off unnoticed. Waits, if it is slow.
    pub(crate) fn goodbye(&self) {
        if let Some(session) = self.tls {
            // OK to ignore: the connection is closed in any case.
            let _ = session.close(|bytes| self.send_raw(bytes, false));
        }
    }

    /// What the client sent was no TLS: it hears so, if that needs no wait.
    fn alert(&self, session: &Session) {
        let alert = session.take_alert();
        if !alert.is_empty() {
            // OK to ignore: the connection fails anyway.
            let _ = sys::message::send(self.socket().as_fd(), &alert, SendFlags::DONTWAIT);
        }
    }

    /// Goes on with a handshake until it is over, or until `deadline`; a thread for one turn (`Holder::Turn`) only as
    /// long as there is something to read.
    pub(crate) fn shake(
        &self,
        tls: &Tls,
        session: &mut Option<Box<Session>>,
        deadline: Option<Instant>,
    ) -> Shaken {
        let mut received = buffer::record();
        let shaken = loop {
            let n = match self.recv_handshake(&mut received, deadline) {
                Ok(None) => break Shaken::More,
                Ok(Some(0)) | Err(_) => break Shaken::Gone,
                Ok(Some(n)) => n,
            };
            let send = |bytes: &[u8]| self.send_handshake(bytes, deadline);
            match handshake::step(tls, session, &mut received[..n], send) {
                Shaken::More => {}
                over => break over,
            }
        };
        buffer::give_record(received);
        shaken
    }

    fn send_handshake(&self, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = sys_io::send(self.socket(), bytes, SendFlags::empty(), deadline)?;
            bytes = &bytes[n..];
        }
        Ok(())
    }
}

/// An idle connection is closed: its client hears that nothing follows, if that needs no wait.
pub(crate) fn goodbye_now(session: &Session, socket: &Descriptor) {
    // OK to ignore: the connection is closed in any case.
    let _ = session
        .close(|bytes| sys::message::send(socket.as_fd(), bytes, SendFlags::DONTWAIT).map(drop));
}

fn receive(fd: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<(Vec<u8>, usize)> {
    let mut buf = buffer::record();
    match sys::message::recv(fd, &mut buf, flags) {
        Ok(n) => Ok((buf, n)),
        Err(error) => {
            buffer::give_record(buf);
            Err(error)
        }
    }
}

#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
fn lend(fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> io::Result<(Vec<u8>, usize)> {
    let mut buf = buffer::input();
    let n = fill(&mut buf).unwrap_or(0);
    Ok((buf, n))
}
