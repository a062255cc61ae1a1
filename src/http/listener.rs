//! Where a server takes its connections from.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::config::Config;
use super::inherited::{self, Passed, Source};
use super::middleware::{Network, networks};
use super::socket_file::{self, SocketFile};
use super::tls::Tls;
use crate::hub;
use crate::io::{self as calls, Descriptor};
use crate::net::{BindOptions, TcpListener, ToSocketAddrs};
use crate::os::unix::net::UnixListener;
use crate::socket::{BACKLOG, Socket};
use crate::sys::eventfd::EventFd;
use crate::sys::passing::Kind;
use crate::sys::{self, Lock};

/// A socket that a [`Server`](super::Server) accepts from, with what is special about its connections.
///
/// ```
/// use sward::http::{Listener, Server};
///
/// let path = std::env::temp_dir().join(format!("sward-doc-{}.sock", std::process::id()));
/// let server = Server::new().listen(Listener::bind("127.0.0.1:0")?).listen(Listener::unix(&path)?);
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Listener {
    socket: Socket,
    kind: Kind,
    /// How it was made.
    source: Source,
    /// The process before us had it.
    is_handed: bool,
    name: Option<String>,
    /// To be deleted when it closes.
    file: Option<SocketFile>,
    /// Other processes have the socket too, so it must not be shut down.
    shared: AtomicBool,
    /// They are about to have it, or have it, by a restart; then its file is theirs too.
    lent: AtomicBool,
    is_closed: AtomicBool,
    /// Who is to be woken when it closes: OS threads by the bell, and green threads.
    bell: OnceLock<EventFd>,
    attending: Lock<Vec<hub::Thread>>,
    /// Its clients speak TLS.
    tls: Option<Tls>,
    /// Its clients are proxies that announce theirs, at these addresses.
    proxies: Option<Vec<Network>>,
}

impl Listener {
    fn new(socket: Socket, kind: Kind) -> Listener {
        Listener {
            socket,
            kind,
            tls: None,
            proxies: None,
            source: Source::Given,
            is_handed: false,
            name: None,
            file: None,
            shared: AtomicBool::new(false),
            lent: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            bell: OnceLock::new(),
            attending: Lock::new(Vec::new()),
        }
    }

