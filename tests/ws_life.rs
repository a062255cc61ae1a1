//! WebSockets over time: silence, slow clients, stops, panics, and two threads on one socket. What goes over the wire in
//! a good hour is in `ws_wire.rs`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod http_support;
mod support;
mod ws_support;

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_support::{Running, eventually, start};
use sward::http::{Config, Mode, Request, Router, WebSocket, ws};
use sward::pubsub::{RecvError, Topic};
use ws_support::{Ws, close, frame, handshake, text};

const MODES: [Mode; 3] = [Mode::Green, Mode::Threads, Mode::Pool(4)];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a handler's closure came to, said by each of them when it ends.
#[derive(Clone)]
struct Ends(Arc<Mutex<Sender<String>>>);

impl Ends {
    fn new() -> (Ends, Receiver<String>) {
        let (sender, ends) = channel();
        (Ends(Arc::new(Mutex::new(sender))), ends)
    }

    fn say(&self, what: impl std::fmt::Debug) {
        let _ = self.0.lock().unwrap().send(format!("{what:?}"));
    }
}

fn echo(ws: &mut WebSocket<'_>) -> std::io::Result<()> {
    while let Some(message) = ws.read()? {
        ws.send(message)?;
    }
    Ok(())
}

fn serve(mode: Mode, config: Config, app: Router) -> Running {
    support::alarm();
    start(mode, config, app)
}

fn next(ends: &Receiver<String>) -> String {
    ends.recv_timeout(Duration::from_secs(10)).expect("the handler ends")
}

/// An app with one WebSocket, whose closure's result is told to the receiver.
fn told(
    config: ws::Config,
    run: impl Fn(&mut WebSocket<'_>) -> std::io::Result<()> + Clone + Send + Sync + 'static,
) -> (Router, Receiver<String>) {
    let (ends, receiver) = Ends::new();
    let app = Router::new().get("/", move |req: &mut Request| {
        let (ends, run) = (ends.clone(), run.clone());
        WebSocket::upgrade_with(&config, req, move |ws: &mut WebSocket| {
            let ran = run(ws);
            ends.say(ran.as_ref().map_err(std::io::Error::kind));
            ran
        })
    });
    (app, receiver)
}

#[test]
fn silent_clients() {
    for mode in MODES {
        let mut config = ws::Config::default();
        (config.ping_after, config.pong_timeout) = (ms(150), ms(150));
        let (app, ends) = told(config, echo);
        let server = serve(mode, Config::default(), app);
        let begin = Instant::now();
        let mut ws = Ws::open(&server, "/");
        for _ in 0..3 {
            ws.expect(0x89, "");
            ws.send(frame(0x8a, ""));
        }
        assert!(begin.elapsed() >= ms(450), "{:?}", begin.elapsed());
        // Any bytes will do, even the first of a frame.
        ws.expect(0x89, "");
        let late = text("late");
        ws.send(&late[..1]);
        ws.expect(0x89, "");
        ws.send(&late[1..]);
        ws.expect_text("late");
        // No answer.
        ws.expect(0x89, "");
        assert_eq!(next(&ends), "Err(TimedOut)", "{mode}");
        ws.expect_close(1011);
        ws.expect_end();
        eventually("no connection", || server.handle.connections() == 0);
    }
}

#[test]
fn clients_that_go_away() {
    for mode in MODES {
        let (app, ends) = told(ws::Config::default(), echo);
        let server = serve(mode, Config::default(), app);
        let mut ws = Ws::open(&server, "/");
        ws.send(&text("half")[..5]);
        drop(ws);
        assert_eq!(next(&ends), "Err(UnexpectedEof)", "{mode}");
        eventually("no connection", || server.handle.connections() == 0);
    }
}

#[test]
fn clients_that_do_not_read() {
    for mode in MODES {
        let flood = |ws: &mut WebSocket<'_>| -> std::io::Result<()> {
            loop {
                ws.send_binary(vec![0; 100_000])?;
            }
        };
        let (app, ends) = told(ws::Config::default(), flood);
        let mut config = Config::default();
        config.write_timeout = ms(200);
        let server = serve(mode, config, app);
        let ws = Ws::open(&server, "/");
        assert_eq!(next(&ends), "Err(TimedOut)", "{mode}");
        eventually("no connection", || server.handle.connections() == 0);
        drop(ws);
    }
}

#[test]
fn handlers_that_fail() {
    for mode in MODES {
        let app = Router::new()
            .get("/err", |req: &mut Request| {
                WebSocket::upgrade(req, |_: &mut WebSocket| {
                    Err(std::io::Error::other("on purpose"))
                })
            })
            .get("/panic", |req: &mut Request| {
                WebSocket::upgrade(req, |_: &mut WebSocket| panic!("on purpose"))
            })
            .get("/end", |req: &mut Request| WebSocket::upgrade(req, |_: &mut WebSocket| Ok(())));
        let server = serve(mode, Config::default(), app);
        for (path, code) in [("/err", 1011), ("/panic", 1011), ("/end", 1000)] {
            let mut ws = Ws::open(&server, path);
            ws.expect_close(code);
            // It waits for ours, and for what we sent before it.
            ws.send([text("not wanted"), close(code)].concat());
            ws.expect_end();
        }
        eventually("no connection", || server.handle.connections() == 0);
    }
}

