//! A connection on green threads. Between two turns it has none: `io::start_when_readable` gives it one when bytes come. The
//! same in the middle of a head, and when a client is to be listened to before the close.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};

use super::connection::{Connection, Prepared};
use super::detached;
use super::link::{Holder, LINGER, LINGER_BYTES, Link};
use super::tls::Session;
use super::turn::{Next, too_slow};
use crate::hub::clock::Moment;
use crate::io::{Descriptor, OnReadable, start_soon, start_when_readable};

/// A connection with its socket: while it waits, and while it has its turn. It stays in its box from one to the other.
struct Held {
    connection: Connection,
    socket: Descriptor,
    /// Of what is waited for.
    deadline: Moment,
    /// Nothing has come yet.
    is_fresh: bool,
}

/// A connection whose client hears no more, but may still be sending.
struct Lingering {
    connection: Connection,
    socket: Descriptor,
    /// So many bytes more, and so long.
    left: usize,
    deadline: Moment,
}

/// The first turn of a connection. Most clients ask at once, so that their request is here by the time that they are accepted:
/// it is looked for before the connection is registered anywhere, and one that asks once and closes never is. What has more to
/// hold than its socket before anything has come, a handshake or an announcement, waits for it first.
pub(crate) fn begin(connection: Connection, socket: Descriptor, deadline: Moment) {
    let held = Box::new(Held { connection, socket, deadline, is_fresh: true });
    if held.connection.is_plain() {
        // OK to ignore the error: as in `wait`.
        let _ = start_soon(held);
    } else {
        held.wait();
    }
}

impl OnReadable for Held {
    fn descriptor(&self) -> &Descriptor {
        &self.socket
    }

    fn group(&self) -> usize {
        let state = &self.connection.service.context.state;
        match (self.connection.has_begun(), self.is_fresh) {
            (true, _) => state.ending,
            (false, true) => state.fresh,
            (false, false) => state.idle,
        }
    }

    fn on_readable(self: Box<Self>, why: io::Result<()>) {
        match why {
            Ok(()) => self.turn(),
            Err(why) => self.nothing_came(&why),
        }
    }
}

impl Held {
    /// Leaves the connection to its worker until there is something to read, or closes it at its deadline, or if that is
    /// impossible. Never inlined: its frame must not lie below a handler's.
    #[inline(never)]
    fn wait(self: Box<Self>) {
        let Held { connection, is_fresh, .. } = &*self;
        let state = &connection.service.context.state;
        // A request that has begun is not idle: the graceful stop lets it finish.
        if !connection.has_begun() && state.closes_waiting(*is_fresh) {
            connection.goodbye_now(&self.socket);
            return;
        }
        let deadline = self.deadline;
        // OK to ignore the error: the socket is dropped, which is all that can be done.
        let _ = start_when_readable(self, deadline);
    }

    /// What was waited for has not come, and will not be waited for any longer.
    #[cold]
    #[inline(never)]
    fn nothing_came(self, why: &io::Error) {
        let Held { connection, socket, .. } = self;
        if !connection.has_begun() || why.kind() != ErrorKind::TimedOut {
            return connection.goodbye_now(&socket);
        }
        let link = Link::new(&socket, &connection.service.context, Holder::Turn);
        if let Next::Linger = too_slow(&link.over(connection.session())) {
            linger(connection, socket);
        }
    }

    /// On a green thread: something came. What is done before and after the turn has frames of its own, which do not
    /// lie below a handler's.
    fn turn(mut self: Box<Self>) {
        let next = match self.connection.is_plain() {
            true => self.connection.answer(&self.socket),
            false => match self.prepare() {
                Prepared::Ready => self.connection.answer(&self.socket),
                Prepared::Waits => return self.wait(),
                Prepared::Refused => Next::Linger,
                Prepared::Gone => return,
            },
        };
        self.go_on(next);
    }

    /// What comes before the first request: the proxy's announcement and the handshake.
    #[inline(never)]
    fn prepare(&mut self) -> Prepared {
        self.connection.open(&self.socket, &mut self.deadline)
    }

    /// What comes after the turn.
    #[inline(never)]
    fn go_on(mut self: Box<Self>, next: Next) {
        let Held { connection, deadline, is_fresh, .. } = &mut *self;
        let config = &connection.service.context.config;
        match next {
            Next::Idle(answered) => {
                let answered = answered.unwrap_or_else(Moment::about_now);
                *deadline = answered.after(config.keep_alive_timeout).after(Moment::TICK);
                *is_fresh = false;
                connection.kept.take_if(|kept| kept.session.is_none() && kept.proxy.is_none());
            }
            Next::Nothing => {
                if connection.session().is_some_and(Session::has_begun) {
                    // A record that has begun is to come to its end as a head is.
                    *deadline = (*deadline).min(Link::after(config.header_timeout).into());
                }
            }
            Next::Head(begun) => {
                *deadline = begun.deadline.into();
                *is_fresh = false;
                connection.kept.get_or_insert_default().begun = Some(begun);
            }
            ended => return self.end(ended),
        }
        self.wait();
    }

    /// What comes after the last turn.
    #[inline(never)]
    fn end(self, next: Next) {
        let Held { connection, socket, .. } = self;
        match next {
            Next::Linger => linger(connection, socket),
            Next::Upgrade(upgrade) => connection.leave_http(socket, *upgrade),
            Next::Follow(following, chunked) => {
                let service = connection.service.clone();
                detached::start(*following, socket, service, chunked, Box::new(connection));
            }
            Next::Close | Next::Idle(_) | Next::Nothing | Next::Head(_) => {}
        }
    }
}

/// Closes a connection whose client may still be sending, when it has listened for a moment.
#[inline(never)]
fn linger(connection: Connection, socket: Descriptor) {
    let (left, deadline) = (LINGER_BYTES, Link::after(LINGER).into());
    Box::new(Lingering { connection, socket, left, deadline }).go_on();
}

impl OnReadable for Lingering {
    fn descriptor(&self) -> &Descriptor {
        &self.socket
    }

    fn group(&self) -> usize {
        self.connection.service.context.state.ending
    }

    fn on_readable(self: Box<Self>, why: io::Result<()>) {
        if why.is_ok() {
            self.go_on();
        }
    }
}

impl Lingering {
    /// Drops what has come, and waits for more.
    fn go_on(mut self: Box<Self>) {
        if Link::drain(&self.socket, &mut self.left) {
            let deadline = self.deadline;
            // OK to ignore the error: as in `Held::wait`.
            let _ = start_when_readable(self, deadline);
        }
    }
}
