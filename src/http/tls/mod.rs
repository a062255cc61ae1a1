//! What a server that speaks TLS needs to know: certificates, keys, whose certificates clients must show. rustls does
//! TLS; how its bytes go over a connection is in `session` and `handshake`.

#![forbid(unsafe_code)]

mod client;
mod handshake;
mod over;
mod pem;
mod records;
mod resolve;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

pub use client::TlsClient;
pub(crate) use handshake::Shaken;
pub(crate) use over::goodbye_now;
pub(crate) use session::Session;

use self::pem::{Pair, Source};
use self::resolve::{ByName, Noting};
use crate::sys::Lock;
use crate::{blocking, thread};

/// Certificates and keys of a server that speaks TLS (1.2 and 1.3, by [rustls](super::rustls)). Give it to
/// [`Server::tls`](super::Server::tls) or [`Listener::tls`](super::Listener::tls). Clones are the same thing: keep one to
/// [`reload`](Tls::reload) certificates while the server runs.
///
/// ```no_run
/// use sward::http::{Request, Router, Server, Tls};
///
/// fn main() -> std::io::Result<()> {
///     let tls = Tls::from_pem_files("fullchain.pem", "privkey.pem")?;
///     let app = Router::new().get("/", |_: &mut Request| "hello, privately");
///     sward::run(|| Server::bind("0.0.0.0:443")?.tls(tls).serve(app))
/// }
/// ```
///
/// New certificates are taken without a restart: [`Tls::watch`] looks now and then whether the files have changed. Or
/// do it when somebody says so:
///
/// ```no_run
/// # let tls = sward::http::Tls::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let again = tls.clone();
/// sward::thread::spawn(move || {
///     while sward::signal::wait(&[sward::signal::SIGHUP]).is_ok() {
///         again.reload().unwrap_or_else(|error| eprintln!("{error}"));
///     }
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A handshake has [`Config::tls_handshake_timeout`](super::Config::tls_handshake_timeout). In green mode a client that is
/// in the middle of one, or has only connected, has no green thread. Signing takes the worker 0.05 ms with an ECDSA
/// key and 1 ms with RSA of 2048 bits, so prefer ECDSA.
///
/// Clients may resume sessions by tickets (their keys change every six hours); early data is not taken, as it can be
/// replayed. A client that offers protocols by ALPN but neither `http/1.1` nor `http/1.0` is refused, as the
/// standard wants.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    plan: Plan,
    /// What new connections use.
    current: Lock<Arc<ServerConfig>>,
}

/// What can be read again.
#[derive(Clone)]
enum Plan {
    Pem(Box<Pem>),
    /// The program's own.
    Given,
}

#[derive(Clone)]
struct Pem {
    default: Pair,
    hosts: Vec<(Box<str>, Pair)>,
    clients: Clients,
    tickets: Arc<dyn ProducesTickets>,
}

/// Whether clients are asked for certificates, and whose.
#[derive(Clone, Debug)]
enum Clients {
    NotAsked,
    Asked { authorities: Source, required: bool },
}

impl Tls {
    /// From PEM files: `certificates` has the server's own certificate first, then those that lead to its authority
    /// (`fullchain.pem` of most tools); `key` has its private key, PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, has no certificate or key in it, or the two do not belong together. The text says
    /// which file, and what is wrong with it.
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Tls> {
        Tls::from_pair(Source::file(certificates), Source::file(key))
    }

    /// The same from memory. There is nothing to reload then.
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem_files`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> io::Result<Tls> {
        Tls::from_pair(Source::Bytes(certificates.into()), Source::Bytes(key.into()))
    }

    fn from_pair(certificates: Source, key: Source) -> io::Result<Tls> {
        let default = Pair { certificates, key };
        let tickets = new_tickets()?;
        Tls::by_plan(Pem { default, hosts: Vec::new(), clients: Clients::NotAsked, tickets })
    }

    fn by_plan(pem: Pem) -> io::Result<Tls> {
        let (pem, config) = off_worker(move || pem.load().map(|config| (pem, config)))?;
        let current = Lock::new(Arc::new(config));
        Ok(Tls(Arc::new(Shared { plan: Plan::Pem(Box::new(pem)), current })))
    }

    /// Another certificate, for clients that ask for the host `name` (by SNI); `*.example.com` is for all names with one
    /// label before `.example.com`. Whoever asks for a name without a certificate, or for none, gets the first one.
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem_files`], and if the certificate is not for that name. `Unsupported` after
    /// [`Tls::from_config`].
    pub fn add_host(
        self,
        name: &str,
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Tls> {
        let pair = Pair { certificates: Source::file(certificates), key: Source::file(key) };
        let name = name.to_ascii_lowercase().into();
        self.change(move |pem| pem.hosts.push((name, pair)))
    }

    /// Clients must show a certificate that one of the authorities in this PEM file has signed, or the handshake fails.
    /// Handlers see it: [`Request::client_certificates`](super::Request::client_certificates).
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem_files`]. `Unsupported` after [`Tls::from_config`].
    pub fn require_client_certificates(self, authorities: impl AsRef<Path>) -> io::Result<Tls> {
        let authorities = Source::file(authorities);
        self.change(|pem| pem.clients = Clients::Asked { authorities, required: true })
    }

    /// The same, but clients may come without one. A wrong one still makes the handshake fail.
    ///
    /// # Errors
    ///
    /// As [`Tls::require_client_certificates`].
    pub fn allow_client_certificates(self, authorities: impl AsRef<Path>) -> io::Result<Tls> {
        let authorities = Source::file(authorities);
        self.change(|pem| pem.clients = Clients::Asked { authorities, required: false })
    }

    fn change(self, how: impl FnOnce(&mut Pem)) -> io::Result<Tls> {
        let Plan::Pem(pem) = &self.0.plan else { return Err(given()) };
        let mut pem = (**pem).clone();
        how(&mut pem);
        Tls::by_plan(pem)
    }

    /// All that rustls can do: your own choice of versions, cipher suites, verifiers, another provider of cryptography.
    ///
    /// Two things are set whatever you say: early data is off, and an empty list of ALPN protocols becomes `http/1.1`
    /// and `http/1.0`.
    pub fn from_config(config: Arc<ServerConfig>) -> Tls {
        Tls(Arc::new(Shared { plan: Plan::Given, current: Lock::new(prepared(config)) }))
    }

    /// New connections use this from now on; those that are open go on as they are. For certificates that do not come
    /// from files. A later [`reload`](Tls::reload) goes back to the files, if there are any.
    pub fn set_config(&self, config: Arc<ServerConfig>) {
        *self.0.current.lock() = prepared(config);
    }

    /// Reads all files again. New connections get the new certificates, those that are open go on as they are.
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem_files`]; then everything stays as it was. `Unsupported` after [`Tls::from_config`].
    pub fn reload(&self) -> io::Result<()> {
        let Plan::Pem(pem) = &self.0.plan else { return Err(given()) };
        let pem = pem.clone();
        let config = off_worker(move || pem.load())?;
        *self.0.current.lock() = Arc::new(config);
        Ok(())
    }

    /// From now on looks every so often whether a file has changed, and reloads if so, as long as a server or anybody
    /// else uses this. An error, as when a file is only half written, goes to `failed`, and the next look tries again.
    ///
    /// ```no_run
    /// # let tls = sward::http::Tls::from_pem_files("fullchain.pem", "privkey.pem")?;
    /// use std::time::Duration;
    ///
    /// tls.watch(Duration::from_secs(60), |error| eprintln!("{error}"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn watch(&self, every: Duration, failed: impl Fn(io::Error) + Send + 'static) {
        let Plan::Pem(pem) = &self.0.plan else { return };
        let seen = pem.changed();
        let shared = Arc::downgrade(&self.0);
        drop(thread::spawn(move || watch(&shared, every, seen, failed)));
    }

    /// What a new connection uses.
    fn current(&self) -> Arc<ServerConfig> {
        self.0.current.lock().clone()
    }
}

