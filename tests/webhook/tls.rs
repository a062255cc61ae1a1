//! Deliveries over TLS: whom the client trusts, on how little stack, and how long it waits for a handshake.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sward::http::{Request, Router, Server, ServerHandle, Tls};
use sward::webhook::{Answer, Client, ClientConfig, Failure, Guard, Resolve, Roots};

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls")).join(name)
}

/// A server whose certificate is for `localhost` and 127.0.0.1, by an authority of the tests'. Stopped when dropped.
struct Peer {
    port: u16,
    handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Peer {
    fn start() -> Peer {
        let tls = Tls::from_pem_files(file("server.pem"), file("server.key")).unwrap();
        let server = Server::bind("127.0.0.1:0").unwrap().tls(tls);
        let (port, handle) = (server.local_addr().unwrap().port(), server.handle());
        let app = Router::new()
            .post("/", |req: &mut Request| req.bytes())
            .get("/", |req: &mut Request| req.peer_addr().to_string());
        let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
        Peer { port, handle, thread: Some(std::thread::spawn(serve)) }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.handle.shutdown();
        let _ = self.thread.take().unwrap().join();
    }
}

/// Says of every name that it is here.
#[derive(Debug)]
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
    }
}

fn config(roots: Roots) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.connect_timeout = Duration::from_secs(20);
    config.total_timeout = Duration::from_secs(30);
    config.roots = roots;
    config
}

fn own_roots() -> Roots {
    Roots::pem(&std::fs::read(file("authority.pem")).unwrap()).unwrap()
}

fn client(roots: Roots) -> Client {
    Client::new(config(roots), Guard::default().allow_loopback())
}

fn fine(answer: &Answer) {
    let reply = answer.result.as_ref().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((reply.status, &*reply.body), (200, "over TLS"));
}

fn tls_failure(answer: Answer) -> String {
    match answer.result {
        Err(Failure::Tls(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trusted_server_is_posted_to() {
    let peer = Peer::start();
    let own = client(own_roots());
    for host in ["localhost", "127.0.0.1", "LOCALHOST."] {
        for _ in 0..2 {
            fine(&own.post(&peer.url(host), &[], b"over TLS"));
        }
    }
    let both = Roots::mozilla_and_pem(&std::fs::read(file("authority.pem")).unwrap()).unwrap();
    fine(&client(both).post(&peer.url("localhost"), &[], b"over TLS"));
}

#[test]
fn connections_are_used_again() {
    let peer = Peer::start();
    let own = client(own_roots());
    let ask = || own.get(&peer.url("localhost")).result.unwrap().body;
    let mine = ask();
    assert!((0..3).all(|_| ask() == mine));
}

#[test]
fn others_are_not() {
    let peer = Peer::start();
    let why = tls_failure(client(Roots::mozilla()).post(&peer.url("localhost"), &[], b""));
    assert!(why.contains("UnknownIssuer"), "{why}");
    // A certificate is for its name, whatever the address.
    let mut other = config(own_roots());
    other.resolver = Arc::new(Here);
    let other = Client::new(other, Guard::default().allow_loopback());
    let why = tls_failure(other.post(&peer.url("other.example"), &[], b""));
    assert!(why.contains("not valid for"), "{why}");
    // No TLS at all.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = plain.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    tls_failure(client(own_roots()).post(&format!("https://{addr}/"), &[], b""));
    answering.join().unwrap();
}

#[test]
fn what_holds_no_certificate_is_refused() {
    for pem in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = Roots::pem(pem.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("the trusted certificates: "), "{error}");
    }
}

#[test]
fn a_handshake_has_an_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let mut config = config(own_roots());
    config.connect_timeout = Duration::from_millis(300);
    let answer = Client::new(config, Guard::default().allow_loopback()).post(&url, &[], b"");
    assert_eq!(answer.result, Err(Failure::Connect("not within 300ms".into())));
    assert!(answer.took < Duration::from_secs(10), "{answer:?}");
}

#[test]
fn half_of_a_green_threads_stack_is_enough() {
    let peer = Peer::start();
    let client = Arc::new(client(own_roots()));
    sward::run(|| {
        for host in ["localhost", "127.0.0.1"] {
            let (client, url) = (client.clone(), peer.url(host));
            let post = move || fine(&client.post(&url, &[], b"over TLS"));
            // An overflow ends the process.
            let builder = sward::thread::Builder::new().stack_size(128 << 10);
            builder.spawn(post).unwrap().join().unwrap();
        }
    });
}
