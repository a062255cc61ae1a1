//! Regular files: opening them below a folder, reading at an offset, sendfile, what a folder holds.
//!
//! Nothing of this can be waited for: a file is always "ready", and a call that needs the disk blocks the OS thread. So
//! callers ask with [`Patience::Cached`] first, which fails with EAGAIN instead, and go to the blocking pool then.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// Whether a call may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Only what the kernel has in memory; else EAGAIN.
    Cached,
    /// It may block the OS thread.
    Blocks,
}

/// Where a path may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Nowhere but below its folder, symbolic links included.
    Beneath,
    /// Symbolic links may lead out.
    LinksOut,
}

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, a pipe, a socket.
    Other,
}

/// The part of stat(2) that servers of files need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(crate) modified: (i64, u32),
}

/// Not by a FIFO that waits for its writer, nor making a terminal ours.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A folder, as the place that [`open_below`] starts from.
pub(crate) fn open_folder(path: &[u8], patience: Patience) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match patience {
        Patience::Blocks => Ok(fs::open(path, flags, Mode::empty())?),
        Patience::Cached => cached(fs::CWD, path, flags, ResolveFlags::empty()),
    }
}

/// Opens a file of any place for reading.
pub(crate) fn open(path: &[u8], patience: Patience) -> io::Result<OwnedFd> {
    match patience {
        Patience::Blocks => Ok(fs::open(path, READ, Mode::empty())?),
        Patience::Cached => cached(fs::CWD, path, READ, ResolveFlags::empty()),
    }
}

/// Opens `path`, relative and without `..`, for reading.
///
/// # Errors
/// EXDEV or ELOOP if it would lead out of `folder` and may not.
pub(crate) fn open_below(
    folder: BorrowedFd<'_>,
    path: &[u8],
    bounds: Bounds,
    patience: Patience,
) -> io::Result<OwnedFd> {
    // Magic links are those of /proc, which lead anywhere.
    let resolve = match bounds {
        Bounds::Beneath => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Bounds::LinksOut => ResolveFlags::empty(),
    };
    if patience == Patience::Cached {
        return cached(folder, path, READ, resolve);
    }
    if bounds == Bounds::LinksOut {
        return Ok(fs::openat(folder, path, READ, Mode::empty())?);
    }
    // Renames elsewhere can disturb a walk that meets links; the kernel asks to try again.
    for _ in 0..16 {
        match fs::openat2(folder, path, READ, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Old sandboxes know no openat2.
            Err(Errno::NOSYS | Errno::PERM) => return walk_below(folder, path),
            opened => return Ok(opened?),
        }
    }
    walk_below(folder, path)
}

/// The same without openat2: step by step, and no symbolic link is followed at all.
fn walk_below(folder: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut steps = path.split(|&b| b == b'/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(step) = steps.next() {
        if step == b".." || step.is_empty() {
            return Err(Errno::XDEV.into());
        }
        let flags = match steps.peek() {
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => READ,
        };
        let from = at.as_ref().map_or(folder, |at| at.as_fd());
        at = Some(fs::openat(from, step, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or_else(|| Errno::NOENT.into())
}

/// Opens what can be found without asking a disk (Linux 5.12; older ones never find anything this way).
fn cached(
    folder: impl AsFd,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let resolve = resolve | ResolveFlags::CACHED;
    match fs::openat2(folder, path, flags, Mode::empty(), resolve) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::INTR) => Err(Errno::AGAIN.into()),
        opened => Ok(opened?),
    }
}

/// What `file` is, how large and how old.
pub(crate) fn stat(file: BorrowedFd<'_>) -> io::Result<Stat> {
    let stat = fs::fstat(file)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    };
    // The fields' types differ between architectures.
    #[allow(clippy::unnecessary_cast, reason = "not unnecessary everywhere")]
    let modified = (stat.st_mtime as i64, stat.st_mtime_nsec as u32);
    Ok(Stat { kind, size: u64::try_from(stat.st_size).unwrap_or(0), modified })
}

