//! Where a server listens: several addresses, Unix sockets.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use http_support::{body_of, get_once};
use sward::http::{Listener, Mode, Request, Router, Server, ServerHandle};

in_each_mode! {
    all_listeners_serve_and_stop
    socket_files_come_and_go
}

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
    assert!(!path.exists());
}

fn serve_on(listener: Listener, mode: Mode) -> (ServerHandle, impl FnOnce()) {
    let server = Server::new().listen(listener).mode(mode);
    let handle = server.handle();
    let app = Router::new().get("/", |_: &mut Request| "hi");
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    let serving = std::thread::spawn(serve);
    (handle, move || serving.join().unwrap().unwrap())
}

fn socket_files_come_and_go(mode: Mode) {
    support::alarm();
    let path = socket_path(&format!("files-{mode}"));
    let _ = std::fs::remove_file(&path);

    // One that nobody listens at, as a killed server leaves it.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (handle, ended) = serve_on(Listener::unix_with_mode(&path, 0o666).unwrap(), mode);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(ask(UnixStream::connect(&path).unwrap(), "/"), "hi");

    // One that serves is left alone, and its file too.
    let error = Listener::unix(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("somebody listens"), "{error}");
    assert_eq!(ask(UnixStream::connect(&path).unwrap(), "/"), "hi");
    handle.shutdown();
    ended();
    assert!(!path.exists(), "it goes with the server");

    // Somebody else's is not deleted.
    let (handle, ended) = serve_on(Listener::unix(&path).unwrap(), mode);
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    handle.shutdown();
    ended();
    assert!(path.exists(), "it is another one");
    drop(other);
    std::fs::remove_file(&path).unwrap();

    // Nor is what is no socket, or not a file of ours.
    std::fs::write(&path, "a file").unwrap();
    let error = Listener::unix(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    std::fs::remove_file(&path).unwrap();
    let (handle, ended) = serve_on(UnixListener::bind(&path).unwrap().into(), mode);
    handle.shutdown();
    ended();
    assert!(path.exists(), "the program made it");
    std::fs::remove_file(&path).unwrap();

    // Never served.
    let listener = Listener::unix(&path).unwrap();
    assert!(path.exists());
    drop(Server::new().listen(listener));
    assert!(!path.exists());
}

/// At no time does the file allow more than it shall.
#[test]
fn modes_are_set_before_anybody_can_connect() {
    let path = socket_path("mode");
    for mode in [0o600, 0o660, 0o777] {
        let listener = Listener::unix_with_mode(&path, mode).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        drop(listener);
    }
    assert!(Listener::unix("/no/such/folder/socket").is_err());
    assert!(Listener::unix("x".repeat(200)).is_err());
}

#[test]
fn abstract_names() {
    support::alarm();
    let name = format!("sward-test-{}", std::process::id());
    let listener = Listener::unix(format!("@{name}")).unwrap();
    assert_eq!(listener.to_string(), format!("unix:@{name}"));
    let (handle, ended) = serve_on(listener, Mode::Green);
    let addr = SocketAddr::from_abstract_name(&name).unwrap();
    assert_eq!(ask(UnixStream::connect_addr(&addr).unwrap(), "/"), "hi");
    assert_eq!(Listener::unix(format!("@{name}")).unwrap_err().kind(), ErrorKind::AddrInUse);
    handle.shutdown();
    ended();
    assert!(UnixStream::connect_addr(&addr).is_err());
}

#[test]
fn names_and_std_sockets() {
    support::alarm();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The server waits all the same.
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = Listener::from(listener).named("admin");
    assert_eq!(
        (listener.name(), listener.to_string()),
        (Some("admin"), format!("admin at {addr}"))
    );
    let (handle, ended) = serve_on(listener, Mode::Green);
    assert_eq!(ask(TcpStream::connect(addr).unwrap(), "/"), "hi");
    handle.shutdown();
    ended();

    let path = socket_path("named");
    let listener = Listener::unix(&path).unwrap();
    assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = Listener::try_from(OwnedFd::from(listener)).unwrap();
    assert_eq!(listener.to_string(), addr.to_string());
    let file = OwnedFd::from(std::fs::File::open("Cargo.toml").unwrap());
    assert_eq!(Listener::try_from(file).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_server_without_a_listener_says_so() {
    let error = Server::new().serve(Router::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Server::listen"), "{error}");
    assert_eq!(Server::new().local_addr().unwrap_err().kind(), ErrorKind::AddrNotAvailable);
}
