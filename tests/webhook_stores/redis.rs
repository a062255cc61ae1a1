//! The store on Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use sward::webhook::Endpoint;
use sward::webhook::store::{Next, RedisStore, Store};

use crate::battery::{at, keys, message, register, succeeded};
use crate::server::Server;

/// `always`: what has been answered is on the disk.
pub(crate) fn start(fsync: Fsync) -> Server {
    let command = match fsync {
        Fsync::Always => |server: &Server| command(server, "always"),
        Fsync::EverySecond => |server: &Server| command(server, "everysec"),
    };
    Server::start("redis-server", command)
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fsync {
    Always,
    EverySecond,
}

fn command(server: &Server, fsync: &str) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &server.port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", fsync, "--dir"])
        .arg(&server.folder);
    command
}

/// Waits until it has read its file.
pub(crate) fn loaded(server: &Server) {
    let begun = Instant::now();
    let mut answer = String::new();
    while answer != "+PONG\r\n" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it says {answer:?}");
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        answer.clear();
        BufReader::new(stream).read_line(&mut answer).unwrap();
    }
}

pub(crate) fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}/", server.port)
}

#[test]
#[ignore = "needs redis-server"]
fn redis_passes_the_battery() {
    let server = start(Fsync::EverySecond);
    crate::battery(|number| {
        Arc::new(RedisStore::with_prefix(&url(&server), &format!("{number}:")).unwrap())
    });
}

/// What stands between a store and its server, and loses an answer when it is told to.
struct Between {
    port: u16,
    loses: Arc<AtomicBool>,
}

impl Between {
    fn start(server: u16) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, loses) =
            (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let theirs = loses.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                let loses = theirs.clone();
                thread::spawn(move || answers(server, client, &loses));
            }
        });
        Between { port, loses }
    }

    /// Makes a call whose answer is lost once.
    fn lost<T>(&self, call: impl FnOnce() -> T) -> T {
        self.loses.store(true, SeqCst);
        let answer = call();
        assert!(!self.loses.load(SeqCst), "no answer was lost");
        answer
    }
}

fn answers(mut server: TcpStream, mut client: TcpStream, loses: &AtomicBool) {
    let mut bytes = [0; 65536];
    while let Ok(some @ 1..) = server.read(&mut bytes) {
        if loses.swap(false, SeqCst) || client.write_all(&bytes[..some]).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

#[test]
#[ignore = "needs redis-server"]
fn a_call_whose_answer_is_lost_happens_once() {
    let server = start(Fsync::EverySecond);
    loaded(&server);
    let between = Between::start(server.port);
    let store = RedisStore::open(&format!("redis://127.0.0.1:{}/", between.port)).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let a = register(&store, "a", &[("k", "1"), ("k", "2")]);
    let (b, new) = between.lost(|| store.add_endpoint(&Endpoint::new("http://b"))).unwrap();
    assert!(new);
    let accepted =
        between.lost(|| store.publish(&message("m", at(1), &[("k", "1")]), &[])).unwrap();
    assert_eq!((accepted.deliveries, accepted.repeated), (1, false));
    store.publish(&message("n", at(2), &[("k", "1")]), &[]).unwrap();

    let claims = between.lost(|| store.claim(&a, at(3), at(99), 1)).unwrap();
    assert_eq!(claims.len(), 1);
    let id = &claims[0].delivery.id;
    assert_eq!(id.as_str(), "m~a", "and not the next one");
    let attempt = succeeded(id, 1, at(3));
    between.lost(|| store.finish(id, Some(&attempt), Next::Dead(at(4)))).unwrap();
    assert_eq!(store.attempts(id).unwrap(), [attempt]);
    assert_eq!(store.endpoint(&a).unwrap().unwrap().health.failures, 1);
    assert!(between.lost(|| store.resend(id, at(5))).unwrap());
    assert_eq!(between.lost(|| store.unsubscribe(&a, &keys(&[("k", "2")]))).unwrap(), 1);
    assert!(between.lost(|| store.remove_endpoint(&b.id, at(6))).unwrap());
    let totals = store.totals(None).unwrap();
    assert_eq!((totals.endpoints, totals.subscriptions, totals.messages), (1, 1, 2));
    assert_eq!((totals.pending, totals.in_flight), (2, 0));
}
