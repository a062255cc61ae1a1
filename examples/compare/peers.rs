//! The same work on may (with may_minihttp, where that can do it) and on axum, each written as its own documentation has it.
//!
//! may_minihttp cannot stream, so what holds a stream open is a small server on may's sockets. The patch is in this program
//! too, as its functions come with the library; it is not installed, and costs a call of theirs a few nanoseconds.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::serve::ready;
use crate::talk::Http;
use crate::workload::{PAGE, Workload, compute};

const EVENT: &str = "data: ";

fn event() -> String {
    format!("{EVENT}{}\n\n", "x".repeat(100))
}

/// The number at the end of a path.
fn number(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

// --- may

pub(crate) fn may(
    addr: SocketAddr,
    upstream: Option<SocketAddr>,
    workers: usize,
    workload: Option<Workload>,
) -> io::Result<()> {
    may::config().set_workers(workers.max(1));
    match workload {
        Some(Workload::Sse | Workload::Fanout) => may_streams(addr),
        _ => {
            // It does not say which port it got, so one is found first.
            let addr = std::net::TcpListener::bind(addr)?.local_addr()?;
            let subscribers = Subscribers::default();
            let waiting = subscribers.clone();
            let service = MayService { upstream, subscribers };
            let server = may_minihttp::HttpServer(service).start(addr)?;
            ready(addr, move || waiting.lock().expect("not poisoned").len());
            server.join().map_err(|_| io::Error::other("may_minihttp has ended"))
        }
    }
}

#[derive(Clone)]
struct MayService {
    upstream: Option<SocketAddr>,
    subscribers: Subscribers,
}

impl may_minihttp::HttpService for MayService {
    fn call(
        &mut self,
        req: may_minihttp::Request<'_, '_, '_>,
        rsp: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        let path = req.path();
        if path == "/hello" {
            rsp.header("Content-Type: image/png");
            rsp.body_mut().extend_from_slice(&PAGE);
        } else if path == "/json" {
            rsp.header("Content-Type: application/json");
            let json = serde_json::to_vec(&serde_json::json!({ "message": "Hello, World!" }))?;
            rsp.body_vec(json);
        } else if path.starts_with("/sleep/") {
            may::coroutine::sleep(Duration::from_millis(number(path)));
            rsp.body("slept");
        } else if path.starts_with("/cpu/") {
            rsp.body_vec(compute(number(path)).to_string().into_bytes());
        } else if path.starts_with("/upstream/") {
            let upstream = self.upstream.ok_or_else(|| io::Error::other("no upstream"))?;
            let mut backend = Http::new(may::net::TcpStream::connect(upstream)?);
            backend.get(&format!("/sleep/{}", number(path)))?;
            rsp.body("asked");
        } else if path == "/poll" {
            let event = subscribe(&self.subscribers).recv().map_err(io::Error::other)?;
            rsp.body_vec(event.as_bytes().to_vec());
        } else {
            rsp.status_code(404, "Not Found");
        }
        Ok(())
    }
}

/// A channel for each subscriber, as may has no broadcast.
type Subscribers =
    std::sync::Arc<may::sync::Mutex<Vec<may::sync::mpsc::Sender<std::sync::Arc<str>>>>>;

fn subscribe(subscribers: &Subscribers) -> may::sync::mpsc::Receiver<std::sync::Arc<str>> {
    let (sender, news) = may::sync::mpsc::channel();
    subscribers.lock().expect("not poisoned").push(sender);
    news
}

fn may_streams(addr: SocketAddr) -> io::Result<()> {
    let listener = may::net::TcpListener::bind(addr)?;
    let subscribers = Subscribers::default();
    let waiting = subscribers.clone();
    ready(listener.local_addr()?, move || waiting.lock().expect("not poisoned").len());
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let subscribers = subscribers.clone();
            // OK to ignore: a client that is gone ends its coroutine with an error.
            drop(go(move || drop(may_connection(stream, &subscribers))));
        }
    };
    let accepting = go(accept);
    accepting.join().map_err(|_| io::Error::other("may has ended"))
}

