//! One handler in three spellings: on green threads, on OS threads, and as callbacks on an event loop. Each asks a slow
//! backend whether the reader may read, then for two things at the same time.
//!
//! ```text
//! cargo run --release --example spellings
//! ```
//!
//! Read `green.rs`, `threads.rs` (the same lines) and `callbacks.rs`. What each costs in memory is measured by
//! `examples/compare`.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod callbacks;
mod common;
mod event_loop;
mod green;
mod threads;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::{backend, body_of, handler_lines};
use sward::http::{Mode, Request, Router, Server};

/// How long each answer of the backend takes.
const WAIT: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    sward::run(|| {
        let behind = Server::bind("127.0.0.1:0")?;
        let at = behind.local_addr()?;
        sward::thread::spawn(move || behind.serve(backend(WAIT)));

        let green = Router::new().get("/", move |_: &mut Request| green::page(at));
        let on_threads = Router::new().get("/", move |_: &mut Request| threads::page(at));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let calling_back = listener.local_addr()?;
        std::thread::spawn(move || event_loop::serve(listener, at, callbacks::page));
        let green = serve(Mode::Green, green)?;
        let on_threads = serve(Mode::Threads, on_threads)?;

        let mut answers = Vec::new();
        for (name, addr, source) in [
            ("green threads", green, include_str!("green.rs")),
            ("OS threads", on_threads, include_str!("threads.rs")),
            ("callbacks", calling_back, include_str!("callbacks.rs")),
        ] {
            let began = Instant::now();
            let answer = sward::blocking(move || ask(addr))?;
            let lines = handler_lines(source).len();
            println!(
                "{name:<14} {lines:>3} lines, {:>4} ms: {}",
                began.elapsed().as_millis(),
                answer.trim()
            );
            answers.push(answer);
        }
        if answers.iter().any(|answer| *answer != answers[0]) {
            return Err(io::Error::other("the spellings do not agree"));
        }
        Ok(())
    })
}

fn serve(mode: Mode, app: Router) -> io::Result<SocketAddr> {
    let server = Server::bind("127.0.0.1:0")?.mode(mode);
    let addr = server.local_addr()?;
    sward::thread::spawn(move || server.serve(app));
    Ok(addr)
}

/// One request, by hand, as a stranger would make it.
fn ask(addr: SocketAddr) -> io::Result<String> {
    use std::io::{Read, Write};

    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut some = [0; 1024];
    while !answer.ends_with(b"\n") {
        let n = stream.read(&mut some)?;
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&some[..n]);
    }
    body_of(String::from_utf8_lossy(&answer).into_owned())
}
