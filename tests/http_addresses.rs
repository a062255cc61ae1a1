//! Who a client is, and how many connections it may have: the PROXY protocol, and the limit for each address.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use http_support::{Client, body_of, eventually, get, get_once, start, status_of};
use sward::http::middleware::TrustedProxies;
use sward::http::{Config, Listener, Mode, Request, Router, Server, ServerHandle};

in_each_mode! {
    announced_clients
    who_announces_nobody_is_refused
    announcements_byte_by_byte
    announced_clients_on_unix_sockets
    one_client_has_its_share
    announced_clients_have_theirs
}

const V1: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";

/// Version 2, for 192.0.2.`last`.
fn v2(last: u8) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02".to_vec();
    bytes.extend([last, 127, 0, 0, 1, 1, 0, 0, 80]);
    bytes
}

struct Behind {
    addr: SocketAddr,
    handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.handle.shutdown_now();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn app() -> Router {
    let proxy =
        |req: &Request| req.proxy_addr().map_or("nobody".to_string(), |a| a.ip().to_string());
    Router::new()
        .get("/", move |req: &mut Request| format!("{} by {}", req.peer_addr(), proxy(req)))
        .get("/client", |req: &mut Request| req.client_addr().to_string())
        .with(TrustedProxies::x_forwarded_for(["192.0.2.0/24"]))
}

fn behind(mode: Mode, proxies: &[&str], config: Config) -> Behind {
    let listener = Listener::bind("127.0.0.1:0").unwrap().proxy_protocol(proxies);
    let addr = listener.local_addr().unwrap();
    let server = Server::new().listen(listener).mode(mode).config(config);
    let handle = server.handle();
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app()));
    Behind { addr, handle, thread: Some(std::thread::spawn(serve)) }
}

impl Behind {
    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }
}

fn announced_clients(mode: Mode) {
    support::alarm();
    let server = behind(mode, &["127.0.0.1"], Config::default());
    let v2 = v2(7);
    let unknown = b"PROXY UNKNOWN\r\n".to_vec();
    for (header, peer) in
        [(V1.as_bytes(), "192.0.2.1:56324"), (&v2, "192.0.2.7:256"), (&unknown, "127.0.0.1:")]
    {
        // With the request, before it, and for all requests of the connection.
        for together in [true, false] {
            let mut client = server.client();
            if together {
                client.send([header, get("/").as_bytes()].concat());
            } else {
                client.send(header);
                std::thread::sleep(Duration::from_millis(20));
                client.send(get("/"));
            }
            for turn in 0..3 {
                let body = client.response().1;
                assert!(
                    body.starts_with(peer) && body.ends_with(" by 127.0.0.1"),
                    "{turn}: {body}"
                );
                client.send(get("/"));
            }
        }
    }
    // It goes on from there: the client that the proxy announces is a trusted proxy of the other kind.
    let mut client = server.client();
    client.send(V1);
    client.send("GET /client HTTP/1.0\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n");
    assert_eq!(body_of(&client.rest()), "203.0.113.5");
}

fn who_announces_nobody_is_refused(mode: Mode) {
    support::alarm();
    let config = || {
        let mut config = Config::default();
        config.header_timeout = Duration::from_millis(200);
        config
    };
    let server = behind(mode, &["127.0.0.1"], config());
    for bytes in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n", "", "PROXY TC"] {
        let mut client = server.client();
        client.send(bytes);
        // A reset, if it had sent more than was read.
        let mut answer = Vec::new();
        let _ = client.0.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{bytes:?} got {:?}", String::from_utf8_lossy(&answer));
    }
    eventually("all are closed", || server.handle.connections() == 0);
    // From elsewhere nobody is believed, whatever it says.
    let server = behind(mode, &["10.0.0.0/8", "::1"], config());
    let mut client = server.client();
    let mut answer = Vec::new();
    let _ = std::io::Write::write_all(&mut client.0, (V1.to_string() + &get_once("/")).as_bytes());
    let _ = client.0.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

fn announcements_byte_by_byte(mode: Mode) {
    support::alarm();
    let server = behind(mode, &["127.0.0.0/8"], Config::default());
    for (header, peer) in [(V1.as_bytes().to_vec(), "192.0.2.1:56324"), (v2(9), "192.0.2.9:256")] {
        let bytes = [header, get_once("/").into_bytes()].concat();
        let mut client = server.client();
        for byte in &bytes {
            client.send([*byte]);
        }
        assert_eq!(body_of(&client.rest()), format!("{peer} by 127.0.0.1"));
        for cut in 1..bytes.len() {
            let mut client = server.client();
            client.send(&bytes[..cut]);
            if cut % 8 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            client.send(&bytes[cut..]);
            assert_eq!(body_of(&client.rest()), format!("{peer} by 127.0.0.1"), "{cut}");
        }
    }
}

fn announced_clients_on_unix_sockets(mode: Mode) {
    support::alarm();
    let name =
        format!("sward-proxy-{}-{}.sock", mode.to_string().replace(':', "-"), std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = Listener::unix(&path).unwrap().proxy_protocol([] as [&str; 0]);
    let server = Server::new().listen(listener).mode(mode);
    let handle = server.handle();
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app()));
    let serving = std::thread::spawn(serve);
    let mut stream = UnixStream::connect(&path).unwrap();
    std::io::Write::write_all(&mut stream, (V1.to_string() + &get_once("/")).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(body_of(&text), "192.0.2.1:56324 by 0.0.0.0");
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

fn limited(most: usize) -> Config {
    let mut config = Config::default();
    config.max_connections_per_ip = Some(most);
    config
}

/// Whether it answers, or has closed at once.
fn is_served(client: &mut Client, header: &[u8]) -> bool {
    let sent = std::io::Write::write_all(&mut client.0, &[header, get("/").as_bytes()].concat());
    let mut byte = [0];
    if sent.is_err() || !matches!(client.0.read(&mut byte), Ok(1)) {
        return false;
    }
    client.until("\r\n\r\n");
    true
}

fn one_client_has_its_share(mode: Mode) {
    support::alarm();
    let server = start(mode, limited(2), app());
    let (mut first, mut second) = (server.client(), server.client());
    assert!(is_served(&mut first, b"") && is_served(&mut second, b""));
    for _ in 0..3 {
        assert!(!is_served(&mut server.client(), b""), "the third of this address");
    }
    assert_eq!(server.handle.connections(), 2);
    drop(first);
    eventually("one is gone", || server.handle.connections() == 1);
    // Counted out before the connection is, so there is room now.
    let mut third = server.client();
    assert!(is_served(&mut third, b""));
    assert!(!is_served(&mut server.client(), b""));
    drop((second, third));
    eventually("all are gone", || server.handle.connections() == 0);
    assert_eq!(status_of(&server.exchange(get_once("/"))), "200");
}

fn announced_clients_have_theirs(mode: Mode) {
    support::alarm();
    let server = behind(mode, &["127.0.0.1"], limited(1));
    // All from one proxy.
    let (mut one, mut two, mut three) = (server.client(), server.client(), server.client());
    assert!(is_served(&mut one, &v2(1)) && is_served(&mut two, &v2(2)));
    assert!(!is_served(&mut server.client(), &v2(1)), "it has one");
    assert!(is_served(&mut three, &v2(3)));
    drop(one);
    eventually("one is gone", || server.handle.connections() == 2);
    assert!(is_served(&mut server.client(), &v2(1)));
}
