//! What a server's parts know of each other while it runs: how many connections are open, whether it is to
//! stop, and which OS threads' connections can be closed at once because they wait for a request.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::io::Descriptor;
use crate::net::TcpListener;
use crate::sync::Mutex;
use crate::sys::Lock;
use crate::wait::Monitor;

/// Shared by a server, its handles and its connections.
pub(crate) struct State {
    /// Graceful stop has begun: no connection is kept, and none accepted.
    pub(crate) stopping: AtomicBool,
    /// The time of the graceful stop is over: all I/O fails.
    pub(crate) cut: AtomicBool,
    /// The number of this server among those of the process, for `io::end_idle`.
    pub(crate) group: usize,
    /// How many connections are open.
    open: Monitor<usize, 2>,
    /// To be closed when the server stops.
    listeners: Mutex<Vec<Arc<TcpListener>>>,
    /// Connections that OS threads serve.
    served_by_os: Mutex<HashMap<usize, Arc<OsConnection>>>,
}

/// Queue of `State::open`: acceptors at the connection limit.
const BELOW_LIMIT: usize = 0;
/// Queue of `State::open`: who waits for the last connection to close.
const EMPTY: usize = 1;

impl State {
    pub(crate) fn new() -> State {
        static GROUPS: AtomicUsize = AtomicUsize::new(1);
        State {
            stopping: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            group: GROUPS.fetch_add(1, Ordering::Relaxed),
            open: Monitor::new(0),
            listeners: Mutex::new(Vec::new()),
            served_by_os: Mutex::new(HashMap::new()),
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
    /// `None` when the server stops.
    pub(crate) fn open(self: &Arc<Self>, limit: usize) -> Option<Open> {
        loop {
            let mut open = self.open.lock();
            if self.is_stopping() {
                return None;
            }
            if *open < limit.max(1) {
                *open += 1;
                drop(open);
                return Some(Open(self.clone()));
            }
            if let Err(why) = open.wait(BELOW_LIMIT, None) {
                why.unwind();
            }
        }
    }

    /// Waits for the last connection to close; false if `deadline` comes first.
    pub(crate) fn wait_empty(&self, deadline: Option<Instant>) -> bool {
        loop {
            let open = self.open.lock();
            if *open == 0 {
                return true;
            }
            match open.wait(EMPTY, deadline) {
                Ok(()) => {}
                Err(crate::hub::Interrupt::TimedOut) => return false,
                Err(why) => why.unwind(),
            }
        }
    }

    /// `listener` is to be closed when the server stops.
    pub(crate) fn watch(&self, listener: Arc<TcpListener>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        listeners.push(listener);
        if self.is_stopping() {
            listeners.iter().for_each(|listener| listener.0.close());
        }
    }

    /// Begins the graceful stop. Green threads' idle connections are closed by their acceptors.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        listeners.iter().for_each(|listener| listener.0.close());
        drop(listeners);
        self.open.lock().wake_all(BELOW_LIMIT);
        for connection in self.os_connections() {
            if *connection.idle.lock() {
                connection.socket.close();
            }
        }
    }

    /// Ends the graceful stop: what still runs fails at its next I/O, or in the one it waits in.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for connection in self.os_connections() {
            connection.socket.close();
        }
    }

    /// Lists a connection that an OS thread serves; [`State::forget_os`] ends that.
    pub(crate) fn list_os(&self, connection: Arc<OsConnection>) {
        let key = Arc::as_ptr(&connection).addr();
        let mut all = self.served_by_os.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.insert(key, connection);
    }

    pub(crate) fn forget_os(&self, connection: &Arc<OsConnection>) {
        let mut all = self.served_by_os.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.remove(&Arc::as_ptr(connection).addr());
    }

    fn os_connections(&self) -> Vec<Arc<OsConnection>> {
        let all = self.served_by_os.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.values().cloned().collect()
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

/// A connection that an OS thread serves.
pub(crate) struct OsConnection {
    /// Its socket.
    pub(crate) socket: Descriptor,
    /// It waits for a request. Whoever sets it looks at `stopping` afterwards, and `stop` sets that
    /// before it looks here, so one of the two closes the connection.
    idle: Lock<bool>,
}

impl OsConnection {
    pub(crate) fn new(socket: Descriptor) -> OsConnection {
        OsConnection { socket, idle: Lock::new(false) }
    }

    pub(crate) fn set_idle(&self, idle: bool) {
        *self.idle.lock() = idle;
    }
}
