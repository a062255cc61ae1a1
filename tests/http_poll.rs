//! Long poll: what was published after a cursor, at once or when it comes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_support::{eventually, get, start};
use sward::http::{ClientGone, Config, LongPoll, Mode, Request, Router};
use sward::pubsub::Topic;

/// Tells cursor, losses and messages in a line.
fn app(topic: &Topic) -> Router {
    let topic = topic.clone();
    Router::new().get("/", move |req: &mut Request| {
        let number = |name| req.query::<u64>(name).unwrap();
        let limit = Duration::from_millis(number("limit").unwrap_or(20_000));
        let poll = LongPoll::new(&topic).limit(limit);
        let poll = number("most").into_iter().fold(poll, |poll, n| poll.at_most(n as usize));
        let polled = poll.poll(req, number("cursor"))?;
        let ids: Vec<u64> = polled.messages.iter().map(|message| message.id).collect();
        Ok::<_, ClientGone>(format!("{} {} {ids:?}", polled.cursor, polled.missed))
    })
}

fn publish(topic: &Topic, n: u64) {
    (0..n).for_each(|_| assert!(topic.publish(&b"x"[..]) > 0));
}

fn polls(mode: Mode) {
    support::alarm();
    let topic = Topic::new(10);
    let server = start(mode, Config::default(), app(&topic));
    let mut client = server.client();
    let mut ask = |query: &str| {
        client.send(get(&format!("/?{query}")));
        client.response().1
    };
    publish(&topic, 5);
    for (query, answer) in [
        ("cursor=0", "5 0 [1, 2, 3, 4, 5]"),
        ("cursor=3", "5 0 [4, 5]"),
        ("cursor=0&most=2", "2 0 [1, 2]"),
        ("cursor=0&most=0", "1 0 [1]"),
        ("cursor=5&limit=10", "5 0 []"),
        ("limit=10", "5 0 []"),
    ] {
        assert_eq!(ask(query), answer, "{query}");
    }
    // The oldest that is kept is 13.
    publish(&topic, 17);
    for (query, answer) in [
        ("cursor=5&most=3", "15 7 [13, 14, 15]"),
        ("cursor=12&most=1", "13 0 [13]"),
        // From before a restart.
        ("cursor=99&most=2", "14 12 [13, 14]"),
    ] {
        assert_eq!(ask(query), answer, "{query}");
    }
    topic.close();
    assert_eq!(ask("cursor=20"), "22 0 [21, 22]");
    assert_eq!(ask("cursor=22"), "22 0 []");
}

fn waits(mode: Mode) {
    let topic = Topic::new(10);
    publish(&topic, 3);
    let server = start(mode, Config::default(), app(&topic));
    let mut clients: Vec<_> = ["/?cursor=3", "/", "/?cursor=3&most=1"]
        .map(|path| {
            let mut client = server.client();
            client.send(get(path));
            client
        })
        .into();
    eventually("all wait", || topic.subscribers() == 3);
    let start = Instant::now();
    publish(&topic, 1);
    for client in &mut clients {
        assert!(client.response().1.starts_with("4 0 [4"));
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    eventually("none is left", || topic.subscribers() == 0);
    let mut client = server.client();
    let start = Instant::now();
    client.send(get("/?cursor=4&limit=300"));
    assert_eq!(client.response().1, "4 0 []");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

in_each_mode! { polls waits }

/// Nobody waits for a client that has gone.
#[test]
fn clients_that_go() {
    let topic = Topic::new(10);
    let ended = Arc::new(AtomicUsize::new(0));
    let (theirs, count) = (topic.clone(), ended.clone());
    let app = Router::new().get("/", move |req: &mut Request| {
        let polled = LongPoll::new(&theirs).poll(req, None);
        count.fetch_add(usize::from(polled.is_err()), Ordering::SeqCst);
        polled.map(|_| "never")
    });
    let server = start(Mode::Green, Config::default(), app);
    let mut client = server.client();
    client.send(get("/"));
    eventually("it waits", || topic.subscribers() == 1);
    drop(client);
    eventually("it does not wait", || topic.subscribers() == 0);
    eventually("the handler was told", || ended.load(Ordering::SeqCst) == 1);
    eventually("the connection is gone", || server.handle.connections() == 0);
}
