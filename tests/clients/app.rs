//! A bit of everything that a server does, for clients to try. Those of `tests/browser` try it too.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sward::http::middleware::Compression;
use sward::http::{
    BodyWriter, Config, Error, Event, Html, Json, Mode, Request, Response, Router, ServeFile,
    Server, Sse, SseWriter, StatusCode, Tls, WebSocket,
};

use crate::http_support::{Running, run};

/// Length of the big body, both ways.
pub(crate) const BIG: usize = 8 << 20;

/// Without an icon the browser would ask for one and complain.
const PAGE: &str =
    "<!doctype html><title>page</title><link rel=icon href='data:,'><p id=p>hello</p>";

/// What a big body is made of: byte `i` is `i % 251`, so that a piece that is missing or comes twice shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// A file of `tests/tls`: `authority.pem` is whom clients must trust.
pub(crate) fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Serves it, with `file` at `/file`, over TLS or without. The address as clients want it is there too.
pub(crate) fn serve(mode: Mode, tls: bool, file: &Path) -> (Running, String) {
    // Clients that open many connections at once may be slow on a busy machine.
    let mut config = Config::default();
    config.header_timeout = Duration::from_secs(60);
    config.tls_handshake_timeout = Duration::from_secs(60);
    let mut server = Server::bind("127.0.0.1:0").unwrap().mode(mode).config(config);
    if tls {
        let own = Tls::from_pem_files(tls_file("server.pem"), tls_file("server.key")).unwrap();
        server = server.tls(own);
    }
    let server = run(server, app(file));
    let base = format!("http{}://{}", if tls { "s" } else { "" }, server.addr);
    (server, base)
}

fn app(file: &Path) -> Router {
    let text = "All work and no play makes Jack a dull boy.\n".repeat(2000);
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/page", |_: &mut Request| Html(PAGE))
        .post("/json", |req: &mut Request| req.json::<serde_json::Value>().map(Json))
        .post("/form", |req: &mut Request| req.form().map(Json))
        .post("/parts", parts)
        .post("/up", up)
        .put("/up", up)
        .post("/echo", |req: &mut Request| req.bytes().map(in_pieces))
        .get("/big", |_: &mut Request| Response::new(StatusCode::OK).body(pattern(BIG)))
        .get("/pieces", |_: &mut Request| {
            in_pieces((0..100).map(|n| format!("piece {n}\n")).collect::<String>().into_bytes())
        })
        .get("/slow", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                for n in 0..5 {
                    writeln!(w, "piece {n}")?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(100));
                }
                Ok(())
            })
        })
        .get("/events", events)
        .get("/ws", |req: &mut Request| {
            let mut config = sward::http::ws::Config::default();
            config.deflate = true;
            WebSocket::upgrade_with(&config, req, |ws: &mut WebSocket| {
                while let Some(message) = ws.read()? {
                    ws.send(message)?;
                }
                Ok(())
            })
        })
        .delete("/nothing", |_: &mut Request| StatusCode::NO_CONTENT)
        .get("/moved", |_: &mut Request| Response::redirect("/"))
        .post("/moved", |_: &mut Request| {
            Response::redirect("/echo").with_status(StatusCode::TEMPORARY_REDIRECT)
        })
        .get("/close", |_: &mut Request| Response::text("the last").header("Connection", "close"))
        .get("/status/{code}", |req: &mut Request| -> Result<Response, Error> {
            let code = StatusCode::from_u16(req.param("code")?).unwrap_or(StatusCode::BAD_REQUEST);
            Ok(Response::text("as you wish").with_status(code))
        })
        .mount("/file", ServeFile::new(file))
        .get("/text", move |_: &mut Request| text.clone())
        .with(Compression::new())
}

/// How much came, and the sum of its bytes.
fn up(req: &mut Request) -> Result<String, Error> {
    req.set_body_limit(64 << 20);
    let (mut len, mut sum, mut buf) = (0, 0_u64, vec![0; 32 << 10]);
    loop {
        match req.body().read(&mut buf)? {
            0 => return Ok(format!("{len} {sum}")),
            n => {
                len += n;
                sum += buf[..n].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            }
        }
    }
}

/// What [`up`] says of so much of the pattern.
pub(crate) fn sum(len: usize) -> String {
    format!("{len} {}", pattern(len).iter().map(|byte| u64::from(*byte)).sum::<u64>())
}

/// The names and lengths of a form's parts.
fn parts(req: &mut Request) -> Result<String, Error> {
    let mut form = req.multipart()?;
    let mut all = Vec::new();
    while let Some(mut part) = form.next_part()? {
        let name = part.name().to_owned();
        all.push(format!("{name} {}", part.data()?.len()));
    }
    Ok(all.join(", "))
}

fn in_pieces(bytes: Vec<u8>) -> Response {
    Response::stream(move |w: &mut BodyWriter| {
        for piece in bytes.chunks(1000) {
            w.write_all(piece)?;
            w.flush()?;
        }
        Ok(())
    })
}

/// Three events, after the last one that the client has seen. Then the stream ends, and who wants more comes again.
fn events(req: &mut Request) -> Sse {
    let last: u64 = req.header("Last-Event-ID").and_then(|id| id.parse().ok()).unwrap_or(0);
    Sse::new(move |tx: &mut SseWriter| {
        tx.retry(Duration::from_millis(100))?;
        for id in last + 1..=last + 3 {
            tx.send(&Event::data(format!("event {id}\nin two lines")).id(id.to_string()))?;
        }
        Ok(())
    })
}
