//! Binding, running and stopping a server.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept::{self, Pool};
use super::config::Config;
use super::connection::Service;
use super::listener::Listener;
use super::mode::Mode;
use super::restart::{self, Serving};
use super::router::Handler;
use super::state::{Over, State};
use super::stop::{self, OnSignals};
use super::turn::Context;
use crate::blocking::os_thread;
use crate::net::ToSocketAddrs;
use crate::signal::{SIGINT, SIGTERM, Signal};
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
    /// Says that it serves no more.
    over: Over,
    /// The signals that stop it, if any do.
    signals: Option<io::Result<OnSignals>>,
    /// Those that restart it.
    restarts: Option<io::Result<OnSignals>>,
}

impl Server {
    /// A server that listens nowhere yet: see [`Server::listen`].
    pub fn new() -> Server {
        let state = Arc::new(State::new());
        Server {
            listeners: Vec::new(),
            mode: Mode::default(),
            config: Config::default(),
            over: Over(state.clone()),
            state,
            signals: None,
            restarts: None,
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

    /// The clients of all listeners given so far speak TLS, unless a listener has [its own](Listener::tls).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: super::Tls) -> Server {
        let add = |listener: Listener| match listener.speaks() {
            Some(_) => listener,
            None => listener.tls(tls.clone()),
        };
        self.listeners = self.listeners.into_iter().map(add).collect();
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

    /// Stops gracefully on the first SIGTERM or SIGINT (Ctrl-C), as [`ServerHandle::shutdown`] does. Off by default.
    ///
    /// A signal from now on counts, also one that comes before [`Server::serve`]. The next signal does again what it
    /// would do without this: it ends the process at once, unless the program watches it too. Several servers of a
    /// process may each do this, and all are told.
    ///
    /// ```no_run
    /// use sward::http::{Request, Router, Server};
    ///
    /// let app = Router::new().get("/", |_: &mut Request| "hello");
    /// sward::run(|| Server::bind("127.0.0.1:8080")?.stop_on_signals().serve(app))?;
    /// println!("every request was answered");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// If the signals cannot be watched, `serve` says so.
    pub fn stop_on_signals(mut self) -> Server {
        self.signals = Some(OnSignals::new(&[SIGTERM, SIGINT]));
        self
    }

    /// Restarts this program on `signal`, by custom [`SIGUSR2`](crate::signal::SIGUSR2), as [`ServerHandle::restart`]
    /// does. Off by default. If the restart fails, that is said on stderr, and the server goes on.
    ///
    /// ```no_run
    /// use sward::http::{Request, Router, Server};
    /// use sward::signal::SIGUSR2;
    ///
    /// let app = Router::new().get("/", |_: &mut Request| "hello");
    /// sward::run(|| {
    ///     Server::bind("127.0.0.1:8080")?.stop_on_signals().restart_on(SIGUSR2).serve(app)
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// Several servers of a process may each do this: it is restarted once.
    pub fn restart_on(mut self, signal: Signal) -> Server {
        self.restarts = Some(OnSignals::new(&[signal]));
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
    /// ends it but `shutdown` and, if asked for, signals.
    pub fn serve(self, app: impl Handler) -> io::Result<()> {
        let Server { listeners, mode, config, state, over, signals, restarts } = self;
        let _over = over;
        if listeners.is_empty() {
            let text = "the server listens nowhere: say where with Server::bind or Server::listen";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let is_text = |name: &String| name.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !config.server_name.as_ref().is_none_or(is_text) {
            let text = "Config::server_name cannot stand in a header";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let listeners: Vec<_> = listeners.into_iter().map(Arc::new).collect();
        for listener in &listeners {
            listener.prepare(&config)?;
            state.watch(listener.clone());
        }
        let _signals = match signals {
            Some(signals) => Some(signals?.stop(mode, &state)?),
            None => None,
        };
        let _restarts = match restarts {
            Some(signals) => Some(signals?.restart(mode)?),
            None => None,
        };
        let handed = listeners.iter().filter(|listener| listener.is_handed()).count();
        let _serving = Serving::new(&state, handed);
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
        // Those that other processes have too are closed by this.
        drop(listeners);
        stop::finish(mode, &state, service.context.config.shutdown_timeout);
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

/// How many workers the caller's runtime has; starts the default one if the caller has none.
pub(super) fn workers() -> usize {
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
    /// [`Config::shutdown_timeout`]. Clients that have just connected get a second to ask something.
    ///
    /// Streams without an end should look at [`SseWriter::is_stopping`](super::SseWriter::is_stopping)
    /// or be woken by what they wait for.
    pub fn shutdown(&self) {
        self.state.stop();
    }

    /// Stops at once: as [`shutdown`](ServerHandle::shutdown), but requests that still run are not waited for. Their
    /// connections are cut, and [`Server::serve`] returns. Also ends a graceful stop that has begun.
    ///
    /// What a handler does without its connection goes on.
    pub fn shutdown_now(&self) {
        self.state.hurry();
        self.state.stop();
    }

    /// Starts this program anew, which takes the listening sockets over, waits until it serves, and begins the graceful
    /// stop of every server of this process. Returns the new process's number.
    ///
    /// No connection is refused meanwhile: the two processes accept from the same sockets until the new one is ready,
    /// and requests that the old one has accepted it answers. Clients that keep connections open find them closed after
    /// the answer, or while they are idle, as after every stop, and connect again.
    ///
    /// The new process is the program of the same path (a newer one may lie there) with the same arguments and
    /// environment. Its code needs nothing for it: [`Server::bind`], [`Listener::bind`] and [`Listener::unix`] find the
    /// sockets that this process has made with the same addresses, and [`Listener::inherited`] those that this one has
    /// inherited. It is ready when as many servers serve as here, or every socket is served again; what it does not ask
    /// for is closed then.
    ///
    /// Under systemd prefer socket units ([`Listener::inherited`]): it follows the first process, not its children.
    ///
    /// # Errors
    ///
    /// If the new process cannot be started, ends, or does not serve within 60 s (it is killed then); if a restart is
    /// under way (`ResourceBusy`), or if a server does not serve or is about to stop. This process goes on as before.
    pub fn restart(&self) -> io::Result<u32> {
        restart::restart(restart::same_program())
    }

    /// As [`restart`](ServerHandle::restart), with another program, other arguments or another environment.
    ///
    /// # Errors
    ///
    /// As `restart`.
    pub fn restart_with(&self, command: Command) -> io::Result<u32> {
        restart::restart(command)
    }

    /// Waits until [`Server::serve`] has returned, that is until the server has stopped. Returns at once if the server
    /// was dropped without serving. Does not stop it.
    pub fn wait(&self) {
        self.state.wait_over(None);
    }

    /// As [`wait`](ServerHandle::wait), for at most `timeout`; false if that was not enough.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.state.wait_over(Instant::now().checked_add(timeout))
    }

    /// Whether it is to stop, or has stopped.
    pub fn is_stopping(&self) -> bool {
        self.state.is_stopping()
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
