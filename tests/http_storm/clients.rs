//! Clients: many at once, those that behave and are timed, and those that do not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http_support::get;
use crate::server::one_shot;

/// Connects. Ports may be short for a moment after a storm, while those of closed connections wait their time.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(addr) {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                assert!(start.elapsed() < Duration::from_secs(70), "no port: {error}");
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => panic!("cannot connect to {addr}: {error}"),
        }
    }
}

/// So many connections, each of which has sent `first`.
pub(crate) fn open(addr: SocketAddr, count: usize, first: &str) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = connect(addr);
        stream.write_all(first.as_bytes()).unwrap();
        stream
    };
    (0..count).map(one).collect()
}

/// Closes by a reset instead of properly, whatever is on its way.
pub(crate) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// What is left to read, up to the end or a reset, and whether there was an end at all within 20 s.
pub(crate) fn rest(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    let mut buf = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return (bytes, true),
            Ok(n) => bytes.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (bytes, error.kind() != ErrorKind::WouldBlock),
        }
    }
}

/// How long well-behaved clients wait for their answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

impl Latency {
    /// Of 300 requests, each fourth on a connection of its own.
    pub(crate) fn measure(addr: SocketAddr) -> Latency {
        Latency::measure_until(addr, 300, || true)
    }

    /// Of so many at least, and until `enough`.
    pub(crate) fn measure_until(
        addr: SocketAddr,
        least: usize,
        mut enough: impl FnMut() -> bool,
    ) -> Latency {
        let mut client = crate::server::connect(addr);
        let mut times = Vec::new();
        while times.len() < least || !enough() {
            let start = Instant::now();
            if times.len() % 4 == 3 {
                one_shot(addr).unwrap();
            } else {
                client.send(get("/"));
                assert_eq!(client.response().1, "hello");
            }
            times.push(start.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        times.sort();
        Latency { median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }

    /// Like `calm`, by a measure that holds on a busy machine. Who waits for somebody's time-out waits for seconds.
    #[track_caller]
    pub(crate) fn assert_like(self, calm: Latency, name: &str) {
        println!("{name}: latency {calm:?} in calm, {self:?} in the storm");
        let median = calm.median * 10 + Duration::from_millis(30);
        let p99 = calm.p99 * 10 + Duration::from_millis(300);
        assert!(self.median <= median && self.p99 <= p99, "{name}: {self:?}, in calm {calm:?}");
    }
}
