//! [`Idle`]: connections between two requests. Each goes to an address that was let through, and does not get old: a name
//! that has moved is noticed.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::dial::Connection;
use crate::sync::Mutex;
use crate::webhook::guard::{Host, Target};

/// After so long, used or not, a connection is not kept any more.
const OLDEST: Duration = Duration::from_secs(60);

/// Whom a connection was made for. It serves nobody else, whatever the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    https: bool,
    host: Host,
    port: u16,
}

pub(super) struct Idle {
    most: usize,
    keep: Duration,
    /// The one that was used last is at the end.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    origin: Origin,
    connection: Connection,
    since: Instant,
}

impl Origin {
    pub(super) fn of(target: &Target) -> Origin {
        Origin { https: target.is_https(), host: target.host().clone(), port: target.port() }
    }
}

impl Idle {
    pub(super) fn new(most: usize, keep: Duration) -> Idle {
        Idle { most, keep, kept: Mutex::new(Vec::new()) }
    }

    /// An open connection, the one that was used last.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let connection = {
                let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
                kept.retain(|kept| kept.since.elapsed() < self.keep);
                let at = kept.iter().rposition(|kept| kept.origin == *origin)?;
                kept.remove(at).connection
            };
            if connection.stream.is_quiet() {
                return Some(Connection { reused: true, ..connection });
            }
        }
    }

    pub(super) fn put(&self, origin: Origin, connection: Connection) {
        if connection.born.elapsed() >= OLDEST {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        kept.retain(|kept| kept.since.elapsed() < self.keep);
        kept.push(Kept { origin, connection, since: Instant::now() });
        if kept.len() > self.most {
            kept.remove(0);
        }
    }
}