    /// Binds to an address; port 0 takes a free one. Clients can connect from now on.
    ///
    /// # Errors
    ///
    /// What the system says: the address is in use, not ours, or not allowed.
    ///
    /// After a [restart](super::ServerHandle::restart) this takes over the socket that the process before had bound to
    /// the same address, if it had one.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Listener> {
        let addrs: Vec<SocketAddr> = addr.to_socket_addrs()?.collect();
        if let Some(listener) = addrs.iter().find_map(inherited::claim_bound) {
            return Ok(listener);
        }
        let options = BindOptions::new().reuse_port(reuse_port());
        let mut listener = Listener::from(TcpListener::bind_with(&addrs[..], options)?);
        let bound = listener.local_addr()?;
        let fits = |addr: &&SocketAddr| {
            addr.ip() == bound.ip() && (addr.port() == bound.port() || addr.port() == 0)
        };
        listener.source = Source::Bound(*addrs.iter().find(fits).unwrap_or(&bound));
        Ok(listener)
    }

    /// Makes a Unix socket at `path`; if that begins with `@`, an abstract one of that name, without a file. Handlers see
    /// its clients as coming from `0.0.0.0:0`.
    ///
    /// A socket that an older server has left there, so that nobody listens at it, is replaced. The file is deleted when
    /// the server stops, unless somebody else has put another one in its place, or has got the socket by a
    /// [restart](super::ServerHandle::restart).
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there, or there is a file that is not a socket; those are left alone.
    /// `InvalidInput` for a path of more than 107 bytes or with a NUL in it, and the system's.
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Listener> {
        Listener::unix_at(path.as_ref(), None)
    }

    /// As [`Listener::unix`], with the file's mode bits: `0o660` lets the owner and the group connect. At no time may
    /// anybody else. Without this the umask decides.
    ///
    /// # Errors
    ///
    /// As [`Listener::unix`].
    pub fn unix_with_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<Listener> {
        Listener::unix_at(path.as_ref(), Some(mode))
    }

    fn unix_at(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
        let addr = socket_file::address(path)?;
        if let Some(listener) = inherited::claim_named(&addr) {
            return Ok(listener);
        }
        let (fd, file) = socket_file::listen(&addr, mode, BACKLOG)?;
        let mut listener = Listener::new(Socket::new(fd), Kind::Unix);
        (listener.source, listener.file) = (Source::Named, file);
        Ok(listener)
    }

    /// The listening sockets that this process was started with, by systemd or whoever keeps to sd_listen_fds(3), in
    /// their order. Those that are taken are not there in the next call. After a
    /// [restart](super::ServerHandle::restart) they come from the process before.
    ///
    /// With these two units systemd listens from the machine's start on, starts the server with the first client, and
    /// may restart it without a client being refused:
    ///
    /// ```ini
    /// # shop.socket
    /// [Socket]
    /// ListenStream=80
    /// FileDescriptorName=http
    ///
    /// [Install]
    /// WantedBy=sockets.target
    ///
    /// # shop.service
    /// [Service]
    /// ExecStart=/usr/local/bin/shop
    /// ```
    ///
    /// ```
    /// use sward::http::{Listener, Server};
    ///
    /// let mut server = Server::new();
    /// for listener in Listener::inherited()? {
    ///     println!("{:?} is {listener}", listener.name());
    ///     server = server.listen(listener);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// The variables stay in the environment; children of this process see that they are not for them. The sockets are
    /// closed in children. The server does not shut them down when it stops, as systemd has them too: clients wait in
    /// the queue until the next one starts.
    ///
    /// # Errors
    ///
    /// If the variables are wrong, or a descriptor is not a socket that listens for TCP or Unix streams.
    pub fn inherited() -> io::Result<Vec<Listener>> {
        inherited::given()
    }

    /// Names it, for [`Listener::name`] and what is printed of it.
    pub fn named(mut self, name: impl Into<String>) -> Listener {
        self.name = Some(name.into());
        self
    }

    /// Its name: as given, or as systemd has it (`FileDescriptorName=`).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// From another process: from the one before us, or from systemd.
    pub(super) fn passed(passed: Passed<OwnedFd>, kind: Kind, is_handed: bool) -> Listener {
        let Passed { fd, source, file, name } = passed;
        // `new`: its mode is the other process's, who may be accepting.
        let mut listener = Listener::new(Socket::new(fd), kind);
        if let Some(file) = file
            && let Ok(addr) = listener.unix_addr()
            && let Some(path) = addr.as_pathname()
        {
            listener.file = SocketFile::adopt(path, file);
        }
        (listener.source, listener.is_handed, listener.name) = (source, is_handed, name);
        listener.shared = AtomicBool::new(true);
        listener
    }

    /// For the next process.
    pub(super) fn pass(&self) -> Passed<BorrowedFd<'_>> {
        Passed {
            fd: self.socket.as_fd(),
            source: self.source,
            file: self.file.as_ref().map(SocketFile::identity),
            name: self.name.clone(),
        }
    }

    /// Whether the process before us had it.
    pub(super) fn is_handed(&self) -> bool {
        self.is_handed
    }

    /// Another process gets it too.
    pub(super) fn share(&self) {
        self.lent.store(true, Ordering::SeqCst);
    }

    /// No, it did not.
    pub(super) fn unshare(&self) {
        self.lent.store(false, Ordering::SeqCst);
        if self.is_closed.load(Ordering::SeqCst) {
            self.close();
        }
    }

    fn unix_addr(&self) -> io::Result<std::os::unix::net::SocketAddr> {
        sys::socket::to_unix(Some(sys::socket::local_addr(self.socket.as_fd())?))
    }

    /// Its clients speak TLS.
    ///
    /// ```no_run
    /// use sward::http::{Listener, Server, Tls};
    ///
    /// let tls = Tls::from_pem_files("fullchain.pem", "privkey.pem")?;
    /// let server = Server::bind("0.0.0.0:80")?.listen(Listener::bind("0.0.0.0:443")?.tls(tls));
    /// # drop(server);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Listener {
        self.tls = Some(tls);
        self
    }

    /// Its clients are proxies that say first, by the PROXY protocol (version 1 or 2), for whom they speak:
    /// [`Request::peer_addr`](super::Request::peer_addr) is the address that they announce, and
    /// [`Request::proxy_addr`](super::Request::proxy_addr) theirs. TLS, if there is any, begins behind that.
    ///
    /// Only proxies at these addresses or networks may connect (`10.0.0.0/8`; on a Unix socket, whoever its file lets).
    /// Others are closed at once, and so is who does not announce a client, or not within
    /// [`Config::header_timeout`](super::Config::header_timeout). There is no way to have it both ways on one listener:
    /// whoever may leave the announcement out may also write one of their own, and be anybody.
    ///
    /// A proxy that speaks for itself (a health check) or does not know the client is its own client. Checksums are
    /// verified; other notes are passed over.
    ///
    /// ```
    /// use sward::http::{Listener, Server};
    ///
    /// let behind_haproxy = Listener::bind("127.0.0.1:0")?.proxy_protocol(["127.0.0.1", "10.0.0.0/8"]);
    /// let server = Server::new().listen(behind_haproxy);
    /// # drop(server);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If one is neither an address nor a network.
    #[track_caller]
    pub fn proxy_protocol<S: AsRef<str>>(
        mut self,
        proxies: impl IntoIterator<Item = S>,
    ) -> Listener {
        self.proxies = Some(networks(proxies));
        self
    }

    /// Whether clients are announced here.
    pub(crate) fn announces(&self) -> bool {
        self.proxies.is_some()
    }

    /// Whether somebody at that address may be here at all.
    pub(crate) fn admits(&self, peer: SocketAddr) -> bool {
        let Some(proxies) = &self.proxies else { return true };
        let ip = peer.ip().to_canonical();
        self.kind == Kind::Unix || proxies.iter().any(|network| network.has(ip))
    }

    /// What its clients speak, if not plain HTTP.
    pub(crate) fn speaks(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// How long a client may take to begin: with its request, or to be through with its handshake.
    pub(crate) fn patience(&self, config: &Config) -> Duration {
        if self.tls.is_some() { config.tls_handshake_timeout } else { config.header_timeout }
    }

    /// The address of a TCP listener: the port that the system chose, if it was bound to port 0.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not one; otherwise the system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::socket::to_inet(Some(sys::socket::local_addr(self.socket.as_fd())?))
    }

    /// Makes it ready to be accepted from.
    pub(crate) fn prepare(&self, config: &Config) -> io::Result<()> {
        sys::socket::listen(self.socket.as_fd(), backlog(config))?;
        if self.bell.get().is_none() {
            // OK to ignore: whoever was quicker has put one there.
            let _ = self.bell.set(EventFd::new()?);
        }
        if self.kind == Kind::Tcp {
            // Accepted sockets inherit it, so it costs no call per connection.
            sys::socket::set_nodelay(self.socket.as_fd(), config.nodelay)?;
            // And this: most requests come whole and are answered at once, so that the answer acknowledges them. Who has to
            // wait for more says so (`Link::acknowledge`). What comes before a first request is not waited for like that.
            let is_plain = !self.announces() && self.speaks().is_none();
            sys::socket::set_quick_ack(self.socket.as_fd(), !is_plain)?;
        }
        Ok(())
    }

    /// Several workers will accept from it. A socket of its own for one of them, if that is wanted; then the kernel
    /// spreads connections over the sockets.
    pub(crate) fn for_worker(
        &self,
        worker: usize,
        config: &Config,
    ) -> io::Result<Option<Listener>> {
        if self.kind != Kind::Tcp || !reuse_port() {
            self.socket.descriptor().share_listener();
            return Ok(None);
        }
        if worker == 0 {
            return Ok(None);
        }
        let options = BindOptions::new().reuse_port(true);
        let mut own = Listener::from(TcpListener::bind_with(self.local_addr()?, options)?);
        own.tls = self.tls.clone();
        own.proxies = self.proxies.clone();
        own.prepare(config)?;
        Ok(Some(own))
    }

    /// The calling green thread accepts from here on, until what this returns is dropped.
    pub(crate) fn attend(&self) -> Attending<'_> {
        let thread = hub::Thread::current();
        let id = thread.id();
        self.attending.lock().push(thread);
        Attending { listener: self, id }
    }

    /// Waits for a connection. A green thread that does so [`attend`](Listener::attend)s. `None`: it has been closed, and
    /// nothing is left of what came before.
    pub(crate) fn accept(&self) -> Option<io::Result<(Descriptor, SocketAddr)>> {
        let socket = self.socket.descriptor();
        let accepted = match hub::is_green() {
            true => calls::accept(socket, None),
            // OK because `prepare` has hung it up.
            false => {
                let bell = self.bell.get().expect("a prepared listener");
                calls::accept_or(socket, bell.as_fd())
            }
        };
        let accepted = match accepted {
            Err(_) if self.is_closed.load(Ordering::SeqCst) => Ok(calls::accept_left(socket)?),
            accepted => accepted,
        };
        Some(accepted.and_then(|(socket, peer)| {
            let peer = match self.kind {
                Kind::Tcp => sys::socket::to_inet(peer)?,
                Kind::Unix => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            };
            Ok((socket, peer))
        }))
    }

    /// Whoever accepts is woken and gets EBADF. Nobody can connect any more, unless other processes have the socket.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let is_lent = self.lent.load(Ordering::SeqCst);
        if is_lent || self.shared.load(Ordering::SeqCst) {
            self.socket.descriptor().retire();
        } else {
            self.socket.close();
        }
        if !is_lent && let Some(file) = &self.file {
            file.remove();
        }
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
        self.attending.lock().iter().for_each(hub::Thread::wake);
    }
}

