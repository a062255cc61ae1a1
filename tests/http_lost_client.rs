//! A client that goes away ends what is waited for on its behalf: by the producer of a streamed body, and by a handler
//! that asks for it. In green mode; on OS threads the next write fails.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use http_support::{Client, Running, eventually, get, start};
use sward::http::{
    BodyWriter, ClientGone, Config, Error, Mode, Request, Response, Router, Sse, SseWriter,
};
use sward::pubsub::Topic;
use sward::sync::{Condvar, Mutex, mpsc};
use sward::thread;

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Goes {
    Closes,
    Resets,
    HalfCloses,
}

const WAYS: [Goes; 3] = [Goes::Closes, Goes::Resets, Goes::HalfCloses];

impl Goes {
    /// `unread` is on its way to the client. What is left of the client must be kept: dropping it closes it.
    fn go(self, mut client: Client, unread: &str) -> Option<Client> {
        if let Goes::Resets = self {
            // Closing with bytes unread makes the kernel reset the connection.
            client.0.peek(&mut [0]).unwrap();
            return None;
        }
        client.until(unread);
        match self {
            Goes::HalfCloses => {
                client.finish();
                Some(client)
            }
            _ => None,
        }
    }
}

/// What became of the producers.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<StdMutex<Vec<String>>>,
    dropped: Arc<AtomicUsize>,
}

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

/// Counts that it was dropped.
struct Guard(Log);

