//! Binding, running and stopping a server.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::accept::{self, Service};
use super::config::Config;
use super::connection::Context;
use super::mode::Mode;
use super::router::Handler;
use super::state::State;
use crate::net::{BindOptions, TcpListener, ToSocketAddrs};
use crate::sys;
use crate::thread;

/// An HTTP/1.1 server.
///
/// ```
/// use std::io::{Read, Write};
/// use sward::http::{Request, Router, Server};
/// use sward::net::TcpStream;
///
/// sward::run(|| -> std::io::Result<()> {
///     let server = Server::bind("127.0.0.1:0")?;
///     let (addr, handle) = (server.local_addr()?, server.handle());
///     let app = Router::new().get("/", |_: &mut Request| "hello");
///     let serving = sward::thread::spawn(move || server.serve(app));
///
///     let mut client = TcpStream::connect(addr)?;
///     client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer)?;
///     assert!(answer.ends_with("\r\n\r\nhello"));
///
///     handle.shutdown();
///     serving.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    mode: Mode,
    config: Config,
    state: Arc<State>,
}

impl Server {
    /// Binds to an address; port 0 takes a free one. Clients can connect from now on, and are answered
    /// from [`Server::serve`] on.
    ///
    /// # Errors
    ///
    /// What the system says: the address is in use, not ours, or not allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        let config = Config::default();
        let options = BindOptions::new().backlog(backlog(&config)).reuse_port(reuse_port());
        let listener = TcpListener::bind_with(addr, options)?;
        let addr = listener.local_addr()?;
        Ok(Server { listener, addr, mode: Mode::default(), config, state: Arc::new(State::new()) })
    }

    /// Sets how handlers run. Default: [`Mode::Green`].
    pub fn mode(mut self, mode: Mode) -> Server {
        self.mode = mode;
        self
    }

    /// Sets limits and time-outs.
    pub fn config(mut self, config: Config) -> Server {
        self.config = config;
        self
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// None today; the system is asked at [`Server::bind`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    /// A handle to stop it with.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { state: self.state.clone() }
    }

    /// Serves until [`ServerHandle::shutdown`], then waits for running requests as long as
    /// [`Config::shutdown_timeout`] says, and returns.
    ///
    /// The caller may be a green thread or an OS thread, in every mode.
    ///
    /// # Errors
    ///
    /// What the system says if the server cannot start. Once it runs, nothing ends it but `shutdown`.
    pub fn serve(self, app: impl Handler) -> io::Result<()> {
        let Server { listener, addr, mode, config, state } = self;
        sys::socket::listen(listener.as_fd(), backlog(&config))?;
        // Accepted sockets inherit it, so it costs no call per connection.
        sys::socket::set_nodelay(listener.as_fd(), config.nodelay)?;
        let listener = Arc::new(listener);
        state.watch(listener.clone());
        let context = Context { config, state: state.clone() };
        let service = Arc::new(Service { context, app: Box::new(app) });
        let served = match mode {
            Mode::Green => serve_green(&listener, addr, &service),
            Mode::Threads => {
                accept::threads(&listener, &service);
                Ok(())
            }
            Mode::Pool(size) => accept::pool(&listener, &service, size),
        };
        // Half a server is none: what did start stops again.
        served.inspect_err(|_| state.stop())?;
        let deadline = Instant::now().checked_add(service.context.config.shutdown_timeout);
        if !state.wait_empty(deadline) {
            state.cut();
        }
        Ok(())
    }
}

/// Starts an acceptor on each worker and waits for all of them.
fn serve_green(
    listener: &Arc<TcpListener>,
    addr: SocketAddr,
    service: &Arc<Service>,
) -> io::Result<()> {
    let config = &service.context.config;
    let workers = workers();
    let own_listeners = workers > 1 && reuse_port();
    if workers > 1 && !own_listeners {
        listener.share();
    }
    let mut acceptors = Vec::with_capacity(workers);
    for worker in 0..workers {
        let mut listener = listener.clone();
        if own_listeners && worker > 0 {
            let options = BindOptions::new().backlog(backlog(config)).reuse_port(true);
            listener = Arc::new(TcpListener::bind_with(addr, options)?);
            sys::socket::set_nodelay(listener.as_fd(), config.nodelay)?;
            service.context.state.watch(listener.clone());
        }
        let service = service.clone();
        let builder = thread::Builder::new().name(format!("http-accept-{worker}")).worker(worker);
        acceptors.push(builder.spawn(move || accept::green(&listener, &service))?);
    }
    for acceptor in acceptors {
        if acceptor.join().is_err() {
            // OK because it cannot happen short of a bug: the others must not serve on unseen.
            service.context.state.stop();
        }
    }
    Ok(())
}

/// How many workers the caller's runtime has; starts the default one if the caller has none.
fn workers() -> usize {
    let here = thread::worker().or_else(|| thread::spawn(thread::worker).join().ok().flatten());
    here.map_or(1, |(_, workers)| workers)
}

fn backlog(config: &Config) -> u32 {
    config.backlog.max(1)
}

/// A listening socket per worker instead of one for all: an internal switch, to measure the two. Off
/// because a second server on the same port would not be refused.
fn reuse_port() -> bool {
    std::env::var_os("SWARD_REUSEPORT").is_some_and(|value| value == "1")
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("mode", &self.mode)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Stops a server from elsewhere, and says how busy it is.
#[derive(Clone)]
pub struct ServerHandle {
    state: Arc<State>,
}

impl ServerHandle {
    /// Begins the graceful stop and returns at once: listeners and idle connections close, running
    /// requests finish, and [`Server::serve`] returns when they have, or at
    /// [`Config::shutdown_timeout`].
    ///
    /// Streams without an end should look at [`SseWriter::is_stopping`](super::SseWriter::is_stopping)
    /// or be woken by what they wait for.
    pub fn shutdown(&self) {
        self.state.stop();
    }

    /// Connections that are open now, idle ones included.
    pub fn connections(&self) -> usize {
        self.state.connections()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("connections", &self.connections())
            .field("stopping", &self.state.is_stopping())
            .finish()
    }
}
