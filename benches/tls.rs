//! What TLS costs: memory of 10,000 connections in each state of their life, CPU of handshakes, and of requests beside the
//! same ones without TLS, in turns.
//!
//! ```text
//! cargo bench --bench tls                       10,000 connections in green mode
//! cargo bench --bench tls -- 2000 threads       as many as you like, in another mode
//! ```
//!
//! The server is a process of its own; its memory and CPU are the kernel's figures, after minus before. Keys and
//! certificates are those of `tests/tls`: ECDSA on P-256, TLS 1.3.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

#[path = "../tests/http_support/mod.rs"]
mod http_support;
mod support;
#[path = "../tests/tls_support/mod.rs"]
mod tls_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use support::Measured;
use sward::http::rustls::pki_types::ServerName;
use sward::http::rustls::{ClientConfig, ClientConnection, StreamOwned};
use sward::http::{Listener, Mode, Request, Router, Server};
use tls_support::{Wishes, client_config, server_tls};

/// Tells the child what it is, and in which mode.
const ROLE: &str = "SWARD_BENCH_SERVER";
/// Connections whose requests are measured, and requests on each in a round.
const BUSY: usize = 64;
const EACH: usize = 200;
const ROUNDS: usize = 10;
const LARGE: usize = 1 << 20;

fn main() {
    if let Ok(mode) = std::env::var(ROLE) {
        sward::run(|| serve(mode.parse().expect("a mode")));
        return;
    }
    println!("tls: {}", support::machine());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let mode = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(Mode::Green);
    measure(count, mode);
}

