//! One attempt: what is sent, what comes back, and that a server can cost us neither more time nor more bytes than it may.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use sward::webhook::{Answer, Client, ClientConfig, Failure, Guard, Refused, Resolve};

/// A server that answers as it is told, and counts.
struct Peer {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Each connection, with its number from 0 on, goes to `serve` on a thread of its own.
    fn start(
        addr: impl std::net::ToSocketAddrs,
        serve: impl Fn(&mut Talk, usize) + Send + Sync + 'static,
    ) -> Peer {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (counted, heard, serve) = (connections.clone(), Arc::clone(&requests), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let mut talk = Talk { stream: stream.unwrap(), heard: Arc::clone(&heard) };
                talk.stream.set_nodelay(true).unwrap();
                let serve = serve.clone();
                std::thread::spawn(move || serve(&mut talk, number));
            }
        });
        Peer { addr, connections, requests }
    }

    /// Answers every request with these bytes.
    fn answering(bytes: impl Into<Vec<u8>>) -> Peer {
        let bytes = bytes.into();
        Peer::start("127.0.0.1:0", move |talk, _| {
            while talk.request().is_some() {
                talk.say(&bytes);
            }
        })
    }

    /// Reads a request, answers, and closes.
    fn answering_once(bytes: impl Into<Vec<u8>>) -> Peer {
        let bytes = bytes.into();
        Peer::start("127.0.0.1:0", move |talk, _| {
            talk.request();
            talk.say(&bytes);
        })
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

struct Talk {
    stream: TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    /// A whole request; none if the client has closed.
    fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1);
                let length = length.map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
                if body.len() >= length {
                    self.heard.lock().unwrap().push(text.to_string());
                    return Some(text.into_owned());
                }
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
            }
        }
    }

    /// False if the client is gone.
    fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Waits until the client closes.
    fn wait(&mut self) {
        while matches!(self.stream.read(&mut [0; 4096]), Ok(length) if length > 0) {}
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn config() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.connect_timeout = Duration::from_secs(20);
    config.total_timeout = Duration::from_secs(30);
    config
}

/// For servers that are to be given up: not a long time, which a loaded machine need not keep to from below.
fn hasty() -> ClientConfig {
    let mut config = config();
    config.connect_timeout = Duration::from_millis(300);
    config.total_timeout = Duration::from_millis(600);
    config
}

fn client() -> Client {
    Client::new(config(), Guard::default().allow_loopback())
}

fn hasty_client() -> Client {
    Client::new(hasty(), Guard::default().allow_loopback())
}

fn status(answer: &Answer) -> u16 {
    answer.result.as_ref().unwrap_or_else(|why| panic!("{why}")).status
}

