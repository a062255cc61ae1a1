//! Listening sockets that this process was started with: from systemd, or from the process that it follows
//! (`restart`).
//!
//! systemd says how many there are from descriptor 3 on, and for which process (sd_listen_fds(3)). The process before us
//! says each one's number, which socket that must be, what it was made by, and its name; and a pipe to answer on. In both
//! cases the variables stay in the environment, where children of ours see them: systemd's name our process, and ours
//! name sockets that a child does not have, so neither means anything to them.

#![forbid(unsafe_code)]

use std::env;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;

use super::listener::Listener;
use crate::sys::passing::{self, Identity};
use crate::sys::{Lock, socket};

/// The variable in which a process tells the one that follows it what it has.
pub(super) const HANDED_ON: &str = "SWARD_HANDED_ON";

/// Where systemd's descriptors begin.
const FIRST: RawFd = 3;

/// How a listener was made, so that the same code finds it again in the next process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// By an address, of which the port may be 0.
    Bound(SocketAddr),
    /// By the name of a Unix socket.
    Named,
    /// It came from elsewhere: from systemd, or as a socket.
    Given,
}

/// A listening socket on its way from one process to the next.
#[derive(Debug)]
pub(super) struct Passed<F> {
    pub(super) fd: F,
    pub(super) source: Source,
    /// The file of a Unix socket that is the server's to delete.
    pub(super) file: Option<Identity>,
    pub(super) name: Option<String>,
}

#[derive(Default)]
struct Table {
    handed: Vec<Passed<OwnedFd>>,
    /// How many of them are not served yet.
    missing: usize,
    /// How many servers the process before us had, less those that serve here.
    servers: usize,
    /// Where it waits for us.
    ready: Option<OwnedFd>,
}

/// `None` until somebody asks.
static TABLE: Lock<Option<Table>> = Lock::new(None);

fn with_table<T>(f: impl FnOnce(&mut Table) -> T) -> T {
    let mut table = TABLE.lock();
    f(table.get_or_insert_with(|| {
        let told = env::var(HANDED_ON).ok();
        told.and_then(|told| open(&told)).unwrap_or_default()
    }))
}

/// The listener of that address, if the process before us had one that was made by it.
pub(super) fn claim_bound(addr: &SocketAddr) -> Option<Listener> {
    claim(|passed| match passed.source {
        Source::Bound(asked) => {
            let bound = socket::local_addr(passed.fd.as_fd());
            asked == *addr || bound.and_then(|b| socket::to_inet(Some(b))).is_ok_and(|b| b == *addr)
        }
        _ => false,
    })
}

/// The same for a Unix socket.
pub(super) fn claim_named(addr: &UnixAddr) -> Option<Listener> {
    claim(|passed| {
        let bound = socket::local_addr(passed.fd.as_fd());
        passed.source == Source::Named
            && bound.and_then(|b| socket::to_unix(Some(b))).is_ok_and(|b| {
                b.as_pathname() == addr.as_pathname()
                    && b.as_abstract_name() == addr.as_abstract_name()
            })
    })
}

fn claim(fits: impl Fn(&Passed<OwnedFd>) -> bool) -> Option<Listener> {
    let found = with_table(|table| {
        let at = table.handed.iter().position(fits)?;
        Some(table.handed.remove(at))
    })?;
    let kind = passing::kind(found.fd.as_fd())?;
    Some(Listener::passed(found, kind, true))
}

/// All that came from elsewhere.
pub(super) fn given() -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    while let Some(listener) = claim(|passed| passed.source == Source::Given) {
        listeners.push(listener);
    }
    // Under the lock, so that nobody takes the same descriptors at the same time.
    let fds = with_table(|_| from_systemd(|name| env::var(name).ok(), std::process::id()))?;
    for passed in fds {
        let Some(kind) = passing::kind(passed.fd.as_fd()) else {
            let text = format!(
                "inherited descriptor {} ({}) is not a socket that listens for TCP or Unix streams",
                passed.fd.as_raw_fd(),
                passed.name.as_deref().unwrap_or("without a name")
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        listeners.push(Listener::passed(passed, kind, false));
    }
    Ok(listeners)
}

/// A server serves, with `handed` listeners of the process before us. When all that was there is there again, that
/// process hears that it can go.
pub(super) fn serving(handed: usize) {
    let ready = with_table(|table| {
        table.missing = table.missing.saturating_sub(handed);
        table.servers = table.servers.saturating_sub(1);
        if table.missing > 0 && table.servers > 0 {
            return None;
        }
        // What nobody has asked for is not wanted any more: closed, or its clients would wait for ever.
        table.handed.clear();
        table.ready.take()
    });
    if let Some(ready) = ready {
        // OK to ignore: it has given us up, and ends us.
        let _ = passing::say(ready.as_fd());
    }
}

/// What is to be in [`HANDED_ON`].
pub(super) fn describe<F: AsFd>(
    listeners: &[Passed<F>],
    ready: &OwnedFd,
    servers: usize,
) -> io::Result<String> {
    let place = |fd: std::os::fd::BorrowedFd<'_>| -> io::Result<String> {
        let Identity { device, inode } = Identity::of(fd)?;
        Ok(format!("{} {device} {inode}", fd.as_raw_fd()))
    };
    let mut text = format!("ready {}\nservers {servers}\n", place(ready.as_fd())?);
    for listener in listeners {
        let source = match listener.source {
            Source::Bound(addr) => format!("bound {addr}"),
            Source::Named => "named -".into(),
            Source::Given => "given -".into(),
        };
        let file = listener.file.unwrap_or(Identity { device: 0, inode: 0 });
        let place = place(listener.fd.as_fd())?;
        // OK to ignore: a String takes everything.
        let _ = write!(text, "listener {place} {source} {} {}", file.device, file.inode);
        if let Some(name) = &listener.name {
            let _ = write!(text, " {}", name.replace('\n', " "));
        }
        text.push('\n');
    }
    Ok(text)
}

