//! The receiving half of a WebSocket: reads what came, answers pings and Close frames, sees to it that a client that
//! fell silent is asked. While it waits it holds no buffer.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::frame::Fault;
use super::message::{Assembler, Close, Item, Limits, Message};
use super::sending::Shared;
use crate::http::upgrade::Ahead;
use crate::thread;

/// What only the reader touches.
pub(crate) struct Incoming {
    assembler: Assembler,
    ahead: Ahead,
    /// Since the last bytes came: when something must be done about the silence, and whether a ping was sent.
    silence: Option<(Instant, bool)>,
    end: Option<End>,
    /// The client's Close.
    pub(crate) close: Option<Close>,
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both sides have closed.
    Closed,
    /// The server stops, and has said so.
    Stopped,
    /// The client broke the protocol, and was told.
    Fault,
    /// The connection is gone, or the client does not answer.
    Gone,
}

impl Incoming {
    pub(crate) fn new(limits: Limits, ahead: Ahead) -> Incoming {
        Incoming { assembler: Assembler::new(limits), ahead, silence: None, end: None, close: None }
    }

    /// The next message; waits for it.
    pub(crate) fn read(&mut self, shared: &Shared<'_>) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.buffered(shared)? {
                return Ok(Some(message));
            }
            if self.is_over(shared)? {
                return Ok(None);
            }
            let (deadline, _) = self.silence(shared);
            let received = shared.link.recv_lent(Some(deadline));
            match received {
                Err(error) if is_elapsed(&error, deadline) => self.ask(shared)?,
                received => self.received(received, shared)?,
            }
        }
    }

    /// The same without waiting: `WouldBlock` if there is none.
    pub(crate) fn try_read(&mut self, shared: &Shared<'_>) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.buffered(shared)? {
                return Ok(Some(message));
            }
            if self.is_over(shared)? {
                return Ok(None);
            }
            let received = shared.link.try_recv_lent();
            if let Err(error) = &received
                && error.kind() == ErrorKind::WouldBlock
            {
                if Instant::now() >= self.silence(shared).0 {
                    self.ask(shared)?;
                }
                return Err(ErrorKind::WouldBlock.into());
            }
            self.received(received, shared)?;
        }
    }

    /// The first message among the bytes that are here.
    fn buffered(&mut self, shared: &Shared<'_>) -> io::Result<Option<Message>> {
        while self.end.is_none() && !self.ahead.bytes().is_empty() {
            let (n, item) = match self.assembler.take(self.ahead.bytes()) {
                Ok(taken) => taken,
                Err(fault) => return Err(self.fail(fault, shared)),
            };
            self.ahead.took(n);
            match item {
                None | Some(Item::Pong) => {}
                Some(Item::Message(message)) => return Ok(Some(message)),
                Some(Item::Ping(payload)) => shared.pong(&payload).inspect_err(|_| self.gone())?,
                Some(Item::Close(close)) => {
                    // OK to ignore: the client wanted the end, and here it is.
                    let _ = shared.close(close.code, "");
                    self.close = Some(close);
                    self.end = Some(End::Closed);
                }
            }
        }
        Ok(None)
    }

    fn is_over(&mut self, shared: &Shared<'_>) -> io::Result<bool> {
        match self.end {
            None if shared.is_stopping() => {
                let closed = shared.close(Some(1001), "the server stops");
                self.end = Some(if closed.is_ok() { End::Stopped } else { End::Gone });
                closed.map(|()| true)
            }
            None => Ok(false),
            Some(End::Closed | End::Stopped) => Ok(true),
            Some(End::Fault | End::Gone) => {
                Err(io::Error::new(ErrorKind::NotConnected, "the WebSocket has failed"))
            }
        }
    }

    fn received(
        &mut self,
        received: io::Result<(Vec<u8>, usize)>,
        shared: &Shared<'_>,
    ) -> io::Result<()> {
        match received {
            Ok((bytes, n)) => {
                self.ahead.put(bytes, n);
                self.silence = None;
                if n > 0 || shared.is_stopping() {
                    return Ok(());
                }
                self.gone();
                let text = "the client went away without a Close";
                Err(io::Error::new(ErrorKind::UnexpectedEof, text))
            }
            // A time-out around us: nothing is lost, another read goes on.
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(error),
            Err(error) => {
                self.gone();
                Err(error)
            }
        }
    }

    fn gone(&mut self) {
        self.end = Some(End::Gone);
    }

    fn silence(&mut self, shared: &Shared<'_>) -> (Instant, bool) {
        *self.silence.get_or_insert_with(|| (after(shared.terms.ping_after), false))
    }

    /// The client has been silent for too long.
    fn ask(&mut self, shared: &Shared<'_>) -> io::Result<()> {
        if let Some((_, true)) = self.silence {
            self.gone();
            return Err(io::Error::new(ErrorKind::TimedOut, "the client does not answer a ping"));
        }
        if shared.is_open() {
            shared.ping(b"").inspect_err(|_| self.gone())?;
        }
        self.silence = Some((after(shared.terms.pong_timeout), true));
        Ok(())
    }

    #[cold]
    fn fail(&mut self, fault: Fault, shared: &Shared<'_>) -> io::Error {
        shared.fail(fault);
        self.end = Some(End::Fault);
        io::Error::new(ErrorKind::InvalidData, fault.why)
    }

    /// The handler is done, and our Close is sent or cannot be. Gives the client the time to close too, so that
    /// it gets all that was sent: closing with its bytes unread would reset the connection.
    pub(crate) fn finish(mut self, shared: &Shared<'_>) {
        const TIME: Duration = Duration::from_secs(2);
        match self.end {
            Some(End::Closed | End::Gone) => return,
            Some(End::Fault) => {
                // It keeps its thread, so nobody else has to see to the rest.
                shared.link.end();
                return;
            }
            Some(End::Stopped) | None => {}
        }
        self.end = None;
        let deadline = after(TIME);
        let mut pause = Duration::from_millis(1);
        while self.end.is_none() && Instant::now() < deadline {
            match self.discard(shared, deadline) {
                Ok(1..) => {}
                // Its reading side was ended to wake us, so it says "nothing" at once. What comes is still there.
                Ok(0) if shared.is_stopping() => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Drops the messages that are here, then receives once.
    fn discard(&mut self, shared: &Shared<'_>, deadline: Instant) -> io::Result<usize> {
        while self.buffered(shared)?.is_some() {}
        if self.end.is_some() {
            return Ok(1);
        }
        let (bytes, n) = shared.link.recv_lent(Some(deadline))?;
        self.ahead.put(bytes, n);
        Ok(n)
    }
}

/// A time-out of ours, not one that encloses us.
fn is_elapsed(error: &io::Error, deadline: Instant) -> bool {
    error.kind() == ErrorKind::TimedOut && Instant::now() >= deadline
}

/// With a bound, so that there always is a deadline: without one an OS thread would use that of its socket.
fn after(time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + time.min(LONGEST)
}
