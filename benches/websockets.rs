//! What an open WebSocket costs: 10,000 of them, each with a green thread that waits in `read`; and what it costs to
//! answer a message.
//!
//! ```text
//! cargo bench --bench websockets                       10,000 in green mode
//! cargo bench --bench websockets -- 2000 threads       as many as you like, in another mode
//! ```
//!
//! The server is a process of its own, so that its memory is its own and its descriptors suffice; its resident
//! memory, page tables and CPU are the kernel's figures, after minus before. Every socket has echoed a message before
//! it is measured, so none is fresher than in real life.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

mod support;

use std::io::{Read, Write};
use std::time::Instant;

use support::Measured;
use sward::http::{Mode, Request, Router, Server, WebSocket};
use sward::net::TcpStream;

/// Tells the child what it is, and in which mode.
const ROLE: &str = "SWARD_BENCH_SERVER";
/// Messages to each socket that are measured.
const ROUNDS: usize = 20;
/// Bytes of a message.
const SIZE: usize = 64;

fn main() {
    if let Ok(mode) = std::env::var(ROLE) {
        sward::run(|| serve(mode.parse().expect("a mode")));
        return;
    }
    println!("websockets: {}", support::machine());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let mode = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(Mode::Green);
    sward::run(|| measure(count, mode));
}

/// The server: what anybody would write.
fn serve(mode: Mode) {
    let server = Server::bind("127.0.0.1:0").expect("a port").mode(mode);
    println!("{}", server.local_addr().expect("bound"));
    let app = Router::new().get("/echo", |req: &mut Request<'_>| {
        WebSocket::upgrade(req, |ws: &mut WebSocket<'_>| {
            while let Some(message) = ws.read()? {
                ws.send(message)?;
            }
            Ok(())
        })
    });
    server.serve(app).expect("it serves");
}

fn measure(count: usize, mode: Mode) {
    let (server, addr) = Measured::start(ROLE, &mode.to_string());

    drop(open(&addr)); // what everything costs once is paid now
    let (rss, tables) = (server.status("VmRSS:"), server.status("VmPTE:"));
    let start = Instant::now();
    let mut sockets: Vec<TcpStream> = (0..count).map(|_| open(&addr)).collect();
    let opened = start.elapsed();
    let (rss, tables) = (server.status("VmRSS:") - rss, server.status("VmPTE:") - tables);

    let cpu = server.cpu();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        // All at once, so that the server has work in batches, as it would with that many clients.
        sockets.iter_mut().for_each(send);
        sockets.iter_mut().for_each(receive);
    }
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    let after = server.status("VmRSS:");

    let each = |total: u64| total as f64 / count as f64;
    let messages = (count * ROUNDS) as f64;
    println!("{count} WebSockets in {mode} mode, each after an echo:");
    println!("  resident memory     {:>10.0} bytes each", each(rss));
    println!("  page tables         {:>10.0} bytes each", each(tables));
    println!("  open and first echo {:>10.1} us each", opened.as_micros() as f64 / count as f64);
    println!("{ROUNDS} more echoes of {SIZE} bytes on each:");
    println!("  server CPU          {:>10.2} us per echo", cpu.as_micros() as f64 / messages);
    println!("  rate                {:>10.0} echoes per second", messages / took.as_secs_f64());
    println!("  memory in the end   {:>10.1} MiB", after as f64 / f64::from(1 << 20));
}

/// An open WebSocket that has echoed once.
fn open(addr: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let handshake = "GET /echo HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    send(&mut stream);
    receive(&mut stream);
    stream
}

/// A mask of zeros: the server takes it off all the same.
fn send(stream: &mut TcpStream) {
    let mut frame = [b'x'; 6 + SIZE];
    frame[..6].copy_from_slice(&[0x81, 0x80 | SIZE as u8, 0, 0, 0, 0]);
    stream.write_all(&frame).expect("sent");
}

fn receive(stream: &mut TcpStream) {
    let mut frame = [0; 2 + SIZE];
    stream.read_exact(&mut frame).expect("an echo");
    assert_eq!(frame[..2], [0x81, SIZE as u8]);
    assert!(frame[2..].iter().all(|&byte| byte == b'x'), "something else came back");
}
