//! The servers, each in a process of its own: sward's, and the bare one, which does nothing but `send`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use sward::http::{Event, Mode, Request, Router, Server, Sse, SseWriter};
use sward::pubsub::Topic;

use crate::client::post;

/// Says where it listens, and serves for ever.
pub(crate) fn serve(role: &str) {
    let (kind, with) = role.split_once(' ').unwrap_or((role, ""));
    match kind {
        "sward" => sward::run(|| sward_server(with.parse().expect("a mode"))),
        "one" => sward::Builder::new().workers(1).run(|| sward_server(Mode::Green)),
        "bare" => bare(),
        #[cfg(feature = "peers")]
        "may" => crate::peers::may_server(),
        #[cfg(feature = "peers")]
        "axum" => crate::peers::axum_server(),
        _ => panic!("nobody is {role}"),
    }
}

/// What anybody would write.
fn sward_server(mode: Mode) {
    let topic = Topic::new(64);
    let server = Server::bind("127.0.0.1:0").expect("a port").mode(mode);
    println!("{}", server.local_addr().expect("bound"));
    let (subscribers, followed) = (topic.clone(), topic.clone());
    let app = Router::new()
        .get("/looped", move |_: &mut Request<'_>| {
            let posts = topic.subscribe();
            Sse::new(move |tx: &mut SseWriter<'_, '_>| {
                tx.comment("hello")?;
                while let Ok(post) = posts.recv() {
                    tx.send_raw(&post.data)?;
                }
                Ok(())
            })
        })
        .get("/followed", move |_: &mut Request<'_>| {
            // What the client waits for.
            Sse::follow(&followed).first(&Event::data("hello"))
        })
        .get("/publish/{n}", move |req: &mut Request<'_>| {
            let frame = Event::data(post(req.param("n")?)).encode();
            Ok::<_, sward::http::Error>(subscribers.publish(frame).to_string())
        });
    server.serve(app).expect("it serves");
}

/// The head of a stream, and what the client waits for, as a chunk.
pub(crate) const BEGIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                                d\r\ndata: hello\n\n\r\n";
pub(crate) const PUBLISHED: &str =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A post as it goes on the wire: an event in a chunk.
pub(crate) fn frame(number: usize) -> Vec<u8> {
    let event = format!("data: {}\n\n", post(number));
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// The number in `GET /publish/N HTTP/1.1`, if it is that.
pub(crate) fn number(request: &str) -> Option<usize> {
    request.split(['/', ' ']).nth(3).filter(|_| request.starts_with("GET /publish/"))?.parse().ok()
}

/// One thread, blocking sockets, a list: the system calls that no server can do without, and nothing else.
fn bare() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    let mut subscribers: Vec<TcpStream> = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut request = String::new();
        let mut lines = BufReader::new(&stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).expect("a request");
            request.push_str(&line);
        }
        match number(&request) {
            None => {
                stream.write_all(BEGIN.as_bytes()).expect("sent");
                subscribers.push(stream);
            }
            Some(number) => {
                let frame = frame(number);
                for mut subscriber in &subscribers {
                    subscriber.write_all(&frame).expect("sent");
                }
                stream.write_all(PUBLISHED.as_bytes()).expect("sent");
            }
        }
    }
}