fn protocol(answer: Answer) -> String {
    match answer.result {
        Err(Failure::Protocol(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// It took no longer than the limit, as far as a loaded machine lets one say.
fn in_time(answer: &Answer) {
    assert!(answer.took < Duration::from_secs(10), "{answer:?}");
}

#[test]
fn what_is_sent() {
    let peer = Peer::answering(OK);
    let headers = [("content-type", "application/json"), ("webhook-id", "msg_1")];
    let url = format!("http://{}/a%20b?c=d", peer.addr);
    let answer = client().post(&url, &headers, b"{\"a\":1}");
    assert_eq!(answer.address, Some(peer.addr));
    let reply = answer.result.unwrap();
    assert_eq!((reply.status, &*reply.body, reply.truncated), (200, "ok", false));
    assert_eq!(reply.retry_after, None);

    let request = peer.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /a%20b?c=d HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", peer.addr);
    let agent = concat!("user-agent: sward-webhook/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        [
            "accept: */*",
            "content-length: 7",
            "content-type: application/json",
            &host,
            agent,
            "webhook-id: msg_1"
        ]
    );
    assert_eq!(body, "{\"a\":1}");
}

#[test]
fn a_get_has_no_body() {
    let peer = Peer::answering(OK);
    assert_eq!(status(&client().get(&peer.url())), 200);
    let request = peer.requests().remove(0);
    assert!(
        request.starts_with("GET /hook HTTP/1.1\r\n") && !request.contains("content-length"),
        "{request}"
    );
}

#[test]
fn cookies_are_forgotten() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n");
    let client = client();
    for _ in 0..2 {
        assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
    }
    assert_eq!(peer.requests()[0], peer.requests()[1]);
}

#[test]
fn a_large_body_goes_through_whole() {
    let peer = Peer::answering(OK);
    let body = "x".repeat(1 << 20);
    assert_eq!(status(&client().post(&peer.url(), &[], body.as_bytes())), 200);
    assert!(peer.requests()[0].ends_with(&body));
}

#[test]
fn headers_cannot_be_injected() {
    let peer = Peer::answering(OK);
    for (name, value) in [
        ("x", "a\r\nwebhook-id: forged"),
        ("x", "a\nb"),
        ("x", "a\0"),
        ("x\r\ny", "a"),
        ("x y", "a"),
        ("", "a"),
        ("Host", "other"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
    ] {
        let answer = client().post(&peer.url(), &[(name, value)], b"{}");
        assert_eq!(answer.result, Err(Failure::BadHeader(name.into())), "{value:?}");
    }
    for url in [format!("{}\r\nx: y", peer.url()), format!("{} HTTP/1.1", peer.url())] {
        assert!(matches!(client().post(&url, &[], b"").result, Err(Failure::BadUrl(_))), "{url:?}");
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn every_status_is_an_answer() {
    for code in [200, 201, 204, 304, 400, 404, 410, 429, 500, 503, 599] {
        let peer = Peer::answering(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(status(&client().post(&peer.url(), &[], b"{}")), code);
    }
}

#[test]
fn redirects_are_not_followed() {
    let secret = Peer::answering(OK);
    for code in [300, 301, 302, 303, 305, 307, 308] {
        let peer = Peer::answering_once(format!(
            "HTTP/1.1 {code} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            secret.url()
        ));
        assert_eq!(status(&client().post(&peer.url(), &[], b"{}")), code);
        assert_eq!(status(&client().get(&peer.url())), code);
    }
    assert_eq!(secret.connections(), 0);
}

#[test]
fn retry_after_is_read() {
    for (value, seconds) in
        [("7", Some(7)), ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)), ("soon", None)]
    {
        let peer = Peer::answering(format!(
            "HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
        ));
        let reply = client().post(&peer.url(), &[], b"{}").result.unwrap();
        assert_eq!(reply.retry_after, seconds.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn an_answer_may_be_announced() {
    let peer = Peer::answering(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{OK}"
    ));
    let reply = client().post(&peer.url(), &[], b"{}").result.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, "ok"));
}

#[test]
fn bodies_in_every_framing() {
    for (text, body, truncated) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
            "hello",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
        ("HTTP/1.0 200 OK\r\n\r\nhello", "hello", false),
        // Cut off: the status stands.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "hello", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n", "", true),
        // Not text.
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe\0lo", "he\0lo", false),
    ] {
        let peer = Peer::answering_once(text);
        let reply = client().post(&peer.url(), &[], b"{}").result.unwrap();
        assert_eq!((reply.status, &*reply.body, reply.truncated), (200, body, truncated), "{text}");
    }
}

#[test]
fn nothing_is_decompressed() {
    let mut reply =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n".to_vec();
    reply.extend_from_slice(b"\x1f\x8b\x08\x00\x00");
    let peer = Peer::answering(reply);
    let reply = client().post(&peer.url(), &[], b"{}").result.unwrap();
    assert_eq!((&*reply.body, reply.truncated), ("\x1f", true), "as far as it is UTF-8");
    assert!(!peer.requests()[0].contains("accept-encoding"));
}

#[test]
fn endless_bodies_are_cut_off() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for (head, piece) in [
        ("Content-Length: 99999999999", "x".repeat(0x1000)),
        ("Transfer-Encoding: chunked", chunk),
        ("Connection: close", "x".repeat(0x1000)),
    ] {
        let (ended, end) = mpsc::channel();
        let peer = Peer::start("127.0.0.1:0", move |talk, _| {
            talk.request();
            talk.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
            while talk.say(piece.as_bytes()) {}
            ended.send(()).unwrap();
        });
        let reply = client().post(&peer.url(), &[], b"{}").result.unwrap();
        assert_eq!(
            (reply.status, reply.body.len(), reply.truncated),
            (200, 16 << 10, true),
            "{head}"
        );
        end.recv_timeout(Duration::from_secs(20)).expect("we have not closed");
    }
}

#[test]
fn framing_without_end_is_cut_off() {
    // Bytes that make no body are not collected for ever.
    for (begin, piece) in
        [("1;", "xxxxxxxxxxxxxxxx"), ("", "0"), ("0\r\n", "x: y\r\n"), ("1\r\nx", "\r\n\r\n")]
    {
        let peer = Peer::start("127.0.0.1:0", move |talk, _| {
            talk.request();
            talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            talk.say(begin.as_bytes());
            while talk.say(piece.repeat(256).as_bytes()) {}
        });
        let answer = client().post(&peer.url(), &[], b"{}");
        assert_eq!(status(&answer), 200);
        in_time(&answer);
    }
}

#[test]
fn heads_without_end_are_cut_off() {
    for piece in ["x: y\r\n", "xxxxxxxxxxxxxxxxxxx"] {
        let peer = Peer::start("127.0.0.1:0", move |talk, _| {
            talk.request();
            talk.say(b"HTTP/1.1 200 OK\r\n");
            while talk.say(piece.as_bytes()) {}
        });
        let answer = client().post(&peer.url(), &[], b"{}");
        assert!(matches!(answer.result, Err(Failure::Protocol(_))), "{answer:?}");
    }
    let peer = Peer::start("127.0.0.1:0", |talk, _| {
        talk.request();
        while talk.say(b"HTTP/1.1 100 Continue\r\n\r\n") {}
    });
    assert_eq!(protocol(client().post(&peer.url(), &[], b"{}")), "the reply's head is too long");
}

#[test]
fn what_is_not_http_is_said() {
    for text in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
    ] {
        let why = protocol(client().post(&Peer::answering_once(text).url(), &[], b"{}"));
        assert!(!why.is_empty(), "{text}");
    }
    let half = Peer::answering_once("HTTP/1.1 200 OK\r\nContent-");
    assert_eq!(protocol(client().get(&half.url())), "the reply stopped before its head's end");
    let silent = Peer::answering_once("");
    assert_eq!(
        protocol(client().get(&silent.url())),
        "the connection was closed without an answer"
    );
    assert_eq!(silent.connections(), 1, "not asked twice");
}

#[test]
fn an_answer_before_the_request_is_read_counts() {
    let peer = Peer::start("127.0.0.1:0", |talk, _| {
        let _ = talk.stream.read(&mut [0; 1024]);
        talk.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        talk.stream.shutdown(std::net::Shutdown::Write).unwrap();
        talk.wait();
    });
    let body = vec![b'x'; 8 << 20];
    assert_eq!(status(&client().post(&peer.url(), &[], &body)), 413);
}

#[test]
fn silence_has_an_end() {
    let peer = Peer::start("127.0.0.1:0", |talk, _| talk.wait());
    let answer = hasty_client().post(&peer.url(), &[], b"{}");
    assert_eq!(answer.result, Err(Failure::Timeout));
    assert!(answer.took >= Duration::from_millis(600), "{answer:?}");
    in_time(&answer);
    // One that does not read either.
    let peer = Peer::start("127.0.0.1:0", |_, _| std::thread::sleep(Duration::from_secs(60)));
    let answer = hasty_client().post(&peer.url(), &[], &vec![0; 32 << 20]);
    assert_eq!(answer.result, Err(Failure::Timeout));
    in_time(&answer);
}

#[test]
fn dribbling_has_an_end() {
    let dribble = |talk: &mut Talk, text: &str| {
        for byte in text.bytes().cycle() {
            if !talk.say(&[byte]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // In the head: no answer.
    let peer = Peer::start("127.0.0.1:0", move |talk, _| {
        talk.request();
        talk.say(b"HTTP/1.1 200 OK\r\n");
        dribble(talk, "x: y\r\n");
    });
    let answer = hasty_client().post(&peer.url(), &[], b"{}");
    assert_eq!(answer.result, Err(Failure::Timeout));
    in_time(&answer);
    // In the body: an answer.
    let peer = Peer::start("127.0.0.1:0", move |talk, _| {
        talk.request();
        talk.say(b"HTTP/1.1 202 OK\r\nContent-Length: 9999\r\n\r\n");
        dribble(talk, "x");
    });
    let answer = hasty_client().post(&peer.url(), &[], b"{}");
    assert_eq!((status(&answer), answer.result.as_ref().unwrap().truncated), (202, true));
    in_time(&answer);
}

#[test]
fn nobody_there() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = client().get(&format!("http://{addr}/"));
    assert!(
        matches!(&answer.result, Err(Failure::Connect(why)) if why.contains("refused")),
        "{answer:?}"
    );
    assert_eq!(answer.address, Some(addr));
}

// --- Which address ---------------------------------------------------------------------------------------------------

/// Answers names from a list, one after the other, the last for ever.
#[derive(Debug)]
struct Names(Mutex<VecDeque<Vec<SocketAddr>>>, AtomicUsize);

impl Names {
    fn new(answers: impl IntoIterator<Item = Vec<SocketAddr>>) -> Arc<Names> {
        Arc::new(Names(Mutex::new(answers.into_iter().collect()), AtomicUsize::new(0)))
    }

    fn asked(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        assert!(host == "hooks.example" && port != 0, "{host}:{port}");
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.lock().unwrap();
        Ok(if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() })
    }
}

fn with_names(names: &Arc<Names>, guard: Guard) -> Client {
    let mut config = config();
    config.resolver = names.clone();
    config.keep_connections = 0;
    Client::new(config, guard)
}

/// Two servers with one port: at 127.0.0.1, which is allowed, and at 127.0.0.2, which is not.
fn open_and_secret() -> (Peer, Peer, Guard) {
    loop {
        let open = Peer::answering(OK);
        let secret = format!("127.0.0.2:{}", open.addr.port());
        // Somebody else may have it.
        if TcpListener::bind(&secret).is_ok() {
            let secret =
                Peer::start(
                    secret,
                    |talk, _| while talk.request().is_some() && talk.say(OK.as_bytes()) {},
                );
            return (open, secret, Guard::default().allow("127.0.0.1").unwrap());
        }
    }
}

#[test]
fn our_own_network_is_not_dialled() {
    let peer = Peer::answering(OK);
    let port = peer.addr.port();
    let client = Client::new(config(), Guard::default());
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "0",
        "[::]",
        "a.localhost",
    ] {
        let answer = client.post(&format!("http://{host}:{port}/"), &[], b"{}");
        assert!(matches!(answer.result, Err(Failure::Refused(_))), "{host}: {answer:?}");
        assert_eq!(answer.address, None);
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn what_names_resolve_to_is_judged() {
    let peer = Peer::answering(OK);
    for address in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "64:ff9b::7f00:1",
    ] {
        let names = Names::new([vec![SocketAddr::new(address.parse().unwrap(), peer.addr.port())]]);
        let url = format!("http://hooks.example:{}/", peer.addr.port());
        let answer = with_names(&names, Guard::default()).post(&url, &[], b"{}");
        assert!(
            matches!(answer.result, Err(Failure::Refused(Refused::Address { .. }))),
            "{answer:?}"
        );
        assert_eq!((answer.address, names.asked()), (None, 1));
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn a_name_that_changes_its_mind() {
    let (open, secret, guard) = open_and_secret();
    let names = Names::new([vec![open.addr], vec![secret.addr]]);
    let client = with_names(&names, guard);
    let url = format!("http://hooks.example:{}/", open.addr.port());
    // What was judged is what is dialled: nobody asks in between, or it would be the other.
    let first = client.post(&url, &[], b"{}");
    assert_eq!((status(&first), first.address, names.asked()), (200, Some(open.addr), 1));
    // The second attempt asks again, and judges again.
    let second = client.post(&url, &[], b"{}");
    assert!(matches!(second.result, Err(Failure::Refused(_))), "{second:?}");
    assert_eq!(names.asked(), 2);
    assert_eq!((open.connections(), secret.connections()), (1, 0));
}

#[test]
fn of_several_addresses_only_good_ones_are_dialled() {
    let (open, secret, guard) = open_and_secret();
    let closed: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://hooks.example:{}/", open.addr.port());
    let names = Names::new([vec![secret.addr, closed, open.addr]]);
    let answer = with_names(&names, guard.clone()).post(&url, &[], b"{}");
    assert_eq!((status(&answer), answer.address), (200, Some(open.addr)));
    // That the good one does not answer does not make the other one better.
    let names = Names::new([vec![closed, secret.addr]]);
    let answer = with_names(&names, guard.clone()).post(&url, &[], b"{}");
    assert!(matches!(answer.result, Err(Failure::Connect(_))), "{answer:?}");
    assert_eq!(secret.connections(), 0);
    let answer = with_names(&Names::new([vec![]]), guard).post(&url, &[], b"{}");
    assert_eq!(answer.result, Err(Failure::Resolve("it has no address".into())));
}

#[test]
fn a_resolver_that_hangs_has_an_end() {
    #[derive(Debug)]
    struct Never;
    impl Resolve for Never {
        fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            sward::thread::sleep(Duration::from_secs(3600));
            Err(ErrorKind::NotFound.into())
        }
    }
    let mut config = hasty();
    config.resolver = Arc::new(Never);
    let answer = sward::run(|| Client::new(config, Guard::default()).get("http://hooks.example/"));
    assert_eq!(answer.result, Err(Failure::Resolve("not within 300ms".into())));
    in_time(&answer);
}

#[test]
fn not_all_names_are_looked_up_at_once() {
    #[derive(Debug, Default)]
    struct Slow(AtomicUsize, AtomicUsize);
    impl Resolve for Slow {
        fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            self.1.fetch_max(self.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sward::thread::sleep(Duration::from_millis(20));
            self.0.fetch_sub(1, Ordering::SeqCst);
            Ok(Vec::new())
        }
    }
    let slow = Arc::new(Slow::default());
    let mut config = config();
    config.resolver = slow.clone();
    let client = Client::new(config, Guard::default());
    sward::run(|| {
        sward::thread::scope(|s| {
            for _ in 0..100 {
                s.spawn(|| client.get("http://hooks.example/").result.unwrap_err());
            }
        });
    });
    let most = slow.1.load(Ordering::SeqCst);
    assert!((2..=32).contains(&most), "{most}");
}

// --- Connections that are used again ---------------------------------------------------------------------------------

#[test]
fn connections_are_used_again() {
    let peer = Peer::answering(OK);
    let client = client();
    for _ in 0..5 {
        let answer = client.post(&peer.url(), &[], b"{}");
        assert_eq!((status(&answer), answer.address), (200, Some(peer.addr)));
    }
    assert_eq!(peer.connections(), 1);
    // Not if it was not read to its end, and not if the server does not want it.
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_string(),
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_string(),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000)),
        format!("{OK}HTTP/1.1 200 OK\r\n"),
    ] {
        let peer = Peer::answering(text.clone());
        for _ in 0..2 {
            assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
        }
        assert_eq!(peer.connections(), 2, "{text:.80}");
    }
}