fn watch(
    shared: &Weak<Shared>,
    every: Duration,
    mut seen: Vec<Option<SystemTime>>,
    failed: impl Fn(io::Error),
) {
    loop {
        thread::sleep(every.max(Duration::from_millis(1)));
        let Some(tls) = shared.upgrade().map(Tls) else { return };
        let Plan::Pem(pem) = &tls.0.plan else { return };
        let pem = pem.clone();
        let now = off_worker(move || pem.changed());
        if now != seen {
            match tls.reload() {
                // What changes between the two looks is seen at the next.
                Ok(()) => seen = now,
                Err(error) => failed(error),
            }
        }
    }
}

impl Pem {
    /// Reads everything. Half of it is nothing.
    fn load(&self) -> io::Result<ServerConfig> {
        let provider = Arc::new(default_provider());
        let default = Arc::new(self.default.load(&provider)?);
        let mut hosts = HashMap::new();
        for (name, pair) in &self.hosts {
            let key = pair.load(&provider)?;
            pair.check_name(&key, name)?;
            hosts.insert(name.clone(), Arc::new(key));
        }
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?;
        let builder = match &self.clients {
            Clients::NotAsked => builder.with_no_client_auth(),
            Clients::Asked { authorities, required } => {
                builder.with_client_cert_verifier(verifier(authorities, *required, provider)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName { hosts, default }));
        // A ticket stands for the client's certificate too: it must not outlive its authority.
        config.ticketer = match self.clients {
            Clients::NotAsked => self.tickets.clone(),
            Clients::Asked { .. } => new_tickets()?,
        };
        // Tickets are kept by the clients; without them a session is not resumed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        prepare(&mut config);
        Ok(config)
    }

    fn changed(&self) -> Vec<Option<SystemTime>> {
        let pairs = std::iter::once(&self.default).chain(self.hosts.iter().map(|(_, pair)| pair));
        let mut all: Vec<_> = pairs.flat_map(Pair::changed).collect();
        if let Clients::Asked { authorities, .. } = &self.clients {
            all.push(authorities.changed());
        }
        all
    }
}

fn verifier(
    authorities: &Source,
    required: bool,
    provider: Arc<CryptoProvider>,
) -> io::Result<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
    let roots = Arc::new(authorities.roots()?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| {
        io::Error::new(ErrorKind::InvalidData, format!("TLS: {authorities}: {error}"))
    })
}

fn new_tickets() -> io::Result<Arc<dyn ProducesTickets>> {
    Ticketer::new().map_err(|error| io::Error::other(format!("TLS: no keys for tickets: {error}")))
}

fn prepared(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    prepare(&mut config);
    Arc::new(config)
}

fn prepare(config: &mut ServerConfig) {
    if config.alpn_protocols.is_empty() {
        // The second is what curl offers when it is to speak no more than that.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    }
    config.max_early_data_size = 0;
    config.cert_resolver = Arc::new(Noting(config.cert_resolver.clone()));
}

/// Files are read where no green thread waits.
fn off_worker<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    blocking::run(f)
}

fn given() -> io::Error {
    let text =
        "TLS: this configuration came from the program, which has to change it: Tls::set_config";
    io::Error::new(ErrorKind::Unsupported, text)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Tls");
        if let Plan::Pem(pem) = &self.0.plan {
            out.field("default", &pem.default)
                .field("hosts", &pem.hosts)
                .field("clients", &pem.clients);
        }
        out.finish_non_exhaustive()
    }
}
