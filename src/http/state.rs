//! What a server's parts know of each other while it runs: how many connections are open, whether it is to
//! stop, and which connections must be reached from elsewhere for that.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::listener::Listener;
use super::per_address::PerAddress;
use crate::io::Descriptor;
use crate::sync::Mutex;
use crate::sys::{self, Lock};
use crate::wait::Monitor;

/// Shared by a server, its handles and its connections.
pub(crate) struct State {
    /// Graceful stop has begun: no connection is kept, and none accepted.
    pub(crate) stopping: AtomicBool,
    /// The time of the graceful stop is over: all I/O fails.
    pub(crate) cut: AtomicBool,
    /// What `io::end_idle` knows this server's connections by that wait without a thread and can be closed at any time.
    pub(crate) idle: usize,
    /// The same of those that are in the middle of a head, or about to close: they have until the end of the graceful stop.
    pub(crate) ending: usize,
    /// The same of those on which nothing has come yet: their clients may be about to ask, and get a moment.
    pub(crate) fresh: usize,
    /// That moment is over.
    fresh_over: AtomicBool,
    /// Nobody is to wait for the end of the graceful stop.
    hurry: AtomicBool,
    /// Whether `serve` has returned, or will never be called.
    over: Monitor<bool>,
    /// How many each address has, if there is a limit.
    pub(crate) per_address: PerAddress,
    /// How many connections are open.
    open: Monitor<usize, 2>,
    /// To be closed when the server stops.
    listeners: Mutex<Vec<Arc<Listener>>>,
    /// Connections that OS threads serve, and upgraded ones.
    reachable: Mutex<HashMap<usize, Arc<Reachable>>>,
}

/// Queue of `State::open`: acceptors at the connection limit.
const BELOW_LIMIT: usize = 0;
/// Queue of `State::open`: who waits for the last connection to close.
const EMPTY: usize = 1;

impl State {
    pub(crate) fn new() -> State {
        static GROUPS: AtomicUsize = AtomicUsize::new(1);
        let group = GROUPS.fetch_add(3, Ordering::Relaxed);
        State {
            stopping: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            idle: group,
            ending: group + 1,
            fresh: group + 2,
            fresh_over: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            over: Monitor::new(false),
            per_address: PerAddress::default(),
            open: Monitor::new(0),
            listeners: Mutex::new(Vec::new()),
            reachable: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        *self.open.lock()
    }

    /// Counts a connection until what this returns is dropped; while there are `limit` already, waits.
    /// `None` when the server stops before there is room.
    pub(crate) fn open(self: &Arc<Self>, limit: usize) -> Option<Open> {
        loop {
            let mut open = self.open.lock();
            if *open < limit.max(1) {
                *open += 1;
                drop(open);
                return Some(Open(self.clone()));
            }
            if self.is_stopping() {
                return None;
            }
            if let Err(why) = open.wait(BELOW_LIMIT, None) {
                why.unwind();
            }
        }
    }

    /// Waits for the last connection to close; false if `deadline` comes first, or if there is no time for this.
    pub(crate) fn wait_empty(&self, deadline: Option<Instant>) -> bool {
        loop {
            let open = self.open.lock();
            if *open == 0 {
                return true;
            }
            if self.is_in_a_hurry() {
                return false;
            }
            match open.wait(EMPTY, deadline) {
                Ok(()) => {}
                Err(crate::hub::Interrupt::TimedOut) => return false,
                Err(why) => why.unwind(),
            }
        }
    }

    /// `listener` is to be closed when the server stops.
    pub(crate) fn watch(&self, listener: Arc<Listener>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.is_stopping() {
            listener.close();
        } else {
            listeners.push(listener);
        }
    }

    /// Those that are open.
    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Begins the graceful stop. Green threads' idle connections are closed by their acceptors.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let mut listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Taken out, for a socket that others share is closed only when its last owner here is gone.
        listeners.drain(..).for_each(|listener| listener.close());
        drop(listeners);
        self.open.lock().wake_all(BELOW_LIMIT);
        for connection in self.all_reachable() {
            connection.end();
        }
    }

    /// Whether a connection that waits for its next request, or for its first, is to be closed.
    pub(crate) fn closes_waiting(&self, is_fresh: bool) -> bool {
        self.is_stopping() && (!is_fresh || self.fresh_over.load(Ordering::SeqCst))
    }

