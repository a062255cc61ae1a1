//! The client for tests, from OS threads and from green threads: what it sends is what handlers get, and what it
//! returns is what a client over a network would see.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use sward::http::testing::Client;
use sward::http::{
    BodyWriter, Config, Event, Json, Method, Request, Response, Router, Sse, SseWriter,
};

fn app() -> Router {
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/peer", |req: &mut Request| req.peer_addr().to_string())
        .get("/head", |req: &mut Request| {
            format!("{:?} {:?} {:?}", req.header("host"), req.header("x"), req.query_pairs().next())
        })
        .post("/echo", |req: &mut Request| req.bytes())
        .post("/unread", |_: &mut Request| "unread")
        .post("/json", |req: &mut Request| req.json::<Vec<u32>>().map(Json))
        .post("/form", |req: &mut Request| req.form().map(|form| format!("{form:?}")))
        .get("/empty", |_: &mut Request| ())
        .get("/panic", |_: &mut Request| -> &'static str { panic!("on purpose") })
        .get("/stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                (0..2000).try_for_each(|n| writeln!(w, "{n:0>99}"))
            })
        })
        .get("/broken", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                w.write_all(b"some")?;
                w.flush()?;
                Err(std::io::Error::other("on purpose"))
            })
        })
        .get("/events", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| {
                for n in 0.. {
                    tx.send(&Event::data(n.to_string()))?;
                    sward::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            })
        })
}

fn check() {
    let client = Client::new(app());
    let reply = client.get("/").send();
    assert_eq!((reply.status().as_u16(), reply.text()), (200, "hello"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(reply.headers().any(|(name, value)| name == "Content-Length" && value == b"5"));
    assert_eq!(client.get("/peer").send().text(), "127.0.0.1:1");
    let text = client.get("/head?a=b%20c").header("X", "y").send();
    assert_eq!(text.text(), r#"Some("test") Some("y") Some(("a", "b c"))"#);
    let named = client.get("/head").header("Host", "h").send();
    assert!(named.text().starts_with(r#"Some("h")"#));

    let long: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
    assert_eq!(client.post("/echo").body(long.clone()).send().body(), long);
    assert_eq!(client.post("/unread").body(long).send().text(), "unread");
    assert_eq!(client.post("/echo").body(vec![0; 3 << 20]).send().status(), 413);
    assert_eq!(client.post("/json").json(&[1, 2]).send().json::<Vec<u32>>(), [1, 2]);
    assert_eq!(client.post("/json").body("[]").send().status(), 415);
    let form = client.post("/form").form(&[("a", "b c"), ("d", "&")]).send();
    assert_eq!(form.text(), r#"[("a", "b c"), ("d", "&")]"#);

    let head = client.head("/").send();
    assert_eq!((head.header("content-length"), head.body()), (Some("5"), &b""[..]));
    assert_eq!(client.get("/empty").send().status(), 204);
    assert_eq!(client.get("/panic").send().status(), 500);
    assert_eq!(client.request(Method::DELETE, "/").send().status(), 405);
    assert_eq!(client.get("/a b").send().status(), 400);
    let expecting = client.post("/echo").header("Expect", "100-continue").body("x").send();
    assert_eq!(expecting.text(), "x");

    assert_eq!(client.get("/stream").send().body().len(), 200_000);
    let error = client.get("/broken").try_send().unwrap_err();
    assert!(
        [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind()),
        "{error}"
    );

    let mut events = client.get("/events").open().unwrap();
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let mut first = [0; 18];
    events.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"data: 0\n\ndata: 1\n\n");
}

#[test]
fn from_os_threads() {
    support::alarm();
    check();
}

#[test]
fn from_green_threads() {
    support::alarm();
    sward::run(check);
}

#[test]
fn limits_and_peers_are_settable() {
    let mut config = Config::default();
    config.max_body = 3;
    let client = Client::with_config(app(), config).peer_addr("10.0.0.1:5".parse().unwrap());
    assert_eq!(client.post("/echo").body("four").send().status(), 413);
    assert_eq!(client.get("/peer").send().text(), "10.0.0.1:5");
}

#[test]
#[should_panic(expected = "no whole response")]
fn half_a_response_is_none() {
    Client::new(app()).get("/broken").send();
}
