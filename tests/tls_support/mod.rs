//! A server that speaks TLS, and clients by rustls. The keys and certificates are those of `tests/tls`.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
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
use sward::http::{Config, Handler, Mode, Server, ServerHandle, Tls};

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

/// A running server; stopped when dropped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<io::Result<()>>>,
}

/// Starts a server with a runtime of its own, of two workers.
pub(crate) fn start(mode: Mode, tls: Tls, config: Config, app: impl Handler) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap().tls(tls).mode(mode).config(config);
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    Running { addr, handle, thread: Some(std::thread::spawn(serve)) }
}

impl Running {
    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A client that has not spoken yet: the handshake is part of its first read or write.
    pub(crate) fn client_by(&self, config: &Arc<ClientConfig>, name: &str) -> Client {
        let name = ServerName::try_from(name.to_string()).unwrap();
        Client(StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), self.tcp()))
    }

    pub(crate) fn client(&self) -> Client {
        self.client_by(&client_config(&Wishes::default()), "localhost")
    }

    /// Waits until serve has returned, after a shutdown.
    pub(crate) fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

pub(crate) struct Client(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// The whole handshake; the error is what rustls says.
    pub(crate) fn shake(&mut self) -> io::Result<()> {
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock)?;
        }
        // With 1.3 the server's refusal of what the client said last comes later.
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
        self.0.flush().unwrap();
    }

    /// All that comes until the server closes, with a close_notify.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Reads until the text received so far ends with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => text.push(byte[0]),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// One response with a Content-Length: its head, and its body.
    pub(crate) fn response(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Asks and returns the body.
    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let (head, body) = self.response();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body
    }
}
