//! How servers stop: by signals, in processes of their own, and by their handles.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod child_support;
#[macro_use]
mod http_support;
mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use child_support::{Child, command, is_child, name_in};
use http_support::{Client, eventually, get, get_once, start, status_of};
use sward::http::{BodyWriter, Config, Mode, Request, Response, Router, Server};

in_each_mode! {
    the_first_signal_is_graceful
    the_second_signal_ends
    a_signal_before_serve_counts
    several_servers_hear_it
    stop_at_once
    clients_that_have_just_connected_may_ask
}

/// Says so on stdout, which tells the parent, and waits for long enough.
fn slow(millis: u64) -> impl Fn(&mut Request) -> &'static str {
    move |_| {
        println!("\nrunning-now");
        sward::thread::sleep(Duration::from_millis(millis));
        "slept"
    }
}

fn run(serve: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
    sward::Builder::new().workers(2).run(serve).unwrap();
    println!("\nserved");
}

fn connect(addr: &str) -> Client {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client(stream)
}

fn the_first_signal_is_graceful(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "the_first_signal_is_graceful");
    if is_child(&test).is_some() {
        let server = Server::bind("127.0.0.1:0").unwrap().mode(mode).stop_on_signals();
        println!("\naddr {}", server.local_addr().unwrap());
        let app = Router::new().get("/", |_: &mut Request| "hi").get("/slow", slow(700));
        return run(|| server.serve(app));
    }
    for signal in ["TERM", "INT"] {
        let mut child = Child::start(command(&test, ""));
        let addr = child.says("addr ");
        let (mut idle, mut running) = (connect(&addr), connect(&addr));
        idle.send(get("/"));
        idle.response();
        running.send(get("/slow"));
        child.says("running-now");
        child.kill(signal);
        assert!(idle.is_closed(), "{signal}: at once");
        let text = running.rest();
        assert!(text.ends_with("Connection: close\r\n\r\nslept"), "{signal}: {text}");
        assert_eq!(child.status(), 0, "{signal}");
        assert!(TcpStream::connect(&addr).is_err(), "{signal}");
    }
}

fn the_second_signal_ends(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "the_second_signal_ends");
    if is_child(&test).is_some() {
        let server = Server::bind("127.0.0.1:0").unwrap().mode(mode).stop_on_signals();
        println!("\naddr {}", server.local_addr().unwrap());
        let app = Router::new().get("/", |_: &mut Request| "hi").get("/slow", slow(60_000));
        return run(|| server.serve(app));
    }
    for (first, second, number) in [("TERM", "TERM", 15), ("INT", "TERM", 15), ("TERM", "INT", 2)] {
        let mut child = Child::start(command(&test, ""));
        let addr = child.says("addr ");
        let (mut idle, mut running) = (connect(&addr), connect(&addr));
        idle.send(get("/"));
        idle.response();
        running.send(get("/slow"));
        child.says("running-now");
        child.kill(first);
        assert!(idle.is_closed(), "the first has begun the stop");
        let began = Instant::now();
        child.kill(second);
        assert_eq!(child.status(), -number, "{first} {second}");
        assert!(began.elapsed() < Duration::from_secs(10), "{first} {second}");
    }
}

fn a_signal_before_serve_counts(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "a_signal_before_serve_counts");
    if is_child(&test).is_some() {
        let server = Server::bind("127.0.0.1:0").unwrap().mode(mode).stop_on_signals();
        child_support::send("TERM", std::process::id());
        return run(|| server.serve(Router::new()));
    }
    let mut child = Child::start(command(&test, ""));
    child.says("served");
    assert_eq!(child.status(), 0);
}

fn several_servers_hear_it(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "several_servers_hear_it");
    if is_child(&test).is_some() {
        let servers = [(); 3].map(|()| Server::bind("127.0.0.1:0").unwrap().mode(mode));
        for server in &servers {
            println!("\naddr {}", server.local_addr().unwrap());
        }
        return run(|| {
            let app = || Router::new().get("/", |_: &mut Request| "hi");
            let serving = servers
                .map(|server| sward::thread::spawn(move || server.stop_on_signals().serve(app())));
            serving.into_iter().try_for_each(|serving| serving.join().unwrap())
        });
    }
    let mut child = Child::start(command(&test, ""));
    let addrs = [(); 3].map(|()| child.says("addr "));
    for addr in &addrs {
        let mut client = connect(addr);
        client.send(get_once("/"));
        assert_eq!(status_of(&client.rest()), "200");
    }
    child.kill("TERM");
    child.says("served");
    assert_eq!(child.status(), 0);
}

fn stop_at_once(mode: Mode) {
    support::alarm();
    let app = || {
        Router::new().get("/for-ever", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(b"x")?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(5));
                }
            })
        })
    };
    for graceful_first in [false, true] {
        let mut server = start(mode, Config::default(), app());
        let mut stream = server.client();
        stream.send(get("/for-ever"));
        stream.until("\r\n\r\n");
        if graceful_first {
            server.handle.shutdown();
            assert!(!server.handle.wait_timeout(Duration::from_millis(100)), "it runs on");
        }
        assert_eq!(server.handle.is_stopping(), graceful_first);
        let began = Instant::now();
        server.handle.shutdown_now();
        server.handle.wait();
        server.join();
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(server.handle.is_stopping());
    }
}

/// One that has connected may be about to ask: it is answered, and nobody waits long for one that does not.
fn clients_that_have_just_connected_may_ask(mode: Mode) {
    static STOPPING: AtomicBool = AtomicBool::new(false);
    support::alarm();
    let app = Router::new().get("/", |_: &mut Request| "hi").get("/hold", |_: &mut Request| {
        while !STOPPING.load(Ordering::SeqCst) {
            sward::thread::sleep(Duration::from_millis(5));
        }
    });
    STOPPING.store(false, Ordering::SeqCst);
    let mut server = start(mode, Config::default(), app);
    let (mut asks, mut silent) = (server.client(), server.client());
    eventually("both are accepted", || server.handle.connections() == 2);
    server.handle.shutdown();
    STOPPING.store(true, Ordering::SeqCst);
    asks.send(get("/"));
    let text = asks.rest();
    assert!(text.contains("Connection: close") && text.ends_with("hi"), "{text}");
    assert!(silent.is_closed());
    server.join();
}

#[test]
fn a_handle_hears_of_a_server_that_never_served() {
    support::alarm();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let handle = server.handle();
    assert!(!handle.wait_timeout(Duration::from_millis(20)));
    drop(server);
    handle.wait();
}
