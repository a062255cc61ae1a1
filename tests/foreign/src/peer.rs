//! The other side of a test, when it is a few lines: a server on plain OS threads of the test's own process. That the
//! patch is installed there must not matter to it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Serves each connection by `serve`, on an OS thread of its own.
pub fn serve(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let serve = std::sync::Arc::new(serve);
    let accept = move || {
        for stream in listener.incoming() {
            let (serve, stream) = (serve.clone(), stream.expect("a connection"));
            let small = thread::Builder::new().stack_size(512 * 1024);
            small.spawn(move || serve(stream)).expect("a thread");
        }
    };
    thread::spawn(accept);
    at
}

/// Answers HTTP requests on `stream`, each after `delay`, with what it was sent or else "hello", until the other
/// side closes.
pub fn http<S: Read + Write>(stream: S, delay: Duration) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        thread::sleep(delay);
        let body = if body.is_empty() { b"hello".to_vec() } else { body };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), &body].concat();
        if stream.get_mut().write_all(&answer).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}
