//! Files as responses: [`ServeDir`] and [`ServeFile`].
//!
//! Read on: `name` (what a request's path means), `find` (what there is), `answer` (conditions, ranges and headers, with
//! `validator` and `range`), `mime`, `listing`. The body is sent by `file_body.rs`, one floor up.

#![forbid(unsafe_code)]

mod answer;
mod find;
mod listing;
mod mime;
mod name;
mod range;
mod validator;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use http::{Method, StatusCode};

use self::answer::Chosen;
use self::find::{Found, Place, Query};
use self::name::Name;
use super::accept_encoding::Accepted;
use super::into_response::IntoResponse;
use super::request::Request;
use super::response::Response;
use super::router::Handler;
use crate::sys::file::{self, Bounds, Patience};
use crate::{blocking, hub};

/// Serves the files below a folder. Mount it, or make it the whole server.
///
/// ```
/// use sward::http::{Request, Router, ServeDir};
///
/// let app = Router::new()
///     .get("/hello", |_: &mut Request| "hello")
///     .mount("/static", ServeDir::new("public").cache_control("public, max-age=3600"));
/// # drop(app);
/// ```
///
/// # What it answers
///
/// `GET` and `HEAD`, with `ETag` and `Last-Modified`; `If-None-Match`, `If-Modified-Since`, `If-Match`,
/// `If-Unmodified-Since`, `If-Range` and `Range` (one and several) do what RFC 9110 says. A folder shows its
/// `index.html`, and a folder's path without the slash at its end is redirected. The type goes by the file's
/// extension and browsers are told to believe it (`X-Content-Type-Options: nosniff`).
///
/// # What it does not show
///
/// Anything outside the folder: no path leads there (`..`, however encoded, is a 404), and the kernel refuses to follow
/// symbolic links that do, absolute ones included, unless [`ServeDir::links_out`] allows it. Names that begin with a dot,
/// but for `/.well-known/`, unless [`ServeDir::dotfiles`]. Lists of files, unless [`ServeDir::listing`]. Devices, pipes
/// and sockets. All these are a 404, as are files that may not be read.
///
/// # What it costs
///
/// A small file that the system has in its cache is read at once, and a large one is sent by the kernel without passing
/// through the process. Whatever needs the disk waits for it on the [`blocking`](crate::blocking()) pool.
///
/// A file should be replaced by renaming the new one over it. One that is changed in place may be sent half old, half
/// new; if it becomes shorter meanwhile, the connection is cut, so that the client does not take the part for the whole.
#[derive(Clone)]
pub struct ServeDir {
    site: Arc<Site>,
}

/// Serves one file, whatever the path of the request is. Otherwise as [`ServeDir`].
///
/// ```
/// use sward::http::{Router, ServeFile};
///
/// let app = Router::new().mount("/favicon.ico", ServeFile::new("assets/icon.ico"));
/// # drop(app);
/// ```
#[derive(Clone)]
pub struct ServeFile {
    site: Arc<Site>,
}

/// Files and how they are served.
#[derive(Debug, Clone)]
struct Site {
    place: Place,
    dotfiles: bool,
    precompressed: bool,
    cache_control: Option<String>,
    /// Types by extension that win over the table.
    types: Vec<(String, &'static str)>,
}

impl Site {
    fn new(place: Place) -> Arc<Site> {
        Arc::new(Site {
            place,
            dotfiles: false,
            precompressed: false,
            cache_control: None,
            types: Vec::new(),
        })
    }
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

macro_rules! settings_of_both {
    () => {
        /// Sends `Cache-Control` with this value along. Without it browsers guess how long a file stays fresh, by its
        /// age.
        ///
        /// # Panics
        ///
        /// If it holds control characters.
        #[track_caller]
        pub fn cache_control(mut self, value: impl Into<String>) -> Self {
            let value = value.into();
            assert!(
                !value.bytes().any(|b| b.is_ascii_control()),
                "not a header's value: {value:?}"
            );
            Arc::make_mut(&mut self.site).cache_control = Some(value);
            self
        }

        /// Sends the file beside it that is called the same with `.br`, `.zst` or `.gz` behind, if there is one that is
        /// not older and the client takes it. Default off.
        pub fn precompressed(mut self, on: bool) -> Self {
            Arc::make_mut(&mut self.site).precompressed = on;
            self
        }

        /// Files with this extension, in any case and without the dot, have this type.
        ///
        /// # Panics
        ///
        /// If the type holds control characters.
        #[track_caller]
        pub fn mime(mut self, extension: impl AsRef<str>, kind: &'static str) -> Self {
            assert!(!kind.bytes().any(|b| b.is_ascii_control()), "not a media type: {kind:?}");
            let extension = extension.as_ref().to_ascii_lowercase();
            Arc::make_mut(&mut self.site).types.push((extension, kind));
            self
        }
    };
}

impl ServeDir {
    /// The files below `root`. It is looked up for each request: it may be missing now, be replaced later, or be a
    /// symbolic link that moves from one release to the next.
    pub fn new(root: impl AsRef<Path>) -> ServeDir {
        let root = bytes_of(root.as_ref());
        let place = Place::Folder { root, bounds: Bounds::Beneath, listing: false };
        ServeDir { site: Site::new(place) }
    }