    /// The graceful stop goes on without patience for those that have not asked anything yet. Green threads' connections
    /// of this kind are closed by their acceptors' workers.
    pub(crate) fn end_fresh(&self) {
        self.fresh_over.store(true, Ordering::SeqCst);
        for connection in self.all_reachable() {
            connection.end_fresh();
        }
    }

    /// The graceful stop is to end now, if it has begun; whoever serves sees to that.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::SeqCst);
        self.open.lock().wake_all(EMPTY);
    }

    pub(crate) fn is_in_a_hurry(&self) -> bool {
        self.hurry.load(Ordering::SeqCst)
    }

    /// Waits until `serve` has returned, or its server was dropped; false if `deadline` comes first.
    pub(crate) fn wait_over(&self, deadline: Option<Instant>) -> bool {
        loop {
            let over = self.over.lock();
            if *over {
                return true;
            }
            match over.wait(0, deadline) {
                Ok(()) => {}
                Err(crate::hub::Interrupt::TimedOut) => return false,
                Err(why) => why.unwind(),
            }
        }
    }

    /// Ends the graceful stop: what still runs fails at its next I/O, or in the one it waits in.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for connection in self.all_reachable() {
            connection.socket.close();
        }
    }

    /// Makes a connection reachable until what this returns is dropped.
    pub(crate) fn list<'s>(&'s self, connection: &'s Arc<Reachable>) -> Listed<'s> {
        let key = Arc::as_ptr(connection).addr();
        let mut all = self.reachable.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.insert(key, connection.clone());
        Listed { state: self, key }
    }

    fn all_reachable(&self) -> Vec<Arc<Reachable>> {
        let all = self.reachable.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.values().cloned().collect()
    }
}

/// Says when it is dropped that its server serves no more.
pub(crate) struct Over(pub(crate) Arc<State>);

impl Drop for Over {
    fn drop(&mut self) {
        let mut over = self.0.over.lock();
        *over = true;
        over.wake_all(0);
    }
}

/// A connection that is listed; no longer when this is dropped, by an unwind too.
pub(crate) struct Listed<'s> {
    state: &'s State,
    key: usize,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let all = &self.state.reachable;
        all.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&self.key);
    }
}

/// One open connection in the count.
pub(crate) struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.0.open.lock();
        *open -= 1;
        let left = *open;
        open.wake_one(BELOW_LIMIT);
        if left == 0 {
            open.wake_all(EMPTY);
        }
    }
}

/// A connection that the server can reach from elsewhere.
pub(crate) struct Reachable {
    /// Its socket.
    pub(crate) socket: Descriptor,
    /// An end of it is to be said over TLS, by the thread that serves it.
    pub(crate) says_goodbye: bool,
    /// What it waits for. Whoever sets it looks at `stopping` afterwards, and `stop` sets that before it
    /// looks here, so one of the two ends the connection.
    waits: Lock<Waits>,
}

/// What the client may send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Something that is under way.
    No,
    /// The first request.
    ForFirst,
    /// The next request: the connection can be closed at any time.
    ForRequest,
    /// Anything, for it has left HTTP: it is to end its own way.
    Upgraded,
}

impl Reachable {
    pub(crate) fn new(socket: Descriptor) -> Reachable {
        Reachable { socket, says_goodbye: false, waits: Lock::new(Waits::No) }
    }

    pub(crate) fn set(&self, waits: Waits) {
        *self.waits.lock() = waits;
    }

    /// The server stops: a connection without a request closes, and an upgraded one wakes from its read,
    /// which finds the end of the stream. It can still write, to say that it ends.
    fn end(&self) {
        match *self.waits.lock() {
            Waits::No | Waits::ForFirst => {}
            Waits::ForRequest => self.end_idle(),
            Waits::Upgraded => self.end_reading(),
        }
    }

    fn end_idle(&self) {
        if self.says_goodbye {
            self.end_reading();
        } else {
            self.socket.close();
        }
    }

    fn end_reading(&self) {
        // OK to ignore the error: then the connection is gone already.
        drop(sys::socket::shutdown(self.socket.as_fd(), Shutdown::Read));
    }

    fn end_fresh(&self) {
        if *self.waits.lock() == Waits::ForFirst {
            self.end_idle();
        }
    }
}