fn go(f: impl FnOnce() + Send + 'static) -> may::coroutine::JoinHandle<()> {
    // SAFETY: the closures of this file use no thread-locals across a switch, and need little stack.
    unsafe { may::coroutine::spawn(f) }
}

fn may_connection(mut stream: may::net::TcpStream, subscribers: &Subscribers) -> io::Result<()> {
    let _ = stream.set_nodelay(true);
    let mut head = Vec::new();
    loop {
        let mut some = [0; 1024];
        let n = stream.read(&mut some)?;
        if n == 0 {
            return Ok(());
        }
        head.extend_from_slice(&some[..n]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head = Vec::new();
        let path = text.split(' ').nth(1).unwrap_or("/");
        match path {
            "/sse" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
                let news = subscribe(subscribers);
                while let Ok(event) = news.recv() {
                    stream.write_all(event.as_bytes())?;
                }
                return Ok(());
            }
            "/publish" => {
                let event: std::sync::Arc<str> = event().into();
                subscribers
                    .lock()
                    .expect("not poisoned")
                    .retain(|to| to.send(event.clone()).is_ok());
                answer(&mut stream, "published")?;
            }
            _ => answer(&mut stream, "hello")?,
        }
    }
}

fn answer(stream: &mut may::net::TcpStream, body: &str) -> io::Result<()> {
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())
}

// --- axum

pub(crate) fn axum(
    addr: SocketAddr,
    upstream: Option<SocketAddr>,
    workers: usize,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.max(1))
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(addr).await?;
        let (news, _) = tokio::sync::broadcast::channel::<std::sync::Arc<str>>(64);
        let waiting = news.clone();
        ready(listener.local_addr()?, move || waiting.receiver_count());
        axum::serve(listener, axum_app(upstream, news)).await
    })
}

type News = tokio::sync::broadcast::Sender<std::sync::Arc<str>>;

fn axum_app(upstream: Option<SocketAddr>, news: News) -> axum::Router {
    use axum::body::Body;
    use axum::extract::Path;
    use axum::http::StatusCode;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;

    let (subscribed, polled) = (news.clone(), news.clone());
    let gone = |error: io::Error| (StatusCode::BAD_GATEWAY, error.to_string());
    axum::Router::new()
        .route("/hello", get(|| async { ([(CONTENT_TYPE, "image/png")], &PAGE[..]) }))
        .route(
            "/json",
            get(|| async { axum::Json(serde_json::json!({ "message": "Hello, World!" })) }),
        )
        .route(
            "/sleep/{ms}",
            get(|Path(ms): Path<u64>| async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                "slept"
            }),
        )
        .route(
            "/cpu/{rounds}",
            get(|Path(rounds): Path<u64>| async move { compute(rounds).to_string() }),
        )
        .route(
            "/upstream/{ms}",
            get(move |Path(ms): Path<u64>| async move {
                ask(upstream, ms).await.map(|()| "asked").map_err(gone)
            }),
        )
        .route(
            "/sse",
            get(move || async move {
                let news = subscribed.subscribe();
                let events = futures_util::stream::unfold(news, |mut news| async move {
                    let event = news.recv().await.ok()?;
                    Some((io::Result::Ok(event.to_string()), news))
                });
                ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
            }),
        )
        .route(
            "/poll",
            get(move || async move {
                let mut news = polled.subscribe();
                news.recv().await.map_or_else(|_| String::new(), |event| event.to_string())
            }),
        )
        .route(
            "/publish",
            get(move || async move {
                // OK to ignore: without subscribers there is nobody to tell.
                let _ = news.send(event().into());
                "published"
            }),
        )
}

/// The async twin of `talk.rs`, as far as it is needed.
async fn ask(upstream: Option<SocketAddr>, ms: u64) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let upstream = upstream.ok_or_else(|| io::Error::other("no upstream"))?;
    let mut stream = tokio::net::TcpStream::connect(upstream).await?;
    let request = format!("GET /sleep/{ms} HTTP/1.1\r\nHost: compare\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\nslept") {
        if stream.read_buf(&mut all).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
