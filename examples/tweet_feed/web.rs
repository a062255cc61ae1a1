//! The web side: the page and its endpoints. Every handler is plain blocking code, and the same
//! in all three modes. Posts come from `feed.rs`; the page itself is in `page/`.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::{
    Event, IntoResponse, LongPoll, Mode, Request, Response, Router, ServerHandle, Sse, SseWriter,
    StatusCode,
};
use sward::pubsub::{RecvError, Subscriber};
use sward::sync::Mutex;

use crate::feed::{Feed, json_of};
use crate::{parse, stats, websocket};

/// The page may load its own files and talk to its own server, and nothing else.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) feed: Arc<Feed>,
    pub(crate) mode: Mode,
    /// The runtime's counters, read now and then by a green thread: in the other modes handlers run on
    /// OS threads, which belong to no runtime and cannot see them.
    pub(crate) runtime: Arc<Mutex<sward::Stats>>,
    /// How the page names the source.
    pub(crate) source: &'static str,
    /// Posts that the page keeps on screen.
    pub(crate) keep: usize,
    pub(crate) server: ServerHandle,
    /// Resident memory before the first connection.
    pub(crate) rss_at_start: u64,
}

pub(crate) fn routes(web: Web) -> Router {
    let page = include_str!("page/index.html")
        .replace("{{source}}", web.source)
        .replace("{{keep}}", &web.keep.to_string());
    let web = Arc::new(web);
    let (events, sockets, polls) = (web.clone(), web.clone(), web.clone());
    let (api, numbers) = (web.clone(), web);
    Router::new()
        .get("/", move |_: &mut Request<'_>| {
            Response::html(page.as_str())
                .header("content-security-policy", POLICY)
                .header("cache-control", "no-cache")
        })
        .get("/style.css", |_: &mut Request<'_>| {
            asset("text/css; charset=utf-8", include_str!("page/style.css"))
        })
        .get("/feed.js", |_: &mut Request<'_>| {
            asset("text/javascript; charset=utf-8", include_str!("page/feed.js"))
        })
        .get("/events", move |req: &mut Request<'_>| events.events(req))
        .get("/websocket", move |req: &mut Request<'_>| websocket::answer(&sockets.feed, req))
        .get("/poll", move |req: &mut Request<'_>| polls.poll(req))
        .post("/api", move |req: &mut Request<'_>| api.api(req))
        .get("/stats", move |_: &mut Request<'_>| numbers.stats())
}

pub(crate) fn asset(kind: &str, text: &'static str) -> Response {
    Response::bytes_static(text.as_bytes())
        .header("content-type", kind)
        .header("cache-control", "no-cache")
        .header("x-content-type-options", "nosniff")
}

impl Web {
    /// `GET /events`: the posts as Server-Sent Events. A browser that lost the connection sends
    /// `Last-Event-ID`; the page, which reconnects by itself, can only put it into the query.
    fn events(&self, req: &mut Request<'_>) -> Sse {
        let asked: Option<String> = req.query("last_event_id").ok().flatten();
        let last = req.header("last-event-id").map(str::to_owned).or(asked);
        let (posts, _) = self.feed.join(last.as_deref());
        Sse::new(move |tx: &mut SseWriter<'_, '_>| follow(&posts, tx))
    }

    /// `GET /poll?cursor=`: what came after the cursor, oldest first; if nothing did, waits for it.
    fn poll(&self, req: &mut Request<'_>) -> Response {
        let cursor: Option<String> = req.query("cursor").ok().flatten();
        let after = self.feed.after(cursor.as_deref());
        let polled = match LongPoll::new(self.feed.topic()).poll(req, Some(after)) {
            Ok(polled) => polled,
            Err(gone) => return gone.into_response(),
        };
        // The posts are JSON already; they are put together, not parsed and written again.
        let cursor = self.feed.id(polled.cursor);
        let missed = polled.missed;
        let mut body =
            format!("{{\"cursor\":\"{cursor}\",\"missed\":{missed},\"posts\":[").into_bytes();
        for (i, post) in polled.messages.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(json_of(&post.data));
        }
        body.extend_from_slice(b"]}");
        Response::new(StatusCode::OK)
            .header("content-type", "application/json")
            .header("cache-control", "no-store")
            .body(body)
    }

    /// `POST /api`: a JSON array of posts in tweefee's wire format, from any process on this
    /// machine. The answer is 201 whatever came, as listeners of the original expect.
    fn api(&self, req: &mut Request<'_>) -> Response {
        if let Err(why) = self.take(req) {
            eprintln!("tweet_feed: /api: {why}");
        }
        Response::new(StatusCode::CREATED) // with an empty body
    }

    fn take(&self, req: &mut Request<'_>) -> Result<(), String> {
        // Read first, so that the connection stays usable whatever is wrong.
        let body = req.bytes().map_err(|e| format!("Malformed data received: {e}"))?;
        let host = req.header("host").unwrap_or("").to_owned();
        if !is_local(&host) {
            return Err(format!("dropped, host {host:?} is not this machine"));
        }
        // A browser names the page that posts; another site's page has no business here.
        let foreign = |origin: &&str| origin.split_once("://").is_none_or(|(_, from)| from != host);
        if let Some(origin) = req.header("origin").filter(foreign) {
            return Err(format!("dropped, sent by a page of {origin:?}"));
        }
        let body: Value =
            serde_json::from_slice(&body).map_err(|e| format!("Malformed data received: {e}"))?;
        let items = body.as_array().ok_or("Malformed data received: not an array")?;
        let posts: Vec<_> = items.iter().filter_map(|item| parse::wire(item, "api")).collect();
        // In the order posted: the last one is the newest.
        posts.iter().for_each(|post| self.feed.publish(post));
        match items.len() - posts.len() {
            0 => Ok(()),
            n => Err(format!("Malformed data received: {n} items without content, id or user")),
        }
    }

    /// `GET /stats`: the figures in the page's strip.
    fn stats(&self) -> Response {
        let runtime = match sward::stats() {
            none if none.workers == 0 => *self.runtime.lock().unwrap_or_else(|e| e.into_inner()),
            own => own,
        };
        let connections = self.server.connections() as u64;
        let rss = stats::rss_bytes();
        let each = rss.saturating_sub(self.rss_at_start).checked_div(connections).unwrap_or(0);
        let body = json!({
            "mode": self.mode.to_string(),
            "workers": runtime.workers,
            "green_threads": runtime.green_threads,
            "os_threads": stats::os_threads(),
            "connections": connections,
            "subscribers": self.feed.subscribers(),
            "posts_total": self.feed.posts_total(),
            "posts_per_second": (self.feed.posts_per_second() * 100.0).round() / 100.0,
            "rss_bytes": rss,
            "rss_per_connection_bytes": each,
            "switches_total": runtime.switches,
        });
        Response::json(&body).header("cache-control", "no-store")
    }
}

/// One subscriber: a loop that waits for the next post and writes it. Heartbeats go out by
/// themselves.
fn follow(posts: &Subscriber, tx: &mut SseWriter<'_, '_>) -> io::Result<()> {
    tx.retry(Duration::from_secs(1))?;
    loop {
        match posts.recv() {
            Ok(post) => tx.send_raw(&post.data)?,
            Err(RecvError::Lagged { missed }) => {
                let event = Event::data(json!({"missed": missed}).to_string()).event("lagged");
                tx.send(&event)?;
            }
            Err(_) => return Ok(()), // the feed was closed: the server stops
        }
    }
}

/// Whether a Host header names this machine. Compared whole, so that `localhost.evil.example` does
/// not pass.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_hosts() {
        for host in
            ["localhost", "localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "127.9.9.9"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "localhost.evil.example", "example.com:80", "10.0.0.1", "[::2]", "::1"] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn page_is_whole() {
        let page = include_str!("page/index.html");
        assert!(page.contains("{{source}}") && page.contains("{{keep}}"));
        let script = include_str!("page/feed.js");
        for way_in in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(way_in), "{way_in}");
        }
        for text in [page, script, include_str!("page/style.css")] {
            assert!(!text.contains("//cdn") && !text.contains("https://fonts"), "works offline");
        }
    }
}