impl Drop for Guard {
    fn drop(&mut self) {
        assert!(!std::thread::panicking() || self.0.lines().is_empty(), "unwound after an error");
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Two chunks: one to see that it has begun, and one to leave unread.
fn begin(w: &mut BodyWriter<'_>) -> io::Result<()> {
    w.write_all(b"begun")?;
    w.flush()?;
    w.write_all(b"unread")?;
    w.flush()
}

const UNREAD: &str = "unread\r\n";

/// Runs `wait` in a stream's producer and lets the client go, each way; `wait` must end, and so must the connection.
/// What it returns is logged; `None` if it unwound.
fn lost<F>(expected: Option<&'static str>, wait: F)
where
    F: Fn(&mut BodyWriter<'_>) -> io::Result<()> + Send + Sync + Clone + 'static,
{
    support::alarm();
    for way in WAYS {
        let log = Log::default();
        let theirs = log.clone();
        let wait = wait.clone();
        let app = Router::new().get("/", move |_: &mut Request| {
            let (log, wait) = (theirs.clone(), wait.clone());
            Response::stream(move |w: &mut BodyWriter| {
                let _guard = log.guard();
                begin(w)?;
                let result = wait(w);
                let kind = result.as_ref().map_err(io::Error::kind);
                log.add(format!("{kind:?}"));
                result
            })
        });
        let server = start(Mode::Green, Config::default(), app);
        let mut client = server.client();
        client.send(get("/"));
        client.until("begun\r\n");
        assert_eq!(log.dropped.load(Ordering::SeqCst), 0, "{way:?}: it waits");
        let left = way.go(client, UNREAD);
        eventually("the producer has ended", || log.dropped.load(Ordering::SeqCst) == 1);
        eventually("the connection is gone", || server.handle.connections() == 0);
        assert_eq!(
            log.lines(),
            expected.map(String::from).into_iter().collect::<Vec<_>>(),
            "{way:?}"
        );
        // A body that was cut off is not one that looks whole.
        if let Some(mut left) = left {
            let mut rest = Vec::new();
            let end = left.0.read_to_end(&mut rest);
            assert!(!rest.ends_with(b"0\r\n\r\n") && end.is_err(), "{way:?}: {end:?}");
        }
    }
}

#[test]
fn in_recv_of_a_topic() {
    let topic = Topic::new(4);
    let seen = topic.clone();
    lost(None, move |_| {
        let news = topic.subscribe();
        let _never = news.recv();
        Ok(())
    });
    assert_eq!(seen.subscribers(), 0, "the subscriber was dropped");
}

#[test]
fn in_recv_of_a_channel() {
    lost(None, |_| {
        let (_tx, rx) = mpsc::channel::<()>();
        let _never = rx.recv();
        Ok(())
    });
}

#[test]
fn in_recv_with_a_time_limit() {
    lost(None, |_| {
        let (_tx, rx) = mpsc::channel::<()>();
        let _never = rx.recv_timeout(Duration::from_secs(1000));
        Ok(())
    });
}

#[test]
fn in_sleep() {
    lost(None, |_| {
        thread::sleep(Duration::from_secs(1000));
        Ok(())
    });
}

#[test]
fn in_join() {
    lost(None, |_| {
        let other = thread::spawn(|| thread::sleep(Duration::from_secs(1000)));
        let _never = other.join();
        Ok(())
    });
}

#[test]
fn in_lock_which_is_not_poisoned() {
    let mutex = Arc::new(Mutex::new(0));
    let theirs = mutex.clone();
    let held = mutex.lock().unwrap();
    lost(None, move |_| {
        let own = Mutex::new(());
        let _own = own.lock().unwrap();
        let _never = theirs.lock();
        Ok(())
    });
    drop(held);
    assert!(!mutex.is_poisoned());
    assert_eq!(*mutex.lock().unwrap(), 0);
}

#[test]
fn in_a_condvar_whose_lock_is_not_poisoned() {
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let theirs = pair.clone();
    lost(None, move |_| {
        let guard = theirs.0.lock().unwrap();
        let _never = theirs.1.wait_while(guard, |n| *n == 0);
        Ok(())
    });
    assert!(!pair.0.is_poisoned());
    *pair.0.lock().unwrap() += 1;
}

#[test]
fn inside_a_time_out_scope() {
    lost(None, |_| {
        let slept = sward::timeout(Duration::from_secs(1000), || {
            sward::timeout(Duration::from_secs(2000), || thread::sleep(Duration::from_secs(1000)))
        });
        panic!("it is neither of the two that ends: {slept:?}");
    });
}

/// A time-out that comes first is its own.
#[test]
fn time_outs_go_on_as_ever() {
    let app = Router::new().get("/", |_: &mut Request| {
        Response::stream(|w: &mut BodyWriter| {
            let forever = Duration::from_secs(1000);
            let elapsed = sward::timeout(Duration::from_millis(1), || thread::sleep(forever));
            assert!(elapsed.is_err());
            let (mut quiet, _peer) = sward::os::unix::net::UnixStream::pair()?;
            let read = sward::timeout(Duration::from_millis(1), || quiet.read(&mut [0]));
            writeln!(w, "{:?}", read.map(|read| read.unwrap_err().kind()))
        })
    });
    let server = start(Mode::Green, Config::default(), app);
    let mut client = server.client();
    client.send(get("/"));
    client.until("\r\n\r\n");
    assert_eq!(client.until("0\r\n\r\n"), "d\r\nOk(TimedOut)\n\r\n0\r\n\r\n");
}

/// I/O elsewhere returns an error, every time, and sending still may work.
#[test]
fn in_a_read_of_another_socket() {
    lost(Some("Err(ConnectionAborted)"), |_| {
        let (mut quiet, _peer) = sward::os::unix::net::UnixStream::pair()?;
        let first = quiet.read(&mut [0]).unwrap_err();
        assert_eq!(first.kind(), ErrorKind::ConnectionAborted);
        quiet.read(&mut [0]).map(drop)
    });
}

/// Whoever shrugs off every error does not go round for ever.
#[test]
fn errors_that_are_ignored() {
    lost(None, |_| {
        let (mut quiet, _peer) = sward::os::unix::net::UnixStream::pair()?;
        loop {
            let _ignored = quiet.read(&mut [0]);
        }
    });
}

/// One that waits for room to write.
#[test]
fn while_sending() {
    let log = Log::default();
    let theirs = log.clone();
    let app = Router::new().get("/", move |_: &mut Request| {
        let log = theirs.clone();
        Response::stream(move |w: &mut BodyWriter| {
            let _guard = log.guard();
            loop {
                w.write_all(&[b'x'; 4096])?;
            }
        })
    });
    let server = start(Mode::Green, Config::default(), app);
    for way in [Goes::HalfCloses, Goes::Resets, Goes::Closes] {
        let before = log.dropped.load(Ordering::SeqCst);
        let mut client = server.client();
        client.send(get("/"));
        client.until("\r\n\r\n");
        let _left = way.go(client, "x");
        eventually("it has ended", || log.dropped.load(Ordering::SeqCst) == before + 1);
    }
}

/// Events: the head goes out first, then nothing.
#[test]
fn events() {
    let topic = Topic::new(4);
    let theirs = topic.clone();
    let app = Router::new().get("/", move |_: &mut Request| {
        let news = theirs.subscribe();
        Sse::new(move |tx: &mut SseWriter| {
            while let Ok(message) = news.recv() {
                tx.send_raw(&message.data)?;
            }
            Ok(())
        })
    });
    let server = start(Mode::Green, Config::default(), app);
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let mut client = server.client();
            client.send(get("/"));
            client.until("\r\n\r\n");
            client
        })
        .collect();
    topic.publish(&b"data: x\n\n"[..]);
    topic.publish(&b"data: y\n\n"[..]);
    let mut left = Vec::new();
    for (n, mut client) in clients.into_iter().enumerate() {
        client.until("data: x\n\n\r\n");
        left.extend(WAYS[n % 3].go(client, "data: y\n\n\r\n"));
    }
    eventually("all subscribers are gone", || topic.subscribers() == 0);
    eventually("all connections are gone", || server.handle.connections() == 0);
}

/// Bytes that a client sends early are its next request, not its end.
#[test]
fn pipelined_bytes_do_not_end_it() {
    let (tx, rx) = mpsc::channel::<()>();
    let rx = Arc::new(Mutex::new(Some(rx)));
    let app = Router::new()
        .get("/stream", move |_: &mut Request| {
            let rx = rx.lock().unwrap().take().unwrap();
            Response::stream(move |w: &mut BodyWriter| {
                w.write_all(b"begun")?;
                w.flush()?;
                rx.recv().map_err(io::Error::other)?;
                w.write_all(b"ended")
            })
        })
        .get("/next", |_: &mut Request| "next");
    let server = start(Mode::Green, Config::default(), app);
    let mut client = server.client();
    client.send(get("/stream"));
    client.until("begun\r\n");
    // Three edges, each at a time when nobody reads.
    for part in ["GET /ne", "xt HTTP/1.1\r\nHost: te", "st\r\n\r\n"] {
        client.send(part);
        std::thread::sleep(Duration::from_millis(30));
    }
    tx.send(()).unwrap();
    client.until("5\r\nended\r\n0\r\n\r\n");
    assert_eq!(client.response().1, "next");
    // And now the end, behind bytes that nobody has read.
    let mut client = server.client();
    client.send(get("/next"));
    assert_eq!(client.response().1, "next");
}

/// Bytes that nobody reads do not hide the end that follows them.
#[test]
fn pipelined_bytes_do_not_hide_the_end() {
    let log = Log::default();
    let theirs = log.clone();
    let app = Router::new().get("/", move |_: &mut Request| {
        let log = theirs.clone();
        Response::stream(move |w: &mut BodyWriter| {
            let _guard = log.guard();
            w.write_all(b"begun")?;
            w.flush()?;
            thread::sleep(Duration::from_secs(1000));
            Ok(())
        })
    });
    let server = start(Mode::Green, Config::default(), app);
    // All at once: the scope is opened when the end has been there for long.
    let mut client = server.client();
    client.send(get("/") + &get("/"));
    client.finish();
    eventually("it has ended", || log.dropped.load(Ordering::SeqCst) == 1);
    // Or one after the other.
    let mut client = server.client();
    client.send(get("/"));
    client.until("begun\r\n");
    client.send(get("/"));
    client.finish();
    eventually("it has ended", || log.dropped.load(Ordering::SeqCst) == 2);
    eventually("the connections are gone", || server.handle.connections() == 0);
}

/// A stream that does not wait is whole, though its client sends no more.
fn half_closed_but_quick(mode: Mode) {
    let app = Router::new().get("/", |_: &mut Request| {
        Response::stream(|w: &mut BodyWriter| {
            for _ in 0..10 {
                w.write_all(b"0123456789")?;
                w.flush()?;
            }
            Ok(())
        })
    });
    let server = start(mode, Config::default(), app);
    let mut client = server.client();
    client.send(get("/"));
    client.finish();
    assert!(client.rest().ends_with("0123456789\r\n0\r\n\r\n"));
}

/// After a lost stream the same worker, the same descriptor number and the same lock serve others.
#[test]
fn what_comes_after_is_not_disturbed() {
    let app = Router::new().get("/", |_: &mut Request| {
        Response::stream(|w: &mut BodyWriter| {
            begin(w)?;
            thread::sleep(Duration::from_millis(40));
            w.write_all(b"ended")
        })
    });
    let server = start(Mode::Green, Config::default(), app);
    for n in 0..60 {
        let mut client = server.client();
        client.send(get("/"));
        client.until("begun\r\n");
        if n % 3 == 0 {
            let _left = WAYS[n / 3 % 3].go(client, UNREAD);
        } else {
            client.until("5\r\nended\r\n0\r\n\r\n");
        }
    }
    eventually("the connections are gone", || server.handle.connections() == 0);
}

fn asking(log: &Log) -> Router {
    let (one, two, three) = (log.clone(), log.clone(), log.clone());
    Router::new()
        .get("/slow", move |req: &mut Request| -> Result<&'static str, Error> {
            let _guard = one.guard();
            let slept: Result<(), ClientGone> =
                req.while_connected(|| thread::sleep(Duration::from_secs(1000)));
            assert!(slept.is_err());
            // The scope is over: this is waited for.
            let before = Instant::now();
            thread::sleep(Duration::from_millis(20));
            assert!(before.elapsed() >= Duration::from_millis(20));
            two.add("gone");
            assert_eq!(Error::from(slept.unwrap_err()).status(), 499);
            slept?;
            Ok("here")
        })
        .get("/nested", move |req: &mut Request| {
            let outer = req.while_connected(|| {
                let inner = req.while_connected(|| thread::sleep(Duration::from_secs(1000)));
                three.add(format!("inner {}", inner.is_err()));
            });
            three.add(format!("outer {}", outer.is_err()));
        })
        .get("/quick", |req: &mut Request| {
            req.while_connected(|| {
                thread::sleep(Duration::from_millis(20));
                "quick"
            })
        })
}

#[test]
fn a_handler_that_asks() {
    for half in [false, true] {
        let log = Log::default();
        let server = start(Mode::Green, Config::default(), asking(&log));
        let mut client = server.client();
        client.send(get("/slow"));
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(log.dropped.load(Ordering::SeqCst), 0);
        let left = half.then_some(client);
        if let Some(client) = &left {
            client.0.shutdown(std::net::Shutdown::Write).unwrap();
        }
        eventually("the handler has ended", || log.dropped.load(Ordering::SeqCst) == 1);
        assert_eq!(log.lines(), ["gone"], "half closed: {half}");
    }
}

/// The outermost scope ends; nothing of the inner one's is run.
#[test]
fn handlers_scopes_nest() {
    let log = Log::default();
    let server = start(Mode::Green, Config::default(), asking(&log));
    let mut client = server.client();
    client.send(get("/nested"));
    std::thread::sleep(Duration::from_millis(30));
    drop(client);
    eventually("the handler has ended", || !log.lines().is_empty());
    eventually("the connection is gone", || server.handle.connections() == 0);
    assert_eq!(log.lines(), ["outer true"]);
}

fn answers_as_ever(mode: Mode) {
    let server = start(mode, Config::default(), asking(&Log::default()));
    let mut client = server.client();
    client.send(get("/quick") + &get("/quick"));
    assert_eq!(client.response().1, "quick");
    assert_eq!(client.response().1, "quick");
}

/// In every mode a write finds out.
fn the_next_write_fails(mode: Mode) {
    let ended = Arc::new(AtomicUsize::new(0));
    let theirs = ended.clone();
    let app = Router::new().get("/", move |_: &mut Request| {
        let ended = theirs.clone();
        Sse::new(move |tx: &mut SseWriter| {
            let result = (0..10_000).try_for_each(|_| {
                tx.comment("x")?;
                thread::sleep(Duration::from_millis(2));
                Ok(())
            });
            ended.fetch_add(usize::from(result.is_err()), Ordering::SeqCst);
            result
        })
    });
    let server: Running = start(mode, Config::default(), app);
    let mut client = server.client();
    client.send(get("/"));
    client.until(": x\n\n\r\n");
    drop(client);
    if mode == Mode::Green {
        // There the sleep unwinds, as a rule.
        eventually("the connection is gone", || server.handle.connections() == 0);
    } else {
        eventually("the producer got an error", || ended.load(Ordering::SeqCst) == 1);
    }
}

in_each_mode! { answers_as_ever the_next_write_fails half_closed_but_quick }
