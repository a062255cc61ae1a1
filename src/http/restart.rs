//! Hot restart: a new process takes the listening sockets over while the old one serves on, and the old one stops
//! when the new one is ready. What the new process does with them is in `inherited`.
//!
//! ```text
//!   old                                          new
//!   starts it with the sockets and a pipe  ──►   binds: finds the sockets there
//!   serves on, and waits at the pipe       ◄──   serves, says that it is ready
//!   stops gracefully                             is alone
//! ```
//!
//! Both accept from the same sockets meanwhile, so there is no moment in which nobody listens.

#![forbid(unsafe_code)]

use std::env;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::inherited::{self, HANDED_ON};
use super::listener::Listener;
use super::state::State;
use crate::blocking;
use crate::io::{self as calls, Descriptor};
use crate::sys::{Lock, passing};

/// How long the new process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every server of this process that serves.
static SERVING: Lock<Vec<Arc<State>>> = Lock::new(Vec::new());

/// A server serves as long as this is there.
pub(super) struct Serving(Arc<State>);

impl Serving {
    /// `handed` of its listeners came from the process before us.
    pub(super) fn new(state: &Arc<State>, handed: usize) -> Serving {
        SERVING.lock().push(state.clone());
        inherited::serving(handed);
        Serving(state.clone())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        SERVING.lock().retain(|state| !Arc::ptr_eq(state, &self.0));
    }
}

/// One restart at a time.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

struct UnderWay;

impl UnderWay {
    fn begin() -> Option<UnderWay> {
        (!UNDER_WAY.swap(true, Ordering::SeqCst)).then_some(UnderWay)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.store(false, Ordering::SeqCst);
    }
}

/// For a signal that each server of this process may have heard of: one of them does it.
pub(super) fn by_signal() {
    static LAST: Lock<Option<Instant>> = Lock::new(None);
    const SAME: Duration = Duration::from_secs(1);
    let is_same = |last: &Option<Instant>| last.is_some_and(|last| last.elapsed() < SAME);
    if is_same(&LAST.lock()) {
        return;
    }
    let result = restart(same_program());
    if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
        return;
    }
    *LAST.lock() = Some(Instant::now());
    if let Err(error) = result {
        eprintln!("sward: the restart failed, and the server goes on: {error}");
    }
}

/// This program as it was called, from where it is now: a newer one may be there.
pub(super) fn same_program() -> Command {
    let mut args = env::args_os();
    let called = args.next().map(PathBuf::from);
    // Called by a path, that is how whoever replaces programs thinks of it, links included.
    let path = called.filter(|called| called.components().count() > 1 && called.exists());
    let path = path.or_else(|| env::current_exe().ok().map(without_deleted));
    let mut command = Command::new(path.unwrap_or_default());
    command.args(args);
    command
}

/// Linux says so of a running program whose file was replaced.
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(before) if !path.exists() => before.into(),
        _ => path,
    }
}

/// Starts `command` with the listeners of every server of this process, and stops them all when it serves. Returns the
/// new process's number.
pub(super) fn restart(command: Command) -> io::Result<u32> {
    let Some(_under_way) = UnderWay::begin() else {
        return Err(io::Error::new(ErrorKind::ResourceBusy, "a restart is under way"));
    };
    let servers = SERVING.lock().clone();
    if servers.is_empty() || servers.iter().any(|server| server.is_stopping()) {
        return Err(io::Error::other("the server does not serve, or is about to stop"));
    }
    let listeners: Vec<_> = servers.iter().flat_map(|server| server.listeners()).collect();
    // Whatever happens from here on must not shut down what the new process may have.
    listeners.iter().for_each(|listener| listener.share());
    match start(command, &listeners, servers.len()) {
        Ok(process) => {
            servers.iter().for_each(|server| server.stop());
            Ok(process)
        }
        Err(error) => {
            listeners.iter().for_each(|listener| listener.unshare());
            Err(error)
        }
    }
}

fn start(mut command: Command, listeners: &[Arc<Listener>], servers: usize) -> io::Result<u32> {
    let (read, write) = passing::pipe()?;
    let ready = Descriptor::new(read);
    let passed: Vec<_> = listeners.iter().map(|listener| listener.pass()).collect();
    command.env(HANDED_ON, inherited::describe(&passed, &write, servers)?);
    let mut fds: Vec<_> = passed.iter().map(|passed| passed.fd).collect();
    fds.push(write.as_fd());
    passing::pass_on(&mut command, &fds);
    // They stay open in there until the process has started.
    let kept = (listeners.to_vec(), write);
    let child = blocking::run(move || {
        let child = command.spawn();
        drop(kept);
        child.map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("{program} cannot be started: {error}"))
        })
    })?;
    let process = child.id();
    match calls::read(&ready, &mut [0], Instant::now().checked_add(PATIENCE)) {
        Ok(1) => Ok(process),
        Ok(_) => Err(give_up(child, "the new process did not serve")),
        Err(error) => Err(give_up(child, &format!("the new process is not ready: {error}"))),
    }
}

/// Ends a process that has not become what was wanted.
fn give_up(mut child: Child, why: &str) -> io::Error {
    #[allow(clippy::disallowed_methods, reason = "on the blocking pool")]
    let ended = blocking::run(move || {
        // OK to ignore: then it has ended by itself.
        let _ = child.kill();
        child.wait()
    });
    match ended {
        Ok(status) => io::Error::other(format!("{why}; it ended with {status}")),
        Err(error) => io::Error::other(format!("{why}; and it cannot be waited for: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_programs_are_found_where_they_were() {
        let here = env::current_exe().unwrap();
        assert_eq!(without_deleted(here.clone()), here);
        assert_eq!(without_deleted("/no/such (deleted)".into()), PathBuf::from("/no/such"));
    }

    #[test]
    fn without_a_server_there_is_nothing_to_restart() {
        assert!(restart(Command::new("true")).is_err());
    }
}