#[test]
fn connections_are_kept_for_a_while_only() {
    let peer = Peer::answering(OK);
    let mut config = config();
    config.keep_for = Duration::ZERO;
    let client = Client::new(config, Guard::default().allow_loopback());
    for _ in 0..3 {
        assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
    }
    assert_eq!(peer.connections(), 3);
}

#[test]
fn only_so_many_connections_are_kept() {
    let (one, other) = (Peer::answering(OK), Peer::answering(OK));
    let mut config = config();
    config.keep_connections = 1;
    let client = Client::new(config, Guard::default().allow_loopback());
    for peer in [&one, &other, &other, &one] {
        assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
    }
    assert_eq!((one.connections(), other.connections()), (2, 1));
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    // Closed while it was idle.
    let peer = Peer::answering_once(OK);
    let client = client();
    for _ in 0..3 {
        assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
    }
    assert_eq!((peer.connections(), peer.requests().len()), (3, 3));
    // Closed when it is used again: the request is sent once more, on a new one.
    let peer = Peer::start("127.0.0.1:0", |talk, _| {
        talk.request();
        talk.say(OK.as_bytes());
        talk.request();
    });
    for _ in 0..2 {
        assert_eq!(status(&client.post(&peer.url(), &[], b"{}")), 200);
    }
    assert_eq!((peer.connections(), peer.requests().len()), (2, 3));
}

