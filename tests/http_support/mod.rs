//! A server in the test's own process, and a client that speaks in bytes.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sward::http::{Config, Handler, Mode, Server, ServerHandle};

/// Makes a test of each function of this name, `fn name(mode: Mode)`, in each mode.
#[allow(unused_macros, reason = "as above")]
macro_rules! in_each_mode {
    ($($test:ident)*) => {
        in_each_mode!(green Mode::Green => $($test)*);
        in_each_mode!(threads Mode::Threads => $($test)*);
        in_each_mode!(pool Mode::Pool(4) => $($test)*);
    };
    ($name:ident $mode:expr => $($test:ident)*) => {
        mod $name {
            use sward::http::Mode;
            $(#[test] fn $test() { super::$test($mode) })*
        }
    };
}

/// A running server; stopped when dropped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

/// Starts a server with a runtime of its own, of two workers.
pub(crate) fn start(mode: Mode, config: Config, app: impl Handler) -> Running {
    run(Server::bind("127.0.0.1:0").unwrap().mode(mode).config(config), app)
}

/// The same for a server that is more than its mode and its limits.
pub(crate) fn run(server: Server, app: impl Handler) -> Running {
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    Running { addr, handle, thread: Some(std::thread::spawn(serve)) }
}

impl Running {
    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    /// Sends `bytes` on a fresh connection and returns all that comes until the server closes it.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.rest()
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

/// Speaks over any kind of stream.
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
        self.0.flush().unwrap();
    }

    /// All that comes until the server closes.
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

    /// One response with a Content-Length: its head without the Date, and its body.
    pub(crate) fn response(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (without_date(&head), String::from_utf8(body).unwrap())
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

impl Client {
    /// Nothing follows from the client.
    pub(crate) fn finish(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

pub(crate) fn without_date(text: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

/// A GET with what HTTP/1.1 requires.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// The same, and the connection is closed after it.
pub(crate) fn get_once(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
}

pub(crate) fn body_of(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {response:?}")).1
}

pub(crate) fn status_of(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("nothing")
}

/// Waits for `check`, without guessing how long it takes.
#[track_caller]
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
