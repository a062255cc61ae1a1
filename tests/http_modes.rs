//! The server over sockets, byte by byte: each test runs in every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use http_support::{Running, body_of, eventually, get, get_once, start, status_of, without_date};
use sward::http::{
    BodyWriter, Config, Error, Event, Html, Json, Mode, Request, Response, Router, Sse, SseWriter,
    StatusCode,
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Post {
    id: u64,
    text: String,
}

fn app() -> Router {
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/html", |_: &mut Request| Html("<p>"))
        .get("/nothing", |_: &mut Request| ())
        .get("/users/{id}", |req: &mut Request| -> Result<Json<Post>, Error> {
            Ok(Json(Post { id: req.param("id")?, text: "é".into() }))
        })
        .get("/name/{name}", |req: &mut Request| req.param::<String>("name"))
        .get("/query", |req: &mut Request| -> Result<String, Error> {
            let n: Option<u32> = req.query("n")?;
            Ok(format!("{n:?} {:?}", req.query_pairs().collect::<Vec<_>>()))
        })
        .get("/headers", |req: &mut Request| {
            let map = req.header_map();
            format!("{:?} {:?} {}", req.header("X-ONE"), map.get("x-two"), req.headers().count())
        })
        .get("/peer", |req: &mut Request| req.peer_addr().to_string())
        .get("/large", |_: &mut Request| vec![b'x'; 300_000])
        .get("/shared", |_: &mut Request| Arc::<[u8]>::from(&b"shared"[..]))
        .get("/panic", |_: &mut Request| -> &'static str { panic!("on purpose") })
        .get("/missing", |_: &mut Request| None::<String>)
        .get("/away", |_: &mut Request| Response::redirect("/elsewhere?a b"))
        .post("/echo", |req: &mut Request| req.bytes())
        .post("/ignore", |_: &mut Request| "ignored")
        .post("/json", |req: &mut Request| req.json::<Post>().map(|post| post.text))
        .post("/value", |req: &mut Request| req.json::<serde_json::Value>().map(|_| "fine"))
        .post("/form", |req: &mut Request| req.form().map(|pairs| format!("{pairs:?}")))
        .post("/slowly", |req: &mut Request| -> Result<String, Error> {
            let mut sizes = Vec::new();
            let mut buf = [0; 4];
            loop {
                match req.body().read(&mut buf)? {
                    0 => return Ok(format!("{sizes:?}")),
                    n => sizes.push(n),
                }
            }
        })
        .get("/stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                w.write_all(b"one")?;
                w.flush()?;
                w.write_all(b"")?;
                write!(w, "two {}", 2)?;
                w.write_all(b"!")
            })
        })
        .get("/long-stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                (0..1000).try_for_each(|n| writeln!(w, "{n:0>99}"))
            })
        })
        .get("/broken-stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                w.write_all(b"some")?;
                w.flush()?;
                Err(std::io::Error::other("on purpose"))
            })
        })
        .get("/panicking-stream", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                w.write_all(b"some")?;
                w.flush()?;
                panic!("on purpose")
            })
        })
        .get("/stillborn-stream", |_: &mut Request| {
            Response::stream(|_: &mut BodyWriter| Err(std::io::Error::other("on purpose")))
        })
        .get("/events", |req: &mut Request| {
            let after: u64 = req.header("last-event-id").map_or(0, |id| id.parse().unwrap());
            Sse::new(move |tx: &mut SseWriter| {
                tx.retry(Duration::from_secs(1))?;
                tx.send(&Event::data("a\nb").id((after + 1).to_string()).event("post"))?;
                tx.comment("still here")?;
                tx.send_raw(Event::data("raw").encode())
            })
        })
}

fn serve(mode: Mode) -> Running {
    support::alarm();
    start(mode, Config::default(), app())
}