/// A green thread that accepts.
pub(crate) struct Attending<'l> {
    listener: &'l Listener,
    id: NonZeroU64,
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.listener.attending.lock().retain(|thread| thread.id() != self.id);
    }
}

fn backlog(config: &Config) -> u32 {
    config.backlog.max(1)
}

/// A listening socket per worker instead of one for all: an internal switch, to measure the two. Off
/// because a second server on the same port would not be refused.
fn reuse_port() -> bool {
    std::env::var_os("SWARD_REUSEPORT").is_some_and(|value| value == "1")
}

impl Drop for Listener {
    /// For one that never served. Closing the socket is not needed here, but its file should go.
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::SeqCst)
            && !self.lent.load(Ordering::SeqCst)
            && let Some(file) = &self.file
        {
            file.remove();
        }
    }
}

/// The socket may be in O_NONBLOCK: the server waits all the same.
impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        // OK to ignore: accepting fails then, and tells.
        let _ = listener.0.set_nonblocking(false);
        Listener::new(listener.0, Kind::Tcp)
    }
}

/// As for a TCP listener. The file stays when the server stops, since it is not the server's.
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        // OK to ignore: as above.
        let _ = listener.0.set_nonblocking(false);
        Listener::new(listener.0, Kind::Unix)
    }
}

