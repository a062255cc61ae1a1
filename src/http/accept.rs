//! Accepting, and what a connection's turns run on: the meaning of each [`Mode`](super::Mode).
//!
//! Green: an acceptor per worker; each connection stays with the worker that accepted it. Between two turns it
//! has no green thread: `io::start_when_readable` starts one when bytes come. Threads and pool: one acceptor,
//! and OS threads that stay in `recv` between two turns.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{Context, Next, turn};
use super::link::Link;
use super::router::Handler;
use super::state::{Open, Reachable, Waits};
use super::upgrade::Upgrade;
use crate::blocking::os_thread;
use crate::io::{Descriptor, end_idle, start_when_readable};
use crate::net::TcpListener;
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
    /// Counts it.
    _open: Open,
}

/// The next connection, or `None` when the server stops. Whatever else goes wrong, it goes on.
fn next(listener: &TcpListener, context: &Context) -> Option<(Descriptor, SocketAddr, Open)> {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    let mut pause = FIRST;
    loop {
        let error = match listener.accept() {
            _ if context.state.is_stopping() => return None,
            Ok((stream, peer)) => {
                // At the limit this one is kept waiting, and no further one is accepted.
                let open = context.state.open(context.config.max_connections)?;
                return Some((stream.0.into_descriptor(), peer, open));
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

/// Accepts on the calling green thread's worker until the server stops.
pub(crate) fn green(listener: &TcpListener, service: &Arc<Service>) {
    let context = &service.context;
    while let Some((socket, peer, open)) = next(listener, context) {
        let connection = Connection { service: service.clone(), peer, _open: open };
        connection.wait(socket, Link::after(context.config.header_timeout));
    }
    end_idle(context.state.group);
}

impl Connection {
    /// Leaves the connection to its worker until there is something to read, or closes it at
    /// `deadline`, or if that is impossible. Never inlined: its frame must not lie below a handler's.
    #[inline(never)]
    fn wait(self, socket: Descriptor, deadline: Option<Instant>) {
        let state = &self.service.context.state;
        if state.is_stopping() {
            return;
        }
        // OK to ignore the error: the socket is dropped, which is all that can be done.
        let _ = start_when_readable(socket, state.group, deadline, move |socket, ready| {
            if ready.is_ok() {
                self.turn(socket, deadline);
            }
        });
    }

    /// On a fresh green thread: something came.
    fn turn(self, socket: Descriptor, deadline: Option<Instant>) {
        let Service { context, app } = &*self.service;
        let link = Link::new(&socket, context, None);
        match turn(context, &**app, &link, self.peer, None) {
            Next::Idle => {
                let deadline = Link::after(context.config.keep_alive_timeout);
                self.wait(socket, deadline);
            }
            Next::Nothing => self.wait(socket, deadline),
            Next::Close => {}
            Next::Upgrade(upgrade) => self.leave_http(socket, upgrade),
        }
    }

    /// Runs what took the connection over, on this green thread. Never inlined: as above.
    #[inline(never)]
    fn leave_http(self, socket: Descriptor, upgrade: Upgrade) {
        let context = &self.service.context;
        let reachable = Arc::new(Reachable::new(socket));
        reachable.set(Waits::Upgraded);
        let _listed = context.state.list(&reachable);
        upgrade.run(&Link::new(&reachable.socket, context, None), &context.state.stopping);
    }

    /// On an OS thread, from the first request to the last.
    fn serve(self, socket: Descriptor) -> io::Result<()> {
        let Service { context, app } = &*self.service;
        Link::prepare_os(&socket, &context.config)?;
        let os = Arc::new(Reachable::new(socket));
        let _listed = context.state.list(&os);
        let link = Link::new(&os.socket, context, Some(&os));
        let mut deadline = Link::after(context.config.header_timeout);
        loop {
            os.set(Waits::ForRequest);
            if context.state.is_stopping() {
                break;
            }
            match turn(context, &**app, &link, self.peer, deadline) {
                Next::Idle | Next::Nothing => {}
                Next::Close => break,
                Next::Upgrade(upgrade) => {
                    os.set(Waits::Upgraded);
                    upgrade.run(&link, &context.state.stopping);
                    break;
                }
            }
            deadline = None; // as set on the socket
        }
        Ok(())
    }
}

/// Accepts until the server stops; an OS thread per connection.
pub(crate) fn threads(listener: &TcpListener, service: &Arc<Service>) {
    while let Some((socket, peer, open)) = next(listener, &service.context) {
        let connection = Connection { service: service.clone(), peer, _open: open };
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

/// Accepts until the server stops; `size` OS threads take the connections, one at a time each.
pub(crate) fn pool(listener: &TcpListener, service: &Arc<Service>, size: usize) -> io::Result<()> {
    let waiting = Arc::new(Waiting::new(VecDeque::new()));
    for started in 0..size {
        let theirs = waiting.clone();
        let thread = os_thread("sward-http", move || {
            while let Some((connection, socket)) = take(&theirs) {
                // OK to ignore: a socket that takes no options is closed.
                let _ = connection.serve(socket);
            }
        });
        if let Err(error) = thread {
            end(&waiting, started);
            return Err(error);
        }
    }
    while let Some((socket, peer, open)) = next(listener, &service.context) {
        let connection = Connection { service: service.clone(), peer, _open: open };
        let mut queue = waiting.lock();
        queue.push_back(Some((connection, socket)));
        queue.wake_one(0);
    }
    end(&waiting, size);
    Ok(())
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

/// Those that still wait for a thread are closed, and the threads end after what they are doing.
fn end(waiting: &Waiting, threads: usize) {
    let mut queue = waiting.lock();
    let turned_away = std::mem::take(&mut *queue);
    queue.extend((0..threads).map(|_| None));
    queue.wake_all(0);
    drop(queue);
    drop(turned_away);
}