fn plain(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn simple_request(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    client.send(get("/"));
    let head = client.until("\r\n\r\n");
    assert!(head.contains("\r\nDate: "), "{head}");
    assert_eq!(without_date(&head), plain("hello"));
    assert_eq!(client.until("hello"), "hello");
}

fn keep_alive(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    for _ in 0..3 {
        client.send(get("/"));
        assert_eq!(client.response(), (plain("hello"), "hello".into()));
        eventually("one connection", || server.handle.connections() == 1);
    }
    client.send(get_once("/"));
    let (head, _) = client.response();
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert!(client.is_closed());
    eventually("no connection", || server.handle.connections() == 0);
}

fn split_at_every_byte(mode: Mode) {
    let server = serve(mode);
    let request = "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: t\r\n\r\n";
    let mut client = server.client();
    for at in 1..request.len() {
        client.send(&request[..at]);
        client.send(&request[at..]);
        assert_eq!(client.response().1, "abcde", "split at {at}");
    }
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().1, "abcde");
}

fn pipelining(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    let mut requests = String::new();
    for n in 0..40 {
        requests += &get(&format!("/name/{n}"));
        requests += &format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{n:02}");
        requests += "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    }
    // In pieces that end anywhere.
    for piece in requests.as_bytes().chunks(1000) {
        client.send(piece);
    }
    for n in 0..40 {
        assert_eq!(client.response().1, n.to_string());
        assert_eq!(client.response().1, format!("{n:02}"));
        assert_eq!(client.response().1, "x");
    }
    // A stream among them, and what follows it.
    client.send(get("/stream") + &get("/") + &get_once("/name/last"));
    let text = client.rest();
    assert!(text.contains("0\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nlast"), "{text}");
}

fn old_version(mode: Mode) {
    let server = serve(mode);
    let text = without_date(&server.exchange("GET / HTTP/1.0\r\n\r\n"));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nhello"), "{text}");
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(client.response().0.contains("Connection: keep-alive\r\n"));
    // A stream ends with the connection, and is not chunked.
    client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let text = client.rest();
    assert!(!text.contains("Transfer-Encoding"), "{text}");
    assert_eq!(body_of(&text), "onetwo 2!");
}

fn routes(mode: Mode) {
    let server = serve(mode);
    let body = |path: &str| body_of(&server.exchange(get_once(path))).to_string();
    assert_eq!(body("/users/7"), r#"{"id":7,"text":"é"}"#);
    assert_eq!(body("/name/a%20b%2Fc"), "a b/c");
    assert_eq!(body("/html"), "<p>");
    assert_eq!(body("/shared"), "shared");
    assert_eq!(body("/query?n=5&a=%C3%A9+x"), r#"Some(5) [("n", "5"), ("a", "é x")]"#);
    assert_eq!(body("/query"), "None []");
    assert_eq!(body("/large").len(), 300_000);
    assert!(body("/peer").starts_with("127.0.0.1:"));
    assert!(body("/users/x").contains("\"id\""), "says what is wrong");
    for (path, status) in [
        ("/users/x", "400"),
        ("/query?n=x", "400"),
        ("/nowhere", "404"),
        ("/missing", "404"),
        ("/nothing", "204"),
        ("/away", "303"),
    ] {
        assert_eq!(status_of(&server.exchange(get_once(path))), status, "{path}");
    }
    assert!(server.exchange(get_once("/away")).contains("\r\nLocation: /elsewhere?a%20b\r\n"));
}

fn methods(mode: Mode) {
    let server = serve(mode);
    let with = |line: &str| {
        server.exchange(format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    };
    let head = with("HEAD /");
    assert!(head.contains("Content-Length: 5\r\n") && body_of(&head).is_empty(), "{head}");
    let head = with("HEAD /stream");
    assert!(head.contains("chunked") && body_of(&head).is_empty(), "{head}");
    let refused = with("DELETE /");
    assert_eq!(status_of(&refused), "405");
    assert!(refused.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{refused}");
    let options = with("OPTIONS /echo");
    assert_eq!(status_of(&options), "204");
    assert!(options.contains("\r\nAllow: OPTIONS, POST\r\n"), "{options}");
    assert_eq!(status_of(&with("OPTIONS *")), "204");
    assert_eq!(status_of(&with("BREW /")), "405");
}

fn headers(mode: Mode) {
    let server = serve(mode);
    let mut request = "GET /headers HTTP/1.1\r\nHost: h\r\nx-one:  1 \r\nX-Two: 2\r\n".to_string();
    // More than the connection has room for on its stack.
    for n in 0..60 {
        request += &format!("x-{n}: y\r\n");
    }
    let mut client = server.client();
    client.send(request + "\r\n");
    assert_eq!(client.response().1, r#"Some("1") Some("2") 63"#);
}

fn bodies(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    let mut post = |path: &str, mime: &str, body: &str| {
        let length = body.len();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {mime}\r\nContent-Length: {length}\r\n\r\n{body}"));
        let (head, body) = client.response();
        (status_of(&head).to_string(), body)
    };
    let long = "0123456789".repeat(50_000);
    assert_eq!(post("/echo", "x/y", &long).1, long);
    assert_eq!(post("/json", "application/json", r#"{"id":1,"text":"t"}"#).1, "t");
    let (status, why) = post("/json", "application/json", r#"{"id":"#);
    assert_eq!(status, "400");
    assert!(why.contains("EOF"), "{why}");
    let (status, why) = post("/json", "application/json; charset=utf-8", r#"{"id":1}"#);
    assert_eq!(status, "422");
    assert!(why.contains("text"), "{why}");
    assert_eq!(post("/json", "text/plain", "{}").0, "415");
    // As deep as a stack has room for, whoever reads it; serde_json alone would go to 128, and over the stack's end.
    for (depth, status) in [(64, "200"), (65, "400"), (100_000, "400")] {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(post("/value", "application/json", &nested).0, status, "{depth}");
    }
    let form = post("/form", "application/x-www-form-urlencoded", "a=1&b=%26+x");
    assert_eq!(form.1, r#"[("a", "1"), ("b", "& x")]"#);
    assert_eq!(post("/slowly", "x/y", "0123456789").1, "[4, 4, 2]");
    // A body that the handler does not read is skipped, buffered or not.
    assert_eq!(post("/ignore", "x/y", "unread").1, "ignored");
    assert_eq!(post("/ignore", "x/y", &long[..200_000]).1, "ignored");
    assert_eq!(post("/nowhere", "x/y", "unread").0, "404");
    assert_eq!(post("/echo", "x/y", "").1, "");
}

fn chunked_request(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    let mut request =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_string();
    let mut whole = String::new();
    for n in 1..200 {
        let piece = "x".repeat(n * 7 % 301);
        if !piece.is_empty() {
            request += &format!("{:X}\r\n{piece}\r\n", piece.len());
            whole += &piece;
        }
    }
    request += &format!("C350\r\n{}\r\n", "y".repeat(50_000));
    whole += &"y".repeat(50_000);
    client.send(request.clone() + "0\r\n\r\n" + &get("/"));
    assert_eq!(client.response().1, whole);
    assert_eq!(client.response().1, "hello");
    client.send(request + "zz\r\n");
    assert_eq!(status_of(&client.rest()), "400");
}

fn expect_continue(mode: Mode) {
    let server = serve(mode);
    let head = "HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut client = server.client();
    client.send(format!("POST /echo {head}"));
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(client.response().1, "body");
    // Who does not read it does not ask for it; what follows could be the body or not, so it closes.
    client.send(format!("POST /ignore {head}"));
    client.finish();
    let text = client.rest();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Connection: close"),
        "{text}"
    );
    // A client that did not wait needs no 100.
    let text = server.exchange(format!("POST /echo {head}body{}", get_once("/")));
    assert!(!text.contains(" 100 "), "{text}");
}

fn refused_heads(mode: Mode) {
    let server = serve(mode);
    let long = "x".repeat(17 << 10);
    let many = "a: b\r\n".repeat(101);
    let large = format!("a: {}\r\n", &long[..8000]).repeat(9);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_string(), "400"),
        ("GET / HTTP/1.1\nHost: h\n\n".into(), "400"),
        ("nonsense\r\n\r\n".into(), "400"),
        ("GET / HTTP/2.0\r\n\r\n".into(), "505"),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "414"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\na: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{large}\r\n"), "431"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".into(), "501"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                .into(),
            "400",
        ),
    ] {
        // With a good request before it, whose answer must come first, and one behind, which must not.
        let text = server.exchange(get("/") + &request + &get("/"));
        let mut answers = text.split_inclusive("HTTP/1.1 ").skip(1);
        assert!(answers.next().is_some_and(|text| text.contains("hello")), "{text}");
        let last = answers.next().unwrap_or_else(|| panic!("{request:.60}: {text}"));
        assert!(
            last.starts_with(status) && last.contains("Connection: close"),
            "{request:.60}: {text}"
        );
        assert_eq!(answers.next(), None);
    }
}

fn streams(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    client.send(get("/stream"));
    let head = without_date(&client.until("\r\n\r\n"));
    assert_eq!(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.until("0\r\n\r\n"), "3\r\none\r\n6\r\ntwo 2!\r\n0\r\n\r\n");
    // The connection lives on.
    client.send(get("/long-stream"));
    let text = client.until("\r\n0\r\n\r\n");
    let digits = text.chars().filter(|c| c.is_ascii_digit()).count();
    assert!(digits > 99_000 && text.len() > 100_000, "{digits}");
    client.send(get("/"));
    assert_eq!(client.response().1, "hello");
}

fn broken_streams(mode: Mode) {
    let server = serve(mode);
    for path in ["/broken-stream", "/panicking-stream"] {
        let text = server.exchange_broken(get(path));
        assert!(text.ends_with("4\r\nsome\r\n"), "{path}: no last chunk: {text}");
        // Without chunks the only way not to look whole is a reset.
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        let mut bytes = Vec::new();
        let error = client.0.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert_eq!(status_of(&server.exchange(get("/stillborn-stream"))), "500");
    assert_eq!(status_of(&server.exchange(get_once("/"))), "200");
}

fn events(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    client.send("GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 41\r\n\r\n");
    let head = client.until("\r\n\r\n");
    assert!(head.contains("Content-Type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("Cache-Control: no-cache\r\n"), "{head}");
    let chunks = [
        "retry: 1000\n\n",
        "data: a\ndata: b\nid: 42\nevent: post\n\n",
        ": still here\n\n",
        "data: raw\n\n",
        "",
    ];
    let wire: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
    assert_eq!(client.until("\r\n0\r\n\r\n"), wire);
}

fn panics(mode: Mode) {
    let server = serve(mode);
    for _ in 0..3 {
        let text = server.exchange(get("/") + &get("/panic") + &get("/"));
        assert_eq!(text.matches("HTTP/1.1 ").count(), 2, "{text}");
        assert!(text.contains("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
        assert!(!text.contains("on purpose"), "{text}");
    }
    assert_eq!(status_of(&server.exchange(get_once("/"))), "200");
}

fn client_that_stops_sending(mode: Mode) {
    let server = serve(mode);
    // In the middle of a head, and of a body; and one that only half closes.
    for request in ["GET / HT", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbo"] {
        let mut client = server.client();
        client.send(request);
        client.finish();
        let text = client.rest();
        assert!(text.is_empty() || status_of(&text) == "400", "{text}");
    }
    let mut client = server.client();
    client.send(get("/"));
    client.finish();
    assert_eq!(body_of(&client.rest()), "hello");
    eventually("no connection", || server.handle.connections() == 0);
}

impl Running {
    /// As `exchange`, when the connection may end by a reset.
    fn exchange_broken(&self, bytes: String) -> String {
        let mut client = self.client();
        client.send(bytes);
        let mut text = Vec::new();
        let _ = client.0.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }
}

fn one_per_request(mode: Mode) {
    let app = Router::new().get("/status", |_: &mut Request| StatusCode::IM_A_TEAPOT);
    let server = start(mode, Config::default(), app);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let addr = server.addr;
            std::thread::spawn(move || {
                for _ in 0..25 {
                    let mut stream = std::net::TcpStream::connect(addr).unwrap();
                    stream.write_all(get_once("/status").as_bytes()).unwrap();
                    let mut text = String::new();
                    stream.read_to_string(&mut text).unwrap();
                    assert_eq!(status_of(&text), "418");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    eventually("no connection", || server.handle.connections() == 0);
}

in_each_mode! {
    simple_request keep_alive split_at_every_byte pipelining old_version routes methods headers bodies
    chunked_request expect_continue refused_heads streams broken_streams events panics
    client_that_stops_sending one_per_request
}
