//! A server that speaks TLS, and clients by rustls. The keys and certificates are those of `tests/tls`.
#![allow(dead_code, reason = "each test uses a part")]

use std::io;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sward::http::rustls::client::Resumption;
use sward::http::rustls::crypto::ring;
use sward::http::rustls::pki_types::pem::PemObject;
use sward::http::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sward::http::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};
use sward::http::{Config, Handler, Mode, Server, Tls};

use crate::http_support::{self, Client};

/// A file of `tests/tls`.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls")).join(name)
}

pub(crate) fn server_tls() -> Tls {
    Tls::from_pem_files(file("server.pem"), file("server.key")).unwrap()
}

pub(crate) fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

/// What a client may be particular about.
#[derive(Clone, Default)]
pub(crate) struct Wishes {
    /// Shows this certificate.
    pub(crate) own: Option<&'static str>,
    pub(crate) alpn: &'static [&'static [u8]],
    pub(crate) only_tls12: bool,
}

pub(crate) fn client_config(wishes: &Wishes) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("authority.pem")).unwrap();
    let versions: &[&SupportedProtocolVersion] =
        if wishes.only_tls12 { &[&version::TLS12] } else { &[&version::TLS13, &version::TLS12] };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match wishes.own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(file(&format!("{own}.key"))).unwrap();
            builder.with_client_auth_cert(vec![certificate(&format!("{own}.pem"))], key).unwrap()
        }
    };
    config.alpn_protocols = wishes.alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// A running server whose clients speak TLS; stopped when dropped.
pub(crate) struct Running(http_support::Running);

/// Starts a server with a runtime of its own, of two workers.
pub(crate) fn start(mode: Mode, tls: Tls, config: Config, app: impl Handler) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap().tls(tls).mode(mode).config(config);
    Running(http_support::run(server, app))
}

impl Deref for Running {
    type Target = http_support::Running;

    fn deref(&self) -> &http_support::Running {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut http_support::Running {
        &mut self.0
    }
}

impl Running {
    /// A connection, before any handshake.
    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = self.0.client().0;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// A client that has not spoken yet: the handshake is part of its first read or write.
    pub(crate) fn client_by(&self, config: &Arc<ClientConfig>, name: &str) -> Secure {
        let name = ServerName::try_from(name.to_string()).unwrap();
        Client(StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), self.tcp()))
    }

    pub(crate) fn client(&self) -> Secure {
        self.client_by(&client_config(&Wishes::default()), "localhost")
    }
}

pub(crate) type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;

impl Secure {
    /// The whole handshake; the error is what rustls says.
    pub(crate) fn shake(&mut self) -> io::Result<()> {
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock)?;
        }
        // With 1.3 the server's refusal of what the client said last comes later.
        Ok(())
    }

    /// Asks and returns the body.
    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(http_support::get(path));
        let (head, body) = self.response();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body
    }
}
