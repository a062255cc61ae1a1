//! The file of a Unix socket: making it where an older server may have left one, and taking it away again.
//!
//! Two servers that start at the same time must not both find the old file dead and then delete each other's. So all
//! of it happens under a lock on the folder. What is not a dead socket is never deleted.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::passing::Identity;
use crate::sys::{self, file, message, socket};
use crate::thread;

/// A socket's file that is ours to take away.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

impl SocketFile {
    /// The file at `path`, if it is the one that `identity` says.
    pub(super) fn adopt(path: &Path, identity: Identity) -> Option<SocketFile> {
        let path = std::path::absolute(path).ok()?;
        (identity_at(&path)? == identity).then_some(SocketFile { path, identity })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Deletes the file, unless somebody else has put another one there.
    pub(super) fn remove(&self) {
        let _lock = lock_folder(&self.path);
        if identity_at(&self.path) == Some(self.identity) {
            // OK to ignore: it stays then, and the next server finds it dead.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity_at(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    found.file_type().is_socket().then(|| Identity { device: found.dev(), inode: found.ino() })
}

/// The address that `name` means: what follows an `@` is an abstract name.
pub(super) fn address(name: &Path) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    match name.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// A socket that listens at `addr`, and its file, if it has one. A file that nobody listens at is replaced.
pub(super) fn listen(
    addr: &SocketAddr,
    mode: Option<u32>,
    backlog: u32,
) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    let fd = socket::unix(socket::Kind::Stream)?;
    let name = socket::from_unix(addr)?;
    let Some(path) = addr.as_pathname() else {
        socket::bind(fd.as_fd(), &name)?;
        socket::listen(fd.as_fd(), backlog)?;
        return Ok((fd, None));
    };
    // Its file when bind makes it has the socket's mode, less the umask: never more than what is wanted.
    if let Some(mode) = mode {
        file::set_mode(fd.as_fd(), mode)?;
    }
    let path = std::path::absolute(path)?;
    // Held until it listens: before that a socket looks dead to others.
    let _lock = lock_folder(&path);
    match socket::bind(fd.as_fd(), &name) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            check_dead(&path, addr)?;
            fs::remove_file(&path)?;
            socket::bind(fd.as_fd(), &name)?;
        }
        bound => bound?,
    }
    let file = identity_at(&path).map(|identity| SocketFile { path: path.clone(), identity });
    let listens = match mode {
        Some(mode) => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
        None => Ok(()),
    };
    match listens.and_then(|()| socket::listen(fd.as_fd(), backlog)) {
        Ok(()) => Ok((fd, file)),
        Err(error) => {
            // OK to ignore: as in `remove`.
            let _ = fs::remove_file(&path);
            Err(error)
        }
    }
}

/// An error unless there is a socket that nobody listens at.
fn check_dead(path: &Path, addr: &SocketAddr) -> io::Result<()> {
    let in_use = |why: &str| {
        let text = format!("{}: {why}", path.display());
        Err(io::Error::new(ErrorKind::AddrInUse, text))
    };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return in_use("there is a file that is not a socket; it is left alone");
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let probe = socket::unix(socket::Kind::Stream)?;
    sys::fd::set_nonblocking(probe.as_fd(), true)?;
    match message::connect(probe.as_fd(), &socket::from_unix(addr)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            in_use("there is a socket that we may not connect to; it is left alone")
        }
        _ => in_use("somebody listens there already"),
    }
}

/// The right to change sockets in the folder of `path`, as long as what this returns is there. `None` if it cannot be
/// had, or somebody keeps it for a second: the lock guards against a coincidence, and is not worth more.
fn lock_folder(path: &Path) -> Option<OwnedFd> {
    const TURNS: u32 = 100;
    let folder = OwnedFd::from(fs::File::open(path.parent()?).ok()?);
    for _ in 0..TURNS {
        match file::try_lock(folder.as_fd()) {
            Ok(()) => return Some(folder),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(_) => break,
        }
    }
    None
}