/// Takes over what is described. `None` if it is not for us.
fn open(told: &str) -> Option<Table> {
    let mut table = Table::default();
    for line in told.lines() {
        let mut words = line.splitn(9, ' ');
        let mut word = || words.next();
        match word()? {
            "ready" => {
                let (number, identity) = place(&mut word)?;
                table.ready = Some(passing::take(number, Some(identity)).ok()?);
            }
            "servers" => table.servers = word()?.parse().ok()?,
            "listener" => {
                let (number, identity) = place(&mut word)?;
                let source = match (word()?, word()?) {
                    ("bound", addr) => Source::Bound(addr.parse().ok()?),
                    ("named", _) => Source::Named,
                    _ => Source::Given,
                };
                let device = word()?.parse().ok()?;
                let inode = word()?.parse().ok()?;
                let name = word().map(str::to_string);
                let fd = passing::take(number, Some(identity)).ok()?;
                let file = (inode != 0).then_some(Identity { device, inode });
                table.handed.push(Passed { fd, source, file, name });
                table.missing += 1;
            }
            _ => return None,
        }
    }
    Some(table)
}

fn place<'t>(word: &mut impl FnMut() -> Option<&'t str>) -> Option<(RawFd, Identity)> {
    let number = word()?.parse().ok()?;
    let device = word()?.parse().ok()?;
    let inode = word()?.parse().ok()?;
    Some((number, Identity { device, inode }))
}

/// Takes over systemd's descriptors, if they are for process `me` and nobody has taken them yet.
fn from_systemd(
    variable: impl Fn(&str) -> Option<String>,
    me: u32,
) -> io::Result<Vec<Passed<OwnedFd>>> {
    static TAKEN: Lock<bool> = Lock::new(false);
    let Some((count, names)) = systemd_says(variable, me)? else { return Ok(Vec::new()) };
    if std::mem::replace(&mut *TAKEN.lock(), true) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (number, at) in (FIRST..).zip(0..count) {
        let fd = passing::take(number, None).map_err(|error| {
            io::Error::new(error.kind(), format!("inherited descriptor {number}: {error}"))
        })?;
        let name = names.get(at).cloned();
        all.push(Passed { fd, source: Source::Given, file: None, name });
    }
    Ok(all)
}

/// How many descriptors there are for process `me`, and their names.
fn systemd_says(
    variable: impl Fn(&str) -> Option<String>,
    me: u32,
) -> io::Result<Option<(usize, Vec<String>)>> {
    let wrong = |name: &str| {
        let text = format!("{name} is not what sd_listen_fds(3) says it is");
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let Some(process) = variable("LISTEN_PID") else { return Ok(None) };
    if process.parse::<u32>().map_err(|_| wrong("LISTEN_PID"))? != me {
        return Ok(None);
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok(None) };
    let count = count.parse::<u16>().map_err(|_| wrong("LISTEN_FDS"))?.into();
    let names: Vec<String> = match variable("LISTEN_FDNAMES") {
        Some(names) => names.split(':').map(str::to_string).collect(),
        None => Vec::new(),
    };
    if !names.is_empty() && names.len() != count {
        return Err(wrong("LISTEN_FDNAMES"));
    }
    Ok(Some((count, names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(pairs: &[(&str, &str)]) -> io::Result<Option<(usize, Vec<String>)>> {
        let variable = |name: &str| {
            let found = pairs.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.to_string())
        };
        systemd_says(variable, 42)
    }

    #[test]
    fn what_systemd_says() {
        assert_eq!(says(&[]).unwrap(), None);
        assert_eq!(says(&[("LISTEN_FDS", "1")]).unwrap(), None);
        assert_eq!(says(&[("LISTEN_PID", "41"), ("LISTEN_FDS", "1")]).unwrap(), None, "not for us");
        let two = [("LISTEN_PID", "42"), ("LISTEN_FDS", "2")];
        assert_eq!(says(&two).unwrap(), Some((2, vec![])));
        let named = [two[0], two[1], ("LISTEN_FDNAMES", "http:admin")];
        assert_eq!(says(&named).unwrap(), Some((2, vec!["http".into(), "admin".into()])));
        for wrong in [("LISTEN_FDNAMES", "one"), ("LISTEN_FDS", "-1"), ("LISTEN_PID", "me")] {
            let error = says(&[wrong, two[0], two[1]]).unwrap_err();
            assert!(error.to_string().contains(wrong.0), "{error}");
        }
    }

    #[test]
    fn what_is_described_can_be_opened_once() {
        let (read, write) = passing::pipe().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = Source::Bound("127.0.0.1:0".parse().unwrap());
        let file = Some(Identity { device: 1, inode: 2 });
        let name = Some("a name".to_string());
        let passed = Passed { fd: socket.as_fd(), source: asked, file, name: name.clone() };
        let text = describe(&[passed], &write, 3).unwrap();
        let table = open(&text).unwrap();
        assert_eq!((table.missing, table.servers), (1, 3));
        let handed = &table.handed[0];
        assert_eq!((handed.source, handed.file, &handed.name), (asked, file, &name));
        assert_eq!(handed.fd.as_raw_fd(), socket.as_raw_fd());
        // The numbers are closed by their new owner.
        std::mem::forget((write, socket));
        drop((table, read));
        assert!(open(&text).is_none(), "those descriptors are gone");
    }
}
