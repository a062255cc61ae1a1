//! Looking for what a request asks for: all the calls to the file system before a file is sent. Blocking; `mod.rs` sees
//! to it that no worker waits.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};

use super::name::Name;
use crate::http::accept_encoding::{Accepted, Coding};
use crate::sys::file::{self, Bounds, Kind, Patience, Stat};

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// All below this folder.
    Folder {
        /// Opened anew for each request, so that it may be replaced by another while the server runs.
        root: Vec<u8>,
        bounds: Bounds,
        /// Names may be listed where there is no index.
        listing: bool,
    },
    /// This one.
    File(Vec<u8>),
}

/// What to look for.
#[derive(Debug)]
pub(super) struct Query {
    /// Means nothing for a place that is one file.
    pub(super) name: Name,
    /// A file beside it that is compressed already will do, in one of these codings.
    pub(super) accepted: Option<Accepted>,
}

/// What there is.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, with its path as far as it was asked for.
    File { file: OwnedFd, stat: Stat, path: Vec<u8>, coding: Option<Coding> },
    /// A folder that was asked for without the slash at its end.
    NeedsSlash,
    /// What is in a folder, for a list; true: a folder itself.
    Names(Vec<(Vec<u8>, bool)>),
    /// Nothing for this client.
    Missing,
}

/// What a folder shows.
const INDEX: &[u8] = b"index.html";

/// More names are not listed.
const MOST_NAMES: usize = 10_000;

impl Place {
    /// # Errors
    /// `WouldBlock` if it would wait for the disk and may not. Others are troubles of the system, not of the request.
    pub(super) fn find(&self, query: &Query, patience: Patience) -> io::Result<Found> {
        match self.look(query, patience) {
            Err(error) if file::is_missing(&error) => Ok(Found::Missing),
            found => found,
        }
    }

    fn look(&self, query: &Query, patience: Patience) -> io::Result<Found> {
        let Place::Folder { root, bounds, listing } = self else {
            let Place::File(path) = self else { return Ok(Found::Missing) };
            let file = file::open(path, patience)?;
            let sibling = |path: &[u8]| file::open(path, patience);
            return found(file, path, query, sibling);
        };
        let root = file::open_folder(root, patience)?;
        let open = |path: &[u8]| file::open_below(root.as_fd(), path, *bounds, patience);
        let Name { path, folder } = &query.name;
        if !folder && path.is_empty() {
            return Ok(Found::NeedsSlash);
        }
        if !folder {
            let file = open(path)?;
            if file::stat(file.as_fd())?.kind == Kind::Folder {
                return Ok(Found::NeedsSlash);
            }
            return found(file, path, query, open);
        }
        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
        let index = [path, slash, INDEX].concat();
        match open(&index) {
            Ok(file) => return found(file, &index, query, open),
            Err(error) if *listing && error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if patience == Patience::Cached {
            return Err(ErrorKind::WouldBlock.into());
        }
        let folder = open(if path.is_empty() { b"." } else { path })?;
        Ok(Found::Names(file::names(folder.as_fd(), MOST_NAMES)?))
    }
}

/// The file, or the best of its siblings.
fn found(
    file: OwnedFd,
    path: &[u8],
    query: &Query,
    open: impl Fn(&[u8]) -> io::Result<OwnedFd>,
) -> io::Result<Found> {
    let stat = file::stat(file.as_fd())?;
    if stat.kind != Kind::File {
        return Ok(Found::Missing);
    }
    let mut left = Coding::ALL.to_vec();
    while let Some(coding) = query.accepted.and_then(|accepted| accepted.best(left.iter().copied()))
    {
        left.retain(|&other| other != coding);
        let sibling = [path, b".", coding.suffix().as_bytes()].concat();
        let file = match open(&sibling) {
            Ok(file) => file,
            Err(error) if file::is_missing(&error) => continue,
            Err(error) => return Err(error),
        };
        let its = file::stat(file.as_fd())?;
        // One that is older than the file was made from another state of it.
        if its.kind == Kind::File && its.modified >= stat.modified {
            return Ok(Found::File { file, stat: its, path: path.to_vec(), coding: Some(coding) });
        }
    }
    Ok(Found::File { file, stat, path: path.to_vec(), coding: None })
}
