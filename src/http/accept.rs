//! Accepting, and what a connection's turns run on: the meaning of each [`Mode`](super::Mode).
//!
//! Green: an acceptor per worker; each connection stays with the worker that accepted it. Between two turns it
//! has no green thread: `io::start_when_readable` starts one when bytes come. The same in the middle of a head, and when
//! a client is to be listened to before the close. Threads and pool: an acceptor per listener, and OS threads that stay in
//! `recv` between two turns.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::announce::Announcing;
use super::announced::Client;
use super::connection::{Begun, Context, Next, too_slow, turn};
use super::detached;
use super::link::{Holder, LINGER, LINGER_BYTES, Link};
use super::listener::Listener;
use super::router::Handler;
use super::state::{Open, Reachable, Waits};
use super::tls::{Session, Shaken, Tls, goodbye_now};
use super::upgrade::Upgrade;
use crate::blocking::os_thread;
use crate::io::{Descriptor, end_idle, start_soon, start_when_readable};
use crate::thread;
use crate::wait::Monitor;

/// A server's handlers with what their connections need.
pub(crate) struct Service {
    /// Limits and state.
    pub(crate) context: Context,
    /// The handlers.
    pub(crate) app: Box<dyn Handler>,
}

/// A connection between accept and close, without its socket.
struct Connection {
    service: Arc<Service>,
    peer: SocketAddr,
    /// A handshake is to be made with this, before anything else.
    tls: Option<Tls>,
    /// What it has to remember between two turns; most have nothing.
    kept: Option<Box<Kept>>,
    /// Counts it.
    _open: Open,
}

/// What a connection remembers between two turns beside its socket.
#[derive(Default)]
struct Kept {
    /// A head whose rest is still to come.
    begun: Option<Begun>,
    /// What encrypts it.
    session: Option<Box<Session>>,
    /// The proxy has still to announce its client, before anything else.
    announcing: Option<Announcing>,
    /// The proxy that has.
    proxy: Option<SocketAddr>,
}

/// A connection that has its turn.
struct Held {
    connection: Connection,
    socket: Descriptor,
    /// Of what was waited for.
    deadline: Option<Instant>,
    is_fresh: bool,
}

/// What came of a connection before its first request.
enum Prepared {
    /// It can be asked.
    Ready,
    /// There is more to come.
    Waits,
    /// It was told to go, and may still be sending.
    Refused,
    Gone,
}

