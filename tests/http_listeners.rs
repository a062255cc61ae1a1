//! Where a server listens: several addresses, Unix sockets.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use http_support::{body_of, get_once};
use sward::http::{Listener, Mode, Request, Router, Server};

in_each_mode! { all_listeners_serve_and_stop }

/// A path of this test's own.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!(
        "sward-{}-{}.sock",
        name.replace(':', "-"),
        std::process::id()
    ))
}

fn ask(mut stream: impl Read + Write, path: &str) -> String {
    stream.write_all(get_once(path).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    body_of(&text).to_string()
}

fn all_listeners_serve_and_stop(mode: Mode) {
    support::alarm();
    let path = socket_path(&mode.to_string());
    let _ = std::fs::remove_file(&path);
    let second = Listener::bind("127.0.0.1:0").unwrap();
    let second_addr = second.local_addr().unwrap();
    let unix = Listener::unix(&path).unwrap();
    assert_eq!(unix.local_addr().unwrap_err().kind(), ErrorKind::InvalidInput);
    let server = Server::bind("127.0.0.1:0").unwrap().listen(second).listen(unix).mode(mode);
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let app = Router::new().get("/peer", |req: &mut Request| req.peer_addr().to_string());
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    let serving = std::thread::spawn(serve);

    for _ in 0..3 {
        for addr in [addr, second_addr] {
            let stream = TcpStream::connect(addr).unwrap();
            let own = stream.local_addr().unwrap().to_string();
            assert_eq!(ask(stream, "/peer"), own);
        }
        assert_eq!(ask(UnixStream::connect(&path).unwrap(), "/peer"), "0.0.0.0:0");
    }
    handle.shutdown();
    serving.join().unwrap().unwrap();
    assert!(TcpStream::connect(addr).is_err() && TcpStream::connect(second_addr).is_err());
    assert!(UnixStream::connect(&path).is_err());
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_server_without_a_listener_says_so() {
    let error = Server::new().serve(Router::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Server::listen"), "{error}");
    assert_eq!(Server::new().local_addr().unwrap_err().kind(), ErrorKind::AddrNotAvailable);
}