fn serve(mode: Mode) {
    let tls = Listener::bind("127.0.0.1:0").expect("a port").tls(server_tls());
    let tls_addr = tls.local_addr().expect("bound");
    let mut config = sward::http::Config::default();
    // Nobody is to be cut while memory is read.
    config.tls_handshake_timeout = Duration::from_secs(600);
    config.header_timeout = Duration::from_secs(600);
    let server = Server::bind("127.0.0.1:0").expect("a port").listen(tls).mode(mode).config(config);
    println!("{} {tls_addr}", server.local_addr().expect("bound"));
    let app = Router::new()
        .get("/", |_: &mut Request<'_>| "hello, world")
        .get("/large", |_: &mut Request<'_>| vec![b'x'; LARGE]);
    server.serve(app).expect("it serves");
}

/// The child process, and where it listens.
struct Served {
    process: Measured,
    plain: String,
    tls: String,
}

impl Served {
    fn start(mode: Mode) -> Served {
        let (process, addrs) = Measured::start(ROLE, &mode.to_string());
        let (plain, tls) = addrs.split_once(' ').expect("two");
        Served { plain: plain.into(), tls: tls.into(), process }
    }

    fn memory(&self) -> u64 {
        self.process.status("VmRSS:")
    }

    fn cpu(&self) -> Duration {
        self.process.cpu()
    }
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream
}

fn secure(addr: &str, config: &Arc<ClientConfig>) -> Secure {
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(config.clone(), name).expect("a client"), connect(addr))
}

fn ask(stream: &mut impl Write, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    stream.flush().expect("sent");
}

fn answer(stream: &mut impl Read) {
    let (mut buf, mut have) = (vec![0; 64 << 10], 0);
    let head = loop {
        let n = stream.read(&mut buf[have..]).expect("an answer");
        assert!(n > 0, "the server went away");
        have += n;
        if let Some(end) = buf[..have].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&buf[..head]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut left = length.expect("a length").parse::<usize>().expect("a number") - (have - head);
    while left > 0 {
        left -= stream.read(&mut buf).expect("the rest");
    }
}

fn exchange(stream: &mut (impl Read + Write)) {
    ask(stream, "/");
    answer(stream);
}

/// Memory of `count` connections that `open` makes; each kind with a server of its own, whose first hundred pay what
/// everything costs once.
fn memory<C>(what: &str, count: usize, mode: Mode, mut open: impl FnMut(&Served) -> C) {
    let server = Served::start(mode);
    let first: Vec<C> = (0..100).map(|_| open(&server)).collect();
    settle(&server);
    let (before, cpu) = (server.memory(), server.cpu());
    let all: Vec<C> = (0..count).map(|_| open(&server)).collect();
    settle(&server);
    let each = (server.memory() - before) as f64 / count as f64;
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / count as f64;
    println!("  {what:<42} {each:>8.0} bytes, {cpu:>7.1} us of CPU, each");
    drop((first, all));
}

/// Until it has done what it was asked.
fn settle(server: &Served) {
    let mut before = server.cpu();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = server.cpu();
        if now - before < Duration::from_millis(2) {
            return;
        }
        before = now;
    }
}

fn measure(count: usize, mode: Mode) {
    println!("{count} connections in {mode} mode, the server's share:");
    memory("plain, after a request", count, mode, |server| {
        let mut stream = connect(&server.plain);
        exchange(&mut stream);
        stream
    });
    memory("TLS, connected and silent", count, mode, |server| connect(&server.tls));
    memory("TLS, the handshake half done", count, mode, |server| {
        let mut stream = secure(&server.tls, &client_config_cached());
        stream.conn.write_tls(&mut stream.sock).expect("a hello");
        stream.sock.read_exact(&mut [0; 5]).expect("the server's part");
        stream
    });
    let full = client_config_cached();
    memory("TLS, after a request", count, mode, |server| {
        // No session is kept: each handshake is whole.
        let mut config = (*full).clone();
        config.resumption = sward::http::rustls::client::Resumption::disabled();
        let mut stream = secure(&server.tls, &Arc::new(config));
        exchange(&mut stream);
        stream
    });
    memory("TLS, after a request, resumed", count, mode, |server| {
        let mut stream = secure(&server.tls, &full);
        exchange(&mut stream);
        stream
    });
    memory("TLS 1.2, after a request", count, mode, |server| {
        thread_local!(static OLD: Arc<ClientConfig> =
            client_config(&Wishes { only_tls12: true, ..Wishes::default() }));
        let mut stream = secure(&server.tls, &OLD.with(Arc::clone));
        exchange(&mut stream);
        stream
    });

    let server = Served::start(mode);
    let mut plain: Vec<TcpStream> = (0..BUSY).map(|_| connect(&server.plain)).collect();
    let mut tls: Vec<Secure> = (0..BUSY).map(|_| secure(&server.tls, &full)).collect();
    plain.iter_mut().for_each(exchange);
    tls.iter_mut().for_each(exchange);
    println!("{BUSY} busy connections, the server's CPU:");
    for (path, each, what) in [("/", EACH, "short answer"), ("/large", 4, "answer of 1 MiB")] {
        let (mut without, mut with) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            without += round(&server, &mut plain, path, each);
            with += round(&server, &mut tls, path, each);
        }
        let per = |cpu: Duration| cpu.as_secs_f64() * 1e6 / (BUSY * each * ROUNDS) as f64;
        println!(
            "  {what:<42} {:>8.2} us plain, {:>8.2} us TLS, each: {:.2} times",
            per(without),
            per(with),
            per(with) / per(without)
        );
    }
}

fn client_config_cached() -> Arc<ClientConfig> {
    thread_local!(static CONFIG: Arc<ClientConfig> = client_config(&Wishes::default()));
    CONFIG.with(Arc::clone)
}

/// The server's CPU for `each` requests on all of `clients`.
fn round<S: Read + Write>(server: &Served, clients: &mut [S], path: &str, each: usize) -> Duration {
    let before = server.cpu();
    for _ in 0..each {
        // All at once where the answers fit into the sockets.
        match path {
            "/" => {
                clients.iter_mut().for_each(|client| ask(client, path));
                clients.iter_mut().for_each(answer);
            }
            path => clients.iter_mut().for_each(|client| {
                ask(client, path);
                answer(client);
            }),
        }
    }
    server.cpu() - before
}