#[allow(clippy::disallowed_types, reason = "only handed over, never called")]
impl From<std::net::TcpListener> for Listener {
    fn from(listener: std::net::TcpListener) -> Listener {
        TcpListener::from(listener).into()
    }
}

#[allow(clippy::disallowed_types, reason = "only handed over, never called")]
impl From<std::os::unix::net::UnixListener> for Listener {
    fn from(listener: std::os::unix::net::UnixListener) -> Listener {
        UnixListener::from(listener).into()
    }
}

/// From a socket that listens already, of whatever kind.
///
/// The error is `InvalidInput` if it is not one that listens for TCP or Unix streams.
impl TryFrom<OwnedFd> for Listener {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Listener> {
        match sys::passing::kind(fd.as_fd()) {
            Some(Kind::Tcp) => Ok(TcpListener::from(fd).into()),
            Some(Kind::Unix) => Ok(UnixListener::from(fd).into()),
            None => {
                let text = "not a socket that listens for TCP or Unix streams";
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }
}

/// Its address, in front of which stands its name if it has one: `127.0.0.1:8080`, `admin at unix:/run/admin.sock`,
/// `unix:@shop`.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name} at ")?;
        }
        match (self.kind, self.local_addr(), self.unix_addr()) {
            (Kind::Tcp, Ok(addr), _) => addr.fmt(f),
            (Kind::Unix, _, Ok(addr)) => {
                if let Some(path) = addr.as_pathname() {
                    write!(f, "unix:{}", path.display())
                } else if let Some(name) = addr.as_abstract_name() {
                    write!(f, "unix:@{}", name.escape_ascii())
                } else {
                    f.write_str("unix:")
                }
            }
            _ => f.write_str("a socket without an address"),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&format_args!("{self}")).finish()
    }
}