    settings_of_both!();

    /// Shows a folder without an `index.html` as a list of what is in it. Default off.
    pub fn listing(mut self, on: bool) -> ServeDir {
        if let Place::Folder { listing, .. } = &mut Arc::make_mut(&mut self.site).place {
            *listing = on;
        }
        self
    }

    /// Serves files and folders whose names begin with a dot. Default off.
    pub fn dotfiles(mut self, on: bool) -> ServeDir {
        Arc::make_mut(&mut self.site).dotfiles = on;
        self
    }

    /// Follows symbolic links that lead out of the root. Default off.
    ///
    /// Turn it on only if nobody can make links in the folder who may not read everything that the server can.
    pub fn links_out(mut self, on: bool) -> ServeDir {
        if let Place::Folder { bounds, .. } = &mut Arc::make_mut(&mut self.site).place {
            *bounds = if on { Bounds::LinksOut } else { Bounds::Beneath };
        }
        self
    }
}

impl ServeFile {
    /// The file at `path`, which is opened anew for each request. Symbolic links are followed.
    pub fn new(path: impl AsRef<Path>) -> ServeFile {
        ServeFile { site: Site::new(Place::File(bytes_of(path.as_ref()))) }
    }

    settings_of_both!();
}

impl Handler for ServeDir {
    fn call(&self, request: &mut Request<'_>) -> Response {
        self.site.serve(request, |path, dotfiles| match path {
            "" => Some(Name { path: Vec::new(), folder: false }),
            path => name::parse(path, dotfiles),
        })
    }
}

impl Handler for ServeFile {
    fn call(&self, request: &mut Request<'_>) -> Response {
        self.site.serve(request, |_, _| Some(Name { path: Vec::new(), folder: false }))
    }
}

impl Site {
    fn serve(
        self: &Arc<Site>,
        request: &mut Request<'_>,
        name: impl FnOnce(&str, bool) -> Option<Name>,
    ) -> Response {
        const ALLOW: &str = "GET, HEAD, OPTIONS";
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Response::new(StatusCode::NO_CONTENT).header("Allow", ALLOW),
            _ => return StatusCode::METHOD_NOT_ALLOWED.into_response().header("Allow", ALLOW),
        }
        let Some(name) = name(request.sub_path(), self.dotfiles) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let is_root = name.path.is_empty();
        let accepted = self.precompressed.then(|| Accepted::of(request));
        match self.find(Query { name, accepted }) {
            Ok(Found::File { file, stat, path, coding }) => {
                let cache_control = self.cache_control.as_deref();
                let (mime, varies) = (self.mime_of(&path), self.precompressed);
                Chosen { file, stat, coding, mime, cache_control, varies }.answer(request)
            }
            Ok(Found::NeedsSlash) => with_slash(request),
            Ok(Found::Names(mut names)) => {
                if !self.dotfiles {
                    names.retain(|(name, _)| !name.starts_with(b"."));
                }
                let page = listing::page(request.path(), names, is_root);
                Response::html(page).header("X-Content-Type-Options", "nosniff")
            }
            Ok(Found::Missing) => StatusCode::NOT_FOUND.into_response(),
            Err(error) if file::is_exhausted(&error) => {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// Looks without waiting first, and on a green thread goes to the pool only for what needs the disk.
    fn find(self: &Arc<Site>, query: Query) -> io::Result<Found> {
        if !hub::is_green() {
            return self.place.find(&query, Patience::Blocks);
        }
        match self.place.find(&query, Patience::Cached) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let site = self.clone();
                blocking::run(move || site.place.find(&query, Patience::Blocks))
            }
            found => found,
        }
    }

    fn mime_of(&self, path: &[u8]) -> &'static str {
        let own = mime::extension(path).and_then(|extension| {
            self.types.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(extension))
        });
        own.map_or_else(|| mime::of(path), |&(_, kind)| kind)
    }
}

/// To the same path with a slash behind. It stays on this host: a path that begins with two would not.
fn with_slash(request: &Request<'_>) -> Response {
    let (path, uri) = (request.path(), request.uri());
    if path.starts_with("//") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let query = uri.find('?').map_or("", |at| &uri[at..]);
    Response::redirect(format!("{path}/{query}")).with_status(StatusCode::MOVED_PERMANENTLY)
}

impl fmt::Debug for ServeDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("ServeDir", &self.site, f)
    }
}

impl fmt::Debug for ServeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("ServeFile", &self.site, f)
    }
}

fn debug(name: &str, site: &Site, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let path = match &site.place {
        Place::Folder { root, .. } => root,
        Place::File(path) => path,
    };
    f.debug_struct(name).field("path", &String::from_utf8_lossy(path)).finish_non_exhaustive()
}
