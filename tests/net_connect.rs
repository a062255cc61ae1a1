//! Making connections: names through the pool, time-outs, refusals, crowds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sward::net::{BindOptions, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use sward::os::unix::net::{UnixListener, UnixStream};
use sward::{thread, timeout};

/// A listener whose queue is full, so that a further connection waits for ever, and what fills it.
fn deaf() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind_with("127.0.0.1:0", BindOptions::new().backlog(1)).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
        fill.push(stream);
        assert!(fill.len() < 20, "the queue has no end");
    }
    (listener, fill, addr)
}

#[test]
fn connect_times_out() {
    support::alarm();
    let check = || {
        let (_listener, _fill, addr) = deaf();
        let began = Instant::now();
        let error = TcpStream::connect_timeout(&addr, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(50));
        let scoped = timeout(Duration::from_millis(50), || TcpStream::connect(addr)).unwrap();
        assert_eq!(scoped.unwrap_err().kind(), ErrorKind::TimedOut);
        let error = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(began.elapsed() < Duration::from_secs(10));
    };
    sward::Builder::new().workers(1).run(check);
    check(); // and on an OS thread
}

/// While one waits for its connection the others of its worker run.
#[test]
fn others_run_meanwhile() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let (_listener, _fill, addr) = deaf();
        let waiter = thread::spawn(move || {
            TcpStream::connect_timeout(&addr, Duration::from_millis(100)).unwrap_err().kind()
        });
        let mut turns = 0;
        while !waiter.is_finished() {
            thread::sleep(Duration::from_millis(1));
            turns += 1;
        }
        assert!(turns > 10, "only {turns}");
        assert_eq!(waiter.join().unwrap(), ErrorKind::TimedOut);
    });
}

#[test]
fn refused() {
    support::alarm();
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let check = move || {
        let error = TcpStream::connect(addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect_timeout(&addr, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    };
    sward::run(check);
    check();
}

/// A look-up runs on another OS thread, and others of the worker run meanwhile.
#[test]
fn names_are_looked_up_elsewhere() {
    support::alarm();
    sward::Builder::new().workers(1).run(|| {
        let lookups: Vec<_> = (0..8)
            .map(|_| thread::spawn(|| "localhost:80".to_socket_addrs().unwrap().count()))
            .collect();
        for lookup in lookups {
            assert!(lookup.join().unwrap() > 0);
        }
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        let pool = names.filter(|name| name.starts_with("sward-blocking")).count();
        assert!(pool > 0, "the pool has threads");
    });
}

#[test]
fn unknown_names() {
    support::alarm();
    // ".invalid" is reserved for names that never exist; without a network the error is another one.
    let check = || assert!(TcpStream::connect("no-such-host.invalid:80").is_err());
    sward::run(check);
    check();
}

/// More connections than a listener's queue, all open at once, on one worker and on two.
#[test]
fn many_connections() {
    support::alarm();
    const CLIENTS: usize = 1500; // two descriptors each
    for workers in [1, 2] {
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        sward::Builder::new().workers(workers).run(move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { break };
                    let count = count.clone();
                    thread::spawn(move || {
                        let mut word = [0; 8];
                        while stream.read_exact(&mut word).is_ok() {
                            count.fetch_add(1, Ordering::Relaxed);
                            stream.write_all(&word).unwrap();
                        }
                    });
                }
            });
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    thread::spawn(move || {
                        let mut stream = TcpStream::connect(addr).unwrap();
                        for turn in 0..3 {
                            let word = (n * 10 + turn).to_le_bytes();
                            stream.write_all(&word).unwrap();
                            let mut back = [0; 8];
                            stream.read_exact(&mut back).unwrap();
                            assert_eq!(back, word);
                        }
                        stream
                    })
                })
                .collect();
            let open: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
            assert_eq!(open.len(), CLIENTS);
        });
        assert_eq!(served.load(Ordering::Relaxed), CLIENTS * 3, "{workers} workers");
    }
}

/// A Unix listener's full queue says EAGAIN, of which no event tells the end: the client waits all the same.
#[test]
fn unix_clients_are_patient() {
    support::alarm();
    let path = std::env::temp_dir().join(format!("sward-patient-{}.sock", std::process::id()));
    let socket = path.clone();
    sward::Builder::new().workers(1).run(move || {
        const CLIENTS: usize = 3000; // more than the queue of 1,024
        let listener = UnixListener::bind(&path).unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || UnixStream::connect(path).map(drop))
            })
            .collect();
        thread::sleep(Duration::from_millis(20)); // the queue is full now
        let acceptor =
            thread::spawn(move || (0..CLIENTS).try_for_each(|_| listener.accept().map(drop)));
        for client in clients {
            client.join().unwrap().unwrap();
        }
        acceptor.join().unwrap().unwrap();
    });
    std::fs::remove_file(socket).unwrap();
}
