//! The client: one thread, one epoll instance, as little work per answer as can be, so that the server is what is busy.
//! Every answer is looked at: its status line, its body and its length.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketType, sockopt};

/// What to send, and how.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// Requests that are sent at once, before their answers are read.
    pub(crate) pipelined: usize,
    /// After so many requests a connection is closed and another one made; 0: never.
    pub(crate) per_connection: usize,
    /// The last request of a connection says so. If not, the client just closes.
    pub(crate) announced: bool,
    /// No two requests are the same: each has a number of its own.
    pub(crate) numbered: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    /// From the first byte sent to the last received, in nanoseconds.
    pub(crate) latencies: Vec<u32>,
}

struct Connection {
    socket: TcpStream,
    /// Bytes of answers that are still to come.
    missing: usize,
    sent: usize,
    since: Instant,
}

/// A client that has learned how a server's answers look.
pub(crate) struct Client {
    plan: Plan,
    addr: SocketAddr,
    request: Vec<u8>,
    last_request: Vec<u8>,
    answer: Vec<u8>,
    last_answer: Vec<u8>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    made: u64,
    sent: u64,
}

impl Client {
    /// Connects, and has one answer on each connection.
    pub(crate) fn new(plan: Plan, addr: SocketAddr) -> Client {
        let request = |last: bool| {
            let connection = if last && plan.announced { "close" } else { "keep-alive" };
            let number =
                if plan.numbered { format!("{NUMBER}00000000\r\n") } else { String::new() };
            format!(
                "GET {} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: sward-bench/1\r\n\
                 Accept: application/json,text/html;q=0.9,*/*;q=0.8\r\n{number}Connection: {connection}\r\n\r\n",
                plan.path
            )
        };
        let (request, last_request) = (request(false), request(true));
        let mut client = Client {
            plan,
            addr,
            answer: learn(addr, &request),
            last_answer: learn(addr, &last_request),
            request: request.repeat(plan.pipelined).into_bytes(),
            last_request: last_request.into_bytes(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll"),
            connections: Vec::new(),
            made: 0,
            sent: 0,
        };
        for at in 0..plan.connections {
            let socket = client.connect(at);
            client.connections.push(Connection {
                socket,
                missing: 0,
                sent: 0,
                since: Instant::now(),
            });
        }
        client
    }

    /// From one of many addresses, so that ports do not run out while they linger.
    fn connect(&mut self, at: usize) -> TcpStream {
        let n = (self.made / 64 % 200) as u8;
        self.made += 1;
        let socket =
            rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        port_at_connect(&socket);
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + n), 0));
        rustix::net::bind(&socket, &from).expect("an address");
        rustix::net::connect(&socket, &self.addr).expect("a connection");
        sockopt::set_tcp_nodelay(&socket, true).expect("an option");
        let data = EventData::new_u64(at as u64);
        epoll::add(&self.epoll, socket.as_fd(), data, EventFlags::IN).expect("epoll");
        TcpStream::from(socket)
    }

    fn send(&mut self, at: usize, now: Instant) {
        let connection = &mut self.connections[at];
        connection.since = now;
        connection.sent += 1;
        if self.plan.numbered {
            self.sent += 1;
            put_number(&mut self.request, self.sent);
        }
        let last = connection.sent == self.plan.per_connection;
        let (bytes, answer) = if last {
            (&self.last_request, &self.last_answer)
        } else {
            (&self.request, &self.answer)
        };
        connection.missing = answer.len() * self.plan.pipelined;
        connection.socket.write_all(bytes).expect("a request is sent");
    }

    /// Keeps all connections busy for `time`, then waits for the last answers.
    pub(crate) fn run(&mut self, time: Duration) -> Outcome {
        let mut outcome =
            Outcome { requests: 0, connections: 0, latencies: Vec::with_capacity(1 << 18) };
        let (mut buffer, mut room) =
            (vec![0; 64 << 10], vec![MaybeUninit::<Event>::uninit(); 1024]);
        let end = Instant::now() + time;
        let mut open = self.connections.len();
        for at in 0..open {
            self.send(at, Instant::now());
        }
        while open > 0 {
            let (events, _) = epoll::wait(&self.epoll, &mut room[..], None).expect("epoll");
            for event in events.iter() {
                let at = event.data.u64() as usize;
                let connection = &mut self.connections[at];
                let n = connection.socket.read(&mut buffer).expect("an answer");
                assert!(
                    n > 0 && n <= connection.missing,
                    "{n} bytes, expected {}",
                    connection.missing
                );
                connection.missing -= n;
                if connection.missing > 0 {
                    continue;
                }
                let now = Instant::now();
                let last = connection.sent == self.plan.per_connection;
                let answer = if last { &self.last_answer } else { &self.answer };
                check(&buffer[..n], answer);
                outcome.latencies.push((now - connection.since).as_nanos() as u32);
                outcome.requests += self.plan.pipelined as u64;
                if last {
                    outcome.connections += 1;
                    let socket = self.connect(at);
                    self.connections[at].socket = socket; // the old one closes
                    self.connections[at].sent = 0;
                }
                if now < end { self.send(at, now) } else { open -= 1 }
            }
        }
        outcome
    }
}

const NUMBER: &str = "X-Request-Id: ";

/// Writes it into the header that has room for it.
fn put_number(request: &mut [u8], mut number: u64) {
    let at = request.windows(NUMBER.len()).position(|bytes| bytes == NUMBER.as_bytes());
    let from = at.expect("it is there") + NUMBER.len();
    for digit in request[from..from + 8].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Without it the port is chosen by `bind`, for every possible peer, and there are not enough of those.
fn port_at_connect(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int that outlives the call, and its size is said.
    let result = unsafe {
        let size = size_of_val(&on) as libc::socklen_t;
        let at = (&raw const on).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            at,
            size,
        )
    };
    assert_eq!(result, 0, "the option is there since Linux 4.2");
}

/// A first answer, with what its length is.
fn learn(addr: SocketAddr, request: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = socket.read(&mut buffer).expect("an answer");
        assert!(n > 0, "a whole answer");
        answer.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        for name in ["server", "date", "content-type", "content-length"] {
            assert!(head.contains(&format!("\r\n{name}: ")), "no {name}: {head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.parse().ok()).expect("a length");
        if body.len() >= length {
            assert!(body.contains("hello, world!"), "{body}");
            return answer;
        }
    }
}

/// The end of what came is the end of an answer; Date may differ.
fn check(came: &[u8], answer: &[u8]) {
    let tail = 13.min(came.len());
    assert_eq!(came[came.len() - tail..], answer[answer.len() - tail..], "something else came");
}
