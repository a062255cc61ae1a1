//! The tweet feed's Bluesky source against a Jetstream that misbehaves: sward's own WebSocket sends what the real one
//! sends, breaks, refuses, repeats and falls silent. What viewers see is each post, once, in order.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "support/mod.rs"]
mod alarm;
#[macro_use]
mod http_support;
#[path = "tweet_feed_support/mod.rs"]
mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::App;
use sward::http::{
    Config, IntoResponse, Mode, Request, Response, Router, StatusCode, WebSocket, ws,
};
use sward::sync::{Mutex, Semaphore};

/// The time of the first post.
const T0: i64 = 1_767_261_600_000_000;
/// The stall time of 30 s becomes 1.5 s, the first wait after an HTTP error 0.25 s.
const SCALE: &str = "0.05";

fn time_of(n: i64) -> i64 {
    T0 + n * 1_000_000
}

/// The post of this number.
fn post(n: i64) -> String {
    json!({"did": "did:plc:ada", "time_us": time_of(n), "kind": "commit", "commit": {"rev": format!("3r{n}"),
        "operation": "create", "collection": "app.bsky.feed.post", "rkey": format!("3k{n}"), "cid": "bafy",
        "record": {"$type": "app.bsky.feed.post", "text": format!("post {n}"), "langs": ["en"],
            "createdAt": "2026-01-01T10:00:00.000Z"}}})
    .to_string()
}

/// What a stream of posts has in it beside posts, with times that say nothing new.
fn others() -> Vec<String> {
    let commit = |collection: &str, operation: &str| {
        json!({"did": "did:plc:bob", "time_us": T0, "kind": "commit", "commit": {"rev": "3r",
            "operation": operation, "collection": collection, "rkey": "3k",
            "record": {"$type": collection, "text": "not a new post", "createdAt": "2026-01-01T10:00:00.000Z"}}})
        .to_string()
    };
    vec![
        json!({"did": "did:plc:ada", "time_us": T0, "kind": "identity", "identity": {"did": "did:plc:ada",
            "handle": "ada.bsky.social", "seq": 1, "time": "2026-01-01T10:00:00.000Z"}})
        .to_string(),
        json!({"did": "did:plc:ada", "time_us": T0, "kind": "account", "account": {"active": true,
            "did": "did:plc:ada", "seq": 2, "time": "2026-01-01T10:00:00.000Z"}})
        .to_string(),
        commit("app.bsky.feed.post", "delete"),
        commit("app.bsky.feed.post", "update"),
        commit("app.bsky.feed.like", "create"),
        "<html>502 Bad Gateway".into(),
        "{\"did\":\"did:plc:ada\",\"time_us\":17672616".into(),
        String::new(),
    ]
}

fn send(ws: &mut WebSocket<'_>, posts: std::ops::RangeInclusive<i64>) -> io::Result<()> {
    posts.into_iter().try_for_each(|n| ws.send_text(post(n)))
}

/// Says nothing for so long, and listens. A client that left or did not answer a ping would end it early.
fn quiet(ws: &mut WebSocket<'_>, how_long: Duration) {
    let start = Instant::now();
    let said = sward::timeout(how_long, || ws.read());
    assert!(start.elapsed() >= how_long, "{said:?}");
}

/// The server, and what it was asked.
struct Jetstream {
    connections: AtomicUsize,
    cursors: Mutex<Vec<Option<i64>>>,
    /// The first five posts have come: the first connection may break. (A reset would take with it what was not read yet.)
    seen: Semaphore,
    /// Lets the last two connections go.
    end: Semaphore,
}

impl Jetstream {
    fn answer(self: &Arc<Self>, req: &mut Request<'_>) -> Response {
        assert_eq!(req.query("wantedCollections").unwrap(), Some("app.bsky.feed.post".to_owned()));
        assert_eq!(req.query::<String>("compress").unwrap(), None);
        self.cursors.lock().unwrap().push(req.query("cursor").unwrap());
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        if number == 1 {
            return (StatusCode::SERVICE_UNAVAILABLE, "warming up").into_response();
        }
        let mut config = ws::Config::default();
        if number == 2 {
            config.ping_after = Duration::from_millis(100);
            config.pong_timeout = Duration::from_millis(700);
        }
        let this = self.clone();
        WebSocket::upgrade_with(&config, req, move |ws: &mut WebSocket| this.talk(number, ws))
    }

    fn talk(&self, number: usize, ws: &mut WebSocket<'_>) -> io::Result<()> {
        match number {
            0 => {
                others().iter().try_for_each(|message| ws.send_text(message))?;
                ws.send_binary([0x28, 0xb5, 0x2f, 0xfd])?;
                send(ws, 1..=5)?;
                self.seen.acquire().forget();
                // A message of 64 KiB that ends too soon.
                ws.send_raw(b"\x81\x7e\xff\xff{\"did\":")?;
                Err(io::Error::other("the connection breaks"))
            }
            2 => {
                send(ws, 2..=8)?;
                quiet(ws, Duration::from_secs(1)); // its pings are answered
                ws.close(1001, "restarting")
            }
            3 => {
                send(ws, 4..=9)?;
                // It neither sends nor reads any more: pings are not answered.
                self.end.acquire().forget();
                Ok(())
            }
            _ => {
                send(ws, 5..=10)?;
                // Twice as long as the client believes in it; but reading answers the client's pings.
                quiet(ws, Duration::from_secs(3));
                send(ws, 11..=12)?;
                self.end.acquire().forget();
                Ok(())
            }
        }
    }
}

fn each_post_once(mode: Mode) {
    alarm::alarm();
    let jetstream = Arc::new(Jetstream {
        connections: AtomicUsize::new(0),
        cursors: Mutex::new(Vec::new()),
        seen: Semaphore::new(0),
        end: Semaphore::new(0),
    });
    let shared = jetstream.clone();
    let app = Router::new().get("/subscribe", move |req: &mut Request| shared.answer(req));
    let server = http_support::start(Mode::Green, Config::default(), app);

    let source = format!("bluesky:ws://{}/subscribe", server.addr);
    let mode = mode.to_string();
    let feed = App::start(&["--source", &source, "--mode", &mode, "--time-scale", SCALE]);
    let mut events = feed.events("", None);
    for n in 1..=12 {
        let (_, got) = events.next_post().unwrap();
        assert_eq!(got["content"], format!("post {n}"), "in order, and none twice");
        assert_eq!(got["id"], format!("did:plc:ada/3k{n}"));
        assert_eq!(got["source"], "bluesky");
        assert_eq!(got["user"]["handle"], "ada.bsky.social");
        assert_eq!(got["url"], format!("https://bsky.app/profile/did:plc:ada/post/3k{n}"));
        if n == 5 {
            jetstream.seen.release();
        }
    }
    assert_eq!(feed.json("/stats")["posts_total"], 12);
    // Each cursor is five seconds behind the last message, and the silence of the last connection was no reason to leave.
    let back = |n: i64| Some(time_of(n - 5));
    assert_eq!(*jetstream.cursors.lock().unwrap(), [None, back(5), back(5), back(8), back(9)]);
    jetstream.end.release();
    jetstream.end.release();
}

in_each_mode! { each_post_once }