/// The next connection, or `None` when the server stops. Whatever else goes wrong, it goes on.
fn next(listener: &Listener, service: &Arc<Service>) -> Option<(Connection, Descriptor)> {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    let context = &service.context;
    let mut pause = FIRST;
    loop {
        let error = match listener.accept()? {
            // One that came just before the stop is served: with a listener that others go on with no client is lost.
            Ok((socket, peer)) => {
                if !listener.admits(peer) {
                    continue;
                }
                // At the limit this one is kept waiting, and no further one is accepted.
                let _open = context.state.open(context.config.max_connections)?;
                let kept = listener.announces().then(|| {
                    Box::new(Kept { announcing: Some(Announcing::default()), ..Kept::default() })
                });
                if kept.is_none() && !has_room(context, peer) {
                    continue;
                }
                let (service, tls) = (service.clone(), listener.speaks().cloned());
                return Some((Connection { service, peer, tls, kept, _open }, socket));
            }
            Err(error) => error,
        };
        match error.kind() {
            // That client is gone already; the next may be there.
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
            // Descriptors or memory ran out, mostly: give others time to close theirs.
            _ => {
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

/// Counts a connection of that client, if there is a limit, which it must not exceed.
fn has_room(context: &Context, peer: SocketAddr) -> bool {
    let most = context.config.max_connections_per_ip.filter(|_| has_address(peer));
    most.is_none_or(|most| context.state.per_address.enter(peer.ip(), most))
}

/// Clients on Unix sockets have none.
fn has_address(peer: SocketAddr) -> bool {
    !peer.ip().is_unspecified()
}

impl Drop for Connection {
    /// It does not count any more.
    fn drop(&mut self) {
        let Context { config, state } = &self.service.context;
        let was_announced = self.kept.as_ref().is_none_or(|kept| kept.announcing.is_none());
        if config.max_connections_per_ip.is_some() && was_announced && has_address(self.peer) {
            state.per_address.leave(self.peer.ip());
        }
    }
}

/// Accepts on the calling green thread's worker until the server stops.
pub(crate) fn green(listener: &Listener, service: &Arc<Service>) {
    let context = &service.context;
    let _attended = listener.attend();
    while let Some((connection, socket)) = next(listener, service) {
        connection.begin(socket, Link::after(listener.patience(&context.config)));
    }
    end_idle(context.state.idle);
}

impl Connection {
    /// Its first turn. Most clients ask at once, so that their request is here by the time that they are accepted: it is
    /// looked for before the connection is registered anywhere, and one that asks once and closes never is. What has more to
    /// hold than its socket before anything has come, a handshake or an announcement, waits for it first.
    fn begin(self, socket: Descriptor, deadline: Option<Instant>) {
        if self.tls.is_some() || self.kept.is_some() {
            return self.wait(socket, deadline, true);
        }
        let group = self.service.context.state.fresh;
        // OK to ignore the error: as in `wait`.
        let _ = start_soon(socket, group, move |socket, _| self.turn(socket, deadline, true));
    }

    /// Leaves the connection to its worker until there is something to read, or closes it at
    /// `deadline`, or if that is impossible. It is fresh as long as nothing has come. Never inlined: its frame must not
    /// lie below a handler's.
    #[inline(never)]
    fn wait(self, socket: Descriptor, deadline: Option<Instant>, is_fresh: bool) {
        let state = &self.service.context.state;
        // A request that has begun is not idle: the graceful stop lets it finish.
        let begun = self.kept.as_ref().is_some_and(|kept| kept.begun.is_some());
        if !begun && state.closes_waiting(is_fresh) {
            self.goodbye_now(&socket);
            return;
        }
        let group = match (begun, is_fresh) {
            (true, _) => state.ending,
            (false, true) => state.fresh,
            (false, false) => state.idle,
        };
        // OK to ignore the error: the socket is dropped, which is all that can be done.
        let _ = start_when_readable(socket, group, deadline, move |socket, ready| match ready {
            Ok(()) => self.turn(socket, deadline, is_fresh),
            Err(error) if begun && error.kind() == ErrorKind::TimedOut => {
                let link = Link::new(&socket, &self.service.context, Holder::Turn);
                if let Next::Linger = too_slow(&link.over(self.session())) {
                    self.linger(socket, LINGER_BYTES, Link::after(LINGER));
                }
            }
            Err(_) => self.goodbye_now(&socket),
        });
    }

    /// The proxy has said for whom it speaks. False if that client has too many connections.
    fn is_announced(&mut self, client: Client) -> bool {
        let proxy = self.peer;
        let peer = match client {
            Client::At(addr) => addr,
            Client::OnUnix => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            Client::Unknown => proxy,
        };
        let has_room = has_room(&self.service.context, peer);
        if let Some(kept) = &mut self.kept
            && has_room
        {
            kept.announcing = None;
            kept.proxy = Some(proxy);
            self.peer = peer;
        }
        has_room
    }

    fn proxy(&self) -> Option<&SocketAddr> {
        self.kept.as_ref()?.proxy.as_ref()
    }

    fn session(&self) -> Option<&Session> {
        self.kept.as_ref().and_then(|kept| kept.session.as_deref())
    }

    /// It is closed while it is idle.
    fn goodbye_now(&self, socket: &Descriptor) {
        if let Some(session) = self.session() {
            goodbye_now(session, socket);
        }
    }

    /// On a fresh green thread: something came. What is done before and after the turn has frames of its own, which do not
    /// lie below a handler's; and the connection is handed to them where it is, instead of being moved.
    fn turn(self, socket: Descriptor, deadline: Option<Instant>, is_fresh: bool) {
        let mut held = Some(Held { connection: self, socket, deadline, is_fresh });
        let Some(Held { connection, socket, .. }) = &mut held else { return };
        let next = match connection.kept.is_some() || connection.tls.is_some() {
            false => connection.answer(socket),
            true => match Connection::prepare(&mut held) {
                Some(next) => next,
                None => return,
            },
        };
        Connection::go_on(&mut held, next);
    }

    /// What comes before the first request, the proxy's announcement and the handshake; then the turn. `None`: it is taken
    /// care of.
    #[inline(never)]
    fn prepare(held: &mut Option<Held>) -> Option<Next> {
        let Held { connection, socket, deadline, is_fresh } = held.as_mut()?;
        match connection.open(socket, deadline) {
            Prepared::Ready => return Some(connection.answer(socket)),
            Prepared::Waits => {
                let (deadline, is_fresh) = (*deadline, *is_fresh);
                let Held { connection, socket, .. } = held.take()?;
                connection.wait(socket, deadline, is_fresh);
            }
            Prepared::Refused => {
                let Held { connection, socket, .. } = held.take()?;
                connection.linger(socket, LINGER_BYTES, Link::after(LINGER));
            }
            Prepared::Gone => {}
        }
        None
    }

    fn open(&mut self, socket: &Descriptor, deadline: &mut Option<Instant>) -> Prepared {
        if let Some(announcing) = self.kept.as_mut().and_then(|kept| kept.announcing.as_mut()) {
            match announcing.step(socket) {
                Ok(Some(client)) if self.is_announced(client) => {}
                Ok(None) => return Prepared::Waits,
                _ => return Prepared::Gone,
            }
        }
        match self.shake(socket, *deadline) {
            None => {}
            Some(Shaken::Done) => {
                *deadline = Link::after(self.service.context.config.header_timeout);
            }
            Some(Shaken::More) => return Prepared::Waits,
            Some(Shaken::Refused) => return Prepared::Refused,
            Some(Shaken::Gone) => return Prepared::Gone,
        }
        Prepared::Ready
    }

    /// Answers all requests that have come.
    #[inline(never)]
    fn answer(&mut self, socket: &Descriptor) -> Next {
        let begun = self.kept.as_mut().and_then(|kept| kept.begun.take());
        let Service { context, app } = &*self.service;
        // In place: each move of it would leave one more on the stack.
        let mut link = Link::new(socket, context, Holder::Turn);
        (link.tls, link.proxy) = (self.session(), self.proxy());
        let next = turn(context, &**app, &link, &self.peer, None, begun);
        match (&next, link.tls) {
            (Next::Idle(_), Some(session)) if session.has_more() => {
                self.answer_more(&link, session)
            }
            (Next::Close, _) => {
                link.goodbye();
                next
            }
            _ => next,
        }
    }

    /// What is here already would not wake anybody.
    #[inline(never)]
    fn answer_more(&self, link: &Link<'_>, session: &Session) -> Next {
        let Service { context, app } = &*self.service;
        loop {
            match turn(context, &**app, link, &self.peer, None, None) {
                Next::Idle(_) if session.has_more() => {}
                next => {
                    if let Next::Close = next {
                        link.goodbye();
                    }
                    return next;
                }
            }
        }
    }

    /// What comes after that.
    #[inline(never)]
    fn go_on(held: &mut Option<Held>, next: Next) {
        let Some(held) = held.take() else { return };
        held.connection.after(held.socket, next, held.deadline, held.is_fresh);
    }

    fn after(
        mut self,
        socket: Descriptor,
        next: Next,
        mut deadline: Option<Instant>,
        is_fresh: bool,
    ) {
        let config = &self.service.context.config;
        match next {
            Next::Idle(answered) => {
                let answered = answered.unwrap_or_else(Instant::now);
                let deadline = answered.checked_add(config.keep_alive_timeout);
                self.kept.take_if(|kept| kept.session.is_none() && kept.proxy.is_none());
                self.wait(socket, deadline, false);
            }
            Next::Nothing => {
                if self.session().is_some_and(Session::has_begun) {
                    // A record that has begun is to come to its end as a head is.
                    deadline = deadline.min(Link::after(config.header_timeout));
                }
                self.wait(socket, deadline, is_fresh);
            }
            Next::Head(begun) => {
                let deadline = begun.deadline;
                self.kept.get_or_insert_default().begun = Some(begun);
                self.wait(socket, deadline, false);
            }
            Next::Close => {}
            Next::Linger => self.linger(socket, LINGER_BYTES, Link::after(LINGER)),
            Next::Upgrade(upgrade) => self.leave_http(socket, *upgrade),
            Next::Follow(following, chunked) => {
                let service = self.service.clone();
                detached::start(*following, socket, service, chunked, Box::new(self));
            }
        }
    }

    /// Goes on with the handshake, if there is one to make. Never inlined: as above.
    #[inline(never)]
    fn shake(&mut self, socket: &Descriptor, deadline: Option<Instant>) -> Option<Shaken> {
        let tls = self.tls.take()?;
        let mut session = self.kept.as_mut().and_then(|kept| kept.session.take());
        let link = Link::new(socket, &self.service.context, Holder::Turn);
        let shaken = link.shake(&tls, &mut session, deadline);
        match shaken {
            Shaken::More => self.tls = Some(tls),
            Shaken::Refused => drop(link.end()),
            Shaken::Done | Shaken::Gone => {}
        }
        if session.is_some() {
            self.kept.get_or_insert_default().session = session;
        }
        Some(shaken)
    }

    /// Closes a connection whose client may still be sending, after up to `left` more bytes.
    #[inline(never)]
    fn linger(self, socket: Descriptor, mut left: usize, deadline: Option<Instant>) {
        if !Link::drain(&socket, &mut left) {
            return;
        }
        let ending = self.service.context.state.ending;
        // OK to ignore the error: as in `wait`.
        let _ = start_when_readable(socket, ending, deadline, move |socket, ready| {
            if ready.is_ok() {
                self.linger(socket, left, deadline);
            }
        });
    }

    /// Runs what took the connection over, on this green thread. Never inlined: as above.
    #[inline(never)]
    fn leave_http(self, socket: Descriptor, upgrade: Upgrade) {
        let context = &self.service.context;
        let reachable = Arc::new(Reachable::new(socket));
        reachable.set(Waits::Upgraded);
        let _listed = context.state.list(&reachable);
        let link = Link::new(&reachable.socket, context, Holder::Green).over(self.session());
        upgrade.run(&link, &context.state.stopping);
        link.goodbye();
    }

    /// On an OS thread, from the first request to the last.
    fn serve(mut self, socket: Descriptor) -> io::Result<()> {
        let service = self.service.clone();
        let Service { context, app } = &*service;
        Link::prepare_os(&socket, &context.config)?;
        let mut os = Reachable::new(socket);
        os.says_goodbye = self.tls.is_some();
        let os = Arc::new(os);
        let _listed = context.state.list(&os);
        if self.kept.as_ref().is_some_and(|kept| kept.announcing.is_some()) {
            os.set(Waits::ForFirst);
            if context.state.closes_waiting(true) {
                return Ok(());
            }
            let deadline = Link::after(context.config.header_timeout);
            let client = Announcing::wait(&os.socket, deadline)?;
            if !self.is_announced(client) {
                return Ok(());
            }
        }
        let mut session = None;
        if let Some(tls) = &self.tls {
            os.set(Waits::ForFirst);
            if context.state.closes_waiting(true) {
                return Ok(());
            }
            let link = Link::new(&os.socket, context, Holder::Os(&os));
            let deadline = Link::after(context.config.tls_handshake_timeout);
            match link.shake(tls, &mut session, deadline) {
                Shaken::Done => {}
                Shaken::Refused => {
                    link.end();
                    return Ok(());
                }
                Shaken::More | Shaken::Gone => return Ok(()),
            }
        }
        let link = Link::new(&os.socket, context, Holder::Os(&os));
        let link = link.over(session.as_deref()).by(self.proxy());
        let mut deadline = Link::after(context.config.header_timeout);
        let mut is_fresh = true;
        loop {
            os.set(if is_fresh { Waits::ForFirst } else { Waits::ForRequest });
            if context.state.closes_waiting(is_fresh) {
                break;
            }
            match turn(context, &**app, &link, &self.peer, deadline, None) {
                Next::Idle(_) | Next::Nothing => {}
                Next::Close | Next::Linger | Next::Head(_) | Next::Follow(..) => break,
                Next::Upgrade(upgrade) => {
                    os.set(Waits::Upgraded);
                    upgrade.run(&link, &context.state.stopping);
                    break;
                }
            }
            is_fresh = false;
            deadline = None; // as set on the socket
        }
        link.goodbye();
        Ok(())
    }
}

/// Accepts until the server stops; an OS thread per connection.
pub(crate) fn threads(listener: &Listener, service: &Arc<Service>) {
    let _attended = listener.attend();
    while let Some((connection, socket)) = next(listener, service) {
        let started = os_thread("sward-http", move || {
            // OK to ignore: a socket that takes no options is closed.
            let _ = connection.serve(socket);
        });
        if started.is_err() {
            // No more threads: that client is turned away, the next may be luckier.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Connections that wait for a thread of the pool. `None` in it tells one thread to end.
type Waiting = Monitor<VecDeque<Option<(Connection, Descriptor)>>>;

/// OS threads that take connections, one at a time each. They end when this is dropped and no connection waits any more.
pub(crate) struct Pool {
    waiting: Arc<Waiting>,
    size: usize,
}

impl Pool {
    pub(crate) fn start(size: usize) -> io::Result<Pool> {
        let mut pool = Pool { waiting: Arc::new(Waiting::new(VecDeque::new())), size: 0 };
        for _ in 0..size {
            let theirs = pool.waiting.clone();
            os_thread("sward-http", move || {
                while let Some((connection, socket)) = take(&theirs) {
                    // OK to ignore: a socket that takes no options is closed.
                    let _ = connection.serve(socket);
                }
            })?;
            pool.size += 1;
        }
        Ok(pool)
    }

    /// Accepts until the server stops.
    pub(crate) fn accept(&self, listener: &Listener, service: &Arc<Service>) {
        let _attended = listener.attend();
        while let Some(connection) = next(listener, service) {
            let mut queue = self.waiting.lock();
            queue.push_back(Some(connection));
            queue.wake_one(0);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.waiting.lock();
        // Behind those that still wait for a thread: they were accepted, and may have asked.
        queue.extend((0..self.size).map(|_| None));
        queue.wake_all(0);
    }
}

fn take(waiting: &Waiting) -> Option<(Connection, Descriptor)> {
    loop {
        let mut queue = waiting.lock();
        if let Some(first) = queue.pop_front() {
            return first;
        }
        if let Err(why) = queue.wait(0, None) {
            why.unwind();
        }
    }
}