#[test]
fn graceful_stop() {
    for mode in MODES {
        let (app, ends) = told(ws::Config::default(), echo);
        let mut server = serve(mode, Config::default(), app);
        let mut all: Vec<Ws> = (0..4).map(|_| Ws::open(&server, "/")).collect();
        for ws in &mut all {
            ws.send(text("hi"));
            ws.expect_text("hi");
        }
        let begin = Instant::now();
        server.handle.shutdown();
        for ws in &mut all {
            ws.expect_close(1001);
            ws.send([text("a last word"), close(1001)].concat());
            ws.expect_end();
        }
        (0..4).for_each(|_| assert_eq!(next(&ends), "Ok(())", "{mode}"));
        server.join();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn stop_with_a_deadline() {
    for mode in MODES {
        let deaf = |ws: &mut WebSocket<'_>| -> std::io::Result<()> {
            loop {
                sward::thread::sleep(ms(20));
                ws.ping("")?;
            }
        };
        let (app, ends) = told(ws::Config::default(), deaf);
        let mut config = Config::default();
        config.shutdown_timeout = ms(200);
        let mut server = serve(mode, config, app);
        let mut ws = Ws::open(&server, "/");
        ws.expect(0x89, "");
        server.handle.shutdown();
        // By an error of its next call; or, where the runtime ends with the server, by an unwind.
        match ends.recv_timeout(Duration::from_secs(10)) {
            Ok(end) => assert!(end.starts_with("Err("), "{mode}: {end}"),
            Err(why) => assert_eq!(why, RecvTimeoutError::Disconnected, "{mode}"),
        }
        let mut rest = Vec::new();
        let _ = ws.0.0.read_to_end(&mut rest);
        server.join();
    }
}

#[test]
fn a_loop_that_mostly_sends() {
    for mode in MODES {
        let topic = Topic::new(16);
        let news = topic.clone();
        let follow = move |ws: &mut WebSocket<'_>| -> std::io::Result<()> {
            let news = news.subscribe();
            loop {
                match news.recv_timeout(ms(20)) {
                    Ok(message) => ws.send_raw(&message.data)?,
                    Err(RecvError::Closed) => return Ok(()),
                    Err(_) => {}
                }
                match ws.try_read() {
                    Ok(None) => return Ok(()),
                    Ok(Some(message)) => ws.send(message)?,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        let mut config = ws::Config::default();
        (config.ping_after, config.pong_timeout) = (ms(300), ms(300));
        let (app, ends) = told(config, follow);
        let server = serve(mode, Config::default(), app);
        let mut ws = Ws::open(&server, "/");
        eventually("a subscriber", || topic.subscribers() == 1);
        topic.publish(ws::Message::from("news").encode());
        ws.expect_text("news");
        ws.send([frame(0x89, "?"), text("mine")].concat());
        ws.expect(0x8a, "?");
        ws.expect_text("mine");
        // It notices silence, and the end.
        ws.expect(0x89, "");
        ws.send(close(1000));
        ws.expect_close(1000);
        ws.expect_end();
        assert_eq!(next(&ends), "Ok(())", "{mode}");
        let mut silent = Ws::open(&server, "/");
        silent.expect(0x89, "");
        assert_eq!(next(&ends), "Err(TimedOut)", "{mode}");
    }
}

#[test]
fn two_threads() {
    for mode in MODES {
        let both = |ws: &mut WebSocket<'_>| -> std::io::Result<()> {
            let (mut reader, writer) = ws.split();
            sward::thread::scope(|s| {
                for name in ["a", "b"] {
                    s.spawn(move || {
                        (0..50).try_for_each(|n| writer.send_text(format!("{name}{n}")))
                    });
                }
                while let Some(message) = reader.read()? {
                    writer.send(message)?;
                }
                Ok(())
            })
        };
        let (app, ends) = told(ws::Config::default(), both);
        let server = serve(mode, Config::default(), app);
        let mut ws = Ws::open(&server, "/");
        ws.send([text("c0"), frame(0x89, "p"), text("c1")].concat());
        // Each sender's messages come whole and in order.
        let mut seen = [0; 3];
        let (mut pongs, mut count) = (0, 0);
        while count < 103 {
            count += 1;
            let (first, payload) = ws.next();
            if first == 0x8a {
                pongs += 1;
                continue;
            }
            let who = usize::from(payload[0] - b'a');
            assert_eq!(String::from_utf8_lossy(&payload[1..]), seen[who].to_string());
            seen[who] += 1;
        }
        assert_eq!((seen, pongs), ([50, 50, 2], 1), "{mode}");
        ws.send(close(1000));
        ws.expect_close(1000);
        assert_eq!(next(&ends), "Ok(())", "{mode}");
    }
}

#[test]
fn a_timeout_around_a_read_loses_nothing() {
    for mode in MODES {
        let patient = |ws: &mut WebSocket<'_>| -> std::io::Result<()> {
            let mut waits = 0;
            loop {
                match sward::timeout(ms(30), || ws.read()) {
                    Ok(Ok(Some(message))) => {
                        assert!(waits > 0, "the message came in two parts");
                        return ws.send(message);
                    }
                    Ok(Ok(None)) => return Ok(()),
                    Ok(Err(error)) if error.kind() != ErrorKind::TimedOut => return Err(error),
                    Ok(Err(_)) | Err(_) => waits += 1,
                }
                if waits == 1 {
                    ws.send_text("still waiting")?;
                }
            }
        };
        let (app, ends) = told(ws::Config::default(), patient);
        let server = serve(mode, Config::default(), app);
        let mut client = server.client();
        let message = text("in two parts");
        client.send([handshake("/", "").as_bytes(), &message[..9]].concat());
        client.until("\r\n\r\n");
        let mut ws = Ws(client);
        ws.expect_text("still waiting");
        ws.send(&message[9..]);
        ws.expect_text("in two parts");
        assert_eq!(next(&ends), "Ok(())", "{mode}");
    }
}
