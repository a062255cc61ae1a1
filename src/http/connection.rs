//! A connection between accept and close, whatever it runs on: what it remembers from one turn to the next, and what comes
//! before its first request. Who waits between two turns: on an OS thread it does so itself, [`serve`](Connection::serve); on
//! green threads see `held.rs`.

#![forbid(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::announce::Announcing;
use super::announced::Client;
use super::link::{Holder, Link};
use super::listener::Listener;
use super::router::Handler;
use super::state::{Open, Reachable, Waits};
use super::tls::{Session, Shaken, Tls, goodbye_now};
use super::turn::{Begun, Context, Next, turn};
use super::upgrade::Upgrade;
use crate::hub::clock::Moment;
use crate::io::Descriptor;

/// A server's handlers with what their connections need.
pub(crate) struct Service {
    /// Limits and state.
    pub(crate) context: Context,
    /// The handlers.
    pub(crate) app: Box<dyn Handler>,
}

/// A connection between accept and close, without its socket.
pub(crate) struct Connection {
    pub(crate) service: Arc<Service>,
    peer: SocketAddr,
    /// A handshake is to be made with this, before anything else.
    tls: Option<Tls>,
    /// What it has to remember between two turns; most have nothing.
    pub(crate) kept: Option<Box<Kept>>,
    /// Counts it.
    _open: Open,
}

/// What a connection remembers between two turns beside its socket.
#[derive(Default)]
pub(crate) struct Kept {
    /// A head whose rest is still to come.
    pub(crate) begun: Option<Begun>,
    /// What encrypts it.
    pub(crate) session: Option<Box<Session>>,
    /// The proxy has still to announce its client, before anything else.
    announcing: Option<Announcing>,
    /// The proxy that has.
    pub(crate) proxy: Option<SocketAddr>,
}

/// What came of a connection before its first request.
pub(crate) enum Prepared {
    /// It can be asked.
    Ready,
    /// There is more to come.
    Waits,
    /// It was told to go, and may still be sending.
    Refused,
    Gone,
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

impl Connection {
    /// One that `listener` has accepted. `None` if its client has too many.
    pub(crate) fn new(
        listener: &Listener,
        service: &Arc<Service>,
        peer: SocketAddr,
        open: Open,
    ) -> Option<Connection> {
        let kept = listener
            .announces()
            .then(|| Box::new(Kept { announcing: Some(Announcing::default()), ..Kept::default() }));
        if kept.is_none() && !has_room(&service.context, peer) {
            return None;
        }
        let (service, tls) = (service.clone(), listener.speaks().cloned());
        Some(Connection { service, peer, tls, kept, _open: open })
    }

    /// It has nothing to remember: no handshake to make, no announcement to read, no head that has begun.
    pub(crate) fn is_plain(&self) -> bool {
        self.kept.is_none() && self.tls.is_none()
    }

    /// The rest of a head is to come.
    pub(crate) fn has_begun(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.begun.is_some())
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

    pub(crate) fn session(&self) -> Option<&Session> {
        self.kept.as_ref().and_then(|kept| kept.session.as_deref())
    }

    /// It is closed while it is idle.
    pub(crate) fn goodbye_now(&self, socket: &Descriptor) {
        if let Some(session) = self.session() {
            goodbye_now(session, socket);
        }
    }

    pub(crate) fn open(&mut self, socket: &Descriptor, deadline: &mut Moment) -> Prepared {
        if let Some(announcing) = self.kept.as_mut().and_then(|kept| kept.announcing.as_mut()) {
            match announcing.step(socket) {
                Ok(Some(client)) if self.is_announced(client) => {}
                Ok(None) => return Prepared::Waits,
                _ => return Prepared::Gone,
            }
        }
        match self.shake(socket) {
            None => {}
            Some(Shaken::Done) => {
                *deadline = Link::after(self.service.context.config.header_timeout).into();
            }
            Some(Shaken::More) => return Prepared::Waits,
            Some(Shaken::Refused) => return Prepared::Refused,
            Some(Shaken::Gone) => return Prepared::Gone,
        }
        Prepared::Ready
    }

    /// Answers all requests that have come.
    #[inline(never)]
    pub(crate) fn answer(&mut self, socket: &Descriptor) -> Next {
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

    /// Goes on with the handshake, if there is one to make. Never inlined: as above.
    #[inline(never)]
    fn shake(&mut self, socket: &Descriptor) -> Option<Shaken> {
        let tls = self.tls.take()?;
        let mut session = self.kept.as_mut().and_then(|kept| kept.session.take());
        let link = Link::new(socket, &self.service.context, Holder::Turn);
        // It does not wait, so it needs no deadline.
        let shaken = link.shake(&tls, &mut session, None);
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

    /// Runs what took the connection over, on this green thread. Never inlined: as above.
    #[inline(never)]
    pub(crate) fn leave_http(self, socket: Descriptor, upgrade: Upgrade) {
        let context = &self.service.context;
        let reachable = Arc::new(Reachable::new(socket));
        reachable.set(Waits::Upgraded);
        let _listed = context.state.list(&reachable);
        let link = Link::new(&reachable.socket, context, Holder::Green).over(self.session());
        upgrade.run(&link, &context.state.stopping);
        link.goodbye();
    }

    /// On an OS thread, from the first request to the last.
    pub(crate) fn serve(mut self, socket: Descriptor) -> io::Result<()> {
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
