//! Accepting: the meaning of each [`Mode`](super::Mode).
//!
//! Green: an acceptor per worker; each connection stays with the worker that accepted it (`held.rs`). Threads and pool: an
//! acceptor per listener, and OS threads that stay in `recv` between two turns (`connection.rs`).

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Connection, Service};
use super::held;
use super::link::Link;
use super::listener::Listener;
use crate::blocking::os_thread;
use crate::io::{Descriptor, end_idle};
use crate::thread;
use crate::wait::Monitor;

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
                let open = context.state.open(context.config.max_connections)?;
                match Connection::new(listener, service, peer, open) {
                    Some(connection) => return Some((connection, socket)),
                    None => continue,
                }
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
pub(crate) fn green(listener: &Listener, service: &Arc<Service>) {
    let context = &service.context;
    let _attended = listener.attend();
    while let Some((connection, socket)) = next(listener, service) {
        held::begin(connection, socket, Link::after(listener.patience(&context.config)).into());
    }
    end_idle(context.state.idle);
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