#[test]
fn a_kept_connection_serves_its_host_only() {
    let peer = Peer::answering(OK);
    let names = Names::new([vec![peer.addr]]);
    let mut config = config();
    config.resolver = names.clone();
    let client = Client::new(config, Guard::default().allow_loopback());
    let port = peer.addr.port();
    for _ in 0..2 {
        assert_eq!(status(&client.get(&format!("http://127.0.0.1:{port}/"))), 200);
        assert_eq!(status(&client.get(&format!("http://hooks.example:{port}/"))), 200);
    }
    assert_eq!((peer.connections(), names.asked()), (2, 1));
}

// --- Green threads ---------------------------------------------------------------------------------------------------

#[test]
fn green_threads_park() {
    // Each is answered when all have come: with a worker that one of them blocks, none ever is.
    const N: usize = 50;
    let gate = Arc::new(std::sync::Barrier::new(N));
    let peer = Peer::start("127.0.0.1:0", move |talk, _| {
        talk.request();
        gate.wait();
        talk.say(OK.as_bytes());
    });
    let (client, url) = (client(), peer.url());
    sward::Builder::new().workers(1).run(move || {
        let posts: Vec<_> = (0..N)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                sward::thread::spawn(move || status(&client.post(&url, &[], b"{}")))
            })
            .collect();
        for post in posts {
            assert_eq!(post.join().unwrap(), 200);
        }
    });
}

