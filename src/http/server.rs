//! Binding, running and stopping a server.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::accept::{self, Pool, Service};
use super::config::Config;
use super::connection::Context;
use super::listener::Listener;
use super::mode::Mode;
use super::router::Handler;
use super::state::State;
use crate::blocking::os_thread;
use crate::io::end_idle;
use crate::net::ToSocketAddrs;
use crate::sync::mpsc;
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
    listeners: Vec<Listener>,
    mode: Mode,
    config: Config,
    state: Arc<State>,
}

impl Server {
    /// A server that listens nowhere yet: see [`Server::listen`].
    pub fn new() -> Server {
        Server {
            listeners: Vec::new(),
            mode: Mode::default(),
            config: Config::default(),
            state: Arc::new(State::new()),
        }
    }

    /// A server that listens on one TCP address; port 0 takes a free one. Clients can connect from now on, and are
    /// answered from [`Server::serve`] on.
    ///
    /// # Errors
    ///
    /// What the system says: the address is in use, not ours, or not allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        Listener::bind(addr).map(|listener| Server::new().listen(listener))
    }

    /// Adds a place to listen at; there may be any number.
    pub fn listen(mut self, listener: impl Into<Listener>) -> Server {
        self.listeners.push(listener.into());
        self
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

    /// The address of its first TCP listener.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let mut addrs = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        addrs.next().ok_or_else(|| {
            io::Error::new(ErrorKind::AddrNotAvailable, "the server listens on no TCP address")
        })
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
    /// What the system says if the server cannot start, and `InvalidInput` if it listens nowhere. Once it runs, nothing
    /// ends it but `shutdown`.
    pub fn serve(self, app: impl Handler) -> io::Result<()> {
        let Server { listeners, mode, config, state } = self;
        if listeners.is_empty() {
            let text = "the server listens nowhere: say where with Server::bind or Server::listen";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let listeners: Vec<_> = listeners.into_iter().map(Arc::new).collect();
        for listener in &listeners {
            listener.prepare(&config)?;
            state.watch(listener.clone());
        }
        let context = Context { config, state: state.clone() };
        let service = Arc::new(Service { context, app: Box::new(app) });
        let served = match mode {
            Mode::Green => serve_green(&listeners, &service),
            Mode::Threads => serve_os(&listeners, &service, accept::threads),
            Mode::Pool(size) => Pool::start(size).and_then(|pool| {
                serve_os(&listeners, &service, move |listener, service| {
                    pool.accept(listener, service);
                })
            }),
        };
        // Half a server is none: what did start stops again.
        served.inspect_err(|_| state.stop())?;
        let deadline = Instant::now().checked_add(service.context.config.shutdown_timeout);
        if !state.wait_empty(deadline) {
            state.cut();
            if mode == Mode::Green {
                end_all(state.ending);
            }
        }
        Ok(())
    }
}

/// Starts an acceptor on each worker for each listener, and waits for all of them.
fn serve_green(listeners: &[Arc<Listener>], service: &Arc<Service>) -> io::Result<()> {
    let Context { config, state } = &service.context;
    let workers = workers();
    let mut acceptors = Vec::with_capacity(workers);
    for (worker, listener) in (0..workers).flat_map(|w| listeners.iter().map(move |l| (w, l))) {
        let mut listener = listener.clone();
        if workers > 1
            && let Some(own) = listener.for_worker(worker, config)?
        {
            listener = Arc::new(own);
            state.watch(listener.clone());
        }
        let service = service.clone();
        let builder = thread::Builder::new().name(format!("http-accept-{worker}")).worker(worker);
        acceptors.push(builder.spawn(move || accept::green(&listener, &service))?);
    }
    for acceptor in acceptors {
        if acceptor.join().is_err() {
            // OK because it cannot happen short of a bug: the others must not serve on unseen.
            state.stop();
        }
    }
    Ok(())
}

/// Accepts from each listener on an OS thread of its own, the first one being the caller's.
fn serve_os(
    listeners: &[Arc<Listener>],
    service: &Arc<Service>,
    accept: impl Fn(&Listener, &Arc<Service>) + Send + Sync + 'static,
) -> io::Result<()> {
    let accept = Arc::new(accept);
    // Who is still at it holds a sender.
    let (running, ended) = mpsc::channel::<()>();
    for listener in &listeners[1..] {
        let (listener, service) = (listener.clone(), service.clone());
        let (accept, running) = (accept.clone(), running.clone());
        os_thread("sward-http", move || {
            let _running = running;
            accept(&listener, &service);
        })?;
    }
    drop(running);
    accept(&listeners[0], service);
    // OK to ignore: that all senders are gone is what is waited for.
    let _ = ended.recv();
    Ok(())
}

/// Ends whatever of `group` waits without a thread on any worker.
fn end_all(group: usize) {
    for worker in 0..workers() {
        let builder = thread::Builder::new().name("http-end".into()).worker(worker);
        // OK to ignore the error: what waits then ends at its own deadline.
        let _ = builder.spawn(move || end_idle(group));
    }
}

/// How many workers the caller's runtime has; starts the default one if the caller has none.
fn workers() -> usize {
    let here = thread::worker().or_else(|| thread::spawn(thread::worker).join().ok().flatten());
    here.map_or(1, |(_, workers)| workers)
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
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
