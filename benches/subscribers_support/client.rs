//! The clients: who subscribes, what is received, and how a post is published.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sward::net::TcpStream;
use sward::thread;

/// About what a post of the tweet feed weighs.
const PADDING: usize = 400;

/// What a post says.
pub(crate) fn post(number: usize) -> String {
    format!("{number} {}", "x".repeat(PADDING))
}

/// Where to subscribe and publish.
pub(crate) enum Target {
    /// `GET path` is a stream of events, which begins with `hello`; `GET /publish/N` sends everybody one.
    Http { addr: String, path: String },
    /// A Redis server; the same text, in one channel.
    Redis { addr: String },
}

/// What all subscribers have received, and whether any saw something else than the next post.
#[derive(Default)]
pub(crate) struct Received {
    posts: AtomicUsize,
    pub(crate) wrong: AtomicUsize,
}

impl Target {
    fn addr(&self) -> &str {
        match self {
            Target::Http { addr, .. } | Target::Redis { addr } => addr,
        }
    }

    /// Connects, waits for the stream to begin, and leaves a green thread that reads on.
    pub(crate) fn subscribe(&self, received: &Arc<Received>) {
        let mut stream = TcpStream::connect(self.addr()).expect("a connection");
        let begins = match self {
            Target::Http { path, .. } => {
                write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").expect("sent");
                ": hello"
            }
            Target::Redis { .. } => {
                stream.write_all(b"SUBSCRIBE posts\r\n").expect("sent");
                ":1"
            }
        };
        let mut lines = BufReader::with_capacity(1024, stream);
        let mut line = String::new();
        while !line.trim_end().ends_with(begins) {
            line.clear();
            assert!(lines.read_line(&mut line).expect("an answer") > 0, "the server closed");
        }
        let received = received.clone();
        thread::spawn(move || {
            let mut expected = 0;
            loop {
                line.clear();
                if lines.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let Some(post) = line.strip_prefix("data: ") else {
                    continue;
                };
                let number = post.split(' ').next().and_then(|n| n.parse::<usize>().ok());
                if number != Some(expected) {
                    received.wrong.fetch_add(1, Ordering::Relaxed);
                }
                expected += 1;
                received.posts.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    pub(crate) fn publish(&self, number: usize) {
        let mut stream = TcpStream::connect(self.addr()).expect("a connection");
        let mut answer = String::new();
        match self {
            Target::Http { .. } => {
                let head = "Host: bench\r\nConnection: close";
                write!(stream, "GET /publish/{number} HTTP/1.1\r\n{head}\r\n\r\n").expect("sent");
                stream.read_to_string(&mut answer).expect("an answer");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
            Target::Redis { .. } => {
                let text = format!("data: {}", post(number));
                let words = format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nposts\r\n${}\r\n", text.len());
                write!(stream, "{words}{text}\r\n").expect("sent");
                BufReader::new(stream).read_line(&mut answer).expect("an answer");
                assert!(answer.starts_with(':'), "{answer}");
            }
        }
    }
}

impl Received {
    pub(crate) fn wait_for(&self, posts: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.posts.load(Ordering::Relaxed) < posts {
            assert!(Instant::now() < deadline, "only {:?} of {posts}", self.posts);
            thread::sleep(Duration::from_millis(1));
        }
    }
}