/// pread(2): up to `buf.len()` bytes at `offset`. 0 at the end of the file.
///
/// # Errors
/// EAGAIN if it would wait for the disk and may not.
pub(crate) fn read_at(
    file: BorrowedFd<'_>,
    buf: &mut [u8],
    offset: u64,
    patience: Patience,
) -> io::Result<usize> {
    loop {
        let read = match patience {
            Patience::Blocks => rustix::io::pread(file, &mut *buf, offset),
            Patience::Cached => {
                let mut bufs = [IoSliceMut::new(&mut *buf)];
                match rustix::io::preadv2(file, &mut bufs, offset, ReadWriteFlags::NOWAIT) {
                    // File systems that cannot tell.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(Errno::AGAIN),
                    read => read,
                }
            }
        };
        match read {
            Err(Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}

/// sendfile(2): up to `count` bytes at `offset` of `file`, without passing through this process. 0 at the file's end.
///
/// A peer that went away raises SIGPIPE here, unlike anywhere else: ask
/// [`broken_pipe_kills`](super::signal::broken_pipe_kills) first.
pub(crate) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let mut offset = offset;
    Ok(fs::sendfile(socket, file, Some(&mut offset), count)?)
}

/// The names in a folder, without `.` and `..`, in no order; at most `most`. True: it is a folder itself.
pub(crate) fn names(folder: BorrowedFd<'_>, most: usize) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && names.len() < most {
            names.push((name.to_vec(), entry.file_type() == FileType::Directory));
        }
    }
    Ok(names)
}

/// Whether an error of opening says that there is nothing at this path for the caller, rather than that it could not be
/// looked for.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    let absent = [Errno::LOOP, Errno::XDEV, Errno::NAMETOOLONG, Errno::NXIO, Errno::INVAL];
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
    ) || absent.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Sets the mode bits of an open file; of a socket, those of the file that `bind` will make, less the umask.
pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    Ok(fs::fchmod(fd, Mode::from_raw_mode(mode))?)
}

/// Locks an open file or folder for this open file alone (flock(2)), until it is closed. `WouldBlock` if somebody has it.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fs::flock(fd, fs::FlockOperation::NonBlockingLockExclusive)?)
}

/// Whether descriptors or memory have run out.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    short.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of staying below a folder: links within it, out of it, and `..`.
    #[test]
    fn nothing_above() {
        let at = std::env::temp_dir().join(format!("sward-sys-file-{}", std::process::id()));
        let root = at.join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/in"), "in").unwrap();
        std::fs::write(at.join("out"), "out").unwrap();
        std::os::unix::fs::symlink("../out", root.join("link-out")).unwrap();
        std::os::unix::fs::symlink("sub", root.join("link-in")).unwrap();
        let folder =
            open_folder(root.as_os_str().as_encoded_bytes(), Patience::Blocks).expect("there");
        let open =
            |path: &[u8]| open_below(folder.as_fd(), path, Bounds::Beneath, Patience::Blocks);
        let walk = |path: &[u8]| walk_below(folder.as_fd(), path);
        for path in [&b"sub/in"[..], b"sub"] {
            assert!(open(path).is_ok() && walk(path).is_ok());
        }
        for path in [&b"link-out"[..], b"../out", b"sub/../../out", b"/etc/passwd", b"sub/in\0"] {
            let errors = [open(path).unwrap_err(), walk(path).unwrap_err()];
            assert!(errors.iter().all(is_missing), "{path:?}: {errors:?}");
        }
        assert!(open(b"link-in/in").is_ok());
        assert!(walk(b"link-in/in").is_err(), "the walk follows no link");
        let out = open_below(folder.as_fd(), b"link-out", Bounds::LinksOut, Patience::Blocks);
        let mut buf = [0; 8];
        let n = read_at(out.unwrap().as_fd(), &mut buf, 1, Patience::Blocks).unwrap();
        assert_eq!(&buf[..n], b"ut");
        std::fs::remove_dir_all(at).unwrap();
    }
}
