//! The store on Redis.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::webhook::store::RedisStore;

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
