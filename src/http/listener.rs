//! Where a server takes its connections from.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::config::Config;
use super::tls::Tls;
use crate::hub;
use crate::io::{self as calls, Descriptor};
use crate::net::{BindOptions, TcpListener, ToSocketAddrs};
use crate::os::unix::net::UnixListener;
use crate::socket::Socket;
use crate::sys::eventfd::EventFd;
use crate::sys::{self, Lock};

/// A socket that a [`Server`](super::Server) accepts from, with what is special about its connections.
///
/// ```
/// use sward::http::{Listener, Server};
///
/// let path = std::env::temp_dir().join(format!("sward-doc-{}.sock", std::process::id()));
/// let server = Server::new().listen(Listener::bind("127.0.0.1:0")?).listen(Listener::unix(&path)?);
/// # drop(server);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Listener {
    socket: Socket,
    kind: Kind,
    /// Other processes have the socket too, so it must not be shut down.
    shared: AtomicBool,
    /// Who is to be woken when it closes: OS threads by the bell, and green threads.
    bell: OnceLock<EventFd>,
    attending: Lock<Vec<hub::Thread>>,
    /// Its clients speak TLS.
    tls: Option<Tls>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
}

impl Listener {
    fn new(socket: Socket, kind: Kind) -> Listener {
        Listener {
            socket,
            kind,
            tls: None,
            shared: AtomicBool::new(false),
            bell: OnceLock::new(),
            attending: Lock::new(Vec::new()),
        }
    }

    /// Binds to an address; port 0 takes a free one. Clients can connect from now on.
    ///
    /// # Errors
    ///
    /// What the system says: the address is in use, not ours, or not allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Listener> {
        let options = BindOptions::new().reuse_port(reuse_port());
        TcpListener::bind_with(addr, options).map(Listener::from)
    }

    /// Makes a Unix socket at `path`. Handlers see its clients as coming from `0.0.0.0:0`.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`].
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Listener> {
        UnixListener::bind(path).map(Listener::from)
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

    /// Waits for a connection. A green thread that does so [`attend`](Listener::attend)s.
    pub(crate) fn accept(&self) -> io::Result<(Descriptor, SocketAddr)> {
        let (socket, peer) = match hub::is_green() {
            true => calls::accept(self.socket.descriptor(), None)?,
            // OK because `prepare` has hung it up.
            false => {
                let bell = self.bell.get().expect("a prepared listener");
                calls::accept_or(self.socket.descriptor(), bell.as_fd())?
            }
        };
        let peer = match self.kind {
            Kind::Tcp => sys::socket::to_inet(peer)?,
            Kind::Unix => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        };
        Ok((socket, peer))
    }

    /// Whoever accepts is woken and gets EBADF. Nobody can connect any more, unless other processes have the socket.
    pub(crate) fn close(&self) {
        if self.shared.load(Ordering::SeqCst) {
            self.socket.descriptor().retire();
        } else {
            self.socket.close();
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

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::new(listener.0, Kind::Tcp)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener::new(listener.0, Kind::Unix)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Listener");
        match self.kind {
            Kind::Tcp => out.field("addr", &self.local_addr().ok()),
            Kind::Unix => {
                let addr = sys::socket::local_addr(self.socket.as_fd());
                out.field("unix", &addr.and_then(|addr| sys::socket::to_unix(Some(addr))).ok())
            }
        };
        out.finish()
    }
}
