//! The same on may and on axum, each as its documentation would have it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::client::post;
use crate::servers::{BEGIN, PUBLISHED, frame, number};

/// may has no broadcast: a channel for each subscriber.
type Subscribers = Arc<may::sync::Mutex<Vec<may::sync::mpsc::Sender<Arc<[u8]>>>>>;

/// A coroutine for each subscriber, on one worker.
pub(crate) fn may_server() {
    may::config().set_workers(1);
    let listener = may::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    let subscribers = Subscribers::default();
    let accepting = go(move || {
        for stream in listener.incoming().flatten() {
            let subscribers = subscribers.clone();
            // OK to ignore: a client that is gone ends its coroutine with an error.
            drop(go(move || drop(may_connection(stream, &subscribers))));
        }
    });
    accepting.join().expect("it serves");
}

fn go(f: impl FnOnce() + Send + 'static) -> may::coroutine::JoinHandle<()> {
    // SAFETY: the closures of this file use no thread-locals across a switch, and need little stack.
    unsafe { may::coroutine::spawn(f) }
}

fn may_connection(mut stream: may::net::TcpStream, subscribers: &Subscribers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut some = [0; 512];
        let n = stream.read(&mut some)?;
        if n == 0 {
            return Ok(());
        }
        head.extend_from_slice(&some[..n]);
    }
    match number(&String::from_utf8_lossy(&head)) {
        None => {
            let (sender, posts) = may::sync::mpsc::channel();
            subscribers.lock().expect("not poisoned").push(sender);
            stream.write_all(BEGIN.as_bytes())?;
            while let Ok(frame) = posts.recv() {
                stream.write_all(&frame)?;
            }
            Ok(())
        }
        Some(number) => {
            let frame: Arc<[u8]> = frame(number).into();
            subscribers.lock().expect("not poisoned").retain(|to| to.send(frame.clone()).is_ok());
            stream.write_all(PUBLISHED.as_bytes())
        }
    }
}

/// tokio's current-thread runtime, its broadcast channel, and a stream of what it brings as the body.
pub(crate) fn axum_server() {
    use axum::body::{Body, Bytes};
    use axum::extract::Path;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    use futures_util::stream::{StreamExt, once, unfold};

    let (posts, _) = tokio::sync::broadcast::channel::<Bytes>(64);
    let subscribed = posts.clone();
    let app = axum::Router::new()
        .route(
            "/followed",
            get(move || async move {
                let hello = once(async { io::Result::Ok(Bytes::from("data: hello\n\n")) });
                let events = unfold(subscribed.subscribe(), |mut posts| async move {
                    Some((Ok(posts.recv().await.ok()?), posts))
                });
                ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(hello.chain(events)))
            }),
        )
        .route(
            "/publish/{n}",
            get(move |Path(n): Path<usize>| async move {
                // OK to ignore: without subscribers there is nobody to tell.
                let _ = posts.send(format!("data: {}\n\n", post(n)).into());
                ""
            }),
        );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("tokio can start").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("bound"));
        axum::serve(listener, app).await.expect("it serves");
    });
}