#[test]
fn names_are_looked_up_by_the_system() {
    let peer = Peer::answering(OK);
    let url = format!("http://localhost:{}/", peer.addr.port());
    assert_eq!(status(&client().get(&url)), 200);
    assert_eq!(status(&sward::run(move || client().get(&url))), 200);
}

#[test]
fn a_cancelled_green_thread_ends() {
    let (heard, hear) = mpsc::channel();
    let peer = Peer::start("127.0.0.1:0", move |talk, _| {
        talk.request();
        heard.send(()).unwrap();
        talk.wait();
        heard.send(()).unwrap();
    });
    let (url, client) = (peer.url(), client());
    let began = Instant::now();
    sward::run(move || {
        let post = sward::thread::spawn(move || client.post(&url, &[], b"{}"));
        let hear = Arc::new(Mutex::new(hear));
        let wait = move |hear: Arc<Mutex<mpsc::Receiver<()>>>| {
            sward::blocking(move || {
                hear.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap()
            });
        };
        wait(hear.clone());
        post.cancel();
        if let Ok(answer) = post.join() {
            assert_eq!(answer.result, Err(Failure::Cancelled));
        }
        wait(hear); // The connection is closed.
    });
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_caller_may_have_less_time() {
    let peer = Peer::start("127.0.0.1:0", |talk, _| talk.wait());
    let url = peer.url();
    sward::run(move || {
        let began = Instant::now();
        let answer = sward::timeout(Duration::from_millis(200), || client().post(&url, &[], b"{}"));
        assert!(
            matches!(answer, Ok(Answer { result: Err(Failure::Timeout), .. }) | Err(_)),
            "{answer:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(20));
    });
}
